//! The lease of a log: who wants it waits until the writer before has certainly stopped. Pure. Used by
//! [`table_log`](super::table_log), which holds the lease, and by [`candidate`](super::candidate), which waits for it.
//!
//! Every commit of the writer changes the row of its log, and one that succeeded makes its lease last until [`LEASE`] after
//! the moment before it was *sent*. A candidate takes the log when the row has not changed for as long *since it was first
//! read*, and only if it is still the same then. The last commit was sent before anybody could read what it left, so the
//! lease was over before the log is taken. Each side reads its own clock only.

use super::row::Row;
use crate::model::Moment;
use std::time::Duration;

/// How long a commit makes the lease last.
pub const LEASE: Duration = Duration::from_millis(400);

/// A writer without anything to write changes the row this often.
pub const BEAT: Duration = Duration::from_millis(100);

/// How often a candidate reads the row.
pub const LOOK: Duration = Duration::from_millis(50);

/// The writer's side.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub struct Lease {
    sent: Option<Moment>,
}

impl Lease {
    /// A commit succeeded that was sent after this moment.
    pub fn renew(&mut self, sent: Moment) {
        self.sent = Some(sent);
    }

    /// The log is given back, or was taken.
    pub fn end(&mut self) {
        self.sent = None;
    }

    /// Whether certainly nobody else has the log.
    pub fn is_valid(&self, now: Moment) -> bool {
        self.sent.is_some_and(|sent| now - sent < LEASE)
    }

    /// Whether the row is to be changed although there is nothing to write.
    pub fn is_due(&self, now: Moment) -> bool {
        self.sent.is_none_or(|sent| now - sent >= BEAT)
    }
}

/// The candidate's side.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub struct Watch {
    seen: Option<Seen>,
}

/// What the row was when it was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Seen {
    term: u64,
    beat: u64,
    first: Moment,
    last: Moment,
}

impl Watch {
    /// The row was read, and the answer came at this moment. Returns whether the log may be taken, if the row
    /// [is the same](Watch::has_seen) when that happens.
    pub fn saw(&mut self, row: &Row, now: Moment) -> bool {
        let first = self.seen.as_ref().filter(|seen| {
            // After a long time without an answer the writer may have had none either.
            seen.is(row) && now - seen.last < LEASE
        });
        let first = first.map_or(now, |seen| seen.first);
        self.seen = Some(Seen { term: row.term, beat: row.beat, first, last: now });
        row.is_free() || now - first >= LEASE
    }

    /// Whether the row is the one that was read last.
    pub fn has_seen(&self, row: &Row) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.is(row))
    }
}

impl Seen {
    fn is(&self, row: &Row) -> bool {
        (self.term, self.beat) == (row.term, row.beat)
    }
}
