//! The leader's path of one purchase, straight down: sell at the catalog, append, replicate, answer.
//! Called by [`service`](super::service) on one of its ten threads.
//!
//! What makes a retry safe is the key: known in the log, its order is the answer; in flight, this
//! waits for the other; open at the catalog, that answers as before. So whatever went wrong, the same
//! purchase may be asked for again, here or at the next leader.

use super::replica::{Begin, Fresh, Replica};
use super::service::Order;
use crate::error::{Error, Result};
use crate::model::{Epoch, OrderNumber};
use crate::protocol::ask;
use crate::protocol::catalog::{Purchase, Request, Sold};
use crate::protocol::order::{Bought, Buy};
use parking_lot::MutexGuard;
use std::thread;
use std::time::{Duration, Instant};

/// For a purchase at this leader; the front-end asks again after it.
const DEADLINE: Duration = Duration::from_secs(5);
/// The pause before the catalog is asked again.
const PAUSE: Duration = Duration::from_millis(20);

impl Order {
    /// Buys. An indefinite error means that the order may stand.
    pub(super) fn purchase(&self, buy: &Buy) -> Result<Bought> {
        let deadline = Instant::now() + DEADLINE;
        let mut replica = self.replica.lock();
        let epoch = loop {
            match replica.begin(buy)? {
                Begin::Logged(number) => return self.await_commit(replica, number, buy, deadline),
                Begin::Ask(epoch) => break epoch,
                Begin::Wait => self.await_progress(&mut replica, deadline)?,
            }
        };
        drop(replica);
        let sold = self.sell(epoch, buy, deadline)?;
        let mut replica = self.replica.lock();
        let (number, fresh) = replica.sold(epoch, buy)?;
        if fresh == Fresh::Yes {
            self.write(&replica, OrderNumber(number.0 - 1));
        }
        drop(replica);
        self.work.notify_all();
        self.sync(number);
        let bought = self.await_commit(self.replica.lock(), number, buy, deadline)?;
        Ok(Bought { version: Some(sold.version), ..bought })
    }

    /// Asks the catalog until it answers, this replica no longer leads, or time is up.
    fn sell(&self, epoch: Epoch, buy: &Buy, deadline: Instant) -> Result<Sold> {
        let Buy { call, ack_below, ref key, ref item, .. } = *buy;
        let purchase = Purchase { epoch, call, ack_below, key: key.clone(), item: item.clone() };
        let question = Request::Purchase(purchase);
        let deposed = || self.replica.lock().leads() != Some(epoch);
        loop {
            let error = match ask(&self.catalog, &question, deadline, &deposed) {
                Ok(sold) => return Ok(sold),
                Err(error) => error,
            };
            if let Error::Stale { epoch: newer } = error {
                self.step_down(Epoch(newer));
                return Err(Error::NotLeader { epoch: newer });
            }
            if !error.is_passing() {
                self.replica.lock().refused(epoch, buy, &error);
                self.progress.notify_all();
                return Err(error);
            }
            if deposed() || Instant::now() + PAUSE >= deadline {
                self.replica.lock().in_doubt(epoch, key);
                self.progress.notify_all();
                self.work.notify_all();
                return Err(Error::unanswered(format!("the catalog did not answer: {error}")));
            }
            thread::sleep(PAUSE);
        }
    }

    /// Waits until the order at `number` is committed.
    fn await_commit(
        &self,
        mut replica: MutexGuard<'_, Replica>,
        number: OrderNumber,
        buy: &Buy,
        deadline: Instant,
    ) -> Result<Bought> {
        loop {
            if let Some(bought) = replica.outcome(number, &buy.key)? {
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
        if self.progress.wait_until(replica, deadline).timed_out() {
            let what = format!("replica {} could not finish the purchase in time", self.id);
            return Err(Error::unanswered(what));
        }
        Ok(())
    }
}
