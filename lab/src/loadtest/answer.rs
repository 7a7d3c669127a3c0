//! The outcome of one request. Made by the engine, for the summary and for the observers of the load.

use std::fmt;
use std::time::{Duration, Instant};
use toystore::client::measurements::Kind;

/// The outcome of one request, with its times.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// What was asked for.
    pub kind: Kind,
    /// Of which toy.
    pub toy: &'a str,
    /// On which connection, counted from 0.
    pub connection: usize,
    /// When it should have been sent; the same as `sent` in a closed loop.
    pub due: Instant,
    /// When it was sent.
    pub sent: Instant,
    /// When its answer was there, or it was given up.
    pub received: Instant,
    /// How it ended.
    pub outcome: Outcome,
}

impl Answer<'_> {
    /// What the customer waited, from the moment at which the request was due.
    pub fn latency(&self) -> Duration {
        self.received.saturating_duration_since(self.due)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer of this status.
    Status(u16),
    /// Without one.
    Failed(Failure),
}

impl Outcome {
    /// Whether it did what it was asked to.
    pub fn is_success(self) -> bool {
        self == Outcome::Status(200)
    }

    /// Whether it was a purchase that was refused for want of stock, which is neither a success nor an
    /// error.
    pub fn is_sold_out(self) -> bool {
        self == Outcome::Status(409)
    }

    /// Whether it counts as an error of the store.
    pub fn is_error(self) -> bool {
        !self.is_success() && !self.is_sold_out()
    }
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Nobody listens at the address.
    Refused,
    /// The connection could not be made for another reason.
    Unreachable,
    /// The connection broke, or was closed, before the answer was whole.
    Lost,
    /// The answer did not come within the deadline.
    TimedOut,
    /// What came was no HTTP answer.
    Malformed,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Failure::Refused => "refused",
            Failure::Unreachable => "unreachable",
            Failure::Lost => "lost",
            Failure::TimedOut => "timed out",
            Failure::Malformed => "malformed",
        })
    }
}
