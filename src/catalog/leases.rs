//! Which front-ends cache, and until when: the subscribers to changes, which changes each has not acknowledged,
//! and whether a change is out of every cache. Pure. [`subscribers`](super::subscribers) calls
//! it under a lock. The front-end's side is its `cache`.
//!
//! A front-end calls `changes` again and again. Each call acknowledges the changes of the answers before it
//! and renews its lease. The front-end serves from its cache for at most 400 ms after it
//! *sent* a call that was answered. Here the lease is over 500 ms after that call *arrived*, which is
//! later. So a change is *covered* when each subscriber has acknowledged it, or its lease is over.
//!
//! - A reset connection does not end a lease. A new subscription ends an older one only if it says that it replaces it:
//!   then that cache was emptied before.
//! - The subscriptions are on disk before their first call is answered. So a catalog that has just started knows those of
//!   the process before it: nothing is covered until each of them is replaced, or for the time of a lease.

use crate::error::{Error, Result};
use crate::model::{Moment, ToyName};
use crate::protocol::catalog::{Change, Changes};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// After this long without a call a subscriber's cache is certainly not in use.
pub const LEASE_OVER: Duration = Duration::from_millis(500);

/// The most subscriptions; more are refused. A front-end that subscribes again and again has at most ten of them
/// within the time of a lease.
const SUBSCRIBERS_MAX: usize = 32;

/// All subscribers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Leases {
    started: Moment,
    /// The subscriptions at the process before that are not replaced yet; `None` if they are not known.
    earlier: Option<BTreeSet<u64>>,
    /// The number of changes so far.
    last: u64,
    /// By their subscription.
    subscribers: BTreeMap<u64, Subscriber>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Subscriber {
    /// Every change up to this one is out of its cache.
    acknowledged: u64,
    /// The changes since, the newest of each toy: (change, version).
    pending: BTreeMap<ToyName, (u64, u64)>,
    /// When its last call arrived.
    called: Moment,
}

/// Whether a change is out of every cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// Yes.
    Covered,
    /// Not yet; at this moment the lease of one more subscriber is over.
    Until(Moment),
}

impl Leases {
    /// The leases of a catalog that started at this moment, after one that had these subscriptions, if they are known.
    pub fn new(started: Moment, earlier: Option<BTreeSet<u64>>) -> Leases {
        Leases { started, earlier, last: 0, subscribers: BTreeMap::new() }
    }

    /// The subscriptions whose lease may not be over, to be put on disk; `None` as long as they are not known.
    pub fn subscriptions(&self, now: Moment) -> Option<BTreeSet<u64>> {
        let mut subscriptions = self.subscribers.keys().copied().collect::<BTreeSet<_>>();
        if now < self.started + LEASE_OVER {
            subscriptions.extend(self.earlier.as_ref()?);
        }
        Some(subscriptions)
    }

    /// The cache of this subscription is empty and not in use any more.
    pub fn end(&mut self, subscription: u64) {
        self.subscribers.remove(&subscription);
        if let Some(earlier) = &mut self.earlier {
            earlier.remove(&subscription);
        }
    }

    /// A toy changed. Returns the number of the change.
    pub fn publish(&mut self, name: &ToyName, version: u64) -> u64 {
        self.last += 1;
        for subscriber in self.subscribers.values_mut() {
            subscriber.pending.insert(name.clone(), (self.last, version));
        }
        self.last
    }

    /// The number of the last change.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// A call of a subscriber arrived. `None` begins its subscription, if it does not exist already.
    pub fn call(
        &mut self,
        subscription: u64,
        acknowledged: Option<u64>,
        now: Moment,
    ) -> Result<()> {
        self.drop_lapsed(now);
        let Some(acknowledged) = acknowledged else {
            if self.subscribers.len() >= SUBSCRIBERS_MAX {
                return Err(Error::unavailable(format!(
                    "{SUBSCRIBERS_MAX} caches are subscribed already"
                )));
            }
            let acknowledged = self.last;
            let new = Subscriber { acknowledged, pending: BTreeMap::new(), called: now };
            self.subscribers.entry(subscription).or_insert(new);
            return Ok(());
        };
        let subscriber = self
            .subscribers
            .get_mut(&subscription)
            .ok_or_else(|| Error::unavailable("this subscription is over"))?;
        subscriber.called = now;
        subscriber.acknowledged = subscriber.acknowledged.max(acknowledged);
        let acknowledged = subscriber.acknowledged;
        subscriber.pending.retain(|_, (change, _)| *change > acknowledged);
        Ok(())
    }

    /// The changes that a subscriber has not acknowledged.
    pub fn changes(&self, subscription: u64) -> Result<Changes> {
        let subscriber = self
            .subscribers
            .get(&subscription)
            .ok_or_else(|| Error::unavailable("this subscription is over"))?;
        let invalidate = subscriber
            .pending
            .iter()
            .map(|(name, (_, version))| Change { name: name.clone(), version: *version })
            .collect();
        Ok(Changes { up_to: self.last, invalidate, ..Changes::default() })
    }

    /// Whether `change` is out of every cache. Removes subscribers whose lease is over: they have to
    /// subscribe again, with an empty cache.
    pub fn coverage(&mut self, change: u64, now: Moment) -> Coverage {
        self.drop_lapsed(now);
        let is_waited_for = self.earlier.as_ref().is_none_or(|earlier| !earlier.is_empty());
        let is_valid = |started: &Moment| is_waited_for && now < *started + LEASE_OVER;
        let earlier = Some(self.started).filter(is_valid);
        self.subscribers
            .values()
            .filter(|subscriber| subscriber.acknowledged < change)
            .map(|subscriber| subscriber.called)
            .chain(earlier)
            .min()
            .map_or(Coverage::Covered, |called| Coverage::Until(called + LEASE_OVER))
    }

    /// The number of subscribers.
    pub fn count(&self) -> usize {
        self.subscribers.len()
    }

    fn drop_lapsed(&mut self, now: Moment) {
        self.subscribers.retain(|_, subscriber| now < subscriber.called + LEASE_OVER);
    }
}
