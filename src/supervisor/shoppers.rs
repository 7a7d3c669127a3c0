//! Simulated customers of the open store, as load for demonstrations. Started and stopped by
//! [`command`](super::command)s. Each is a thread with one kept-alive connection that repeats: query a
//! random toy, sometimes buy it, pause.

use crate::client::api::{Keys, Shop};
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

/// The most at the same time. More would only wait for one another: the front-end has ten threads.
pub(super) const SHOPPERS_MAX: usize = 20;

/// The pause between two queries: twenty make some 400 requests a second.
const REST: Duration = Duration::from_millis(50);

/// The chance that a query is followed by a purchase: a few customers do not empty the shelves faster than they are
/// filled, twenty do.
const PROBABILITY: f64 = 0.15;

/// The customers that are in the store.
pub(super) struct Shoppers {
    front_end: Target,
    settings: config::Client,
    counts: Arc<Mutex<Counts>>,
    present: Vec<Shopper>,
    /// Told to stop; they finish their current request.
    leaving: Vec<JoinHandle<()>>,
}

/// One of them. It stops when `stop` is dropped.
struct Shopper {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// What the shoppers counted since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Customers in the store.
    pub(super) present: usize,
    /// Toys they looked at.
    pub(super) queries: u64,
    /// Orders they were given.
    pub(super) orders: u64,
    /// Purchases refused for lack of stock.
    pub(super) refused: u64,
    /// Requests given up after all retries.
    pub(super) failed: u64,
}

impl Shoppers {
    /// No shoppers yet. Later ones will use this front-end.
    pub(super) fn none(front_end: Target) -> Shoppers {
        let settings = config::Client {
            retries: 5,
            retry_delay: Duration::from_millis(200),
            deadline: Duration::from_secs(3),
            ..config::Client::default()
        };
        let (present, leaving) = (Vec::new(), Vec::new());
        Shoppers { front_end, settings, counts: Arc::default(), present, leaving }
    }

    /// What they counted so far.
    pub(super) fn counts(&self) -> Arc<Mutex<Counts>> {
        self.counts.clone()
    }

    /// Starts or stops shoppers until there are `count`.
    pub(super) fn set(&mut self, count: usize) -> Result<()> {
        self.leaving.retain(|thread| !thread.is_finished());
        if count + self.leaving.len() > 2 * SHOPPERS_MAX {
            return Err(Error::unavailable("earlier shoppers have not stopped yet"));
        }
        while self.present.len() < count {
            let (stop, stopped) = bounded(0);
            let (settings, counts) = (self.settings.clone(), self.counts.clone());
            let front_end = self.front_end.clone();
            // Joined when the shoppers are dropped, unless it has finished before.
            let thread = thread::Builder::new()
                .name("shopper".into())
                .spawn(move || shop(front_end, &settings, &counts, &stopped))
                .map_err(|e| Error::unavailable(format!("cannot start a shopper: {e}")))?;
            self.present.push(Shopper { stop, thread });
        }
        self.dismiss(count);
        Ok(())
    }

    /// Stops all but `count`.
    pub(super) fn dismiss(&mut self, count: usize) {
        self.leaving.extend(self.present.drain(count..).map(|shopper| {
            drop(shopper.stop);
            shopper.thread
        }));
        self.counts.lock().present = count;
    }
}

impl Drop for Shoppers {
    fn drop(&mut self) {
        self.dismiss(0);
        for thread in self.leaving.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a shopper panicked");
            }
        }
    }
}

/// Shops until it is stopped.
fn shop(
    front_end: Target,
    settings: &config::Client,
    counts: &Mutex<Counts>,
    stopped: &Receiver<()>,
) {
    let measurements = Mutex::new(Measurements::default());
    let mut shop = Shop::new(front_end, settings, Keys::new(), &measurements);
    let mut choices = Choices::endless(PROBABILITY, fastrand::Rng::new());
    let mut names = Vec::new();
    while stopped.recv_timeout(REST) == Err(RecvTimeoutError::Timeout) {
        if names.is_empty() {
            names = shop.names().unwrap_or_default();
            continue;
        }
        let Some(step) = choices.next(names.len()) else { return };
        let outcome = shop.step(&names, &step);
        let mut counts = counts.lock();
        counts.queries += 1;
        match outcome {
            Ok(order) => counts.orders += u64::from(order.is_some()),
            Err(Error::NotEnoughStock) => counts.refused += 1,
            Err(_) => counts.failed += 1,
        }
    }
}
