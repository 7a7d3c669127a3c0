//! Runs the catalog.

use clap::Command;
use std::process::ExitCode;
use toystore::error::Result;
use toystore::stop::Stop;
use toystore::{catalog, config, trace};

pub(crate) fn main() -> ExitCode {
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
        .after_help(
            "SIGUSR1 plays a slow database: each query and purchase takes 200 ms longer. SIGUSR2 \
             sets back --delay-ms.\n\nExample: catalog --restock-every-ms 60000 --reset-stock",
        );
    let (config, arguments) = config::load(command, "catalog")?;
    let stop = Stop::install(&arguments)?;
    let _trace = trace::start(&config);
    catalog::run(&config, &stop)
}
