//! Buys and looks up orders at the leader. If the leader fails, waits for the next view and tries again with the same
//! key, so that the client sees latency only (F7). Called by [`session`](super::session).

use super::asking::{Asking, Then, is_suspect};
use super::elected::Leader;
use super::election::Election;
use super::products::Products;
use super::purchases::{Batch, Next, PAUSE, PurchasesInFlight};
use super::sampled::Sampled;
use crate::blocking::Blocking;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Entry, FrontendId, Item, Key, Moment, OrderNumber, ReplicaId, ToyName};
use crate::net::{Rpc, Transport};
use crate::protocol::order::{Bought, Request};
use crate::protocol::{ask, ask_each, wanted};
use crate::trace::{Scope, scope};
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
    in_flight: Mutex<InFlight>,
    deadline: Duration,
}

/// The purchases in flight, and those of them that are sampled.
struct InFlight {
    purchases: PurchasesInFlight<Waker>,
    sampled: Sampled,
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
            in_flight: Mutex::new(InFlight {
                purchases: PurchasesInFlight::new(me),
                sampled: Sampled::default(),
            }),
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
        let mut in_flight = self.in_flight.lock();
        let sequence = in_flight.purchases.begin(key, item, deadline, waker)?;
        if let Some(scope) = scope::current() {
            in_flight.sampled.begin(sequence, scope, begun);
        }
        drop(in_flight);
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
        let scope = self.in_flight.lock().sampled.send(batch.sequences());
        let _entered = scope.map(Scope::enter);
        let mut sending =
            Sending { orders: self, batch, answers: Err(Error::unanswered("the call broke off")) };
        pause(after);
        sending.answers = self.at_leader(deadline, |leader, replica, superseded| {
            let Leader { epoch, incarnation, .. } = leader;
            let purchases = {
                let mut in_flight = self.in_flight.lock();
                in_flight.purchases.to_send(&mut sending.batch, epoch, incarnation)
            };
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
        let leader = {
            let _step = scope::wait("wait for a leader");
            self.election.leader(deadline)?
        };
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
            let next = orders.in_flight.lock().purchases.next(self.sequence, now);
            let bought = match next {
                Next::Ask(batch, from) => {
                    orders.send(batch, from - now, self.deadline());
                    continue;
                }
                Next::Wait => return None,
                Next::Over(outcome) => outcome,
            };
            let took = orders.in_flight.lock().sampled.end(self.sequence);
            took.into_iter().for_each(scope::add_took);
            let bought = match bought {
                Ok(bought) => bought,
                Err(error) => return Some(Err(error)),
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
        let mut in_flight = self.orders.in_flight.lock();
        let next = in_flight.purchases.end(self.sequence);
        in_flight.sampled.end(self.sequence);
        drop(in_flight);
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
        let mut in_flight = orders.in_flight.lock();
        in_flight.sampled.told(self.batch.sequences(), scope::take_took(), Instant::now());
        let wakers = in_flight.purchases.told(&self.batch, answers, now);
        drop(in_flight);
        wakers.into_iter().for_each(Waker::wake);
    }
}

fn pause(length: Duration) {
    if !length.is_zero() {
        let _waiting = Blocking::new();
        let _step = scope::wait("pause before the next attempt");
        thread::sleep(length);
    }
}
