//! All programs of the store in one, so that a container's image holds the library once: `toystore catalog
//! --help` is `catalog --help`.

use std::env;
use std::process::ExitCode;

mod audit;
mod catalog;
mod certs;
mod client;
mod frame;
mod frontend;
mod order;

const PROGRAMS: &str = "catalog, order, frontend, client, frame, audit or certs";

fn main() -> ExitCode {
    match &*env::args_os().nth(1).unwrap_or_default().to_string_lossy() {
        "catalog" => catalog::main(),
        "order" => order::main(),
        "frontend" => frontend::main(),
        "client" => client::main(),
        "frame" => frame::main(),
        "audit" => audit::main(),
        "certs" => certs::main(),
        "--help" | "-h" => {
            println!(
                "One of the store's programs: toystore {PROGRAMS}\n\nExample: toystore catalog --help"
            );
            ExitCode::SUCCESS
        }
        other => {
            eprintln!("toystore: there is no program \"{other}\", expected {PROGRAMS}");
            ExitCode::from(2)
        }
    }
}
