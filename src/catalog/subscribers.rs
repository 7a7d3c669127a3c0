//! The threads that wait around [`Leases`]: a front-end for changes, a purchase until its change is
//! out of every cache. Called by [`service`](super::service).

use super::leases::{Coverage, Leases};
use crate::blocking::Blocking;
use crate::error::Result;
use crate::model::{Moment, ToyName};
use crate::protocol::catalog::{CHANGES_HELD_MS, Changes};
use parking_lot::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// The front-ends that are subscribed to changes.
#[derive(Debug)]
pub struct Subscribers {
    started: Instant,
    leases: Mutex<Leases>,
    /// Signalled when there is a new change.
    published: Condvar,
    /// Signalled when a front-end has acknowledged changes.
    acknowledged: Condvar,
}

impl Default for Subscribers {
    fn default() -> Subscribers {
        Subscribers {
            started: Instant::now(),
            leases: Mutex::new(Leases::new(Moment::START)),
            published: Condvar::new(),
            acknowledged: Condvar::new(),
        }
    }
}

impl Subscribers {
    /// Publishes the changes of these toys to every front-end. Returns the number of the last change.
    pub fn publish<'a>(&self, changed: impl IntoIterator<Item = (&'a ToyName, u64)>) -> u64 {
        let mut leases = self.leases.lock();
        let before = leases.last();
        for (name, version) in changed {
            leases.publish(name, version);
        }
        let last = leases.last();
        drop(leases);
        if last > before {
            self.published.notify_all();
        }
        last
    }

    /// The number of the last change.
    pub fn last(&self) -> u64 {
        self.leases.lock().last()
    }

    /// Waits until `change` is out of every cache: half a second at most, the longest lease.
    pub fn await_coverage(&self, change: u64) {
        let mut leases = self.leases.lock();
        while let Coverage::Until(moment) = leases.coverage(change, self.now()) {
            let _waiting = Blocking::new();
            self.acknowledged.wait_until(&mut leases, self.started + (moment - Moment::START));
        }
    }

    /// Answers a front-end's `changes`; waits up to [`CHANGES_HELD_MS`] if there are none.
    pub fn changes(&self, subscription: u64, acknowledged: Option<u64>) -> Result<Changes> {
        let until = Instant::now() + Duration::from_millis(CHANGES_HELD_MS);
        let mut leases = self.leases.lock();
        leases.call(subscription, acknowledged, self.now())?;
        self.acknowledged.notify_all();
        loop {
            let changes = leases.changes(subscription)?;
            if acknowledged.is_none() || !changes.invalidate.is_empty() {
                return Ok(changes);
            }
            let _waiting = Blocking::new();
            if self.published.wait_until(&mut leases, until).timed_out() {
                return Ok(changes);
            }
        }
    }

    /// The number of subscribers.
    pub fn count(&self) -> usize {
        self.leases.lock().count()
    }

    fn now(&self) -> Moment {
        Moment::after(self.started.elapsed())
    }
}
