//! The store on a database of three Galera nodes. `make test-database` runs these tests; they need MariaDB.

#[path = "../support/mod.rs"]
mod support;
#[path = "../torture/history.rs"]
mod history;
#[path = "../torture/load.rs"]
mod load;

mod log;
mod catalog;
mod store;
mod standby;
mod tls;
mod front_ends;
mod migration;
mod page;
mod unwritable;

use history::History;
use std::collections::BTreeMap;
use support::galera::Galera;
use toystore::config::Config;
use toystore::history::{Outcome, checker};
use toystore::model::OrderNumber;
use toystore::order::table::{OrderTable, SCHEMA};
use toystore::storage::database::Database;

/// No answer that a customer got is broken by the orders in the database, of a store that had this stock.
fn assert_kept(history: &History, galera: &Galera, stock: &BTreeMap<String, u64>) {
    let config = Config { database: galera.settings(), ..Config::default() };
    let database = Database::existing(&config.database, &SCHEMA).expect("the database answers");
    let orders = OrderTable::of(database).after(OrderNumber(0), 1_000_000);
    let orders = orders.expect("the database answers");
    let broken = checker::safety(&history.requests(), stock, &orders);
    assert!(broken.is_empty(), "{broken:?}");
}

/// The longest time without an answered purchase since then, in milliseconds.
fn gap(history: &History, since_us: u64) -> u64 {
    let requests = history.requests();
    let answered = requests.iter().filter(|request| matches!(request.outcome, Outcome::Number(_)));
    let mut ends: Vec<u64> = answered.map(|request| request.end_us).collect();
    ends.retain(|end| *end >= since_us);
    ends.push(since_us);
    ends.sort_unstable();
    let gaps = ends.windows(2).map(|pair| pair[1] - pair[0]);
    gaps.max().expect("there are answers") / 1_000
}
