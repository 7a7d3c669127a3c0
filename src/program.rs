//! The one way in which every program of the store begins and ends. Called by all of `src/bin`.
//!
//! What goes wrong is one line on standard error, behind the program's name, and exit code 2.

use crate::config::{self, Config};
use crate::error::Result;
use crate::output;
use crate::stop::{self, Stop};
use crate::trace;
use clap::{Arg, ArgMatches, Command};
use std::process::ExitCode;

/// Runs a program: `command` is its command line as far as it is its own, `own` the section whose flags go without
/// its name ("" for none).
pub fn main(
    command: Command,
    own: &str,
    run: impl FnOnce(Config, &ArgMatches) -> Result<ExitCode>,
) -> ExitCode {
    let name = command.get_name().to_owned();
    end(&name, config::load(command, own).and_then(|(config, arguments)| run(config, &arguments)))
}

/// Runs a service until it is asked to end.
pub fn service(
    command: Command,
    own: &str,
    run: impl FnOnce(&Config, &ArgMatches, &Stop) -> Result<()>,
) -> ExitCode {
    // For tests only.
    let panic = Arg::new("panic-thread").long("panic-thread").value_name("NAME@FILE").hide(true);
    main(command.arg(panic), own, |config, arguments| {
        if let Some(told) = arguments.get_one::<String>("panic-thread") {
            stop::play_panic(told);
        }
        let stop = Stop::install(arguments)?;
        let _log = trace::start(&config)?;
        run(&config, arguments, &stop).map(|()| ExitCode::SUCCESS)
    })
}

/// How a program of this name ends, after what it came to.
pub fn end(name: &str, outcome: Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        output::complain(format!("{name}: {error}"));
        ExitCode::from(2)
    })
}
