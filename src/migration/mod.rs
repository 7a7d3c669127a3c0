//! Carries a closed store from its files to a database, and back. Called by the program `database`.
//!
//! ```text
//! files ◀──▶ Contents ◀──▶ tables
//! ```
//!
//! * [`contents`] (pure): what a store has, wherever it keeps it, and in what two stores differ.
//! * [`files`]: the directories of the services.
//! * [`tables`]: their databases.
//! * [`progress`]: writes many orders, and says how far it is.
//!
//! - The source is only read, with the code of the audit, and its books have to balance.
//! - The target has to be empty. It is read back and compared with the source. Until it is equal, no service opens it: a
//!   database has the mark of an unfinished import, and a directory of the catalog lacks `toys.csv`.
//! - The view is not carried. The front-end that makes the views finds its file gone, and asks the replicas.

pub mod contents;
pub mod files;
pub mod tables;
pub mod progress;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::Principal;
use crate::net::Transport;
use crate::output::print;
use crate::protocol::{ask, catalog, order, wanted};
use files::Files;
use serde_json::Value;
use std::time::{Duration, Instant};
use tables::Tables;

/// How long a service that runs may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Carries the store from its files to the database.
pub fn import(config: &Config) -> Result<()> {
    refuse_open(config)?;
    let mut files = Files::lock(config)?;
    print("reading the files\n")?;
    let store = files.read()?;
    print(&store)?;
    let tables = Tables::claim(config)?;
    tables.write(&store)?;
    print("reading the database, to compare it\n")?;
    store.compare(&tables.read()?, "the database")?;
    files.forget_view()?;
    tables.release()?;
    print("the database has the same; the store is opened with engine = \"database\"\n")
}

/// Carries the store from the database to files.
pub fn export(config: &Config) -> Result<()> {
    refuse_open(config)?;
    let mut files = Files::lock(config)?;
    files.refuse_contents()?;
    print("reading the database\n")?;
    let tables = Tables::existing(config)?;
    let store = tables.read()?;
    print(&store)?;
    files.forget_view()?;
    files.write(&store)?;
    print("reading the files, to compare them\n")?;
    files.compare(&store)?;
    print("the files have the same; the store is opened with engine = \"files\"\n")
}

/// Refuses a store of which a service answers.
fn refuse_open(config: &Config) -> Result<()> {
    let transport = Transport::of(config, Principal::Tool)?;
    let refuse = |address: &str, answer: Result<Value>| match answer {
        Err(Error::Unreachable { .. }) => Ok(()),
        _ => Err(Error::Service {
            name: format!("the service at {address}"),
            why: "it runs; stop all services of the store first".to_owned(),
        }),
    };
    let deadline = Instant::now() + ANSWER;
    let address = &config.catalog.first.listen;
    let question = catalog::Request::HealthCheck;
    refuse(address, ask(&transport.rpc(address)?, &question, deadline, &wanted))?;
    config.order.replicas.values().try_for_each(|replica| {
        let question = order::Request::HealthCheck;
        let address = &replica.listen;
        refuse(address, ask(&transport.rpc(address)?, &question, deadline, &wanted))
    })
}
