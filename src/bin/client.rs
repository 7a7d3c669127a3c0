//! Runs simulated customers.

use clap::{Arg, ArgMatches, Command, value_parser};
use std::process::ExitCode;
use std::time::Duration;
use toystore::config::Config;
use toystore::error::Result;
use toystore::stop::Stop;
use toystore::{address, client, output, program};

pub(crate) fn main() -> ExitCode {
    let host = Arg::new("host").long("host").value_name("HOST");
    let port = Arg::new("port").long("port").value_name("N").value_parser(value_parser!(u16));
    let command = Command::new("client")
        .about("Simulated customers of the toy store: they query and buy, and at the end check all their orders")
        .after_help("Example: client -c 5 -n 100 -p 0.8 --port 8081\n\nExit code: 0 all orders match the store's records, 1 a difference or a failed request, 2 could not run, 130 interrupted")
        .arg(host.help("Host of the front-end, or several with commas [default: those in client.address]"))
        .arg(port.help("Port of the front-ends [default: those in client.address]"));
    program::main(command, "client", run)
}

fn run(mut config: Config, arguments: &ArgMatches) -> Result<ExitCode> {
    config.client.addresses = addresses_from(&config.client.addresses, arguments);
    let stop = Stop::install(arguments)?;
    let report = client::run(&config.client, &|| stop.wait(Duration::ZERO))?;
    stop.let_signals_end();
    if !report.began() && !report.is_interrupted {
        output::complain(format!("client: {}", report.findings.first().map_or("", |why| why)));
        return Ok(ExitCode::from(2));
    }
    output::print(&report)?;
    for finding in &report.findings {
        output::complain(format!("client: {finding}"));
    }
    if report.is_interrupted {
        output::complain("client: interrupted; not all orders were checked");
        return Ok(ExitCode::from(Stop::INTERRUPTED));
    }
    if report.findings.is_empty() {
        output::print("all orders match the store's records\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(1))
}

/// The configured addresses, with the hosts and the port of --host and --port, if given (K2). A host may have a port.
fn addresses_from(configured: &[String], arguments: &ArgMatches) -> Vec<String> {
    let port = arguments.get_one::<u16>("port").map(u16::to_string);
    let first_port = configured.first().map_or("", |address| address::parts(address).1);
    let hosts: Vec<String> = match arguments.get_one::<String>("host") {
        Some(hosts) => hosts.split(',').map(|host| host.trim().to_owned()).collect(),
        None => configured.to_vec(),
    };
    let address = |host: &String| {
        let (host, own) =
            if address::is_one(host) { address::parts(host) } else { (&**host, first_port) };
        address::of(host, port.as_deref().unwrap_or(own))
    };
    hosts.iter().map(address).collect()
}
