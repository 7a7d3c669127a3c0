//! The leader's path of one purchase, straight down: sell at the catalog, append, replicate, answer.
//! What comes after what is decided by [`buying`](super::buying); here are the calls, the disk and the
//! waits. Called by [`service`](super::service) on one of its ten threads.
//!
//! What makes a retry safe is the key: known in the log, its order is the answer; in flight, this
//! waits for the other; open at the catalog, that answers as before. So whatever went wrong, the same
//! purchase may be asked for again, here or at the next leader.

use super::buying::{self, Buying, Logged, Next};
use super::node::Node;
use super::sales::{self, Sale, Sales};
use crate::blocking::Blocking;
use crate::error::{Error, Result};
use crate::model::Epoch;
use crate::net::Rpc;
use crate::protocol::catalog::{Request, Sold};
use crate::protocol::order::Bought;
use crate::protocol::purchase::Purchase;
use crate::protocol::{Answer, ask};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// For a purchase at this leader; the front-end asks again after it.
const DEADLINE: Duration = Duration::from_secs(5);
/// The pause before the catalog is asked again.
const PAUSE: Duration = Duration::from_millis(20);

/// Takes purchases from a request to the answer.
pub struct Purchases {
    node: Arc<Node>,
    sales: Sales,
    /// The catalog's request address.
    catalog: Rpc,
}

impl Purchases {
    /// Purchases at this replica, sold by the catalog at this address.
    pub fn new(node: Arc<Node>, catalog: Rpc) -> Purchases {
        Purchases { node, sales: Sales::new(sales::PATIENCE), catalog }
    }

    /// Buys. An indefinite error means that the order may stand.
    pub fn buy(&self, purchase: &Purchase) -> Result<Bought> {
        let deadline = Instant::now() + DEADLINE;
        let mut buying = Buying::new(purchase.clone());
        let mut replica = self.node.replica.lock();
        loop {
            match buying.next(&mut replica) {
                Next::Over(outcome) => return outcome,
                Next::Wait => {
                    let _waiting = Blocking::new();
                    if self.node.progress.wait_until(&mut replica, deadline).timed_out() {
                        return Err(buying.late());
                    }
                }
                Next::Ask => {
                    drop(replica);
                    let outcome = self.sell(purchase, deadline);
                    let failed = outcome.is_err();
                    replica = self.node.replica.lock();
                    buying.told(&mut replica, outcome);
                    if failed {
                        self.node.work.notify_all();
                        self.node.progress.notify_all();
                    }
                }
            }
        }
    }

    /// Waits for the sale of a purchase, and asks the catalog when it is this thread's turn.
    fn sell(&self, purchase: &Purchase, deadline: Instant) -> Result<Logged> {
        let sale = self.sales.add(purchase.clone());
        loop {
            match self.sales.next(&sale, deadline) {
                sales::Next::Over(outcome) => return outcome,
                sales::Next::Ask(mut turn) => {
                    let answers = self.ask_catalog(turn.sales(), deadline);
                    turn.leave();
                    let outcomes = self.log(turn.sales(), answers);
                    turn.tell(outcomes);
                }
            }
        }
    }

    /// Asks the catalog until it answers, this replica no longer leads, or time is up.
    fn ask_catalog(&self, sales: &[Arc<Sale>], deadline: Instant) -> Result<Vec<Answer<Sold>>> {
        let purchases: Vec<Purchase> = sales.iter().map(|sale| sale.purchase.clone()).collect();
        let epoch = purchases.iter().map(|purchase| purchase.epoch).max();
        let count = purchases.len();
        let question = Request::Purchase { purchases };
        let deposed = || self.node.replica.lock().leads() != epoch;
        loop {
            match ask::<_, Vec<_>>(&self.catalog, &question, deadline, &deposed) {
                Ok(answers) if answers.len() == count => return Ok(answers),
                Ok(_) => return Err(Error::unanswered("the catalog answered something else")),
                Err(error) if deposed() || Instant::now() + PAUSE >= deadline => {
                    return Err(Error::unanswered(format!("the catalog did not answer: {error}")));
                }
                Err(_) => {
                    let _waiting = Blocking::new();
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    /// Puts what was sold into the log and takes it to the disk, while the senders take it to the
    /// followers.
    fn log(&self, sales: &[Arc<Sale>], answers: Result<Vec<Answer<Sold>>>) -> Vec<Result<Logged>> {
        let answers: Vec<Result<Sold>> = match answers {
            Ok(answers) => answers.into_iter().map(Result::from).collect(),
            Err(error) => vec![Err(error); sales.len()],
        };
        let newer = answers.iter().filter_map(|answer| match answer {
            Err(Error::Stale { epoch }) => Some(Epoch(*epoch)),
            _ => None,
        });
        if let Some(newer) = newer.max() {
            self.node.step_down(newer);
        }
        let mut replica = self.node.replica.lock();
        let before = replica.log().last();
        let sales = sales.iter().zip(answers);
        let outcomes = sales
            .map(|(sale, answer)| buying::answered(&mut replica, &sale.purchase, answer))
            .collect();
        let last = replica.log().last();
        if last > before {
            self.node.write(&replica, before);
            drop(replica);
            self.node.work.notify_all();
            self.node.sync(last);
        }
        outcomes
    }
}
