//! Runs the catalog.

use clap::Command;
use std::process::ExitCode;
use toystore::{catalog, program};

pub(crate) fn main() -> ExitCode {
    let command = Command::new("catalog")
        .about("The stock of the toy store: sells, restocks, and tells the front-ends what changed")
        .after_help(
            "SIGUSR1 plays a slow database: each query and purchase takes 200 ms longer. SIGUSR2 \
             sets back --delay-ms.\n\nExample: catalog --restock-every-ms 60000 --reset-stock",
        );
    program::service(command, "catalog", |config, _, stop| catalog::run(config, stop))
}
