//! Reads the tables of a store with `engine = "database"`. The store should be closed: while services write, the tables of the
//! catalog and of the orders are read at different moments and may not match.

use super::check::{Evidence, ReplicaLog, check};
use super::verdict::Verdict;
use crate::catalog;
use crate::catalog::stock::Stock;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Epoch, OrderNumber, ReplicaId};
use crate::order;
use crate::order::table::OrderTable;
use crate::storage::database::Database;

/// So many orders are read at once.
const ORDERS_MAX: usize = 10_000;

/// Audits the tables of the database that the configuration names.
pub fn audit(config: &Config) -> Result<Verdict> {
    let orders = Database::existing(&config.database, &order::table::SCHEMA)?;
    let stock = Database::existing(&config.database, &catalog::table::SCHEMA)?;
    read(&OrderTable::of(orders), &stock).map(|(_, evidence)| check(&evidence))
}

/// The stock, and everything that is compared with it. All replicas have the same log: it counts as the one of the last
/// leader.
pub fn read(table: &OrderTable, stock: &Database) -> Result<(Stock, Evidence)> {
    let (mut entries, mut last) = (Vec::new(), OrderNumber(0));
    loop {
        let more = table.after(last, ORDERS_MAX)?;
        let Some(entry) = more.last() else { break };
        last = entry.number;
        entries.extend(more);
    }
    let view = table.last_view()?;
    // After the orders: a sale without an order is no fault.
    let stock = catalog::table::read(stock)?;
    let books = stock.books(stock.shelves());
    // An order is here before its sale is durable. Which ones are committed is known of those that are settled.
    let committed = books.settled.unwrap_or_default();
    let id = view.as_ref().map_or(ReplicaId(1), |view| view.leader);
    let log = ReplicaLog { id, in_sync: true, entries, committed, cut_aside: vec![] };
    let epoch = view.map_or(Epoch(0), |view| view.epoch);
    Ok((stock, Evidence { books, logs: vec![log], epoch, ..Evidence::default() }))
}
