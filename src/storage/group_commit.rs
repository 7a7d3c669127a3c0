//! Group commit: threads append records in memory, and one of them makes all of them durable at once. Used by the log
//! in a file ([`CsvLog`](super::CsvLog)) and by the log in a database ([`TableLog`](super::database::TableLog)).
//!
//! ```text
//! append ─▶ pending records in memory ─▶ one write for all of them ─▶ durable
//! append ─▶                              (by one of the threads that wait for it)
//! ```
//!
//! A thread needs its record to be durable. If no thread writes, it writes all pending records, its own included. If
//! another thread writes, it waits; the first thread that finds its record still pending afterwards does the next
//! write. So a write includes all records that were appended during the write before it, and no thread waits for more
//! than two writes.
//!
//! - A record's position is its place in the log, from 1; durable ≤ appended.
//! - Records become durable in order of position: if one is, all before it are.
//! - The lock is never held during a write, except by [`GroupCommit::at_rest`].
//! - After a failed write the log is *poisoned*: every call returns that error.

use crate::blocking::Blocking;
use crate::error::{Error, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::ops::Range;
use std::thread;
use std::time::Duration;

/// How often a thread yields before it writes the pending records. On a busy machine this makes the writes fewer and
/// larger.
const GIVE_WAY: usize = 5;

/// Where records become durable.
pub trait Medium {
    /// Records that no thread has begun to write.
    type Pending;
    /// Records that one thread writes.
    type Batch;

    /// A write that takes longer than this counts as failed for the threads that wait for it.
    const LONGEST: Duration;

    /// Whether so much is pending that an append waits until it is durable. Far above what is in flight.
    fn is_full(pending: &Self::Pending) -> bool;

    /// Takes all pending records.
    fn take(pending: &mut Self::Pending) -> Self::Batch;

    /// Returns when these records, which follow the position `after.start` and end at `after.end`, are durable. One
    /// thread at a time calls it.
    fn write(&self, batch: Self::Batch, after: Range<u64>) -> Result<()>;

    /// The error of a wait that was too long.
    fn too_slow(&self) -> Error;
}

/// A log whose records become durable on this medium.
#[derive(Debug)]
pub struct GroupCommit<M: Medium> {
    medium: M,
    state: Mutex<State<M::Pending>>,
    /// Signalled after every write, failed or not.
    written: Condvar,
}

/// What the threads share.
#[derive(Debug)]
pub struct State<P> {
    /// Records that no thread has begun to write.
    pub pending: P,
    /// How many records there are.
    appended: u64,
    /// How many of them are durable.
    durable: u64,
    /// Whether a thread writes.
    writing: bool,
    /// Why the log is poisoned.
    failed: Option<Error>,
    /// How many writes succeeded since the start.
    writes: u64,
}

impl<M: Medium> GroupCommit<M> {
    /// A log with this number of records, which are all durable.
    pub fn new(medium: M, pending: M::Pending, count: u64) -> GroupCommit<M> {
        let state = State {
            pending,
            appended: count,
            durable: count,
            writing: false,
            failed: None,
            writes: 0,
        };
        GroupCommit { medium, state: Mutex::new(state), written: Condvar::new() }
    }

    /// The medium.
    pub fn medium(&self) -> &M {
        &self.medium
    }

    /// Appends the records that `add` puts among the pending ones; it returns their number. Returns the position of the
    /// last one. It is durable only when [`sync`](GroupCommit::sync) for it has returned.
    pub fn append(&self, add: impl FnOnce(&mut M::Pending) -> Result<u64>) -> Result<u64> {
        let mut state = self.state.lock();
        if M::is_full(&state.pending) {
            let position = state.appended;
            self.reach(&mut state, position)?;
        }
        state.check()?;
        state.appended += add(&mut state.pending)?;
        Ok(state.appended)
    }

    /// Returns when the records 1 to `position` are durable.
    pub fn sync(&self, position: u64) -> Result<()> {
        self.reach(&mut self.state.lock(), position)
    }

    /// Writes what is pending, even if that is nothing, unless a thread is writing.
    pub fn write_now(&self) -> Result<()> {
        let mut state = self.state.lock();
        state.check()?;
        if !state.writing {
            self.write_pending(&mut state);
        }
        state.check()
    }

    /// The error of a log that is poisoned.
    pub fn check(&self) -> Result<()> {
        self.state.lock().check()
    }

    /// How many records there are, durable or not.
    pub fn appended(&self) -> u64 {
        self.state.lock().appended
    }

    /// How many records are durable.
    pub fn durable(&self) -> u64 {
        self.state.lock().durable
    }

    /// How many writes succeeded since the start, for the metrics.
    pub fn writes(&self) -> u64 {
        self.state.lock().writes
    }

    /// Makes everything durable, then calls `change` while every other thread waits.
    pub fn at_rest<T>(
        &self,
        change: impl FnOnce(&mut State<M::Pending>) -> Result<T>,
    ) -> Result<T> {
        let _waiting = Blocking::new();
        let mut state = self.state.lock();
        while state.durable < state.appended {
            let position = state.appended;
            self.reach(&mut state, position)?;
        }
        state.check()?;
        change(&mut state)
    }

    /// Waits until the records up to `position` are durable, or writes them.
    fn reach(&self, state: &mut MutexGuard<'_, State<M::Pending>>, position: u64) -> Result<()> {
        loop {
            state.check()?;
            if state.durable >= position {
                return Ok(());
            }
            if state.appended < position {
                return Err(Error::unavailable(format!("row {position} was cut from the log")));
            }
            let _waiting = Blocking::new();
            if state.writing {
                self.await_writer(state);
            } else {
                self.write_pending(state);
            }
        }
    }

    fn await_writer(&self, state: &mut MutexGuard<'_, State<M::Pending>>) {
        if self.written.wait_for(state, M::LONGEST).timed_out() && state.writing {
            state.poison(self.medium.too_slow());
        }
    }

    /// Writes all pending records; the lock is free meanwhile. It first yields to threads that are about to append;
    /// without such threads this takes a microsecond.
    fn write_pending(&self, state: &mut MutexGuard<'_, State<M::Pending>>) {
        state.writing = true;
        MutexGuard::unlocked(state, || (0..GIVE_WAY).for_each(|_| thread::yield_now()));
        let batch = M::take(&mut state.pending);
        let (first, last) = (state.durable, state.appended);
        let outcome = MutexGuard::unlocked(state, || self.medium.write(batch, first..last));
        state.writing = false;
        match outcome {
            Ok(()) => {
                state.durable = last;
                state.writes += 1;
            }
            Err(error) => {
                state.poison(error);
            }
        }
        self.written.notify_all();
    }
}

impl<P> State<P> {
    fn check(&self) -> Result<()> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Keeps the first failure for all later calls; returns it.
    pub fn poison(&mut self, error: Error) -> Error {
        self.failed.get_or_insert(error).clone()
    }

    /// From now on there are only the first `count` records.
    pub fn cut(&mut self, count: u64) {
        (self.appended, self.durable) = (count, count);
    }
}
