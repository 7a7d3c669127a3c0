//! What a replica has to do with the catalog besides purchases, on threads of its own: as a leader,
//! take office and settle; in any role, know whether the catalog can be reached.

use super::leadership::{Duty, HEARTBEAT, Office};
use super::node::{Node, Threads};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Epoch, Key, OrderNumber};
use crate::net::{Rpc, Transport};
use crate::protocol::ask;
use crate::protocol::catalog::{self, Peer};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// For each call.
const DEADLINE: Duration = Duration::from_secs(1);
/// For a health check; the catalog counts as out of reach after it.
const HEALTH_DEADLINE: Duration = Duration::from_millis(300);
/// The pause between two calls, in which more purchases to settle come together.
const PAUSE: Duration = Duration::from_millis(20);
/// How often the committed number is noted on disk.
const HINT_EVERY: Duration = Duration::from_secs(1);

/// Starts the two threads.
pub fn start(threads: &mut Threads, config: &Config, transport: &Transport) -> Result<()> {
    let catalog = transport.rpc(&config.catalog.peer)?;
    threads.start("office", move |node| hold_office(node, &catalog))?;
    let catalog = transport.rpc(&config.catalog.peer)?;
    threads.start("watch", move |node| watch_catalog(node, &catalog))
}

/// Does what the leader has to tell or ask the catalog.
fn hold_office(node: &Node, catalog: &Rpc) {
    let (mut hinted, mut hinted_at) = (OrderNumber(0), Instant::now());
    while !node.is_stopping() {
        if hinted_at.elapsed() > HINT_EVERY {
            hinted_at = Instant::now();
            hinted = node.hint_committed(hinted);
        }
        let mut replica = node.replica.lock();
        replica.tick(node.now());
        let Some(duty) = replica.duty(node.now()) else {
            node.await_work(&mut replica);
            continue;
        };
        drop(replica);
        let done = match duty {
            Duty::TakeOffice(epoch) => take_office(node, catalog, epoch),
            Duty::Settle(epoch, keys) => settle(node, catalog, epoch, keys),
        };
        if let Err(error) = done {
            tracing::debug!("{error}");
        }
        thread::sleep(PAUSE);
    }
}

/// Fences older epochs at the catalog, and rolls open purchases forward into the log.
fn take_office(node: &Node, catalog: &Rpc, epoch: Epoch) -> Result<()> {
    let office: catalog::Office = ask_catalog(node, catalog, epoch, &Peer::TakeOffice { epoch })
        .inspect_err(|_| {
            node.replica.lock().office_refused(epoch);
        })?;
    let mut replica = node.replica.lock();
    let served = replica.office() == Some(Office::Serving);
    let Some(write_after) = replica.took_office(epoch, office)? else { return Ok(()) };
    node.write(&replica, write_after);
    let (last, imbalance) = (replica.log().last(), replica.imbalance());
    drop(replica);
    if let Some(imbalance) = imbalance.filter(|_| !served) {
        warn_of_imbalance(imbalance);
    }
    if last > write_after {
        tracing::info!("rolled forward open sales: {}", last.0 - write_after.0);
    }
    if !served {
        tracing::info!("took office in epoch {epoch}, with {last} orders");
    }
    node.work.notify_all();
    node.progress.notify_all();
    node.sync(last);
    Ok(())
}

/// Logs which file lost rows at its end. The file alone does not show it.
fn warn_of_imbalance(imbalance: i64) {
    let (count, what) = (imbalance.unsigned_abs(), "stop the store, run `audit`, and restore");
    if imbalance < 0 {
        tracing::warn!(
            "the order log has {count} toys more than the catalog sold: journal.csv lost rows at its end; {what} \
             the catalog's directory from a backup, or withdraw {count} toys by hand"
        );
    } else {
        tracing::warn!(
            "the catalog sold {count} toys more than the order log has: orders.csv lost rows at its end on every \
             in-sync replica; {what} it from a replica or a backup that has them"
        );
    }
}

fn settle(node: &Node, catalog: &Rpc, epoch: Epoch, keys: Vec<Key>) -> Result<()> {
    let count = keys.len();
    ask_catalog::<()>(node, catalog, epoch, &Peer::Settle { epoch, keys })?;
    node.replica.lock().settled(epoch, count);
    Ok(())
}

fn ask_catalog<T: serde::de::DeserializeOwned>(
    node: &Node,
    catalog: &Rpc,
    epoch: Epoch,
    question: &Peer,
) -> Result<T> {
    let deposed = || node.is_stopping() || node.replica.lock().leads() != Some(epoch);
    let answer = ask(catalog, question, Instant::now() + DEADLINE, &deposed);
    if let Err(Error::Stale { epoch: newer }) = &answer {
        node.step_down(Epoch(*newer));
    }
    answer
}

/// Finds out every 100 ms whether the catalog answers.
fn watch_catalog(node: &Node, catalog: &Rpc) {
    while !node.is_stopping() {
        let begun = Instant::now();
        let deadline = begun + HEALTH_DEADLINE;
        let stopping = || node.is_stopping();
        let answer = ask::<_, ()>(catalog, &Peer::HealthCheck, deadline, &stopping);
        let before = node.catalog_reachable.swap(answer.is_ok(), Ordering::Relaxed);
        match answer {
            Err(error) if before => tracing::warn!("the catalog cannot be reached: {error}"),
            Ok(()) if !before => tracing::info!("the catalog can be reached"),
            _ => {}
        }
        thread::sleep(HEARTBEAT.saturating_sub(begun.elapsed()));
    }
}
