//! An append-only file of checksummed rows, shared by threads: append, sync, then answer.
//!
//! ```text
//! append ─▶ pending rows in memory ─▶ one write and one fdatasync for all of them ─▶ durable
//! append ─▶                           (by one of the threads that wait for it)
//! ```
//!
//! *Group commit*: a thread needs its row on disk. If no thread syncs, it writes and syncs all pending
//! rows, its own included. If another thread syncs, it waits; the first thread that finds
//! its row still pending afterwards does the next sync. So a sync includes all rows that were appended during the
//! sync before it, and no thread waits for more than two syncs.
//!
//! - A row's position is its place among the rows of the file, from 1; durable ≤ appended.
//! - Rows reach the disk in order of position: if one is there, all before it are.
//! - The lock is never held during disk access, except by [`CsvLog::cut_after`].
//! - After a failed write or sync the log is *poisoned*: every call returns that error.

use super::replace::replace;
use super::rows::{Chain, Rows, Table, TornTail};
use crate::blocking::Blocking;
use crate::error::{Error, Result};
use csv::StringRecord;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// With more pending rows than this, an append waits for the disk. Far above the number of purchases in
/// flight.
const PENDING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A disk that takes longer than this for one sync counts as broken.
const SYNC_TIME_MAX: Duration = Duration::from_secs(30);

/// How often a thread yields before it writes the pending rows to disk. On a busy machine this
/// makes the syncs fewer and larger.
const GIVE_WAY: usize = 5;

/// The log.
#[derive(Debug)]
pub struct CsvLog {
    path: PathBuf,
    table: Table,
    file: File,
    state: Mutex<State>,
    /// Signalled after every sync, failed or not.
    synced: Condvar,
}

#[derive(Debug)]
struct State {
    /// Encoded rows that no thread has begun to write.
    pending: Vec<u8>,
    /// How many rows there are, in the file and in memory.
    appended: u64,
    /// The checksum of all of them.
    chain: Chain,
    /// How many of them are on disk.
    durable: u64,
    /// Whether a thread writes or syncs.
    syncing: bool,
    /// Why the log is poisoned.
    failed: Option<Error>,
    /// How many syncs succeeded since the start.
    syncs: u64,
    /// The row whose sync is to fail (requirement O8).
    fail_at: Option<u64>,
}

impl CsvLog {
    /// Opens the log, or creates it, and gives its rows to `each` in order. A torn tail is cut off
    /// and returned, for the service to report. A log of an earlier version is rewritten, with chained
    /// rows. Damage is an error, as is a row that `each` refuses (its error becomes the reason); the file is
    /// then unchanged.
    pub fn open(
        path: &Path,
        table: &Table,
        each: impl FnMut(&StringRecord) -> Result<()>,
    ) -> Result<(CsvLog, Option<TornTail>)> {
        if !path.exists() {
            replace(path, table.header().as_bytes())?;
        }
        let mut rows = Rows::open(path, table)?;
        let torn = if rows.chain().is_some() {
            rows.for_each(each)?;
            rows.torn()
        } else {
            let torn = upgrade(path, table, rows, each)?;
            rows = Rows::open(path, table)?;
            rows.for_each(|_| Ok(()))?;
            torn
        };
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(|e| Error::storage(path, "cannot open it for writing", e))?;
        if rows.torn().is_some() {
            cut_torn(&file, table, rows.bytes())
                .map_err(|e| Error::storage(path, "cannot cut off its torn tail", e))?;
        }
        let state = State {
            pending: Vec::new(),
            appended: rows.count(),
            chain: rows.chain().unwrap_or_default(),
            durable: rows.count(),
            syncing: false,
            failed: None,
            syncs: 0,
            fail_at: None,
        };
        let (state, synced) = (Mutex::new(state), Condvar::new());
        Ok((CsvLog { path: path.to_owned(), table: *table, file, state, synced }, torn))
    }

    /// Appends a row and returns its position. It is on disk only when [`CsvLog::sync`] for it
    /// has returned. Does not access the disk, unless very many rows are pending.
    /// Refuses control characters, and rows that are too long.
    ///
    /// # Panics
    /// If there is not one field for each column.
    pub fn append(&self, fields: &[&dyn Display]) -> Result<u64> {
        assert_eq!(fields.len(), self.table.columns.len(), "a field for each column");
        let mut state = self.state.lock();
        if state.pending.len() > PENDING_BYTES_MAX {
            let position = state.appended;
            self.reach(&mut state, position)?;
        }
        state.check()?;
        let State { chain, pending, .. } = &mut *state;
        chain.encode(fields, pending)?;
        state.appended += 1;
        Ok(state.appended)
    }

    /// Returns when the rows 1 to `position` are on disk.
    pub fn sync(&self, position: u64) -> Result<()> {
        self.reach(&mut self.state.lock(), position)
    }

    /// How many rows there are, on disk or not.
    pub fn appended(&self) -> u64 {
        self.state.lock().appended
    }

    /// How many rows are on disk.
    pub fn durable(&self) -> u64 {
        self.state.lock().durable
    }

