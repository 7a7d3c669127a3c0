//! Simulated customers of the open store, as load for demonstrations. Started and stopped by
//! [`command`](super::command)s. Each is a thread with one kept-alive connection that repeats: query a
//! random toy, sometimes buy it, pause.

use crate::client::api::{Api, Keys};
use crate::client::choices::Choices;
use crate::client::measurements::Measurements;
use crate::config;
use crate::error::{Error, Result};
use crate::net::Target;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The most customers at the same time. More would only wait: the front-end has ten threads.
pub(super) const CUSTOMERS_MAX: usize = 20;

/// The pause between two queries. Twenty customers send about 400 requests per second.
const REST: Duration = Duration::from_millis(50);

/// The probability that a query is followed by a purchase. With a few customers, the restocks keep toys in stock; with
/// twenty, toys are sold out between restocks.
const PROBABILITY: f64 = 0.15;

/// All customers.
pub(super) struct Customers {
    front_ends: Vec<Target>,
    settings: config::Client,
    counts: Arc<Mutex<Counts>>,
    present: Vec<Customer>,
    /// Customers that stop; they finish their current request.
    leaving: Vec<JoinHandle<()>>,
}

/// One customer. It stops when `stop` is dropped.
struct Customer {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// The counters of all customers since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Running customers.
    pub(super) present: usize,
    /// Queries.
    pub(super) queries: u64,
    /// Orders.
    pub(super) orders: u64,
    /// Purchases refused for lack of stock.
    pub(super) refused: u64,
    /// Requests given up after all retries.
    pub(super) failed: u64,
}

impl Customers {
    /// No customers yet. Later ones use these front-ends.
    pub(super) fn none(front_ends: Vec<Target>) -> Customers {
        let settings = config::Client {
            retries: 5,
            retry_delay: Duration::from_millis(200),
            deadline: Duration::from_secs(3),
            ..config::Client::default()
        };
        let (present, leaving) = (Vec::new(), Vec::new());
        Customers { front_ends, settings, counts: Arc::default(), present, leaving }
    }

    /// Their counters.
    pub(super) fn counts(&self) -> Arc<Mutex<Counts>> {
        self.counts.clone()
    }

    /// Starts or stops customers until there are `count`.
    pub(super) fn set(&mut self, count: usize) -> Result<()> {
        self.leaving.retain(|thread| !thread.is_finished());
        if count + self.leaving.len() > 2 * CUSTOMERS_MAX {
            return Err(Error::unavailable("earlier customers have not stopped yet"));
        }
        while self.present.len() < count {
            let (stop, stopped) = bounded(0);
            let (settings, counts) = (self.settings.clone(), self.counts.clone());
            let front_ends = self.front_ends.clone();
            // Joined when the customers are dropped, unless it has finished before.
            let thread = thread::Builder::new()
                .name("customer".into())
                .spawn(move || shop(front_ends, &settings, &counts, &stopped))
                .map_err(|e| Error::unavailable(format!("cannot start a customer: {e}")))?;
            self.present.push(Customer { stop, thread });
        }
        self.dismiss(count);
        Ok(())
    }

    /// Stops all customers except `count` of them.
    pub(super) fn dismiss(&mut self, count: usize) {
        self.leaving.extend(self.present.drain(count..).map(|customer| {
            drop(customer.stop);
            customer.thread
        }));
        self.counts.lock().present = count;
    }
}

impl Drop for Customers {
    fn drop(&mut self) {
        self.dismiss(0);
        for thread in self.leaving.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a customer panicked");
            }
        }
    }
}

/// Queries and buys until it is stopped.
fn shop(
    front_ends: Vec<Target>,
    settings: &config::Client,
    counts: &Mutex<Counts>,
    stopped: &Receiver<()>,
) {
    let measurements = Mutex::new(Measurements::default());
    let mut api = Api::new(front_ends, settings, Keys::new(), &measurements);
    let mut choices = Choices::endless(PROBABILITY, fastrand::Rng::new());
    let mut names = Vec::new();
    while stopped.recv_timeout(REST) == Err(RecvTimeoutError::Timeout) {
        if names.is_empty() {
            names = api.names().unwrap_or_default();
            continue;
        }
        let Some(step) = choices.next(names.len()) else { return };
        let outcome = api.step(&names, &step);
        let mut counts = counts.lock();
        counts.queries += 1;
        match outcome {
            Ok(order) => counts.orders += u64::from(order.is_some()),
            Err(Error::NotEnoughStock) => counts.refused += 1,
            Err(_) => counts.failed += 1,
        }
    }
}
