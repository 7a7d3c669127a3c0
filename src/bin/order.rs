//! Runs one replica of the order service.

use clap::{Arg, Command, value_parser};
use std::process::ExitCode;
use toystore::error::Result;
use toystore::model::ReplicaId;
use toystore::stop::Stop;
use toystore::{config, order, trace};

pub(crate) fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("order: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<()> {
    let id = Arg::new("id")
        .long("id")
        .required(true)
        .value_parser(value_parser!(u32))
        .value_name("N")
        .help("Which of the configured replicas this is");
    let command = Command::new("order")
        .about("One replica of the toy store's order log")
        .after_help("Example: order --id 3")
        .arg(id);
    let (config, arguments) = config::load(command, "order")?;
    let id = ReplicaId(*arguments.get_one("id").expect("clap requires it"));
    let stop = Stop::install(&arguments)?;
    let _trace = trace::start(&config);
    order::run(&config, id, &stop)
}
