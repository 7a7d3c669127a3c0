//! Audits a store: checks orders against stock.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::process::ExitCode;
use std::time::Duration;
use toystore::config::{Config, Engine};
use toystore::error::Result;
use toystore::{audit, output, program};

pub(crate) fn main() -> ExitCode {
    let running = Arg::new("running")
        .long("running")
        .action(ArgAction::SetTrue)
        .help("Ask the services of the open store instead of reading its files or tables");
    let deadline = Arg::new("deadline")
        .long("deadline-ms")
        .value_name("MS")
        .default_value("10000")
        .value_parser(value_parser!(u32))
        .help("With --running: how long to wait until the services agree");
    let command = Command::new("audit")
        .about(
            "Audits the toy store: initial + restocked - sold - withdrawn = now, each \
             toy sold is in one order, all replicas have the same orders",
        )
        .after_help(
            "Example: audit --running\n\nExit code: 0 the books balance, 1 they do not, 2 they \
             could not be read",
        )
        .args([running, deadline]);
    program::main(command, "", |config, arguments| run(&config, arguments))
}

fn run(config: &Config, arguments: &ArgMatches) -> Result<ExitCode> {
    let verdict = if arguments.get_flag("running") {
        let ms = *arguments.get_one::<u32>("deadline").expect("it has a default");
        audit::running::audit(config, Duration::from_millis(ms.into()))?
    } else if config.storage.engine == Engine::Database {
        audit::tables::audit(config)?
    } else {
        audit::disk::audit(config)?
    };
    output::print(&verdict)?;
    Ok(ExitCode::from(u8::from(!verdict.balances())))
}
