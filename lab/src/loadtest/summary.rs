//! The results of a load: counts and latencies. Pure.

use super::answer::{Failure, Outcome};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;
use toystore::client::measurements::Kind;

/// The results of a load.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The seed that repeats its choices.
    pub seed: u64,
    /// From the first request until the last answer.
    pub elapsed: Duration,
    /// Requests of an open loop that were due but never sent, because all connections were busy
    /// until the end.
    pub unsent: u64,
    /// The counts of each kind, in order of [`Kind`].
    counts: [Counts; 2],
}

/// The outcomes of the requests of one kind. Each is counted once, by its status or its failure.
#[derive(Debug, Clone)]
pub struct Counts {
    /// The latencies of the requests that succeeded, in nanoseconds.
    latencies: Histogram<u64>,
    /// The number of answers with each status.
    pub statuses: BTreeMap<u16, u64>,
    /// The number of requests without an answer, by failure.
    pub failures: BTreeMap<Failure, u64>,
}

impl Summary {
    /// The kinds of request that a load makes.
    pub const KINDS: [Kind; 2] = [Kind::Query, Kind::Buy];

    /// The summary of a load that begins.
    pub fn new(seed: u64) -> Summary {
        let counts = Summary::KINDS.map(|_| Counts::new());
        Summary { seed, elapsed: Duration::ZERO, unsent: 0, counts }
    }

    /// Counts a request that has ended.
    pub fn count(&mut self, kind: Kind, latency: Duration, outcome: Outcome) {
        self.counts[usize::from(kind == Kind::Buy)].count(latency, outcome);
    }

    /// The counts of this kind.
    pub fn of(&self, kind: Kind) -> &Counts {
        &self.counts[usize::from(kind == Kind::Buy)]
    }

    /// The kinds with at least one request.
    pub fn asked(&self) -> impl Iterator<Item = (Kind, &Counts)> {
        let all = Summary::KINDS.into_iter().zip(&self.counts);
        all.filter(|(_, counts)| counts.requests() > 0)
    }

    /// The number of requests.
    pub fn requests(&self) -> u64 {
        self.counts.iter().map(Counts::requests).sum()
    }

    /// The number of errors of the store.
    pub fn errors(&self) -> u64 {
        self.counts.iter().map(Counts::errors).sum()
    }

    /// The longest latency of a request that succeeded.
    pub fn max(&self) -> Duration {
        self.counts.iter().map(Counts::max).max().unwrap_or_default()
    }

    /// Answers per second, with any status.
    pub fn rate(&self) -> f64 {
        self.counts.iter().map(|counts| counts.rate(self.elapsed)).sum()
    }
}

impl Counts {
    fn new() -> Counts {
        /// Longer latencies are counted as this long.
        const HOUR_NANOS: u64 = 3_600_000_000_000;
        let latencies = Histogram::new_with_bounds(1, HOUR_NANOS, 3).expect("1 is below an hour");
        Counts { latencies, statuses: BTreeMap::new(), failures: BTreeMap::new() }
    }

    fn count(&mut self, latency: Duration, outcome: Outcome) {
        if outcome.is_success() {
            self.latencies.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        }
        match outcome {
            Outcome::Status(status) => *self.statuses.entry(status).or_default() += 1,
            Outcome::Failed(failure) => *self.failures.entry(failure).or_default() += 1,
        }
    }

    /// All requests.
    pub fn requests(&self) -> u64 {
        self.answered() + self.failures.values().sum::<u64>()
    }

    /// Requests that were answered, with any status.
    pub fn answered(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Requests that succeeded.
    pub fn succeeded(&self) -> u64 {
        self.latencies.len()
    }

    /// Purchases that were refused for lack of stock.
    pub fn sold_out(&self) -> u64 {
        self.where_outcome(Outcome::is_sold_out)
    }

    /// Errors of the store.
    pub fn errors(&self) -> u64 {
        self.where_outcome(Outcome::is_error) + self.failures.values().sum::<u64>()
    }

    /// Answers per second, in this time.
    pub fn rate(&self, elapsed: Duration) -> f64 {
        toystore::client::report::exact(self.answered()) / elapsed.as_secs_f64().max(1e-9)
    }

    /// The latencies of the requests that succeeded, in nanoseconds.
    pub fn latencies(&self) -> &Histogram<u64> {
        &self.latencies
    }

    /// The mean latency.
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.latencies.mean() / 1e9)
    }

    /// The latency at a quantile (0 to 1).
    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.latencies.value_at_quantile(quantile))
    }

    /// The longest latency.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.latencies.max())
    }

    fn where_outcome(&self, is_so: impl Fn(Outcome) -> bool) -> u64 {
        let so = self.statuses.iter().filter(|(status, _)| is_so(Outcome::Status(**status)));
        so.map(|(_, count)| count).sum()
    }
}
