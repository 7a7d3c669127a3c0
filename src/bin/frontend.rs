//! Runs the front-end.

use clap::Command;
use std::process::ExitCode;
use toystore::error::Result;
use toystore::stop::Stop;
use toystore::{config, frontend, trace};

pub(crate) fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("frontend: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<()> {
    let command = Command::new("frontend")
        .about("The door of the toy store: HTTP for customers, the product cache, the election")
        .after_help("Example: frontend --listen 127.0.0.1:8000 --cache-capacity 0");
    let (config, arguments) = config::load(command, "frontend")?;
    let stop = Stop::install(&arguments)?;
    let _trace = trace::start(&config);
    frontend::run(&config, &stop)
}
