//! What the row of a log says to its writer about a batch whose outcome is unknown. Pure. Used by
//! [`table_log`](super::table_log).
//!
//! The writer first takes the row again with a higher term. After that the batch can no longer commit, because it names
//! the term before; so what the row said then is the last word.

use crate::model::Identity;
use std::ops::Range;

/// The row of a log in the table `logs`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    /// Raised by everyone who takes the log, and after every fault.
    pub term: u64,
    /// Who took the log last; empty if it was given back.
    pub writer: Identity,
    /// How many records the log has.
    pub position: u64,
    /// Raised by every batch, also by an empty one.
    pub beat: u64,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is there.
    Written,
    /// It is not there and never will be: it is to be written again.
    NotWritten,
    /// Somebody else has taken the log since. Whether the batch is there is for them to read.
    Fenced,
    /// The log does not end where this writer, which is the only one, has written to.
    Changed,
}

impl Row {
    /// Whether nobody has the log.
    pub fn is_free(&self) -> bool {
        self.writer.0.is_empty()
    }

    /// What became of the batch of `writer` that follows the position `after.start` and ends at `after.end`.
    pub fn outcome(&self, writer: &Identity, after: &Range<u64>) -> Outcome {
        if self.writer != *writer {
            Outcome::Fenced
        } else if self.position == after.end {
            Outcome::Written
        } else if self.position == after.start {
            Outcome::NotWritten
        } else {
            Outcome::Changed
        }
    }
}
