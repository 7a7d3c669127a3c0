//! Runs a front-end.

use clap::{Arg, Command, value_parser};
use std::process::ExitCode;
use toystore::model::FrontendId;
use toystore::{frontend, program};

pub(crate) fn main() -> ExitCode {
    let id = Arg::new("id")
        .long("id")
        .default_value("1")
        .value_parser(value_parser!(u32))
        .value_name("N")
        .help("Id of this front-end in the configuration");
    let command = Command::new("frontend")
        .about("A front-end of the toy store: HTTP for customers, product cache, leader election")
        .after_help("Example: frontend --listen 127.0.0.1:8000 --cache-capacity 0")
        .arg(id);
    program::service(command, "frontend", |config, arguments, stop| {
        let id = FrontendId(*arguments.get_one("id").expect("it has a default"));
        frontend::run(config, id, stop)
    })
}
