//! Rates and latencies of the last two minutes, computed from the counters of the front-end. Pure.

use super::report::ServiceStatus;
use crate::monitoring::status::{CacheStatus, Kind, LATENCY_BOUNDS, Outcome, Requests};
use serde::Serialize;
use std::collections::VecDeque;
use std::time::Duration;

/// Older samples are dropped.
const REACH_MS: u64 = 120_000;

const OUTCOMES: [Outcome; 3] = [Outcome::Served, Outcome::Refused, Outcome::Failed];

/// The samples of the last two minutes, the oldest first.
#[derive(Default)]
pub struct Pace {
    samples: VecDeque<Sample>,
    before: Option<Count>,
}

/// Rates and latencies between two statuses.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    /// Its time, in milliseconds since 1970.
    pub unix_ms: u64,
    /// Queries of one toy.
    query: Speed,
    /// Purchases, refused ones included.
    buy: Speed,
    /// Purchases refused, per second.
    refused_per_s: f64,
    /// Requests of any kind that failed, per second.
    failed_per_s: f64,
    /// The share of queries that the cache answered, 0 to 1; `None` if there were no queries.
    hit_share: Option<f64>,
}

/// Rate and latencies of one kind of request; the latencies are `None` if there were no requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
struct Speed {
    per_s: f64,
    p50_ms: Option<f64>,
    p95_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl Pace {
    /// Adds the status of the front-end at `unix_ms`. Returns the number of purchases refused since the
    /// last status.
    pub fn add(&mut self, unix_ms: u64, report: &ServiceStatus, cache: &CacheStatus) -> u64 {
        let now = Count::of(report, cache);
        let before = self.before.replace(now.clone()).filter(|before| before.pid == now.pid);
        let since = now.since(&before.unwrap_or_default());
        let Some(sample) = since.sample(unix_ms) else { return 0 };
        self.samples.push_back(sample);
        while self.samples.front().is_some_and(|first| first.unix_ms + REACH_MS < unix_ms) {
            self.samples.pop_front();
        }
        since.count(Kind::Buy, &[Outcome::Refused])
    }

    /// The samples made after `unix_ms`.
    pub fn after(&self, unix_ms: u64) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| sample.unix_ms > unix_ms)
    }
}

/// The counters of one front-end process at one moment, or their increase between two moments.
#[derive(Clone, Default)]
struct Count {
    pid: u32,
    time: Duration,
    requests: Vec<Requests>,
    hits: u64,
    misses: u64,
}

impl Count {
    fn of(report: &ServiceStatus, cache: &CacheStatus) -> Count {
        Count {
            pid: report.pid,
            time: Duration::from_millis(report.uptime_ms),
            requests: report.requests.clone(),
            hits: cache.hits,
            misses: cache.misses,
        }
    }

    /// The increase since `before`.
    fn since(mut self, before: &Count) -> Count {
        for requests in &mut self.requests {
            let same =
                |old: &&Requests| old.kind == requests.kind && old.outcome == requests.outcome;
            let Some(old) = before.requests.iter().find(same) else { continue };
            requests.count = requests.count.saturating_sub(old.count);
            for (count, old) in requests.latencies.iter_mut().zip(&old.latencies) {
                *count = count.saturating_sub(*old);
            }
        }
        self.time = self.time.saturating_sub(before.time);
        self.hits = self.hits.saturating_sub(before.hits);
        self.misses = self.misses.saturating_sub(before.misses);
        self
    }

    /// `None` if no time has passed.
    fn sample(&self, unix_ms: u64) -> Option<Sample> {
        let seconds = self.time.as_secs_f64();
        let lookups = self.hits + self.misses;
        (seconds > 0.0).then(|| Sample {
            unix_ms,
            query: self.speed(Kind::Query, seconds),
            buy: self.speed(Kind::Buy, seconds),
            refused_per_s: number(self.count(Kind::Buy, &[Outcome::Refused])) / seconds,
            failed_per_s: number(self.failed()) / seconds,
            hit_share: (lookups > 0).then(|| number(self.hits) / number(lookups)),
        })
    }

    fn speed(&self, kind: Kind, seconds: f64) -> Speed {
        let mut latencies = vec![0; LATENCY_BOUNDS.len() + 1];
        for requests in self.requests.iter().filter(|requests| requests.kind == kind) {
            for (sum, count) in latencies.iter_mut().zip(&requests.latencies) {
                *sum += count;
            }
        }
        let percentile = |share| percentile(&latencies, share).map(|seconds| seconds * 1_000.0);
        Speed {
            per_s: number(self.count(kind, &OUTCOMES)) / seconds,
            p50_ms: percentile(0.50),
            p95_ms: percentile(0.95),
            p99_ms: percentile(0.99),
        }
    }

    fn count(&self, kind: Kind, outcomes: &[Outcome]) -> u64 {
        let counted = |r: &&Requests| r.kind == kind && outcomes.contains(&r.outcome);
        self.requests.iter().filter(counted).map(|requests| requests.count).sum()
    }

