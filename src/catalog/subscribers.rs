//! The threads that wait around [`Leases`]: a front-end for changes, a purchase until its change is
//! out of every cache. Called by [`service`](super::service).

use super::leases::{Coverage, Leases};
use crate::blocking::Blocking;
use crate::error::{Error, Result};
use crate::model::{Moment, ToyName};
use crate::protocol::catalog::{CHANGES_HELD_MS, Changes};
use crate::storage::replace;
use crate::trace::trails::Trails;
use crate::trace::{Kind, scope};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Where the subscriptions are noted for the next process.
pub trait Notes: Send + Sync {
    /// When this returns, these will be found, and not those before.
    fn replace(&self, subscriptions: &BTreeSet<u64>) -> Result<()>;
}

/// The front-ends that are subscribed to changes.
///
/// Locks: `written`, then `leases`. The first is held while the notes are written, which happens only when a subscription
/// begins or ends.
pub struct Subscribers {
    started: Instant,
    notes: Box<dyn Notes>,
    /// The subscriptions in the notes; `None` if they are not known.
    written: Mutex<Option<BTreeSet<u64>>>,
    leases: Mutex<Leases>,
    /// The changes by sampled purchases.
    trails: Trails,
    /// Signalled when there is a new change.
    published: Condvar,
    /// Signalled when a front-end has acknowledged changes.
    acknowledged: Condvar,
}

impl Subscribers {
    /// Reads the subscriptions of the process before from the file. If they are not there, that process may have had any.
    pub fn load(file: PathBuf) -> Result<Subscribers> {
        let earlier = read(&file);
        if earlier.is_none() && file.exists() {
            fs::remove_file(&file).map_err(|e| Error::storage(&file, "cannot remove it", e))?;
        }
        Ok(Subscribers::after(earlier, Box::new(file)))
    }

    /// After a process that had these subscriptions, if they are known, and has ended.
    pub fn after(earlier: Option<BTreeSet<u64>>, notes: Box<dyn Notes>) -> Subscribers {
        Subscribers {
            started: Instant::now(),
            notes,
            leases: Mutex::new(Leases::new(Moment::START, earlier.clone())),
            written: Mutex::new(earlier),
            trails: Trails::default(),
            published: Condvar::new(),
            acknowledged: Condvar::new(),
        }
    }

    /// Publishes the changes of these toys. Returns the number of the last change. The front-ends are told when somebody
    /// [waits for them](Subscribers::tell), or with their next call.
    pub fn publish<'a>(&self, changed: impl IntoIterator<Item = (&'a ToyName, u64)>) -> u64 {
        let mut leases = self.leases.lock();
        let before = leases.last();
        for (name, version) in changed {
            leases.publish(name, version);
        }
        let last = leases.last();
        drop(leases);
        if last > before
            && let Some(scope) = scope::current()
        {
            self.trails.add(last, scope);
        }
        last
    }

    /// Tells the front-ends what was published. A purchase does so while its records are synced, and not before
    /// `reserved` is answered: what takes place during the sync costs it no time.
    pub fn tell(&self) {
        self.published.notify_all();
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
    pub fn changes(
        &self,
        subscription: u64,
        acknowledged: Option<u64>,
        replaces: Option<u64>,
    ) -> Result<Changes> {
        let until = Instant::now() + Duration::from_millis(CHANGES_HELD_MS);
        self.call(subscription, acknowledged, replaces)?;
        self.acknowledged.notify_all();
        let mut leases = self.leases.lock();
        loop {
            let mut changes = leases.changes(subscription)?;
            if acknowledged.is_none() || !changes.invalidate.is_empty() {
                drop(leases);
                // A subscription that begins has an empty cache.
                let before = acknowledged.unwrap_or(changes.up_to);
                for (scope, since) in self.trails.between(before, changes.up_to) {
                    changes.traces.extend(scope.record("tell a cache", Kind::Step, since, &[]));
                }
                return Ok(changes);
            }
            let _waiting = Blocking::new();
            if self.published.wait_until(&mut leases, until).timed_out() {
                return Ok(changes);
            }
        }
    }

    /// Takes a subscriber's call. A new subscription is on disk when this returns.
    fn call(
        &self,
        subscription: u64,
        acknowledged: Option<u64>,
        replaces: Option<u64>,
    ) -> Result<()> {
        let mut written = self.written.lock();
        let subscriptions = {
            let mut leases = self.leases.lock();
            if let Some(replaced) = replaces {
                leases.end(replaced);
            }
            leases.call(subscription, acknowledged, self.now())?;
            leases.subscriptions(self.now())
        };
        if let Some(new) = &subscriptions
            && *written != subscriptions
        {
            self.notes.replace(new)?;
            *written = subscriptions;
        }
        Ok(())
    }

    /// The number of subscribers.
    pub fn count(&self) -> usize {
        self.leases.lock().count()
    }

    fn now(&self) -> Moment {
        Moment::after(self.started.elapsed())
    }
}

/// A file with a subscription in each line.
impl Notes for PathBuf {
    fn replace(&self, subscriptions: &BTreeSet<u64>) -> Result<()> {
        let lines = subscriptions.iter().map(|subscription| format!("{subscription}\n"));
        replace(self, lines.collect::<String>().as_bytes())
    }
}

/// The subscriptions in the file, one in each line; `None` if there is no such file, or it is damaged.
fn read(file: &Path) -> Option<BTreeSet<u64>> {
    fs::read_to_string(file).ok()?.lines().map(|line| line.parse().ok()).collect()
}
