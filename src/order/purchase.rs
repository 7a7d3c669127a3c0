//! The leader's path of the purchases of one call, straight down: reserve at the catalog, append, replicate, wait until
//! the catalog's journal and the logs are on disk, answer. The two disks work at the same time.
//! What comes after what is decided by [`buying`](super::buying); here are the calls, the disk and the
//! waits. Called by [`service`](super::service) on one of its ten threads.
//!
//! The purchases stay together: one call to the catalog, one write and one sync for all.
//!
//! What makes a retry safe is the key: known in the log, its order is the answer; in flight, this
//! waits for the other; open at the catalog, that answers as before. So whatever went wrong, the same
//! purchase may be asked for again, here or at the next leader.

use super::buying::{Buying, Next};
use super::leadership::Office;
use super::node::Node;
use crate::blocking::Blocking;
use crate::error::{Error, Result};
use crate::model::Epoch;
use crate::protocol::catalog::{Request, Reserved};
use crate::protocol::order::Bought;
use crate::protocol::purchase::Purchase;
use crate::protocol::{ask, begin};
use crate::trace::scope;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// For purchases at this leader; the front-end asks again after it.
const DEADLINE: Duration = Duration::from_secs(5);
/// The pause before the catalog is asked again.
const PAUSE: Duration = Duration::from_millis(20);

/// Takes purchases from a request to the answer.
pub struct Purchases {
    node: Arc<Node>,
}

impl Purchases {
    /// Purchases at this replica.
    pub fn new(node: Arc<Node>) -> Purchases {
        Purchases { node }
    }

    /// Buys, each for itself. An indefinite error means that the order may stand.
    pub fn buy(&self, purchases: Vec<Purchase>) -> Vec<Result<Bought>> {
        let deadline = Instant::now() + DEADLINE;
        let mut buying = Buying::new(purchases);
        let mut replica = self.node.replica.lock();
        loop {
            match buying.next(&mut replica) {
                Next::Over(outcomes) => return outcomes,
                Next::Wait => {
                    let _waiting = Blocking::new();
                    let _step = match replica.office() {
                        Some(Office::Serving) => scope::wait("wait for the commit"),
                        _ => scope::wait("wait until office is taken"),
                    };
                    if self.node.progress.wait_until(&mut replica, deadline).timed_out() {
                        return buying.late(&mut replica);
                    }
                }
                Next::Ask { epoch, logged, purchases } => {
                    drop(replica);
                    let question = Request::Purchase { epoch, logged, purchases };
                    let answer = self.ask(epoch, &question, deadline);
                    if !self.log(&mut buying, epoch, answer, deadline) {
                        let _waiting = Blocking::new();
                        let _step = scope::wait("pause before the catalog is asked again");
                        thread::sleep(PAUSE);
                    }
                    replica = self.node.replica.lock();
                }
            }
        }
    }

    /// Asks the catalog, once, as the leader of `epoch`.
    fn ask<T: DeserializeOwned>(
        &self,
        epoch: Epoch,
        question: &Request,
        deadline: Instant,
    ) -> Result<T> {
        let catalog = self.node.catalogs.active();
        let deposed = || !self.node.leads_in(epoch) || catalog.is_replaced();
        ask(catalog.requests(), question, deadline, &deposed)
    }

    /// Puts what was reserved into the log, and waits for the disks: the senders take it to the
    /// followers, this thread to the own disk, and the catalog syncs its journal. `false` if the catalog is to be asked
    /// again.
    fn log(
        &self,
        buying: &mut Buying,
        epoch: Epoch,
        answer: Result<Reserved>,
        deadline: Instant,
    ) -> bool {
        if let Err(Error::Stale { epoch: newer }) = answer {
            self.node.step_down(Epoch(newer));
        }
        let rests_on = answer.as_ref().ok().map(|answer| (answer.incarnation, answer.position));
        let mut replica = self.node.replica.lock();
        let before = replica.log().last();
        let is_over = buying.told(&mut replica, answer, Instant::now() + PAUSE >= deadline);
        let last = replica.log().last();
        if last > before {
            self.node.write(&replica, before);
            if let Some(scope) = scope::current() {
                self.node.trails.add(last.0, scope);
            }
        }
        drop(replica);
        self.node.work.notify_all();
        let Some((incarnation, position)) = rests_on else { return is_over };
        let question = Request::Durable { incarnation, position };
        let catalog = self.node.catalogs.active();
        let deposed = || !self.node.leads_in(epoch) || catalog.is_replaced();
        let asked = begin(catalog.requests(), &question, deadline, &deposed);
        if last > before {
            self.node.sync(last);
        }
        let answer = asked.finish::<()>();
        let mut replica = self.node.replica.lock();
        if answer.is_ok() {
            replica.durable(epoch, incarnation, position);
        } else if let Some(leadership) = replica.leading(epoch) {
            leadership.must_reconcile();
        }
        drop(replica);
        // Also those wait that came with a key of these.
        self.node.progress.notify_all();
        is_over
    }
}
