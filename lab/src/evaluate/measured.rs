//! The measured numbers of one kind of request, as experiments compare them.

use super::chapter::Table;
use super::plot::panel::Spread;
use super::words;
use crate::loadtest::Summary;
use serde::Serialize;
use std::time::Duration;
use toystore::client::measurements::Kind;
use toystore::client::report::exact;

/// Counts and latencies of one kind of request, under one load. Times in microseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Measured {
    /// Requests that succeeded.
    pub requests: u64,
    /// Requests that failed. Purchases refused for lack of stock are not counted.
    pub errors: u64,
    /// Successes per second.
    pub rate: f64,
    /// The mean.
    pub mean_us: f64,
    /// The median.
    pub p50_us: f64,
    /// The 99th percentile.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
}

impl Measured {
    /// The numbers of one kind in a summary; `None` if no request of it succeeded.
    pub fn of(summary: &Summary, kind: Kind) -> Option<Measured> {
        let counts = summary.of(kind);
        (counts.succeeded() > 0).then(|| Measured {
            requests: counts.succeeded(),
            errors: counts.errors(),
            rate: tenths(exact(counts.succeeded()) / summary.elapsed.as_secs_f64()),
            mean_us: micros(counts.mean()),
            p50_us: micros(counts.quantile(0.5)),
            p99_us: micros(counts.quantile(0.99)),
            max_us: micros(counts.max()),
        })
    }

    /// The numbers of requests that took so long, all within `elapsed`.
    pub fn of_latencies(mut latencies: Vec<Duration>, elapsed: Duration) -> Measured {
        latencies.sort();
        let count = latencies.len();
        let at = |share: usize| latencies.get(count * share / 100).copied().map_or(0.0, micros);
        let total: Duration = latencies.iter().sum();
        Measured {
            requests: count as u64,
            errors: 0,
            rate: tenths(number(count) / elapsed.as_secs_f64()),
            mean_us: tenths(total.as_secs_f64() * 1e6 / number(count.max(1))),
            p50_us: at(50),
            p99_us: at(99),
            max_us: latencies.last().copied().map_or(0.0, micros),
        }
    }

    /// The run with the median mean, with the errors of all runs.
    pub fn typical(mut runs: Vec<Measured>) -> Option<Measured> {
        runs.sort_by(|a, b| a.mean_us.total_cmp(&b.mean_us));
        let errors = runs.iter().map(|run| run.errors).sum();
        runs.get(runs.len() / 2).map(|median| Measured { errors, ..*median })
    }

    /// A point of a chart, with the median as its middle.
    pub fn median_spread(&self, x: f64) -> Spread {
        Spread { x, middle: self.p50_us, p99: self.p99_us }
    }

    /// A point of a chart, with the mean as its middle.
    pub fn mean_spread(&self, x: f64) -> Spread {
        Spread { x, middle: self.mean_us, p99: self.p99_us.max(self.mean_us) }
    }

    /// The cells of a row in a table.
    pub fn cells(&self) -> Vec<String> {
        let times = [self.mean_us, self.p50_us, self.p99_us, self.max_us].map(words::time);
        let mut cells = vec![self.requests.to_string(), words::rate(self.rate)];
        cells.extend(times);
        cells.push(self.errors.to_string());
        cells
    }

    /// A table. The first cells of each row name what was measured.
    pub fn table<const N: usize>(
        names: [&'static str; N],
        rows: impl IntoIterator<Item = ([String; N], Measured)>,
    ) -> Table {
        let cells = ["requests", "rate", "mean", "median", "p99", "longest", "errors"];
        let row = |(own, measured): ([String; N], Measured)| [&own[..], &measured.cells()].concat();
        Table { head: [&names[..], &cells].concat(), rows: rows.into_iter().map(row).collect() }
    }

    /// A text about the errors, if there are any.
    pub fn complaint(&self, place: &str) -> Option<String> {
        let errors = words::count(self.errors, "error");
        (self.errors > 0).then(|| format!("{errors} at {place}"))
    }
}

/// A count as a floating-point number.
pub fn number(count: usize) -> f64 {
    exact(count as u64)
}

/// In microseconds, to a tenth.
pub fn micros(duration: Duration) -> f64 {
    tenths(duration.as_secs_f64() * 1e6)
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disturbed_run_does_not_count_but_its_errors_do() {
        let run = |mean_us, errors| Measured { errors, mean_us, ..Measured::default() };
        let typical = Measured::typical(vec![run(900.0, 2), run(10.0, 0), run(11.0, 1)]);
        let typical = typical.expect("there are runs");
        assert_eq!((typical.mean_us.to_bits(), typical.errors), (11f64.to_bits(), 3));
        assert!(Measured::typical(Vec::new()).is_none());
    }
}
