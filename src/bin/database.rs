//! Prints the tables of the store, for whoever makes them by hand; carries a store from files to the database and back.

use clap::{ArgMatches, Command};
use std::process::ExitCode;
use toystore::config::Config;
use toystore::error::Result;
use toystore::storage::database::Schema;
use toystore::storage::directory::drawn;
use toystore::{catalog, frontend, migration, order, output, program};

const SCHEMAS: [Schema; 3] =
    [catalog::table::SCHEMA, order::table::SCHEMA, frontend::views::SCHEMA];

const EXAMPLES: &str = "Examples:
  database schema | mariadb --host=db1 --user=root
  database import --database-addresses=db1:3306,db2:3306

The services make their tables themselves if their user may: then `schema` is not needed. For `import` and `export` all
services are stopped, and all directories are on this machine.";

pub(crate) fn main() -> ExitCode {
    let schema = Command::new("schema").about("Prints the SQL statements that make all tables");
    let import = Command::new("import").about(
        "Carries the store from its files to the database, which must be empty, and compares",
    );
    let export = Command::new("export")
        .about("Carries the store from the database to files, which must not exist, and compares");
    let command = Command::new("database")
        .about("The tables of the toy store with `engine = \"database\"`")
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .subcommands([schema, import, export]);
    program::main(command, "", |config, arguments| run(&config, arguments))
}

fn run(config: &Config, arguments: &ArgMatches) -> Result<ExitCode> {
    match arguments.subcommand_name() {
        Some("import") => migration::import(config)?,
        Some("export") => migration::export(config)?,
        _ => print_schemas(config)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print_schemas(config: &Config) -> Result<()> {
    for schema in SCHEMAS {
        for statement in schema.statements(&schema.database(&config.database), &drawn()) {
            output::print(format!("{statement};\n"))?;
        }
    }
    Ok(())
}
