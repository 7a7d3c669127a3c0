//! The configuration: one struct for the whole store, so that every process uses the same values.
//!
//! Values come from four places; the first that has one wins: a flag (`--frontend-threads 20`), an
//! environment variable (`TOYSTORE_FRONTEND_THREADS`), the file (`[frontend] threads = 20`), the
//! default (`settings.rs`). What can be set is listed once, in the table of `keys.rs`; the file reader
//! (`file.rs`), the flags, their help and the environment (`flags.rs`) are all made from it.
//!
//! - A value in a [`Config`] was checked where it was read. What is unknown or out of range stops
//!   the start with its place and what is allowed; an unknown variable, which others may have set, is
//!   a warning.
//! - `config/toystore.toml` says exactly what the defaults say, and names every key (tested).
//! - The order replicas are those of the file; a file that names none leaves the default three. The front-ends and the
//!   catalogs are the first, and those that the file adds. Flags and environment can change a process but not add one.

mod keys;
mod file;
mod flags;
mod manual;
mod settings;

pub use flags::{all_flags, given_flags};
pub use settings::{
    Catalog, Client, Config, Database, Engine, Failure, FailureKind, Frontend, Instance, Level,
    Log, LogFormat, Order, Page, Restock, Storage, ThreadPer, Tls, Trace,
};

use crate::error::{Error, Result};
use crate::output;
use clap::{ArgMatches, Command};
use std::collections::HashMap;
use std::ffi::OsString;
use std::{env, process};

/// Reads the configuration of this process. `command` is its command line as far as it is its own:
/// name, about, an example in `after_help`, further arguments. `own` is the section whose flags may
/// be written without its name, such as `--threads` in the front-end; "" for none. With `--id 2` those of its second
/// process may be, too.
///
/// A wrong command line, `--help`, `--version` and `--generate` (a manual page or completions) end the process here,
/// once they are printed.
pub fn load(command: Command, own: &str) -> Result<(Config, ArgMatches)> {
    let mut arguments: Vec<_> = env::args_os().collect();
    // `toystore catalog` is `catalog`.
    if arguments.get(1).is_some_and(|name| name == command.get_name()) {
        arguments.remove(0);
    }
    read(command, own, &arguments, env::vars_os().collect())
}

/// What [`load`] does, with the arguments (the program's name first) and the environment given.
fn read(
    command: Command,
    own: &str,
    arguments: &[OsString],
    environment: HashMap<OsString, OsString>,
) -> Result<(Config, ArgMatches)> {
    let mut config = Config::default();
    if let Some(what) = manual::asked(arguments) {
        let text = manual::generate(flags::declare(command, own, None, &config), what)?;
        output::print(text)?;
        process::exit(0);
    }
    // The file decides which replicas have flags, so it comes before the command line; its errors
    // come after it, so that --help always works.
    let from_file = flags::file(arguments, &environment)
        .map_or(Ok(()), |(file, place)| file::read(&file, &place, &mut config));
    let name = command.get_name().to_owned();
    let declared = flags::declare(command, own, flags::id(arguments), &config);
    let matches = match declared.try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(help) if !help.use_stderr() => {
            output::written(help.print())?;
            process::exit(0)
        }
        Err(wrong) => {
            output::complain(wrong.render().to_string().trim_end());
            process::exit(2)
        }
    };
    from_file?;
    for warning in flags::read_environment(environment, &mut config)? {
        output::complain(format!("{name}: warning: {warning}"));
    }
    flags::read_flags(&matches, &mut config)?;
    check_together(&config)?;
    Ok((config, matches))
}

/// Finds what each value allows but their sum does not: two services at one address or directory, a
/// certificate without its key.
fn check_together(config: &Config) -> Result<()> {
    if config.frontend.certificate.is_some() != config.frontend.key.is_some() {
        let place = "frontend.certificate and frontend.key".to_owned();
        return Err(Error::Config { place, why: "one is set, expected both or none".to_owned() });
    }
    if config.frontend.instance(config.frontend.controller).is_err() {
        let (place, id) = ("frontend.controller".to_owned(), config.frontend.controller);
        return Err(Error::Config { place, why: format!("there is no front-end {id}") });
    }
    // Each front-end that waits for changes holds one.
    let (threads, needed) = (config.catalog.peer_threads, 3 + config.frontend.instances().count());
    if threads < needed {
        let place = "catalog.peer_threads".to_owned();
        let why = format!("it is {threads}, so many front-ends need {needed} at least");
        return Err(Error::Config { place, why });
    }
    let mut owners = HashMap::new();
    for setting in keys::settings(config) {
        let value = setting.show(config);
        // Port 0 is a different free port each time.
        if !setting.is_exclusive() || value.ends_with(":0") {
            continue;
        }
        let path = setting.path();
        if let Some(other) = owners.insert(value.clone(), path.clone()) {
            let why = format!("both are \"{value}\", expected one for each");
            return Err(Error::Config { place: format!("{other} and {path}"), why });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
