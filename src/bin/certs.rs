//! Makes the certificates of a store.

use clap::{Arg, Command, value_parser};
use std::path::PathBuf;
use std::process::ExitCode;
use toystore::error::Result;
use toystore::{certs, config};

const EXAMPLES: &str = "Examples:
  certs                             for the addresses in the configuration, into certs/
  certs --tls-directory=/etc/toys   into another directory
  certs --days 30                   renews them; kill -HUP makes a service read them again
  run-all --tls-directory=certs     uses them

To put a service on another machine, copy authority.pem and its own two files there, and tool.pem and
tool-key.pem to where run-all, frame or audit run. authority-key.pem stays where it is.";

pub(crate) fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("certs: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<()> {
    let days = Arg::new("days")
        .long("days")
        .value_name("N")
        .default_value("365")
        .value_parser(value_parser!(u32).range(1..=3_650))
        .help("How long the certificates are valid");
    let command = Command::new("certs")
        .about(
            "Makes an authority, if there is none yet, and with it a new certificate for each \
             service of the toy store",
        )
        .after_help(EXAMPLES)
        .arg(days);
    let (config, arguments) = config::load(command, "")?;
    let directory = config.tls.directory.clone().unwrap_or_else(|| PathBuf::from("certs"));
    let days = *arguments.get_one::<u32>("days").expect("it has a default");
    let made = certs::make(&config, &directory, days)?;
    let place = directory.display();
    if made.new_authority {
        println!("{place}/authority.pem, authority-key.pem: a new authority; keep its key secret");
    }
    for owner in made.owners {
        println!("{place}/{owner}.pem, {owner}-key.pem: valid until {}", made.until.date());
    }
    Ok(())
}
