//! Makes the certificates of a store.

use clap::{Arg, ArgMatches, Command, value_parser};
use std::path::PathBuf;
use std::process::ExitCode;
use toystore::config::Config;
use toystore::error::Result;
use toystore::{certs, output, program};

const EXAMPLES: &str = "Examples:
  certs                             for the addresses in the configuration, written to certs/
  certs --tls-directory=/etc/toys   written to another directory
  certs --days 30                   new certificates; kill -HUP makes a service read them again
  run-all --tls-directory=certs     uses them

To put a service on another machine, copy authority.pem and its own two files there, and tool.pem and
tool-key.pem to where run-all, frame or audit run. Do not copy authority-key.pem.";

pub(crate) fn main() -> ExitCode {
    let days = Arg::new("days")
        .long("days")
        .value_name("N")
        .default_value("365")
        .value_parser(value_parser!(u32).range(1..=3_650))
        .help("How long the certificates are valid");
    let command = Command::new("certs")
        .about(
            "Makes a certificate authority (CA), if there is none yet, and with it a new certificate \
             for each service of the toy store",
        )
        .after_help(EXAMPLES)
        .arg(days);
    program::main(command, "", |config, arguments| run(&config, arguments))
}

fn run(config: &Config, arguments: &ArgMatches) -> Result<ExitCode> {
    let directory = config.tls.directory.clone().unwrap_or_else(|| PathBuf::from("certs"));
    let days = *arguments.get_one::<u32>("days").expect("it has a default");
    let made = certs::make(config, &directory, days)?;
    let place = directory.display();
    if made.new_authority {
        output::print(format!(
            "{place}/authority.pem, authority-key.pem: a new certificate authority; keep its key secret\n"
        ))?;
    }
    let until = made.until.date();
    for owner in made.owners {
        output::print(format!("{place}/{owner}.pem, {owner}-key.pem: valid until {until}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}
