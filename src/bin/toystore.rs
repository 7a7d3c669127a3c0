//! All programs of the store in one executable, so that a container image contains the library once: `toystore
//! catalog --help` is `catalog --help`.

use std::env;
use std::process::ExitCode;
use toystore::error::{Error, Result};
use toystore::{output, program};

mod audit;
mod catalog;
mod certs;
mod client;
mod database;
mod frame;
mod frontend;
mod order;
mod toys;
mod trace;

const PROGRAMS: &str =
    "catalog, order, frontend, client, frame, audit, toys, trace, certs or database";

fn main() -> ExitCode {
    match &*env::args_os().nth(1).unwrap_or_default().to_string_lossy() {
        "catalog" => catalog::main(),
        "order" => order::main(),
        "frontend" => frontend::main(),
        "client" => client::main(),
        "frame" => frame::main(),
        "audit" => audit::main(),
        "toys" => toys::main(),
        "trace" => trace::main(),
        "certs" => certs::main(),
        "database" => database::main(),
        other => program::end("toystore", answer(other)),
    }
}

/// The help, or an error if the argument is not a program.
fn answer(other: &str) -> Result<ExitCode> {
    if !["--help", "-h"].contains(&other) {
        let why = format!("there is no program \"{other}\", expected {PROGRAMS}");
        return Err(Error::invalid(why));
    }
    output::print(format!(
        "Runs one program of the store: toystore {PROGRAMS}\n\nExample: toystore catalog --help\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}
