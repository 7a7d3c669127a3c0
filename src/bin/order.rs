//! Runs one replica of the order service.

use clap::{Arg, Command, value_parser};
use std::process::ExitCode;
use toystore::model::ReplicaId;
use toystore::{order, program};

pub(crate) fn main() -> ExitCode {
    let id = Arg::new("id")
        .long("id")
        .required(true)
        .value_parser(value_parser!(u32))
        .value_name("N")
        .help("Id of this replica in the configuration");
    let command = Command::new("order")
        .about("One replica of the toy store's order log")
        .after_help("Example: order --id 3")
        .arg(id);
    program::service(command, "order", |config, arguments, stop| {
        let id = ReplicaId(*arguments.get_one("id").expect("clap requires it"));
        order::run(config, id, stop)
    })
}
