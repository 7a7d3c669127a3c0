//! Starts the whole store, and closes it on Ctrl-C.

use clap::{Arg, ArgAction, Command};
use std::process::ExitCode;
use toystore::error::Result;
use toystore::{config, supervisor};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("run-all: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<()> {
    let fresh = Arg::new("fresh")
        .long("fresh")
        .action(ArgAction::SetTrue)
        .help("Empty the data directories first");
    let command = Command::new("run-all")
        .about(
            "Starts the catalog, the order replicas and the front-end, and closes them on Ctrl-C",
        )
        .after_help("Example: run-all --fresh --frontend-cache-capacity 0")
        .arg(fresh);
    let (config, arguments) = config::load(command, "")?;
    supervisor::run(&config, &arguments)
}
