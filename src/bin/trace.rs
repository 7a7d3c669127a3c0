//! Shows where the time of one purchase or election went, in all services.

use clap::{Arg, ArgMatches, Command, value_parser};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use toystore::collector::{Collector, Which};
use toystore::config::Config;
use toystore::error::{Error, Result};
use toystore::trace::{chrome, text::Text};
use toystore::{output, program};

const EXAMPLES: &str = "Examples:
  trace last
  trace slowest                        of the last minute
  trace 42                             the purchase of order 42
  trace election                       the last election, until the leader has taken office
  trace catch-up                       the last replica that caught up
  trace last --chrome purchase.json    opens at https://ui.perfetto.dev

One purchase in a hundred is traced (trace.sample), and all for ten seconds after each use of this program.";

pub(crate) fn main() -> ExitCode {
    let which = Arg::new("which")
        .value_name("last|slowest|election|catch-up|NUMBER")
        .default_value("last")
        .value_parser(value_parser!(Which))
        .help("A purchase: the last, the slowest of the last minute, or of this order; what no request asks for; or a trace id");
    let chrome = Arg::new("chrome")
        .long("chrome")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Write it to this file as Chrome trace events, instead of printing it");
    let about =
        "Shows where the time of one purchase or election went, in all services of the open store";
    let command = Command::new("trace").about(about).after_help(EXAMPLES).args([which, chrome]);
    program::main(command, "", |config, arguments| run(&config, arguments))
}

fn run(config: &Config, arguments: &ArgMatches) -> Result<ExitCode> {
    let which = *arguments.get_one::<Which>("which").expect("it has a default");
    let collected = Collector::of(config)?.collect(which)?;
    if let Some(file) = arguments.get_one::<PathBuf>("chrome") {
        let events = chrome::events(&collected.trace).to_string();
        fs::write(file, events).map_err(|e| Error::storage(file, "cannot write it", e))?;
    } else {
        output::print(Text(&collected.trace))?;
    }
    for service in collected.silent {
        output::complain(format!("trace: {service} does not answer: its spans are missing"));
    }
    Ok(ExitCode::SUCCESS)
}
