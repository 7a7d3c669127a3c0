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

fn main() -> ExitCode {
    match &*env::args_os().nth(1).unwrap_or_default().to_string_lossy() {
        "catalog" => catalog::main(),
        "order" => order::main(),
        "frontend" => frontend::main(),
        "client" => client::main(),
        "frame" => frame::main(),
        "audit" => audit::main(),
        "certs" => certs::main(),
        other => {
            eprintln!(
                "toystore: there is no program \"{other}\", expected one of catalog, order, \
                 frontend, client, frame, audit, certs"
            );
            ExitCode::from(2)
        }
    }
}
