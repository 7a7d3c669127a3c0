//! Runs the catalog.

use clap::Command;
use std::process::ExitCode;
use toystore::{catalog, program};

pub(crate) fn main() -> ExitCode {
    let command = Command::new("catalog")
        .about("The catalog of the toy store: sells, restocks, and notifies front-ends of changes")
        .after_help(
            "SIGUSR1 adds 200 ms to each query and purchase, to simulate a slow database. SIGUSR2 \
             sets the delay back to --delay-ms.\n\nExample: catalog --restock-every-ms 60000 --reset-stock",
        );
    program::service(command, "catalog", |config, _, stop| catalog::run(config, stop))
}
