//! What a replica has to do with the catalog besides purchases, on a thread of its own: as a leader,
//! reconcile and settle.

use super::leadership::{Duty, Office};
use super::node::{Node, Threads};
use super::shared;
use crate::error::{Error, Result};
use crate::model::{Epoch, OrderNumber};
use crate::protocol::ask;
use crate::protocol::catalog::{Peer, Reconciled, Settle, Standing};
use crate::stop::crash;
use crate::trace::Traced;
use std::thread;
use std::time::{Duration, Instant};

/// For each call.
const DEADLINE: Duration = Duration::from_secs(1);
/// The pause between two calls, in which more purchases to settle come together.
const PAUSE: Duration = Duration::from_millis(20);
/// How often the committed number is noted on disk.
const HINT_EVERY: Duration = Duration::from_secs(1);

/// Starts the thread.
pub fn start(threads: &mut Threads) -> Result<()> {
    threads.start("office", hold_office)
}

/// Does what the leader has to tell or ask the catalog.
fn hold_office(node: &Node) {
    let (mut hinted, mut hinted_at) = (OrderNumber(0), Instant::now());
    let mut said = String::new();
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
            Duty::Load(epoch) => load(node, epoch),
            Duty::Reconcile(epoch) => reconcile(node, epoch),
            Duty::Settle(epoch, settle) => tell_settled(node, epoch, &settle),
        };
        match done {
            // Asked again until a person has mended it, and said once.
            Err(Error::Invalid { why }) if why != said => {
                tracing::warn!("the catalog does not reconcile: {why}");
                said = why;
            }
            Err(error @ Error::Storage { .. }) => crash(&error),
            Err(error) => tracing::debug!("{error}"),
            Ok(()) => {}
        }
        thread::sleep(PAUSE);
    }
}

/// Takes the shared log, from what the catalog has settled on.
fn load(node: &Node, epoch: Epoch) -> Result<()> {
    let standing = ask_catalog(node, epoch, &Peer::Standing)?;
    shared::load(node, epoch, standing)
}

/// Takes office, which is traced, or makes sure of it now and then.
fn reconcile(node: &Node, epoch: Epoch) -> Result<()> {
    if node.replica.lock().office() == Some(Office::Serving) {
        return compare(node, epoch);
    }
    let (election, begun) = (node.election(), Instant::now());
    let mut traced = Traced::background_of(election, &node.recorder, "take office", begun);
    traced.note("epoch", epoch);
    let _entered = traced.scope().enter();
    compare(node, epoch).inspect_err(|error| traced.fail(error))
}

/// Compares the log with the catalog's journal, and appends orders for the open sales that the log lacks.
fn compare(node: &Node, epoch: Epoch) -> Result<()> {
    let refused = |_: &Error| {
        if let Some(leadership) = node.replica.lock().leading(epoch) {
            leadership.must_reconcile();
        }
    };
    let standing: Standing = ask_catalog(node, epoch, &Peer::Standing).inspect_err(refused)?;
    let Some(question) = node.replica.lock().reconcile(epoch, standing) else { return Ok(()) };
    let question = Peer::Reconcile(question);
    let answer: Reconciled = ask_catalog(node, epoch, &question).inspect_err(refused)?;
    let mut replica = node.replica.lock();
    let served = replica.office() == Some(Office::Serving);
    let Some(write_after) = replica.reconciled(epoch, standing.incarnation, answer)? else {
        return Ok(());
    };
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

/// Logs who lost rows at its end. The file alone, or the database of one service, does not show it.
fn warn_of_imbalance(imbalance: i64) {
    let (count, what) = (imbalance.unsigned_abs(), "stop the store, run `audit`, and restore");
    if imbalance < 0 {
        tracing::warn!(
            "the order log has {count} toys more than the catalog sold: the catalog's journal lost rows at its end; {what} \
             what the catalog keeps from a backup, or withdraw {count} toys by hand"
        );
    } else {
        tracing::warn!(
            "the catalog sold {count} toys more than the order log has: the log lost rows at its end, at every in-sync \
             replica; {what} it from a replica or a backup that has them"
        );
    }
}

fn tell_settled(node: &Node, epoch: Epoch, settle: &Settle) -> Result<()> {
    let question = Peer::Settle(settle.clone());
    ask_catalog::<()>(node, epoch, &question)?;
    if let Some(leadership) = node.replica.lock().leading(epoch) {
        leadership.settled(settle);
    }
    Ok(())
}

fn ask_catalog<T: serde::de::DeserializeOwned>(
    node: &Node,
    epoch: Epoch,
    question: &Peer,
) -> Result<T> {
    let catalog = node.catalogs.active();
    let deposed = || node.is_stopping() || !node.leads_in(epoch) || catalog.is_replaced();
    let answer = ask(catalog.peers(), question, Instant::now() + DEADLINE, &deposed);
    if let Err(Error::Stale { epoch: newer }) = &answer {
        node.step_down(Epoch(*newer));
    }
    answer
}
