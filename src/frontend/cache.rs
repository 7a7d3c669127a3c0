//! The product cache: least recently used, never stale. Pure. Sessions read it, fetches fill it,
//! the [`subscription`](super::subscription) empties it.
//!
//! - An entry is served only within the lease: [`LEASE`] from before the front-end sent the last
//!   `changes` call that the catalog answered. The catalog waits 500 ms for a silent subscriber
//!   before it acknowledges a purchase without it. Without a lease every query asks the catalog.
//! - Each toy has a *floor*, the oldest version that may be stored. An invalidation raises it and
//!   drops what is older, so an answer that was on its way meanwhile is not stored. Floors outlive
//!   eviction, but not the subscription: a fetch that began before it is not stored anyway.
//! - A fetch is stored only if it was begun under the subscription of now, after the catalog had
//!   answered its first call: changes before that were not received.
//! - A lease that was over is not renewed: the catalog may have counted on it. The front-end has to
//!   subscribe anew.

use crate::model::Moment;
use crate::monitoring::status::{CacheStatus, CachedToy};
use crate::protocol::catalog::PAGE_TOYS_MAX;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// How long the cache may be served after the last call that the catalog answered.
pub const LEASE: Duration = Duration::from_millis(400);

/// The cache and its counters.
#[derive(Debug, Clone)]
pub struct Cache<V> {
    capacity: usize,
    entries: HashMap<Arc<str>, Entry<V>>,
    /// Names by when they were used last; the first is evicted first.
    by_use: BTreeMap<u64, Arc<str>>,
    uses: u64,
    floors: HashMap<Arc<str>, u64>,
    lease_until: Moment,
    /// The subscription by which changes are received: none before the catalog has answered its first call.
    subscription: Option<u64>,
    counts: Counts,
}

#[derive(Debug, Clone)]
struct Entry<V> {
    value: V,
    version: u64,
    used: u64,
}

/// What the cache has done since the start.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    hits: u64,
    misses: u64,
    evictions: u64,
    invalidations: u64,
}

/// A fetch under way. Taken before the catalog is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    subscription: Option<u64>,
}

/// What a fetch brought, for the query that began it and for those that joined it. It is as good as the
/// subscription under which the fetch began, whoever uses it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fetched<V> {
    ticket: Ticket,
    version: u64,
    /// What the catalog answered.
    pub value: V,
}

impl<V: Clone> Cache<V> {
    /// An empty cache for `capacity` toys; 0 switches it off.
    pub fn new(capacity: usize) -> Cache<V> {
        Cache {
            capacity,
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
            floors: HashMap::new(),
            lease_until: Moment::START,
            subscription: None,
            counts: Counts::default(),
        }
    }

    /// The toy, if it is here and the lease holds.
    pub fn get(&mut self, name: &str, now: Moment) -> Option<V> {
        let leased = now < self.lease_until;
        let Some((name, entry)) = self.entries.get_key_value(name).filter(|_| leased) else {
            self.counts.misses += 1;
            return None;
        };
        self.counts.hits += 1;
        let value = entry.value.clone();
        if entry.used != self.uses {
            let name = name.clone();
            self.use_now(&name);
        }
        Some(value)
    }

    /// To be taken before the catalog is asked.
    pub fn begin_fetch(&self) -> Ticket {
        Ticket { subscription: self.subscription }
    }

    /// Takes what the catalog answered to the fetch of `ticket`; stores it, if it is still right.
    pub fn store(&mut self, ticket: Ticket, name: &str, version: u64, value: V) -> Fetched<V> {
        let fetched = Fetched { ticket, version, value };
        let floor = self.floors.get(name).copied().unwrap_or(0);
        if self.is_subscribed(ticket) && version >= floor && self.capacity > 0 {
            self.insert(name, version, fetched.value.clone());
        }
        fetched
    }

    /// For a query that joined somebody else's fetch: the value, if it is as good as one fetched only now.
    /// Then every change that was acknowledged before `now` would have raised the floor.
    pub fn join(&self, fetched: &Fetched<V>, name: &str, now: Moment) -> Option<V> {
        let is_current = self.is_subscribed(fetched.ticket)
            && now < self.lease_until
            && fetched.version >= self.floors.get(name).copied().unwrap_or(0);
        is_current.then(|| fetched.value.clone())
    }

    fn insert(&mut self, name: &str, version: u64, value: V) {
        let name: Arc<str> = name.into();
        self.forget(&name);
        while self.entries.len() >= self.capacity {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.entries.remove(&oldest);
            self.counts.evictions += 1;
        }
        self.entries.insert(name.clone(), Entry { value, version, used: 0 });
        self.use_now(&name);
    }

    /// A toy has at least this version now: what is older goes, and will not be stored again.
    pub fn invalidate(&mut self, name: &str, version: u64) {
        match self.floors.get_mut(name) {
            Some(floor) => *floor = (*floor).max(version),
            None => drop(self.floors.insert(name.into(), version)),
        }
        if self.entries.get(name).is_some_and(|entry| entry.version < version) {
            self.forget(name);
            self.counts.invalidations += 1;
        }
    }

    /// A subscription ends: from now on changes are not received.
    pub fn unsubscribe(&mut self) {
        self.subscription = None;
        self.lease_until = Moment::START;
        self.entries.clear();
        self.by_use.clear();
        // A catalog that has started again may have lost the newest versions, and counts from older ones.
        self.floors.clear();
    }

    /// The catalog answered a call of `subscription` that was sent at `sent`, and its changes have
    /// been taken. Whether the lease holds: if not, that subscription is over.
    pub fn renew(&mut self, subscription: u64, sent: Moment, now: Moment) -> bool {
        let holds = match self.subscription {
            None => true,
            Some(known) => known == subscription && now < self.lease_until,
        };
        if holds {
            self.subscription = Some(subscription);
            self.lease_until = self.lease_until.max(sent + LEASE);
        }
        holds
    }

    /// What is in it, and what it has done.
    pub fn status(&self) -> CacheStatus {
        let names = self.by_use.values().rev().take(PAGE_TOYS_MAX);
        let toys = names.filter_map(|name| {
            let version = self.entries.get(name)?.version;
            Some(CachedToy { name: name.to_string(), version })
        });
        let Counts { hits, misses, evictions, invalidations } = self.counts;
        let (capacity, toy_count) = (self.capacity, self.entries.len());
        let toys = toys.collect();
        CacheStatus { capacity, toy_count, toys, hits, misses, evictions, invalidations }
    }

    /// Whether every change since the fetch began was received.
    fn is_subscribed(&self, ticket: Ticket) -> bool {
        ticket.subscription.is_some() && ticket.subscription == self.subscription
    }

    fn use_now(&mut self, name: &Arc<str>) {
        self.uses += 1;
        if let Some(entry) = self.entries.get_mut(name) {
            self.by_use.remove(&entry.used);
            entry.used = self.uses;
            self.by_use.insert(self.uses, name.clone());
        }
    }

    fn forget(&mut self, name: &str) {
        if let Some(entry) = self.entries.remove(name) {
            self.by_use.remove(&entry.used);
        }
    }
}
