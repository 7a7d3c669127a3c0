//! Prints the tables of the store, for whoever makes them by hand.

use clap::Command;
use std::process::ExitCode;
use toystore::config::Config;
use toystore::error::Result;
use toystore::storage::database::Schema;
use toystore::storage::directory::drawn;
use toystore::{catalog, frontend, order, output, program};

const SCHEMAS: [Schema; 3] =
    [catalog::table::SCHEMA, order::table::SCHEMA, frontend::views::SCHEMA];

const EXAMPLES: &str = "Example: database schema | mariadb --host=db1 --user=root

The services make their tables themselves if their user may: then this is not needed.";

pub(crate) fn main() -> ExitCode {
    let schema = Command::new("schema").about("Prints the SQL statements that make all tables");
    let command = Command::new("database")
        .about("The tables of the toy store with `engine = \"database\"`")
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .subcommand(schema);
    program::main(command, "", |config, _| print_schemas(&config))
}

fn print_schemas(config: &Config) -> Result<ExitCode> {
    for schema in SCHEMAS {
        for statement in schema.statements(&schema.database(&config.database), &drawn()) {
            output::print(format!("{statement};\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
