//! The log in a database, as a replica that shares it sees it: the leader takes and reads it, whoever is asked finds missed
//! orders in it, and all know whether they reach it. Used by [`office`](super::office) and [`service`](super::service).

use super::durable::Durable;
use super::leadership::HEARTBEAT;
use super::node::{Node, Threads};
use super::table::OrderTable;
use crate::error::{Error, Result};
use crate::model::{Epoch, OrderNumber};
use crate::protocol::catalog::Standing;
use crate::protocol::order::{ENTRIES_MAX, Missed};
use crate::trace::Traced;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// How often it is asked whether the database answers.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// A replica that has had no answer for this long is cut off from the database. When a node of it is lost, the others need
/// some seconds to agree; that is no reason to elect another leader.
const CUT_OFF: Duration = Duration::from_secs(10);

/// Takes the log for the leadership of this epoch, and reads it from what the catalog has settled on.
pub fn load(node: &Node, epoch: Epoch, standing: Standing) -> Result<()> {
    let Durable::Table(table) = &node.durable else { return Ok(()) };
    let begun = Instant::now();
    let mut traced = Traced::background(&node.recorder, "load the log", begun);
    traced.note("epoch", epoch);
    let _entered = traced.scope().enter();
    match table.take(epoch, node.id, standing.settled) {
        Ok(taken) => {
            let mut replica = node.replica.lock();
            if !replica.is_loading(epoch) {
                return Ok(());
            }
            replica.loaded(table.write_with(taken));
            let (first, last) = (replica.log().past().last.next(), replica.log().last());
            drop(replica);
            let ms = begun.elapsed().as_millis();
            tracing::info!(
                "took the log of {last} orders and read it from order {first} on, in {ms} ms"
            );
            Ok(())
        }
        Err(Error::Stale { epoch: newer }) => {
            tracing::warn!(
                "not leading in epoch {epoch}: a leader of epoch {newer} has had the log"
            );
            node.replica.lock().fenced(epoch);
            Ok(())
        }
        Err(error) => {
            tracing::warn!("cannot take the log yet: {error}");
            Err(error)
        }
    }
}

/// Committed orders after `(number, epoch)`.
pub fn missed(node: &Node, number: OrderNumber, epoch: Epoch) -> Result<Missed> {
    match &node.durable {
        Durable::File(_) => Ok(node.replica.lock().missed(number, epoch)),
        Durable::Table(table) => {
            let entries = table.after(number, ENTRIES_MAX)?;
            let committed = entries.last().map_or(OrderNumber(0), |entry| entry.number);
            Ok(Missed { entries, committed })
        }
    }
}

/// Starts the thread that finds out whether the database answers.
pub fn start(threads: &mut Threads) -> Result<()> {
    threads.start("database", |node| match &node.durable {
        Durable::Table(table) => watch(node, table),
        Durable::File(_) => {}
    })
}

fn watch(node: &Node, table: &OrderTable) {
    let mut answered = Instant::now();
    let mut due = answered;
    while !node.is_stopping() {
        if Instant::now() < due {
            thread::sleep(HEARTBEAT);
            continue;
        }
        due = Instant::now() + WATCH_EVERY;
        if table.is_reachable() {
            answered = Instant::now();
        }
        let reaches = answered.elapsed() < CUT_OFF;
        let before = node.log_reachable.swap(reaches, Ordering::Relaxed);
        match (before, reaches) {
            (true, false) => tracing::warn!("{} cannot be reached", table.place()),
            (false, true) => tracing::info!("{} can be reached", table.place()),
            _ => {}
        }
    }
}
