//! Buys and looks up orders at the leader. If the leader fails, waits for the next view and tries again with the same
//! key, so that the client sees latency only (F7). Called by [`session`](super::session).

use super::asking::{Asking, Then, is_suspect};
use super::elected::Leader;
use super::election::Election;
use super::products::Products;
use super::purchases::{Batch, CALLS_MAX, Next, PAUSE, PurchasesInFlight};
use crate::blocking::Blocking;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Entry, FrontendId, Item, Key, Moment, OrderNumber, ReplicaId, ToyName};
use crate::net::{Rpc, Transport};
use crate::protocol::order::{Bought, Request};
use crate::protocol::{ask, ask_each, wanted};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

/// For one replica that is asked for an old order while nobody leads.
const OUTSIDER_DEADLINE: Duration = Duration::from_millis(500);

/// The way to the order service.
pub struct Orders {
    started: Instant,
    election: Arc<Election>,
    products: Arc<Products>,
    replicas: BTreeMap<ReplicaId, Rpc>,
    purchases: Mutex<PurchasesInFlight<Waker>>,
    deadline: Duration,
}

/// A purchase in flight, for the connection that waits for it. Dropping it ends the wait.
pub struct PendingPurchase {
    orders: Arc<Orders>,
    sequence: u64,
    name: ToyName,
    begun: Instant,
}

impl Orders {
    /// The way of the front-end `me` to the replicas of `config`.
    pub fn new(
        config: &Config,
        me: FrontendId,
        transport: &Transport,
        election: Arc<Election>,
        products: Arc<Products>,
    ) -> Result<Orders> {
        let replicas = config.order.replicas.iter();
        let replicas = replicas.map(|(id, replica)| Ok((*id, transport.rpc(&replica.listen)?)));
        Ok(Orders {
            started: Instant::now(),
            election,
            products,
            replicas: replicas.collect::<Result<_>>()?,
            purchases: Mutex::new(PurchasesInFlight::new(me, CALLS_MAX)),
            deadline: config.frontend.purchase_deadline,
        })
    }

    /// Begins to buy. `waker` is woken when [`PendingPurchase::proceed`] may get further.
    pub fn buy(
        self: &Arc<Orders>,
        key: Option<Key>,
        item: Item,
        waker: Waker,
    ) -> Result<PendingPurchase> {
        let (begun, name) = (Instant::now(), item.name.clone());
        let deadline = self.moment(begun + self.deadline);
        let sequence = self.purchases.lock().begin(key, item, deadline, waker)?;
        Ok(PendingPurchase { orders: self.clone(), sequence, name, begun })
    }

    /// One order. While nobody leads, any replica that knows it to be committed will do.
    pub fn look_up(&self, number: OrderNumber) -> Result<Entry> {
        let deadline = Instant::now() + self.deadline;
        let ask_leader = || self.look_up_at_leader(number, deadline);
        if !self.election.is_led() {
            return self.look_up_anywhere(number).map_or_else(ask_leader, Ok);
        }
        // The leader may be lost while it is asked, and nobody be fit to follow it.
        ask_leader().or_else(|error| {
            if error.is_transient() {
                self.look_up_anywhere(number).ok_or(error)
            } else {
                Err(error)
            }
        })
    }

    /// Asks the leader, and the next one if it is lost, until there is an answer or the deadline.
    fn look_up_at_leader(&self, number: OrderNumber, deadline: Instant) -> Result<Entry> {
        let mut asking = Asking::default();
        loop {
            let answer = self.at_leader(deadline, |_, replica, superseded| {
                ask(replica, &Request::OrderDetails { number }, deadline, superseded)
            });
            match asking.told(answer, Instant::now() + PAUSE >= deadline) {
                Then::Over(outcome) => return outcome,
                Then::Again => pause(PAUSE),
            }
        }
    }

    fn look_up_anywhere(&self, number: OrderNumber) -> Option<Entry> {
        self.replicas.values().find_map(|replica| {
            let deadline = Instant::now() + OUTSIDER_DEADLINE;
            ask(replica, &Request::OrderDetails { number }, deadline, &wanted).ok()
        })
    }

    /// Sends the purchases of a batch, once, after this pause.
    fn send(&self, batch: Batch, after: Duration, deadline: Instant) {
        let mut sending =
            Sending { orders: self, batch, answers: Err(Error::unanswered("the call broke off")) };
        pause(after);
        sending.answers = self.at_leader(deadline, |leader, replica, superseded| {
            let Leader { epoch, incarnation, .. } = leader;
            let purchases = self.purchases.lock().to_send(&mut sending.batch, epoch, incarnation);
            ask_each(replica, &Request::Buy { purchases }, deadline, superseded)
        });
    }

    /// Asks the leader once; waits until `deadline` for one. `question` is also given what tells that it does not
    /// lead any more.
    fn at_leader<T>(
        &self,
        deadline: Instant,
        question: impl FnOnce(Leader, &Rpc, &dyn Fn() -> bool) -> Result<T>,
    ) -> Result<T> {
        let leader = self.election.leader(deadline)?;
        let Leader { epoch, id, .. } = leader;
        let superseded = || self.election.epoch() != epoch;
        question(leader, &self.replicas[&id], &superseded).inspect_err(|error| {
            if error.is_transient() {
                tracing::debug!("replica {id} in epoch {epoch}: {error}");
            }
            if is_suspect(error) {
                self.election.suspect(id);
            }
        })
    }

    fn moment(&self, instant: Instant) -> Moment {
        Moment::after(instant.saturating_duration_since(self.started))
    }
}

impl PendingPurchase {
    /// When it began.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// When it is over, whether there is an answer or not.
    pub fn deadline(&self) -> Instant {
        self.begun + self.orders.deadline
    }

    /// Does what can be done now: this thread sends the next call, if it is this purchase's turn. `None`: the answer
    /// comes later. An indefinite error means that the order may stand.
    pub fn proceed(&self) -> Option<Result<OrderNumber>> {
        let orders = &*self.orders;
        loop {
            let now = orders.moment(Instant::now());
            let next = orders.purchases.lock().next(self.sequence, now);
            let bought = match next {
                Next::Ask(batch, from) => {
                    orders.send(batch, from - now, self.deadline());
                    continue;
                }
                Next::Wait => return None,
                Next::Over(Err(error)) => return Some(Err(error)),
                Next::Over(Ok(bought)) => bought,
            };
            if let Some(version) = bought.version {
                orders.products.bought(&self.name, version);
            }
            return Some(Ok(bought.number));
        }
    }
}

impl Drop for PendingPurchase {
    fn drop(&mut self) {
        let next = self.orders.purchases.lock().end(self.sequence);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

/// A call that is under way, until it is dropped, by a panic too.
struct Sending<'a> {
    orders: &'a Orders,
    batch: Batch,
    answers: Result<Vec<Result<Bought>>>,
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        let orders = self.orders;
        let answers = mem::replace(&mut self.answers, Ok(Vec::new()));
        let now = orders.moment(Instant::now());
        let wakers = orders.purchases.lock().told(&self.batch, answers, now);
        wakers.into_iter().for_each(Waker::wake);
    }
}

fn pause(length: Duration) {
    if !length.is_zero() {
        let _waiting = Blocking::new();
        thread::sleep(length);
    }
}
