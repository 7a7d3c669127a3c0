//! A toy from the cache, or from the catalog and then into the cache. Called by
//! [`session`](super::session) for queries, by [`orders`](super::orders) and
//! [`subscription`](super::subscription) to drop what has changed.
//!
//! Queries that miss the same toy at the same time share one question to the catalog. Whoever joins
//! takes the answer only if it is as good as one asked for now; otherwise it asks by itself.
//!
//! Locks: `cache` and `fetches` are never held together, nor across a call.

use super::cache::{Cache, Fetched, Ticket};
use crate::blocking::Blocking;
use crate::error::{Error, Result};
use crate::model::{Moment, Toy, ToyName};
use crate::monitoring::status::CacheStatus;
use crate::net::Rpc;
use crate::protocol::catalog::{Changes, Request};
use crate::protocol::web::{self, ShownToy};
use crate::protocol::{ask, wanted};
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For one question to the catalog, its queue and simulated slowness included.
const DEADLINE: Duration = Duration::from_secs(5);

/// A toy as it is sent, in its envelope.
type Body = Arc<[u8]>;

/// The product lookup.
pub struct Products {
    started: Instant,
    catalog: Rpc,
    cache: Mutex<Cache<Body>>,
    fetches: Mutex<HashMap<String, Arc<Fetch>>>,
}

/// A question under way.
#[derive(Default)]
struct Fetch {
    answer: Mutex<Option<Result<Fetched<Body>>>>,
    answered: Condvar,
}

impl Products {
    /// A lookup at this catalog, with a cache for `capacity` toys.
    pub fn new(catalog: Rpc, capacity: usize) -> Products {
        Products {
            started: Instant::now(),
            catalog,
            cache: Mutex::new(Cache::new(capacity)),
            fetches: Mutex::default(),
        }
    }

    /// One toy, as it is sent.
    pub fn toy(&self, name: &str) -> Result<Body> {
        let ticket = {
            let mut cache = self.cache.lock();
            match cache.get(name, self.now()) {
                Some(body) => return Ok(body),
                None => cache.begin_fetch(),
            }
        };
        if let Some(joined) = self.join(name) {
            return joined;
        }
        let fetch = Arc::new(Fetch::default());
        self.fetches.lock().insert(name.to_owned(), fetch.clone());
        let answer = self.fetch(name, ticket);
        {
            let mut fetches = self.fetches.lock();
            if fetches.get(name).is_some_and(|other| Arc::ptr_eq(other, &fetch)) {
                fetches.remove(name);
            }
        }
        *fetch.answer.lock() = Some(answer.clone());
        fetch.answered.notify_all();
        answer.map(|fetched| fetched.value)
    }

    /// At most `limit` toys, straight from the catalog, and whether there are more.
    pub fn page(&self, after: Option<ToyName>, limit: usize) -> Result<(Vec<ShownToy>, bool)> {
        // One more than is shown tells whether there are more.
        let question = Request::List { after, limit: Some(limit + 1) };
        let toys: Vec<Toy> = ask(&self.catalog, &question, Instant::now() + DEADLINE, &wanted)?;
        let has_more = toys.len() > limit;
        Ok((toys.into_iter().take(limit).map(ShownToy::from).collect(), has_more))
    }

    /// What is cached, and how often that helped.
    pub fn cache_status(&self) -> CacheStatus {
        self.cache.lock().status()
    }

    /// A purchase was acknowledged: whatever is older must not be served any more.
    pub fn bought(&self, name: &str, version: u64) {
        self.cache.lock().invalidate(name, version);
    }

    /// Changes are not heard any more.
    pub fn unsubscribe(&self) {
        self.cache.lock().unsubscribe();
    }

    /// The catalog answered the call of `subscription` that was sent at `sent`. Whether the lease
    /// holds.
    pub fn take_changes(&self, subscription: u64, changes: &Changes, sent: Instant) -> bool {
        let mut cache = self.cache.lock();
        for change in &changes.invalidate {
            cache.invalidate(&change.name, change.version);
        }
        let sent = Moment::after(sent.saturating_duration_since(self.started));
        cache.renew(subscription, sent, self.now())
    }

    /// Waits for somebody else's fetch of the same toy. `None` if there is none, or its answer might
    /// be older than this query.
    fn join(&self, name: &str) -> Option<Result<Body>> {
        let fetch = self.fetches.lock().get(name).cloned()?;
        let deadline = Instant::now() + DEADLINE;
        let mut answer = fetch.answer.lock();
        while answer.is_none() {
            let _waiting = Blocking::new();
            if fetch.answered.wait_until(&mut answer, deadline).timed_out() {
                return None;
            }
        }
        let fetched = match answer.clone()? {
            Ok(fetched) => fetched,
            // The toy may have been added since this fetch was begun.
            Err(Error::UnknownToy) => return None,
            Err(error) => return Some(Err(error)),
        };
        drop(answer);
        self.cache.lock().join(&fetched, name, self.now()).map(Ok)
    }

    fn fetch(&self, name: &str, ticket: Ticket) -> Result<Fetched<Body>> {
        let question = Request::Query { name: name.to_owned() };
        let toy: Toy = match ask(&self.catalog, &question, Instant::now() + DEADLINE, &wanted) {
            Err(error) if error.is_passing() => {
                return Err(Error::unavailable(format!("the catalog cannot be asked: {error}")));
            }
            answer => answer?,
        };
        let version = toy.version;
        let body: Body = web::body(&ShownToy::from(toy)).into();
        Ok(self.cache.lock().store(ticket, name, version, body))
    }

    fn now(&self) -> Moment {
        Moment::after(self.started.elapsed())
    }
}
