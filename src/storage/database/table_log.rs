//! A log in a database: append, sync, then answer. One transaction for all records that wait ([`GroupCommit`]), in one round
//! trip:
//!
//! ```text
//! BEGIN; UPDATE logs SET position = IF(term = 7 AND position = 40, 43, NULL), beat = beat + 1 WHERE name = 'stock';
//! …the rows of the records 41 to 43…; COMMIT
//! ```
//!
//! - *One writer*: who takes the log raises its term. A writer of an older term would set the position, which is not
//!   NULL, to NULL: an error, which ends the transaction. So the database itself refuses it.
//! - *No guess*: after a fault the writer takes the row again, at another node and with a higher term, so that what is still
//!   on its way cannot commit any more; then the position tells whether the batch is there ([`Row::outcome`]).
//! - *A lease*: a log that was taken by a [`Candidate`](super::Candidate) has a thread that commits an empty batch if nothing
//!   else is committed, so that other candidates wait. When it is dropped, it gives the log back.

use super::claim::Claim;
use super::fault::Fault;
use super::lease::{BEAT, Lease};
use super::nodes::{Patience, Session, try_for};
use super::opened::Database;
use super::row::{Outcome, Row};
use super::statement::literal;
use crate::error::{Error, Result};
use crate::model::Moment;
use crate::stop::VitalThread;
use crate::storage::group_commit::{GroupCommit, Medium};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// With more pending records than this, an append waits for the database.
const PENDING_MAX: usize = 10_000;

/// A commit that takes longer than this at a node is asked about at the next one.
const COMMIT_TIME_MAX: Duration = Duration::from_secs(2);

/// The log of one writer. `R` is a record.
pub struct TableLog<R: Send> {
    commit: Arc<GroupCommit<Rows<R>>>,
    /// Keeps the lease, if the log has one.
    beat: Option<Beat>,
}

/// The rows of a log in its database.
struct Rows<R> {
    claim: Claim,
    encode: fn(&[R]) -> String,
    taken_in: u64,
    /// Locked while its thread waits for the database: only one thread writes at a time.
    held: Mutex<Held>,
    started: Instant,
    lease: Mutex<Lease>,
    /// Passing faults are not borne any more.
    is_ending: AtomicBool,
}

/// The term that we hold, and a connection that commits with it, once there is one.
struct Held {
    term: u64,
    session: Option<Session>,
}

/// The thread that keeps the lease. Dropping it stops and joins it.
struct Beat {
    /// Dropped first, as the first field, which ends the thread.
    _stop: Sender<()>,
    _thread: VitalThread,
}

impl<R: Send> TableLog<R> {
    /// Takes the log from whoever writes it, so that what they have on its way cannot commit any more. The second result is
    /// its position: everything up to it is there. `encode` makes the statements of a batch, each with `;` at its end.
    pub fn take(
        database: &Database,
        log: &'static str,
        encode: fn(&[R]) -> String,
    ) -> Result<(TableLog<R>, u64)> {
        let (claim, sent) = (Claim::new(database, log), Instant::now());
        let row = try_for(database.commit_deadline(), || claim.take(|_| true));
        let row = row.map_err(|fault| claim.failed(fault))?;
        Ok((TableLog::new(claim, encode, &row, sent), row.position))
    }

    /// The log after `row`, which `claim` has taken; that was sent at this moment.
    fn new(claim: Claim, encode: fn(&[R]) -> String, row: &Row, sent: Instant) -> TableLog<R> {
        let mut lease = Lease::default();
        lease.renew(Moment::START);
        let rows = Rows {
            claim,
            encode,
            taken_in: row.term + 1,
            held: Mutex::new(Held { term: row.term + 1, session: None }),
            started: sent,
            lease: Mutex::new(lease),
            is_ending: AtomicBool::new(false),
        };
        let commit = Arc::new(GroupCommit::new(rows, Vec::new(), row.position));
        TableLog { commit, beat: None }
    }

    /// Appends records and returns the position of the last one. They are in the database only when
    /// [`sync`](TableLog::sync) for it has returned. Waits only if very many records are pending.
    pub fn append(&self, records: impl IntoIterator<Item = R>) -> Result<u64> {
        self.commit.append(|pending| {
            let before = pending.len();
            pending.extend(records);
            Ok((pending.len() - before) as u64)
        })
    }

    /// Returns when the records 1 to `position` are in the database. [`Error::Stale`]: somebody else has taken the log, and
    /// whether the last records are there is unknown.
    pub fn sync(&self, position: u64) -> Result<()> {
        self.commit.sync(position)
    }

    /// How many records are in the database.
    pub fn durable(&self) -> u64 {
        self.commit.durable()
    }

    /// The error after which nothing can be written any more; [`Error::Stale`] as of [`sync`](TableLog::sync).
    pub fn check(&self) -> Result<()> {
        self.commit.check()
    }

    /// The term in which it was taken: higher than that of any writer before.
    pub fn taken_in(&self) -> u64 {
        self.commit.medium().taken_in
    }

    /// Whether certainly nobody else has the log. What was read before is then the newest that there is.
    pub fn has_lease(&self) -> bool {
        let rows = self.commit.medium();
        rows.lease.lock().is_valid(rows.now())
    }
}

