//! The outcome of one request. Made by the engine, for the summary and for the observers of the load.

use std::fmt;
use std::time::{Duration, Instant};
use toystore::client::measurements::Kind;

/// The outcome of one request, with its times.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The kind of request.
    pub kind: Kind,
    /// The requested toy.
    pub toy: &'a str,
    /// The connection, counted from 0.
    pub connection: usize,
    /// When it should have been sent; the same as `sent` in a closed loop.
    pub due: Instant,
    /// When it was sent.
    pub sent: Instant,
    /// When its answer arrived, or the request was given up.
    pub received: Instant,
    /// How it ended.
    pub outcome: Outcome,
}

impl Answer<'_> {
    /// The time from when the request was due until its answer.
    pub fn latency(&self) -> Duration {
        self.received.saturating_duration_since(self.due)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered with this status.
    Status(u16),
    /// Not answered.
    Failed(Failure),
}

impl Outcome {
    /// Whether the request succeeded.
    pub fn is_success(self) -> bool {
        self == Outcome::Status(200)
    }

    /// Whether it was a purchase that was refused for lack of stock. This is neither a success nor an
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
    /// No process listens at the address.
    Refused,
    /// The connection could not be made for another reason.
    Unreachable,
    /// The connection broke, or was closed, before the answer was complete.
    Lost,
    /// The answer did not come within the deadline.
    TimedOut,
    /// The answer is not HTTP.
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
