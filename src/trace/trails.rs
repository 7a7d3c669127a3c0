//! Which entries of a sequence belong to sampled requests, for the threads that pass them on: the leader's new orders to the
//! followers, the catalog's changes to the caches. Without sampled requests this is one relaxed load.

use super::scope::Scope;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// The most additions that are remembered. Who is further behind is passed them untraced.
const TRAILS_MAX: usize = 64;

/// The last additions for sampled requests.
#[derive(Debug, Default)]
pub struct Trails {
    /// The number of the last entry in any.
    last: AtomicU64,
    trails: Mutex<VecDeque<Trail>>,
}

#[derive(Debug)]
struct Trail {
    last: u64,
    scope: Scope,
    since: Instant,
}

impl Trails {
    /// The entries up to this one were added for these requests.
    pub fn add(&self, last: u64, scope: Scope) {
        let mut trails = self.trails.lock();
        if trails.len() == TRAILS_MAX {
            trails.pop_front();
        }
        trails.push_back(Trail { last, scope, since: Instant::now() });
        self.last.store(last, Relaxed);
    }

    /// For which requests the entries after `before` up to `last` were added, and when.
    pub fn between(&self, before: u64, last: u64) -> Vec<(Scope, Instant)> {
        if self.last.load(Relaxed) <= before {
            return Vec::new();
        }
        let trails = self.trails.lock();
        let wanted = trails.iter().filter(|trail| before < trail.last && trail.last <= last);
        wanted.map(|trail| (trail.scope.clone(), trail.since)).collect()
    }
}