impl<R: Send + 'static> TableLog<R> {
    /// The same as [`new`](TableLog::new), with a thread that keeps the lease.
    pub(super) fn leased(
        claim: Claim,
        encode: fn(&[R]) -> String,
        row: &Row,
        sent: Instant,
    ) -> Result<TableLog<R>> {
        let mut log = TableLog::new(claim, encode, row, sent);
        let commit = log.commit.clone();
        let (stop, stopped) = bounded(0);
        let thread = VitalThread::start("lease", move || {
            // Twice as often as needed: a commit may just have been made.
            while stopped.recv_timeout(BEAT / 2) == Err(RecvTimeoutError::Timeout) {
                // What went wrong is kept for everybody who uses the log.
                if commit.medium().is_due() && commit.write_now().is_err() {
                    return;
                }
            }
        })?;
        log.beat = Some(Beat { _stop: stop, _thread: thread });
        Ok(log)
    }
}

/// Gives the lease back, if there is one.
impl<R: Send> Drop for TableLog<R> {
    fn drop(&mut self) {
        let rows = self.commit.medium();
        rows.is_ending.store(true, Ordering::Relaxed);
        if self.beat.take().is_none() || self.commit.check().is_err() {
            return;
        }
        rows.lease.lock().end();
        let mut held = rows.held.lock();
        if let Err(Fault::Passing(why)) = rows.claim.give_back(held.session.take(), held.term) {
            tracing::debug!("the lease of the log {} was not given back: {why}", rows.claim.log);
        }
    }
}

impl<R: Send> Rows<R> {
    fn now(&self) -> Moment {
        Moment::after(self.started.elapsed())
    }

    fn is_due(&self) -> bool {
        self.lease.lock().is_due(self.now())
    }

    /// Commits a batch, once. Keeps the connection if that succeeds.
    fn commit(&self, held: &mut Held, rows: &str, after: &Range<u64>) -> Result<(), Fault> {
        let (term, log, sent) = (held.term, literal(self.claim.log), self.now());
        let (first, last) = (after.start, after.end);
        let text = format!(
            "BEGIN; UPDATE logs SET position = IF(term = {term} AND position = {first}, {last}, NULL), beat = beat + 1 \
             WHERE name = {log}; {rows} COMMIT"
        );
        let mut session = match held.session.take() {
            Some(session) => session,
            None => self.connect()?,
        };
        session.run(&text)?;
        held.session = Some(session);
        self.lease.lock().renew(sent);
        Ok(())
    }

    /// A connection that commits at once: it need not see what others have committed.
    fn connect(&self) -> Result<Session, Fault> {
        let mut session = self.claim.database.connect(COMMIT_TIME_MAX)?;
        session.see_others(false)?;
        Ok(session)
    }

    /// After a fault: takes the row again, unless somebody else has it, and writes the batch if it is not there.
    fn write_again(&self, held: &mut Held, rows: &str, after: &Range<u64>) -> Result<(), Fault> {
        let (Claim { database, log, writer }, sent) = (&self.claim, self.now());
        let row = self.claim.take(|row| row.writer == *writer)?;
        held.term = row.term + 1;
        match row.outcome(writer, after) {
            Outcome::Written => {
                self.lease.lock().renew(sent);
                Ok(())
            }
            Outcome::NotWritten => self.commit(held, rows, after),
            Outcome::Fenced => {
                tracing::warn!("another writer has taken the log {log}, and has what is written");
                self.lease.lock().end();
                Err(Fault::Lasting(Error::Stale { epoch: row.term }))
            }
            Outcome::Changed => Err(Fault::Lasting(database.error(format!(
                "the log {log} has position {}, expected {} or {}: somebody has changed it; restore the database from a backup",
                row.position, after.start, after.end
            )))),
        }
    }
}

impl<R: Send> Medium for Rows<R> {
    type Pending = Vec<R>;
    type Batch = Vec<R>;

    /// Longer than the longest `database.commit_deadline_ms`.
    const LONGEST: Duration = Duration::from_secs(60);

    fn is_full(pending: &Vec<R>) -> bool {
        pending.len() > PENDING_MAX
    }

    fn take(pending: &mut Vec<R>) -> Vec<R> {
        mem::take(pending)
    }

    fn write(&self, batch: Vec<R>, after: Range<u64>) -> Result<()> {
        let rows = (self.encode)(&batch);
        let mut held = self.held.lock();
        let Err(mut fault) = self.commit(&mut held, &rows, &after) else { return Ok(()) };
        let what = if after.is_empty() {
            format!("the lease of the log {} is renewed", self.claim.log)
        } else {
            let (first, last, log) = (after.start + 1, after.end, self.claim.log);
            format!("the batch from record {first} to {last} of the log {log} is written")
        };
        if let Fault::Passing(why) = &fault {
            tracing::warn!("not known whether {what}: {why}");
        }
        let patience = Patience::new(self.claim.database.commit_deadline());
        while let Err(next) = {
            if self.is_ending.load(Ordering::Relaxed) {
                return Err(self.claim.failed(fault));
            }
            patience.bear(fault).map_err(|fault| self.claim.failed(fault))?;
            self.write_again(&mut held, &rows, &after)
        } {
            fault = next;
        }
        tracing::warn!("{what}, after {:.1} s", patience.elapsed().as_secs_f32());
        Ok(())
    }

    fn too_slow(&self) -> Error {
        self.claim.database.error(format!("no answer for {} s", Self::LONGEST.as_secs()))
    }
}
