//! Grades toy stores.

use std::process::ExitCode;
use toystore::program;
use toystore::stop::Stop;
use toystore_lab::grade::{self, guard, launch};

fn main() -> ExitCode {
    // Before anything else: it has the arguments of a strange program.
    if let Some(code) = launch::become_program() {
        return code;
    }
    program::main(grade::command(), "", |_, arguments| {
        let stop = Stop::install(arguments)?;
        if guard::is_guarded(arguments) {
            grade::run(arguments, stop)
        } else {
            guard::run(arguments, &stop)
        }
    })
}
