//! Starts the whole store, and closes it on Ctrl-C.

use clap::{Arg, ArgAction, Command};
use std::process::ExitCode;
use toystore::{program, supervisor};

fn main() -> ExitCode {
    let fresh = Arg::new("fresh")
        .long("fresh")
        .action(ArgAction::SetTrue)
        .help("Empty the data directories first");
    let page = Arg::new("page")
        .long("page")
        .action(ArgAction::SetTrue)
        .help("Serve the cluster page even without a terminal");
    let no_page = Arg::new("no-page")
        .long("no-page")
        .action(ArgAction::SetTrue)
        .conflicts_with("page")
        .help("No cluster page and no commands from the keyboard");
    let command = Command::new("run-all")
        .about(
            "Starts the catalog, the order replicas and the front-end, and closes them on Ctrl-C",
        )
        .after_help("Example: run-all --fresh --frontend-cache-capacity 0")
        .args([fresh, page, no_page]);
    program::main(command, "", |config, arguments| {
        supervisor::run(&config, arguments).map(|()| ExitCode::SUCCESS)
    })
}
