//! Runs the front-end.

use clap::Command;
use std::process::ExitCode;
use toystore::{frontend, program};

pub(crate) fn main() -> ExitCode {
    let command = Command::new("frontend")
        .about("The front-end of the toy store: HTTP for customers, product cache, leader election")
        .after_help("Example: frontend --listen 127.0.0.1:8000 --cache-capacity 0");
    program::service(command, "frontend", |config, _, stop| frontend::run(config, stop))
}
