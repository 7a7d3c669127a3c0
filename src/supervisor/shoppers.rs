//! Customers that shop in the open store for as long as one likes, so that there is something to see.
//! Started and sent home by [`command`](super::command)s. Each is a thread with one kept-alive
//! connection that queries a toy at random, sometimes buys it, and rests a little.

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

/// The rest between two looks at a toy: twenty make some 400 requests a second.
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
    /// Told to go home, and about to finish what they are doing.
    leaving: Vec<JoinHandle<()>>,
}

/// One of them, who goes home when `home` is dropped.
struct Shopper {
    home: Sender<()>,
    thread: JoinHandle<()>,
}

/// What customers met since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Customers in the store.
    pub(super) present: usize,
    /// Toys they looked at.
    pub(super) queries: u64,
    /// Orders they were given.
    pub(super) orders: u64,
    /// Purchases refused for want of stock.
    pub(super) refused: u64,
    /// Requests given up after all retries.
    pub(super) failed: u64,
}

impl Shoppers {
    /// Nobody, at first; they will go to the store behind this front-end.
    pub(super) fn nobody(front_end: Target) -> Shoppers {
        let settings = config::Client {
            retries: 5,
            retry_delay: Duration::from_millis(200),
            deadline: Duration::from_secs(3),
            ..config::Client::default()
        };
        let (present, leaving) = (Vec::new(), Vec::new());
        Shoppers { front_end, settings, counts: Arc::default(), present, leaving }
    }

    /// What they met so far.
    pub(super) fn counts(&self) -> Arc<Mutex<Counts>> {
        self.counts.clone()
    }

    /// Lets so many shop from now on.
    pub(super) fn set(&mut self, count: usize) -> Result<()> {
        self.leaving.retain(|thread| !thread.is_finished());
        if count + self.leaving.len() > 2 * SHOPPERS_MAX {
            return Err(Error::unavailable("earlier shoppers have not stopped yet"));
        }
        while self.present.len() < count {
            let (home, go_home) = bounded(0);
            let (settings, counts) = (self.settings.clone(), self.counts.clone());
            let front_end = self.front_end.clone();
            // Joined when the shoppers are dropped, unless it has finished before.
            let thread = thread::Builder::new()
                .name("shopper".into())
                .spawn(move || shop(front_end, &settings, &counts, &go_home))
                .map_err(|e| Error::unavailable(format!("cannot start a shopper: {e}")))?;
            self.present.push(Shopper { home, thread });
        }
        self.dismiss(count);
        Ok(())
    }

    /// Tells all but `count` to leave.
    pub(super) fn dismiss(&mut self, count: usize) {
        self.leaving.extend(self.present.drain(count..).map(|shopper| {
            drop(shopper.home);
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

/// Shops until it is told to go home.
fn shop(
    front_end: Target,
    settings: &config::Client,
    counts: &Mutex<Counts>,
    go_home: &Receiver<()>,
) {
    let measurements = Mutex::new(Measurements::default());
    let mut shop = Shop::new(front_end, settings, Keys::new(), &measurements);
    let mut choices = Choices::endless(PROBABILITY, fastrand::Rng::new());
    let mut names = Vec::new();
    while go_home.recv_timeout(REST) == Err(RecvTimeoutError::Timeout) {
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
