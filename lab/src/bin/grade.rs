//! Grades toy stores.

use std::process::ExitCode;
use toystore::program;
use toystore::stop::Stop;
use toystore_lab::grade::{self, launch};

fn main() -> ExitCode {
    // Before anything else: it has the arguments of a strange program.
    if let Some(code) = launch::become_program() {
        return code;
    }
    program::main(grade::command(), "", |_, arguments| {
        grade::run(arguments, Stop::install(arguments)?)
    })
}