    fn failed(&self) -> u64 {
        let failed = self.requests.iter().filter(|requests| requests.outcome == Outcome::Failed);
        failed.map(|requests| requests.count).sum()
    }
}

/// The latency in seconds that this share of the requests did not exceed, by linear interpolation
/// within a bucket. A latency above the last bound counts as the last bound.
fn percentile(latencies: &[u64], share: f64) -> Option<f64> {
    let rank = share * number(latencies.iter().sum());
    let (mut below, mut lower) = (0.0, 0.0);
    for (count, upper) in latencies.iter().zip(LATENCY_BOUNDS) {
        let count = number(*count);
        if count > 0.0 && below + count >= rank {
            return Some(lower + (upper - lower) * (rank - below) / count);
        }
        (below, lower) = (below + count, upper);
    }
    (rank > 0.0).then_some(lower)
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::super::report::{Own, example};
    use super::*;
    use crate::monitoring::status::CatalogStatus;

    /// The status of a front-end after `uptime_ms`: `served` queries that took up to 20 µs, `refused` purchases that took
    /// up to 5 ms.
    fn report(pid: u32, uptime_ms: u64, served: u64, refused: u64) -> ServiceStatus {
        let requests = |kind: Kind, outcome, count, bucket: usize| {
            let mut latencies = vec![0; LATENCY_BOUNDS.len() + 1];
            latencies[bucket] = count;
            Requests { kind, outcome, count, seconds: 0.0, latencies }
        };
        let requests = vec![
            requests(Kind::Query, Outcome::Served, served, 1),
            requests(Kind::Buy, Outcome::Refused, refused, 8),
        ];
        let own = CatalogStatus::default();
        ServiceStatus { pid, uptime_ms, requests, ..example(Own::Catalog(own)) }
    }

    fn cache(hits: u64, misses: u64) -> CacheStatus {
        CacheStatus { capacity: 7, hits, misses, ..CacheStatus::default() }
    }

    #[test]
    fn a_sample_has_what_came_since_the_one_before() {
        let mut pace = Pace::default();
        assert_eq!(pace.add(1_000, &report(7, 1_000, 100, 4), &cache(0, 100)), 4);
        assert_eq!(pace.add(1_500, &report(7, 1_500, 150, 5), &cache(30, 120)), 1);
        let samples: Vec<_> = pace.after(1_000).cloned().collect();
        let expected = Sample {
            unix_ms: 1_500,
            query: Speed {
                per_s: 100.0,
                p50_ms: Some(0.015),
                p95_ms: Some(0.0195),
                p99_ms: Some(0.0199),
            },
            buy: Speed { per_s: 2.0, p50_ms: Some(3.5), p95_ms: Some(4.85), p99_ms: Some(4.97) },
            refused_per_s: 2.0,
            failed_per_s: 0.0,
            hit_share: Some(0.6),
        };
        let rounded = |speed: Speed| {
            let round = |ms: Option<f64>| ms.map(|ms| (ms * 1e6).round() / 1e6);
            Speed {
                p50_ms: round(speed.p50_ms),
                p95_ms: round(speed.p95_ms),
                p99_ms: round(speed.p99_ms),
                ..speed
            }
        };
        let [sample] = samples.try_into().expect("one sample");
        let sample = Sample { query: rounded(sample.query), buy: rounded(sample.buy), ..sample };
        assert_eq!(sample, expected);
    }

    #[test]
    fn a_new_process_counts_from_nothing_and_old_samples_are_forgotten() {
        let mut pace = Pace::default();
        pace.add(1_000, &report(7, 9_000, 900, 0), &cache(0, 0));
        pace.add(2_000, &report(8, 500, 10, 3), &cache(0, 0));
        let newest = pace.after(1_000).next().expect("a sample");
        assert_eq!((newest.query.per_s, newest.hit_share), (20.0, None));
        pace.add(2_000 + REACH_MS, &report(8, 120_500, 10, 3), &cache(0, 0));
        assert_eq!(
            pace.after(0).map(|sample| sample.unix_ms).collect::<Vec<_>>(),
            [2_000, 122_000]
        );
    }

    #[test]
    fn a_latency_lies_within_its_bucket() {
        let of = |buckets: &[(usize, u64)], share| {
            let mut latencies = vec![0; LATENCY_BOUNDS.len() + 1];
            for (bucket, count) in buckets {
                latencies[*bucket] = *count;
            }
            percentile(&latencies, share)
        };
        assert_eq!(of(&[], 0.5), None);
        assert_eq!(of(&[(0, 4)], 1.0), Some(0.000_01));
        assert_eq!(of(&[(0, 1), (18, 1)], 0.5), Some(0.000_01));
        assert_eq!(of(&[(0, 1), (18, 1)], 1.0), Some(10.0));
        assert_eq!(of(&[(19, 1)], 0.5), Some(10.0), "above the last bound: the last bound");
    }
}
