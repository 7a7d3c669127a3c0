//! Reads the books and the logs from the services of an open store. Requests may still be in progress,
//! so all is read again until the books do not change during a round and balance, or the deadline
//! passes.
//!
//! - The books are read before and after the orders. If they are equal, books and orders are of the
//!   same moment.
//! - Replicas send committed orders only, so no order is removed later. Orders that were cut from a log
//!   are not read.

use super::check::{Evidence, ReplicaLog, check};
use super::verdict::Verdict;
use crate::catalogs::Catalogs;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Entry, Epoch, OrderNumber, Principal, ReplicaId, ToyName, View};
use crate::net::{Rpc, Transport};
use crate::protocol::catalog::{Books, Request};
use crate::protocol::order::{Health, Missed, Peer};
use crate::protocol::{ask, wanted};
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

/// The pause between two rounds.
const PAUSE: Duration = Duration::from_millis(100);

/// Audits the services at the configured addresses; waits up to `patience` for them to agree.
pub fn audit(config: &Config, patience: Duration) -> Result<Verdict> {
    let mut auditor = Auditor::new(config, Instant::now() + patience)?;
    loop {
        let round = auditor.round();
        let is_last = Instant::now() + PAUSE >= auditor.deadline;
        match round {
            Ok(Round::Still { verdict, complete }) if is_last || complete && verdict.balances() => {
                return Ok(verdict);
            }
            Ok(Round::Busy) if is_last => {
                return Err(Error::unavailable(
                    "the store is busy: its books changed during each audit",
                ));
            }
            Err(error) if is_last || !error.is_transient() => return Err(error),
            Ok(_) | Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// The result of one round.
enum Round {
    /// The books did not change. `complete` if every replica answered and all have the same orders.
    Still { verdict: Verdict, complete: bool },
    /// The books changed.
    Busy,
}

struct Auditor {
    catalogs: Catalogs,
    replicas: BTreeMap<ReplicaId, (Rpc, Vec<Entry>)>,
    deadline: Instant,
}

impl Auditor {
    fn new(config: &Config, deadline: Instant) -> Result<Auditor> {
        let transport = Transport::of(config, Principal::Tool)?;
        let peers = config.order.replicas.iter();
        let replicas =
            peers.map(|(id, replica)| Ok((*id, (transport.rpc(&replica.peer)?, vec![]))));
        let catalogs = Catalogs::find(config, &transport)?;
        Ok(Auditor { catalogs, replicas: replicas.collect::<Result<_>>()?, deadline })
    }

    fn round(&mut self) -> Result<Round> {
        let Some(books) = self.all_books()? else { return Ok(Round::Busy) };
        let (mut logs, mut notes, mut views) = (Vec::new(), Vec::new(), Vec::new());
        for (id, (peer, entries)) in &mut self.replicas {
            match update(peer, entries, self.deadline) {
                Ok(health) => {
                    logs.push((*id, entries.clone(), health.identity));
                    views.extend(health.view);
                }
                Err(error) => notes.push(format!("replica {id} was not audited: {error}")),
            }
        }
        let now = self.books(None)?;
        if (now.position, &now.open) != (books.position, &books.open) {
            return Ok(Round::Busy);
        }
        let view: Option<View> = views.into_iter().max_by_key(|view| view.epoch);
        let is_complete =
            notes.is_empty() && logs.windows(2).all(|pair| pair[0].1.len() == pair[1].1.len());
        let epoch = view.as_ref().map_or(Epoch(0), |view| view.epoch);
        let logs = logs.into_iter().map(|(id, entries, identity)| ReplicaLog {
            id,
            in_sync: view.as_ref().is_none_or(|view| view.has(id, &identity)),
            committed: OrderNumber(entries.len() as u64),
            entries,
            cut_aside: vec![],
        });
        let verdict =
            check(&Evidence { books, logs: logs.collect(), epoch, notes, problems: vec![] });
        Ok(Round::Still { verdict, complete: is_complete })
    }

    /// The books of all toys; `None` if something changed while they were read.
    fn all_books(&self) -> Result<Option<Books>> {
        let mut books = self.books(None)?;
        while let Some(last) = books.toys.last() {
            let part = self.books(Some(last.name.clone()))?;
            if (part.position, &part.open) != (books.position, &books.open) {
                return Ok(None);
            }
            if part.toys.is_empty() {
                break;
            }
            books.toys.extend(part.toys);
        }
        Ok(Some(books))
    }

    /// The books of the toys after this one, or of the first toys.
    fn books(&self, after: Option<ToyName>) -> Result<Books> {
        let catalog = self.catalogs.active();
        ask(catalog.requests(), &Request::Books { after }, self.deadline, &wanted)
    }
}

/// Appends to `entries` the orders that the replica knows to be committed.
fn update(peer: &Rpc, entries: &mut Vec<Entry>, deadline: Instant) -> Result<Health> {
    /// The longest wait for one answer, so that a paused replica leaves time for the others.
    const ANSWER: Duration = Duration::from_secs(2);
    let deadline = || deadline.min(Instant::now() + ANSWER);
    let health: Health = ask(peer, &Peer::HealthCheck, deadline(), &wanted)?;
    // The replica has restarted and does not know yet how much of its log is committed.
    if health.committed < OrderNumber(entries.len() as u64) {
        entries.clear();
    }
    loop {
        let last = entries.last();
        let (after, epoch) =
            last.map_or((OrderNumber(0), Epoch(0)), |entry| (entry.number, entry.epoch));
        let question = Peer::MissedOrders { after, epoch };
        let missed: Missed = ask(peer, &question, deadline(), &wanted)?;
        if missed.entries.is_empty() {
            return Ok(health);
        }
        entries.extend(missed.entries);
    }
}
