//! A toy from the cache, or from the catalog and then into the cache. Called by
//! [`session`](super::session) for queries, by [`orders`](super::orders) and
//! [`subscription`](super::subscription) to drop what has changed. [`querying`](super::querying) decides
//! what a query does next; here are the calls and the waits.

use super::cache::Cache;
use super::querying::{Lookup, Next, Querying};
use crate::blocking::Blocking;
use crate::catalogs::Catalogs;
use crate::error::{Error, Result};
use crate::model::{Moment, Toy, ToyName};
use crate::monitoring::status::CacheStatus;
use crate::protocol::ask;
use crate::protocol::catalog::{Changes, Request};
use crate::protocol::web::{self, ShownToy};
use crate::trace::scope;
use parking_lot::{Condvar, Mutex};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Deadline of one question to the catalog, with its queue and its artificial delay.
const DEADLINE: Duration = Duration::from_secs(5);
/// The step of a purchase that drops what has changed.
const INVALIDATE: &str = "invalidate the cache";

/// A toy as it is sent, in its envelope.
type Body = Arc<[u8]>;

/// The product lookup.
pub struct Products {
    started: Instant,
    catalogs: Arc<Catalogs>,
    lookup: Mutex<Lookup<Body>>,
    /// The catalog answered a query.
    answered: Condvar,
}

impl Products {
    /// A lookup at the active one of these catalogs, with a cache for `capacity` toys.
    pub fn new(catalogs: Arc<Catalogs>, capacity: usize) -> Products {
        Products {
            started: Instant::now(),
            catalogs,
            lookup: Mutex::new(Lookup::new(Cache::new(capacity))),
            answered: Condvar::new(),
        }
    }

    /// One toy, as it is sent.
    pub fn toy(&self, name: &str) -> Result<Body> {
        let mut query = Querying::default();
        let mut joined_until = None;
        let mut lookup = self.lookup.lock();
        loop {
            let next = {
                let _step = scope::step("look into the cache");
                query.next(&mut lookup, name, self.now())
            };
            match next {
                Next::Over(answer) => return answer,
                Next::Wait => {
                    let until = *joined_until.get_or_insert_with(|| Instant::now() + DEADLINE);
                    let _waiting = Blocking::new();
                    let _step = scope::wait("wait for the answer to another query");
                    if self.answered.wait_until(&mut lookup, until).timed_out() {
                        query.ask(&mut lookup, name);
                    }
                }
                Next::Ask => {
                    drop(lookup);
                    let answer = self.fetch(name);
                    lookup = self.lookup.lock();
                    query.told(&mut lookup, name, answer);
                    self.answered.notify_all();
                }
            }
        }
    }

    /// At most `limit` toys, straight from the catalog, and whether there are more.
    pub fn page(&self, after: Option<ToyName>, limit: usize) -> Result<(Vec<ShownToy>, bool)> {
        // One more than is shown tells whether there are more.
        let question = Request::List { after, limit: Some(limit + 1) };
        let toys: Vec<Toy> = self.ask(&question)?;
        let has_more = toys.len() > limit;
        Ok((toys.into_iter().take(limit).map(ShownToy::from).collect(), has_more))
    }

    /// What is cached, and how often that helped.
    pub fn cache_status(&self) -> CacheStatus {
        self.lookup.lock().cache.status()
    }

    /// A purchase was acknowledged: whatever is older must not be served any more.
    pub fn bought(&self, name: &str, version: u64) {
        let _step = scope::step(INVALIDATE);
        self.lookup.lock().cache.invalidate(name, version);
    }

    /// Changes are not received any more.
    pub fn unsubscribe(&self) {
        self.lookup.lock().cache.unsubscribe();
    }

    /// The catalog answered the call of `subscription` that was sent at `sent`. Whether the lease
    /// holds.
    pub fn take_changes(&self, subscription: u64, changes: &Changes, sent: Instant) -> bool {
        let _step = scope::step(INVALIDATE);
        let sent = Moment::after(sent.saturating_duration_since(self.started));
        let cache = &mut self.lookup.lock().cache;
        for change in &changes.invalidate {
            cache.invalidate(&change.name, change.version);
        }
        cache.renew(subscription, sent, self.now())
    }

    /// Asks the catalog for a toy and its version. No toy has what is not a name.
    fn fetch(&self, name: &str) -> Result<(u64, Body)> {
        let name = name.parse().map_err(|_| Error::UnknownToy)?;
        let question = Request::Query { name };
        let toy: Toy = self.ask(&question)?;
        Ok((toy.version, web::body(&ShownToy::from(toy)).into()))
    }

    /// Asks the active catalog, and again if another is active before it has answered.
    fn ask<T: DeserializeOwned>(&self, question: &Request) -> Result<T> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let catalog = self.catalogs.active();
            let replaced = || catalog.is_replaced();
            let answer = ask(catalog.requests(), question, deadline, &replaced);
            if answer.is_ok() || !replaced() {
                return answer;
            }
        }
    }

    fn now(&self) -> Moment {
        Moment::after(self.started.elapsed())
    }
}
