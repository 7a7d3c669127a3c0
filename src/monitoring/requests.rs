//! Request metrics: counts the requests at an address when they are answered. Each costs one reading of the
//! clock and two additions, cheap enough for each cached query.

use super::status::{Kind, LATENCY_BOUNDS, Outcome, Requests};
use crate::error::Result;
use crate::protocol::{Answer, web};
use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// In the order of their declaration, which is their index in a row of the cells.
const OUTCOMES: [Outcome; 3] = [Outcome::Served, Outcome::Refused, Outcome::Failed];

/// What a message asked for, and how many of its requests had which outcome: a call may ask for several sales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    kind: Kind,
    outcomes: [u64; OUTCOMES.len()],
}

impl Asked {
    /// One request.
    pub fn one(kind: Kind, outcome: impl Into<Outcome>) -> Asked {
        Asked::each(kind, [outcome.into()])
    }

    /// Several requests in one message.
    pub fn each(kind: Kind, ended: impl IntoIterator<Item = Outcome>) -> Asked {
        let mut outcomes = [0; OUTCOMES.len()];
        for outcome in ended {
            outcomes[outcome as usize] += 1;
        }
        Asked { kind, outcomes }
    }
}

/// The outcome for an HTTP status.
impl From<u16> for Outcome {
    fn from(status: u16) -> Outcome {
        match status {
            ..400 => Outcome::Served,
            400..500 => Outcome::Refused,
            500.. => Outcome::Failed,
        }
    }
}

impl<T> From<&Answer<T>> for Outcome {
    fn from(answer: &Answer<T>) -> Outcome {
        match answer {
            Answer::Data(_) => Outcome::Served,
            Answer::Error(error) => web::status(error).into(),
        }
    }
}

impl<T> From<&Result<T>> for Outcome {
    fn from(result: &Result<T>) -> Outcome {
        result.as_ref().err().map_or(200, web::status).into()
    }
}

/// The requests at one address since the start. The numbers are for observation only: it does not matter if one of two
/// that change together is seen before the other, so relaxed order is enough.
#[derive(Debug)]
pub struct RequestMetrics {
    kinds: &'static [Kind],
    /// Indexed by kind and outcome.
    cells: [[Cell; OUTCOMES.len()]; Kind::Other as usize + 1],
}

#[derive(Debug, Default)]
struct Cell {
    nanos: AtomicU64,
    latencies: [AtomicU64; LATENCY_BOUNDS.len() + 1],
}

impl RequestMetrics {
    /// For an address that answers these kinds.
    pub fn new(kinds: &'static [Kind]) -> RequestMetrics {
        RequestMetrics { kinds, cells: array::from_fn(|_| array::from_fn(|_| Cell::default())) }
    }

    /// Requests were answered, after this time.
    pub fn count(&self, asked: Asked, took: Duration) {
        for (cell, times) in self.cells[asked.kind as usize].iter().zip(asked.outcomes) {
            if times > 0 {
                cell.add(times, took);
            }
        }
    }

    /// All counters, also those that are 0: a rate needs the 0 with which its counter began.
    pub fn requests(&self) -> Vec<Requests> {
        let of_kind = |kind: &Kind| {
            let kind = *kind;
            let cells = OUTCOMES.iter().zip(&self.cells[kind as usize]);
            cells.map(move |(outcome, cell)| cell.requests(kind, *outcome))
        };
        self.kinds.iter().flat_map(of_kind).collect()
    }
}

impl Cell {
    fn add(&self, times: u64, took: Duration) {
        let seconds = took.as_secs_f64();
        let place = LATENCY_BOUNDS.partition_point(|bound| *bound < seconds);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.latencies[place].fetch_add(times, Relaxed);
        self.nanos.fetch_add(nanos.saturating_mul(times), Relaxed);
    }

    fn requests(&self, kind: Kind, outcome: Outcome) -> Requests {
        let latencies: Vec<u64> = self.latencies.iter().map(|count| count.load(Relaxed)).collect();
        let seconds = Duration::from_nanos(self.nanos.load(Relaxed)).as_secs_f64();
        Requests { kind, outcome, count: latencies.iter().sum(), seconds, latencies }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_request_is_counted_where_it_belongs() {
        let metrics = RequestMetrics::new(&[Kind::Query, Kind::Purchase]);
        let ms = Duration::from_millis;
        metrics.count(Asked::one(Kind::Query, 200), ms(1));
        metrics.count(Asked::one(Kind::Query, 200), ms(1) + Duration::from_nanos(1));
        metrics.count(Asked::one(Kind::Query, 503), ms(11_000));
        let sales = [Ok(()), Err(Error::NotEnoughStock), Ok(()), Err(Error::unavailable("a disk"))];
        metrics.count(Asked::each(Kind::Purchase, sales.iter().map(Outcome::from)), ms(3));

        let found = metrics.requests();
        let counts: Vec<_> = found.iter().map(|r| (r.kind, r.outcome, r.count)).collect();
        let expected = [(Kind::Query, [2, 0, 1]), (Kind::Purchase, [2, 1, 1])];
        let expected = expected.iter().flat_map(|(kind, counts)| {
            OUTCOMES.iter().zip(counts).map(|(outcome, count)| (*kind, *outcome, *count))
        });
        assert_eq!(counts, expected.collect::<Vec<_>>());

        let place = LATENCY_BOUNDS.iter().position(|bound| *bound >= 0.001).expect("1 ms");
        assert_eq!(found[0].latencies[place..][..2], [1, 1], "a bound belongs to what is below it");
        assert_eq!(found[2].latencies.last(), Some(&1), "beyond all bounds");
        assert!((found[3].seconds - 0.006).abs() < 1e-9, "each sale took as long as the call");
    }
}
