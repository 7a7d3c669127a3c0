//! The leader's path of the purchases of one call, straight down: sell at the catalog, append, replicate, answer.
//! What comes after what is decided by [`buying`](super::buying); here are the calls, the disk and the
//! waits. Called by [`service`](super::service) on one of its ten threads.
//!
//! The purchases stay together: one call to the catalog, one write and one sync for all.
//!
//! What makes a retry safe is the key: known in the log, its order is the answer; in flight, this
//! waits for the other; open at the catalog, that answers as before. So whatever went wrong, the same
//! purchase may be asked for again, here or at the next leader.

use super::buying::{Buying, Next};
use super::node::Node;
use crate::blocking::Blocking;
use crate::error::{Error, Result};
use crate::model::Epoch;
use crate::net::Rpc;
use crate::protocol::ask_each;
use crate::protocol::catalog::{Request, Sold};
use crate::protocol::order::Bought;
use crate::protocol::purchase::Purchase;
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
    /// The catalog's request address.
    catalog: Rpc,
}

impl Purchases {
    /// Purchases at this replica, sold by the catalog at this address.
    pub fn new(node: Arc<Node>, catalog: Rpc) -> Purchases {
        Purchases { node, catalog }
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
                    if self.node.progress.wait_until(&mut replica, deadline).timed_out() {
                        return buying.late();
                    }
                }
                Next::Ask(purchases) => {
                    drop(replica);
                    let answers = self.sell(purchases, deadline);
                    if !self.log(&mut buying, answers, Instant::now() + PAUSE >= deadline) {
                        let _waiting = Blocking::new();
                        thread::sleep(PAUSE);
                    }
                    replica = self.node.replica.lock();
                }
            }
        }
    }

    /// Asks the catalog, once.
    fn sell(&self, purchases: Vec<Purchase>, deadline: Instant) -> Result<Vec<Result<Sold>>> {
        let epoch = purchases.iter().map(|purchase| purchase.epoch).max();
        let question = Request::Purchase { purchases };
        let deposed = || self.node.replica.lock().leads() != epoch;
        ask_each(&self.catalog, &question, deadline, &deposed)
    }

    /// Puts what was sold into the log and takes it to the disk, while the senders take it to the
    /// followers. `false` if the catalog is to be asked again.
    fn log(&self, buying: &mut Buying, answers: Result<Vec<Result<Sold>>>, is_late: bool) -> bool {
        let has_failed = answers.as_ref().map_or(true, |all| all.iter().any(Result::is_err));
        let newer = answers.iter().flatten().filter_map(|answer| match answer {
            Err(Error::Stale { epoch }) => Some(Epoch(*epoch)),
            _ => None,
        });
        if let Some(newer) = newer.max() {
            self.node.step_down(newer);
        }
        let mut replica = self.node.replica.lock();
        let before = replica.log().last();
        let is_over = buying.told(&mut replica, answers, is_late);
        let last = replica.log().last();
        if last > before {
            self.node.write(&replica, before);
        }
        drop(replica);
        self.node.work.notify_all();
        if has_failed {
            // Requests with the same key wait for how the sale ended.
            self.node.progress.notify_all();
        }
        if last > before {
            self.node.sync(last);
        }
        is_over
    }
}
