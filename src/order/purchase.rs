//! The leader's path of one purchase, straight down: sell at the catalog, append, replicate, answer.
//! Called by [`service`](super::service) on one of its ten threads.
//!
//! What makes a retry safe is the key: known in the log, its order is the answer; in flight, this
//! waits for the other; open at the catalog, that answers as before. So whatever went wrong, the same
//! purchase may be asked for again, here or at the next leader.

use super::replica::{Begin, Replica};
use super::sales::{Logged, Next, Sale};
use super::service::Order;
use crate::blocking::Blocking;
use crate::error::{Error, Result};
use crate::model::{Epoch, Key, OrderNumber};
use crate::protocol::catalog::{Request, Sold};
use crate::protocol::order::Bought;
use crate::protocol::purchase::Purchase;
use crate::protocol::{Answer, ask};
use parking_lot::MutexGuard;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// For a purchase at this leader; the front-end asks again after it.
const DEADLINE: Duration = Duration::from_secs(5);
/// The pause before the catalog is asked again.
const PAUSE: Duration = Duration::from_millis(20);

impl Order {
    /// Buys. An indefinite error means that the order may stand.
    pub(super) fn purchase(&self, purchase: &Purchase) -> Result<Bought> {
        let deadline = Instant::now() + DEADLINE;
        let key = &purchase.key;
        let mut replica = self.replica.lock();
        loop {
            match replica.begin(purchase)? {
                Begin::Logged(number) => return self.await_commit(replica, number, key, deadline),
                Begin::Ask => break,
                Begin::Wait => self.await_progress(&mut replica, deadline)?,
            }
        }
        drop(replica);
        let Logged { number, version } = self.sell(purchase, deadline)?;
        let bought = self.await_commit(self.replica.lock(), number, key, deadline)?;
        Ok(Bought { version: Some(version), ..bought })
    }

    /// Waits for the sale of a purchase, and asks the catalog when it is this thread's turn.
    fn sell(&self, purchase: &Purchase, deadline: Instant) -> Result<Logged> {
        let sale = self.sales.add(purchase.clone());
        let outcome = loop {
            match self.sales.next(&sale, deadline) {
                Next::Over(outcome) => break outcome,
                Next::Ask(mut turn) => {
                    let answers = self.ask_catalog(turn.sales(), deadline);
                    turn.leave();
                    let outcomes = self.log(turn.sales(), answers);
                    turn.tell(outcomes);
                }
            }
        };
        if let Err(Error::Unanswered { .. }) = outcome {
            self.replica.lock().in_doubt(purchase);
            self.work.notify_all();
        }
        if outcome.is_err() {
            self.progress.notify_all();
        }
        outcome
    }

    /// Asks the catalog until it answers, this replica no longer leads, or time is up.
    fn ask_catalog(&self, sales: &[Arc<Sale>], deadline: Instant) -> Result<Vec<Answer<Sold>>> {
        let purchases: Vec<Purchase> = sales.iter().map(|sale| sale.purchase.clone()).collect();
        let epoch = purchases.iter().map(|purchase| purchase.epoch).max();
        let count = purchases.len();
        let question = Request::Purchase { purchases };
        let deposed = || self.replica.lock().leads() != epoch;
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
            self.step_down(newer);
        }
        let mut replica = self.replica.lock();
        let before = replica.log().last();
        let mut log = |purchase: &Purchase, answer: Result<Sold>| match answer {
            Ok(Sold { version, .. }) => Ok(Logged { number: replica.sold(purchase)?, version }),
            Err(Error::Stale { epoch }) => Err(Error::NotLeader { epoch }),
            Err(error) if error.is_passing() => Err(Error::unanswered(error.to_string())),
            Err(refusal) => {
                replica.refused(purchase, &refusal);
                Err(refusal)
            }
        };
        let sales = sales.iter().zip(answers);
        let outcomes = sales.map(|(sale, answer)| log(&sale.purchase, answer)).collect();
        let last = replica.log().last();
        if last > before {
            self.write(&replica, before);
            drop(replica);
            self.work.notify_all();
            self.sync(last);
        }
        outcomes
    }

    /// Waits until the order at `number` is committed.
    fn await_commit(
        &self,
        mut replica: MutexGuard<'_, Replica>,
        number: OrderNumber,
        key: &Key,
        deadline: Instant,
    ) -> Result<Bought> {
        loop {
            if let Some(bought) = replica.outcome(number, key)? {
                return Ok(bought);
            }
            self.await_progress(&mut replica, deadline)?;
        }
    }

    fn await_progress(
        &self,
        replica: &mut MutexGuard<'_, Replica>,
        deadline: Instant,
    ) -> Result<()> {
        let _waiting = Blocking::new();
        if self.progress.wait_until(replica, deadline).timed_out() {
            let what = format!("replica {} could not finish the purchase in time", self.id);
            return Err(Error::unanswered(what));
        }
        Ok(())
    }
}
