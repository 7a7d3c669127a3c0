//! Buys and looks up at the leader; on its loss waits for the next view and tries again with the same
//! key, so that the client notices nothing but latency (F7). Called by [`session`](super::session).

use super::asking::{Asking, Then};
use super::election::{Election, Leader};
use super::products::Products;
use crate::blocking::Blocking;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{CallId, Entry, Epoch, Item, Key, OrderNumber, ReplicaId};
use crate::net::{Rpc, Transport};
use crate::protocol::order::{Bought, Request};
use crate::protocol::purchase::Purchase;
use crate::protocol::{ask, wanted};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The front-end's number among the callers of purchases.
const CALLER: u32 = 0;
/// More purchases at once are turned away.
const IN_FLIGHT_MAX: usize = 1_024;
/// The pause before the same leader is asked again.
const PAUSE: Duration = Duration::from_millis(10);
/// For one replica that is asked for an old order while nobody leads.
const OUTSIDER_DEADLINE: Duration = Duration::from_millis(500);

/// The way to the order service.
pub struct Orders {
    election: Arc<Election>,
    products: Arc<Products>,
    replicas: BTreeMap<ReplicaId, Rpc>,
    calls: Mutex<Calls>,
    deadline: Duration,
}

/// The calls in flight.
#[derive(Default)]
struct Calls {
    last: u64,
    unfinished: BTreeSet<u64>,
}

/// A call in flight, until it is dropped.
struct Call<'a> {
    calls: &'a Mutex<Calls>,
    id: CallId,
}

impl Orders {
    /// The way to the replicas of `config`.
    pub fn new(
        config: &Config,
        transport: &Transport,
        election: Arc<Election>,
        products: Arc<Products>,
    ) -> Result<Orders> {
        let replicas = config.order.replicas.iter();
        let replicas = replicas.map(|(id, replica)| Ok((*id, transport.rpc(&replica.listen)?)));
        Ok(Orders {
            election,
            products,
            replicas: replicas.collect::<Result<_>>()?,
            calls: Mutex::default(),
            deadline: config.frontend.purchase_deadline,
        })
    }

    /// Buys. An indefinite error means that the order may stand.
    pub fn buy(&self, key: Option<Key>, item: &Item) -> Result<OrderNumber> {
        let deadline = Instant::now() + self.deadline;
        let call = self.begin(self.election.incarnation(deadline)?)?;
        let key = key.unwrap_or_else(|| Key::made(call.id));
        let bought: Bought = self.ask_leader(deadline, |epoch| {
            let (key, item, ack_below) = (key.clone(), item.clone(), self.ack_below());
            Request::Buy(Purchase { epoch, call: call.id, ack_below, key, item })
        })?;
        if let Some(version) = bought.version {
            self.products.bought(&item.name, version);
        }
        Ok(bought.number)
    }

    /// One order. While nobody leads, any replica that knows it to be committed will do.
    pub fn look_up(&self, number: OrderNumber) -> Result<Entry> {
        let deadline = Instant::now() + self.deadline;
        let ask_leader = || self.ask_leader(deadline, |_| Request::OrderDetails { number });
        if !self.election.is_led() {
            return self.look_up_anywhere(number).map_or_else(ask_leader, Ok);
        }
        // The leader may be lost while it is asked, and nobody be fit to follow it.
        ask_leader().or_else(|error| {
            if error.is_passing() { self.look_up_anywhere(number).ok_or(error) } else { Err(error) }
        })
    }

    /// Asks the leader, and the next one if it is lost, until there is an answer or the deadline.
    fn ask_leader<T: DeserializeOwned>(
        &self,
        deadline: Instant,
        question: impl Fn(Epoch) -> Request,
    ) -> Result<T> {
        let mut asking = Asking::default();
        loop {
            let Leader { epoch, id } = match self.election.leader(deadline) {
                Ok(leader) => leader,
                Err(error) => return Err(asking.give_up(error)),
            };
            let superseded = || self.election.epoch() != Some(epoch);
            let replica = &self.replicas[&id];
            let answer = ask(replica, &question(epoch), deadline, &superseded);
            if let Err(error) = &answer
                && error.is_passing()
            {
                tracing::debug!("replica {id} in epoch {epoch}: {error}");
            }
            match asking.told(answer, Instant::now() + PAUSE >= deadline) {
                Then::Over(outcome) => return outcome,
                Then::Again { is_suspect } => {
                    if is_suspect {
                        self.election.suspect(id);
                    }
                }
            }
            let _waiting = Blocking::new();
            thread::sleep(PAUSE);
        }
    }

    fn look_up_anywhere(&self, number: OrderNumber) -> Option<Entry> {
        self.replicas.values().find_map(|replica| {
            let deadline = Instant::now() + OUTSIDER_DEADLINE;
            ask(replica, &Request::OrderDetails { number }, deadline, &wanted).ok()
        })
    }

    fn begin(&self, incarnation: Epoch) -> Result<Call<'_>> {
        let mut calls = self.calls.lock();
        if calls.unfinished.len() >= IN_FLIGHT_MAX {
            return Err(Error::unavailable(format!("{IN_FLIGHT_MAX} purchases are in flight")));
        }
        calls.last += 1;
        let sequence = calls.last;
        calls.unfinished.insert(sequence);
        Ok(Call { calls: &self.calls, id: CallId { caller: CALLER, incarnation, sequence } })
    }

    fn ack_below(&self) -> u64 {
        let calls = self.calls.lock();
        calls.unfinished.first().copied().unwrap_or(calls.last + 1)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.calls.lock().unfinished.remove(&self.id.sequence);
    }
}
