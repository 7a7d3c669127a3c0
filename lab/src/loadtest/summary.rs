//! The results of a load: counts and latencies. Pure.

use super::answer::{Failure, Outcome};
use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;
use toystore::client::measurements::Kind;

/// All that was measured.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The seed that repeats its choices.
    pub seed: u64,
    /// From the first request until the last answer.
    pub elapsed: Duration,
    /// Requests of an open loop that were due but never sent, because every connection was busy
    /// until the end.
    pub unsent: u64,
    /// What was asked for, in order of [`Kind`].
    counts: [Counts; 2],
}

/// What the requests of one kind came to. Each is counted once, by its status or its failure.
#[derive(Debug, Clone)]
pub struct Counts {
    /// Of the requests that succeeded, in nanoseconds.
    latencies: Histogram<u64>,
    /// How many were answered with each status.
    pub statuses: BTreeMap<u16, u64>,
    /// How many were not answered.
    pub failures: BTreeMap<Failure, u64>,
}

impl Summary {
    /// The kinds of request that a load makes.
    pub const KINDS: [Kind; 2] = [Kind::Query, Kind::Buy];

    /// A load that begins.
    pub fn new(seed: u64) -> Summary {
        let counts = Summary::KINDS.map(|_| Counts::new());
        Summary { seed, elapsed: Duration::ZERO, unsent: 0, counts }
    }

    /// Counts a request that has ended.
    pub fn count(&mut self, kind: Kind, latency: Duration, outcome: Outcome) {
        self.counts[usize::from(kind == Kind::Buy)].count(latency, outcome);
    }

    /// What requests of this kind came to.
    pub fn of(&self, kind: Kind) -> &Counts {
        &self.counts[usize::from(kind == Kind::Buy)]
    }

    /// The kinds that were asked for at all.
    pub fn asked(&self) -> impl Iterator<Item = (Kind, &Counts)> {
        let all = Summary::KINDS.into_iter().zip(&self.counts);
        all.filter(|(_, counts)| counts.requests() > 0)
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.counts.iter().map(Counts::requests).sum()
    }

    /// How many of them the store did not serve as it should.
    pub fn errors(&self) -> u64 {
        self.counts.iter().map(Counts::errors).sum()
    }

    /// The longest latency of a request that succeeded.
    pub fn max(&self) -> Duration {
        self.counts.iter().map(Counts::max).max().unwrap_or_default()
    }

    /// Answered requests a second, whatever the answer.
    pub fn rate(&self) -> f64 {
        self.counts.iter().map(|counts| counts.rate(self.elapsed)).sum()
    }
}

impl Counts {
    fn new() -> Counts {
        /// Longer ones are counted as this long.
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

    /// All of them.
    pub fn requests(&self) -> u64 {
        self.answered() + self.failures.values().sum::<u64>()
    }

    /// Those that were answered, with whatever status.
    pub fn answered(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// Those that did what they were asked to.
    pub fn succeeded(&self) -> u64 {
        self.latencies.len()
    }

    /// Purchases that were refused for want of stock.
    pub fn sold_out(&self) -> u64 {
        self.where_outcome(Outcome::is_sold_out)
    }

    /// Those that the store did not serve as it should.
    pub fn errors(&self) -> u64 {
        self.where_outcome(Outcome::is_error) + self.failures.values().sum::<u64>()
    }

    /// Answers a second, in so long a time.
    pub fn rate(&self, elapsed: Duration) -> f64 {
        toystore::client::report::exact(self.answered()) / elapsed.as_secs_f64().max(1e-9)
    }

    /// The latencies of those that succeeded, in nanoseconds.
    pub fn latencies(&self) -> &Histogram<u64> {
        &self.latencies
    }

    /// Their mean.
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.latencies.mean() / 1e9)
    }

    /// What so large a part of them (0 to 1) took at most.
    pub fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.latencies.value_at_quantile(quantile))
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.latencies.max())
    }

    fn where_outcome(&self, is_so: impl Fn(Outcome) -> bool) -> u64 {
        let so = self.statuses.iter().filter(|(status, _)| is_so(Outcome::Status(**status)));
        so.map(|(_, count)| count).sum()
    }
}
