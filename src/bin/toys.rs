//! Lists the toys, changes prices, restocks and adds toys.

use clap::{ArgMatches, Command};
use std::process::ExitCode;
use toystore::config::Config;
use toystore::error::Result;
use toystore::{model::Toy, output, program, toys};

const EXAMPLES: &str = "Examples:
  toys list
  toys price Tux 24.90
  toys restock Tux 100
  toys add Yo-yo 4.50 20

The catalog accepts changes from its own machine, or with the certificate of the tools.

Exit code: 0 done, 1 the catalog refused it, 2 the catalog could not be reached";

pub(crate) fn main() -> ExitCode {
    let command = Command::new("toys")
        .about("Lists the toys, changes prices, restocks, adds toys")
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .subcommands(toys::subcommands());
    program::main(command, "", |config, arguments| run(&config, arguments))
}

fn run(config: &Config, all: &ArgMatches) -> Result<ExitCode> {
    let (subcommand, arguments) = all.subcommand().expect("clap requires one");
    let Some((name, put)) = toys::change_from(subcommand, arguments) else {
        output::print(format!("{:>10} {:>11}  {}\n", "price", "left", "toy"))?;
        toys::list(config, |toys| output::print(toys.iter().map(line).collect::<String>()))?;
        return Ok(ExitCode::SUCCESS);
    };
    match toys::put(config, &name, &put) {
        Ok(toy) => {
            let (price, quantity) = (f64::from(toy.price), toy.quantity);
            output::print(format!("{name}: {quantity} at {price:.2}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if error.is_transient() => Err(error),
        Err(error) => {
            output::complain(format!("toys: {error}"));
            Ok(ExitCode::from(1))
        }
    }
}

fn line(toy: &Toy) -> String {
    format!("{:>10.2} {:>11}  {}\n", f64::from(toy.price), toy.quantity, toy.name)
}
