//! The sampled purchases in flight: for whom a batch is sent, how long each waited for it, and what it learned. Used by
//! [`orders`](super::orders), under the lock of the purchases, which do not know of it.

use crate::trace::timing::Took;
use crate::trace::{Kind, Scope};
use std::collections::BTreeMap;
use std::time::Instant;

/// The sampled purchases, by their sequence.
#[derive(Debug, Default)]
pub(super) struct Sampled(BTreeMap<u64, Waiting>);

#[derive(Debug)]
struct Waiting {
    scope: Scope,
    /// Since when it waits for its turn.
    since: Instant,
    took: Took,
}

impl Sampled {
    /// This purchase has come, and is sampled.
    pub(super) fn begin(&mut self, sequence: u64, scope: Scope, now: Instant) {
        self.0.insert(sequence, Waiting { scope, since: now, took: Took::default() });
    }

    /// A call is about to be made for this batch. Returns for whom; `None` if nobody in it is sampled.
    pub(super) fn send(&self, batch: &[u64]) -> Option<Scope> {
        if self.0.is_empty() {
            return None;
        }
        let notes = [("purchases".into(), batch.len().to_string())];
        Scope::together(batch.iter().filter_map(|sequence| self.0.get(sequence)).map(|waiting| {
            waiting.scope.record("wait for the batch", Kind::Wait, waiting.since, &notes);
            waiting.scope.clone()
        }))
    }

    /// The call for this batch is over, and learned this.
    pub(super) fn told(&mut self, batch: &[u64], took: Took, now: Instant) {
        for sequence in batch {
            if let Some(waiting) = self.0.get_mut(sequence) {
                waiting.since = now;
                waiting.took += took;
            }
        }
    }

    /// Nobody waits for this purchase any more. Returns what it learned.
    pub(super) fn end(&mut self, sequence: u64) -> Option<Took> {
        self.0.remove(&sequence).map(|waiting| waiting.took)
    }
}