    /// How many syncs it took since the start, for the metrics.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Makes the sync of the row at this position fail before any part of it is written, like a broken
    /// disk (requirement O8).
    pub fn fail_at(&self, position: u64) {
        self.state.lock().fail_at = Some(position);
    }

    /// Cuts the log back to its first `rows` rows, after it has added the others to the log
    /// `aside`. A crash in between leaves them in both; the next cut adds them once more.
    ///
    /// A position after the cut can name another row than before it: the caller makes sure that
    /// no old position is used.
    pub fn cut_after(&self, rows: u64, aside: &Path) -> Result<()> {
        let _waiting = Blocking::new();
        let mut state = self.state.lock();
        while state.durable < state.appended {
            let position = state.appended;
            self.reach(&mut state, position)?;
        }
        state.check()?;
        let (kept_bytes, chain) = self.copy_after(rows, aside)?;
        if let Err(e) = self.file.set_len(kept_bytes).and_then(|()| self.file.sync_all()) {
            return Err(state.poison(Error::storage(&self.path, "cannot cut it", e)));
        }
        state.appended = rows;
        state.chain = chain;
        state.durable = rows;
        Ok(())
    }

    /// Adds the rows after the first `rows` to the log `aside`. Returns where the first ones end, and their
    /// checksum.
    fn copy_after(&self, rows: u64, aside: &Path) -> Result<(u64, Chain)> {
        let mut ours = Rows::open(&self.path, &self.table)?;
        while ours.count() < rows {
            if ours.read()?.is_none() {
                return Err(ours.damaged(ours.count() + 2, "rows that were here are missing"));
            }
        }
        let kept = (ours.bytes(), ours.chain().unwrap_or_default());
        let (aside, _) = CsvLog::open(aside, &self.table, |_| Ok(()))?;
        while let Some(fields) = ours.read()? {
            let fields: Vec<&str> = fields.iter().collect();
            let fields: Vec<&dyn Display> = fields.iter().map(|field| field as _).collect();
            aside.append(&fields)?;
        }
        aside.sync(aside.appended())?;
        Ok(kept)
    }

    /// Waits until the rows up to `position` are on disk, or writes them.
    fn reach(&self, state: &mut MutexGuard<'_, State>, position: u64) -> Result<()> {
        loop {
            state.check()?;
            if state.durable >= position {
                return Ok(());
            }
            if state.appended < position {
                return Err(Error::unavailable(format!("row {position} was cut from the log")));
            }
            let _waiting = Blocking::new();
            if state.syncing {
                self.await_syncer(state);
            } else {
                self.write_pending(state);
            }
        }
    }

    fn await_syncer(&self, state: &mut MutexGuard<'_, State>) {
        if self.synced.wait_for(state, SYNC_TIME_MAX).timed_out() && state.syncing {
            let silence = format!("no answer for {} s", SYNC_TIME_MAX.as_secs());
            state.poison(Error::storage(&self.path, "cannot sync it", silence));
        }
    }

    /// Writes and syncs all pending rows; the lock is free meanwhile. It first yields to threads that are
    /// about to append; without such threads this takes a microsecond.
    fn write_pending(&self, state: &mut MutexGuard<'_, State>) {
        state.syncing = true;
        MutexGuard::unlocked(state, || (0..GIVE_WAY).for_each(|_| thread::yield_now()));
        let rows = mem::take(&mut state.pending);
        let last = state.appended;
        let is_to_fail =
            state.fail_at.is_some_and(|position| state.durable < position && position <= last);
        let outcome = MutexGuard::unlocked(state, || {
            if is_to_fail {
                return Err(io::Error::other("injected by flag"));
            }
            (&self.file).write_all(&rows)?;
            self.file.sync_data()
        });
        state.syncing = false;
        match outcome {
            Ok(()) => {
                state.durable = last;
                state.syncs += 1;
            }
            Err(e) => {
                state.poison(Error::storage(&self.path, "cannot write to it", e));
            }
        }
        self.synced.notify_all();
    }
}

impl State {
    fn check(&self) -> Result<()> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Keeps the first failure for all later calls; returns it.
    fn poison(&mut self, error: Error) -> Error {
        self.failed.get_or_insert(error).clone()
    }
}

/// Gives the rows of a log of an earlier version to `each`. If it accepts all of them, rewrites the log with
/// chained rows and without a torn tail, which is returned.
fn upgrade(
    path: &Path,
    table: &Table,
    mut rows: Rows,
    mut each: impl FnMut(&StringRecord) -> Result<()>,
) -> Result<Option<TornTail>> {
    let (mut chain, mut contents) = (Chain::default(), table.header().into_bytes());
    rows.for_each(|row| {
        each(row)?;
        let fields: Vec<&str> = row.iter().collect();
        let fields: Vec<&dyn Display> = fields.iter().map(|field| field as _).collect();
        chain.encode(&fields, &mut contents)
    })?;
    replace(path, &contents)?;
    Ok(rows.torn())
}

/// Cuts the file back to its valid bytes; if the header is incomplete, rewrites it.
fn cut_torn(mut file: &File, table: &Table, valid_bytes: u64) -> io::Result<()> {
    file.set_len(valid_bytes)?;
    if valid_bytes == 0 {
        file.write_all(table.header().as_bytes())?;
    }
    file.sync_all()
}
