//! Latencies (K5) and outcomes of the requests of a run, for all sessions together. Written by
//! [`api`](super::api), shown by [`report`](super::report).

use hdrhistogram::Histogram;
use std::fmt::{self, Display};
use std::time::Duration;

/// The kinds of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A toy by its name.
    Query,
    /// A purchase.
    Buy,
    /// An order by its number.
    OrderLookup,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::Query, Kind::Buy, Kind::OrderLookup];
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Query => "query",
            Kind::Buy => "buy",
            Kind::OrderLookup => "order lookup",
        })
    }
}

/// Latencies and counters of all sessions.
#[derive(Debug)]
pub struct Measurements {
    /// For each kind, in microseconds.
    latencies: [Histogram<u64>; 3],
    /// Purchases that were refused for lack of stock.
    pub refused: u64,
    /// Queries and purchases of toys that do not exist.
    pub unknown: u64,
    /// Requests that were sent again.
    pub retries: u64,
}

impl Default for Measurements {
    fn default() -> Measurements {
        /// Longer latencies are recorded as one hour.
        const HOUR_MICROS: u64 = 3_600_000_000;
        let histogram =
            || Histogram::new_with_bounds(1, HOUR_MICROS, 3).expect("1 is below an hour");
        let latencies = [(); 3].map(|()| histogram());
        Measurements { latencies, refused: 0, unknown: 0, retries: 0 }
    }
}

impl Measurements {
    /// Counts one request.
    pub fn record(&mut self, kind: Kind, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latencies[kind as usize].saturating_record(micros);
    }

    /// The latencies of a kind, in microseconds.
    pub fn latencies(&self, kind: Kind) -> &Histogram<u64> {
        &self.latencies[kind as usize]
    }

    /// The number of requests that were answered or given up.
    pub fn requests(&self) -> u64 {
        self.latencies.iter().map(Histogram::len).sum()
    }
}
