//! Reads the tables of a store with `engine = "database"`. The store should be closed: while services write, the tables of the
//! catalog and of the orders are read at different moments and may not match.

use super::check::{Evidence, ReplicaLog, check};
use super::verdict::Verdict;
use crate::catalog;
use crate::config::Config;
use crate::error::Result;
use crate::model::{OrderNumber, ReplicaId};
use crate::order::table::OrderTable;

/// So many orders are read at once.
const ORDERS_MAX: usize = 10_000;

/// Audits the tables of the database that the configuration names. All replicas have the same log: it counts as the one of
/// the last leader.
pub fn audit(config: &Config) -> Result<Verdict> {
    let table = OrderTable::existing(config)?;
    let (mut entries, mut last) = (Vec::new(), OrderNumber(0));
    loop {
        let more = table.after(last, ORDERS_MAX)?;
        let Some(entry) = more.last() else { break };
        last = entry.number;
        entries.extend(more);
    }
    let id = table.last_view()?.map_or(ReplicaId(1), |view| view.leader);
    let log = ReplicaLog { id, in_sync: true, entries, committed: last, cut_aside: vec![] };
    // After the orders: a sale without an order is no fault.
    let stock = catalog::table::read(&config.database)?;
    let books = stock.books(stock.shelves());
    Ok(check(Evidence { books, logs: vec![log], notes: vec![] }))
}
