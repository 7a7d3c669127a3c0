//! An append-only file of checksummed rows, shared by threads: append, sync, then answer. One write and one fdatasync
//! for all rows that wait ([`GroupCommit`]).
//!
//! - A row's position is its place among the rows of the file, from 1.
//! - The lock is never held during disk access, except by [`CsvLog::cut_after`].

use super::group_commit::{GroupCommit, Medium};
use super::replace::replace;
use super::rows::{Chain, Rows, Table, TornTail};
use crate::error::{Error, Result};
use csv::StringRecord;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::mem;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// With more pending rows than this, an append waits for the disk. Far above the number of purchases in
/// flight.
const PENDING_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The log.
#[derive(Debug)]
pub struct CsvLog {
    commit: GroupCommit<Disk>,
}

/// The open file.
#[derive(Debug)]
struct Disk {
    path: PathBuf,
    table: Table,
    file: File,
    /// The row whose sync is to fail (requirement O8); 0 for none.
    fail_at: AtomicU64,
}

/// What is not written yet.
#[derive(Debug)]
struct Unwritten {
    /// Encoded rows.
    rows: Vec<u8>,
    /// The checksum of all rows, in the file and here.
    chain: Chain,
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
        let disk = Disk { path: path.to_owned(), table: *table, file, fail_at: AtomicU64::new(0) };
        let unwritten = Unwritten { rows: Vec::new(), chain: rows.chain().unwrap_or_default() };
        Ok((CsvLog { commit: GroupCommit::new(disk, unwritten, rows.count()) }, torn))
    }

    /// Appends a row and returns its position. It is on disk only when [`CsvLog::sync`] for it
    /// has returned. Does not access the disk, unless very many rows are pending.
    /// Refuses control characters, and rows that are too long.
    ///
    /// # Panics
    /// If there is not one field for each column.
    pub fn append(&self, fields: &[&dyn Display]) -> Result<u64> {
        let columns = self.commit.medium().table.columns;
        assert_eq!(fields.len(), columns.len(), "a field for each column");
        self.commit.append(|Unwritten { rows, chain }| chain.encode(fields, rows).map(|()| 1))
    }

    /// Returns when the rows 1 to `position` are on disk.
    pub fn sync(&self, position: u64) -> Result<()> {
        self.commit.sync(position)
    }

    /// How many rows there are, on disk or not.
    pub fn appended(&self) -> u64 {
        self.commit.appended()
    }

    /// How many rows are on disk.
    pub fn durable(&self) -> u64 {
        self.commit.durable()
    }

    /// How many syncs it took since the start, for the metrics.
    pub fn syncs(&self) -> u64 {
        self.commit.writes()
    }

    /// Makes the sync of the row at this position fail before any part of it is written, like a broken
    /// disk (requirement O8).
    pub fn fail_at(&self, position: u64) {
        self.commit.medium().fail_at.store(position, Ordering::Relaxed);
    }

    /// Cuts the log back to its first `rows` rows, after it has added the others to the log
    /// `aside`. A crash in between leaves them in both; the next cut adds them once more.
    ///
    /// A position after the cut can name another row than before it: the caller makes sure that
    /// no old position is used.
    pub fn cut_after(&self, rows: u64, aside: &Path) -> Result<()> {
        let disk = self.commit.medium();
        self.commit.at_rest(|state| {
            let (kept_bytes, chain) = disk.copy_after(rows, aside)?;
            if let Err(e) = disk.file.set_len(kept_bytes).and_then(|()| disk.file.sync_all()) {
                return Err(state.poison(Error::storage(&disk.path, "cannot cut it", e)));
            }
            state.pending.chain = chain;
            state.cut(rows);
            Ok(())
        })
    }
}

impl Disk {
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
}

impl Medium for Disk {
    type Pending = Unwritten;
    type Batch = Vec<u8>;

    const LONGEST: Duration = Duration::from_secs(30);

    fn is_full(pending: &Unwritten) -> bool {
        pending.rows.len() > PENDING_BYTES_MAX
    }

    fn take(pending: &mut Unwritten) -> Vec<u8> {
        mem::take(&mut pending.rows)
    }

    fn write(&self, rows: Vec<u8>, after: Range<u64>) -> Result<()> {
        let fail_at = self.fail_at.load(Ordering::Relaxed);
        let is_to_fail = after.start < fail_at && fail_at <= after.end;
        let written = if is_to_fail {
            Err(io::Error::other("injected by flag"))
        } else {
            (&self.file).write_all(&rows).and_then(|()| self.file.sync_data())
        };
        written.map_err(|e| Error::storage(&self.path, "cannot write to it", e))
    }

    fn too_slow(&self) -> Error {
        let silence = format!("no answer for {} s", Disk::LONGEST.as_secs());
        Error::storage(&self.path, "cannot sync it", silence)
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
