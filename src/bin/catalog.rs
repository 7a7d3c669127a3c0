//! Runs the catalog.

use clap::{Arg, Command, value_parser};
use std::process::ExitCode;
use toystore::model::CatalogId;
use toystore::{catalog, program};

pub(crate) fn main() -> ExitCode {
    let id = Arg::new("id")
        .long("id")
        .default_value("1")
        .value_parser(value_parser!(u32))
        .value_name("N")
        .help("Id of this catalog in the configuration");
    let command = Command::new("catalog")
        .about("The catalog of the toy store: sells, restocks, and notifies front-ends of changes")
        .after_help(
            "SIGUSR1 adds 200 ms to each query and purchase, to simulate a slow database. SIGUSR2 \
             sets the delay back to --delay-ms.\n\nExample: catalog --restock-every-ms 60000 --reset-stock",
        )
        .arg(id);
    program::service(command, "catalog", |config, arguments, stop| {
        let id = CatalogId(*arguments.get_one("id").expect("it has a default"));
        catalog::run(config, id, stop)
    })
}
