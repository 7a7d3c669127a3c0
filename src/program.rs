//! The main function of every program of the store. Called by all of `src/bin`.
//!
//! A failure prints one line on standard error, after the program's name, and exits with code 2.

use crate::config::{self, Config};
use crate::diagnostics;
use crate::error::{Error, Result};
use crate::output;
use crate::stop::{self, Stop};
use clap::{Arg, ArgMatches, Command};
use std::process::ExitCode;
use std::time::Duration;

/// Runs a program. `command` is its command line without the settings; `own` is the section whose flags are written
/// without the section's name ("" for none).
pub fn main(
    command: Command,
    own: &str,
    run: impl FnOnce(Config, &ArgMatches) -> Result<ExitCode>,
) -> ExitCode {
    let name = command.get_name().to_owned();
    end(&name, config::load(command, own).and_then(|(config, arguments)| run(config, &arguments)))
}

/// Runs a service until the process is asked to end.
pub fn service(
    command: Command,
    own: &str,
    run: impl FnOnce(&Config, &ArgMatches, &Stop) -> Result<()>,
) -> ExitCode {
    // For tests only.
    let panic = Arg::new("panic-thread").long("panic-thread").value_name("NAME@FILE").hide(true);
    main(command.arg(panic), own, |config, arguments| {
        if let Some(thread) = arguments.get_one::<String>("panic-thread") {
            stop::panic_in(thread);
        }
        let stop = Stop::install(arguments)?;
        let _log = diagnostics::start(&config)?;
        match run(&config, arguments, &stop) {
            // It waited for something, and was asked to end meanwhile.
            Err(Error::Unavailable { what }) if stop.wait(Duration::ZERO) => {
                tracing::info!("closed before it was open: {what}");
                Ok(ExitCode::SUCCESS)
            }
            outcome => outcome.map(|()| ExitCode::SUCCESS),
        }
    })
}

/// Prints the error, if there is one. Returns the exit code.
pub fn end(name: &str, outcome: Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        output::complain(format!("{name}: {error}"));
        ExitCode::from(2)
    })
}
