//! Runs the catalog.

use clap::Command;
use std::process::ExitCode;
use toystore::error::Result;
use toystore::stop::Stop;
use toystore::{catalog, config, trace};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("catalog: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<()> {
    let command = Command::new("catalog")
        .about("The stock of the toy store: sells, restocks, and tells the front-ends what changed")
        .after_help("Example: catalog --restock-every-ms 60000 --reset-stock");
    let (config, arguments) = config::load(command, "catalog")?;
    let stop = Stop::install(&arguments)?;
    let _trace = trace::start(&config);
    catalog::run(&config, &stop)
}
