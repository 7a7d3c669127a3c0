//! A log in a database: append, sync, then answer. One transaction for all records that wait ([`GroupCommit`]), in one round
//! trip:
//!
//! ```text
//! BEGIN; UPDATE logs SET position = IF(term = 7 AND position = 40, 43, NULL) WHERE name = 'stock';
//! …the rows of the records 41 to 43…; COMMIT
//! ```
//!
//! - *One writer*: who takes the log raises its term. A writer of an older term would set the position, which is not
//!   NULL, to NULL: an error, which ends the transaction. So the database itself refuses it.
//! - *No guess*: after a fault the writer takes the row again, at another node and with a higher term, so that what is still
//!   on its way cannot commit any more; then the position tells whether the batch is there ([`Row::outcome`]).

use super::fault::Fault;
use super::nodes::{Patience, Session, try_for};
use super::opened::Database;
use super::row::{Outcome, Row};
use super::statement::literal;
use crate::error::{Error, Result};
use crate::model::Identity;
use crate::storage::directory::drawn;
use crate::storage::group_commit::{GroupCommit, Medium};
use mysql::prelude::Queryable;
use mysql::{Conn, Error as Refusal};
use parking_lot::Mutex;
use std::mem;
use std::ops::Range;
use std::time::Duration;

/// With more pending records than this, an append waits for the database.
const PENDING_MAX: usize = 10_000;

/// A commit that takes longer than this at a node is asked about at the next one.
const COMMIT_TIME_MAX: Duration = Duration::from_secs(2);

/// An answer about it may take longer: the nodes that are left may be agreeing on who they are.
const ASKING_TIME_MAX: Duration = Duration::from_secs(5);

/// How long passing faults are borne.
const PATIENCE: Duration = Duration::from_secs(30);

/// The log of one writer. `R` is a record.
pub struct TableLog<R: Send> {
    commit: GroupCommit<Rows<R>>,
}

/// The rows of a log in its database.
struct Rows<R> {
    database: Database,
    log: &'static str,
    /// Who we are: different for each time that the log is taken.
    writer: Identity,
    encode: fn(&[R]) -> String,
    /// Locked while its thread waits for the database: only one thread writes at a time.
    held: Mutex<Held>,
}

/// The term that we hold, and a connection that commits with it, once there is one.
struct Held {
    term: u64,
    session: Option<Session>,
}

impl<R: Send> TableLog<R> {
    /// Takes the log from whoever writes it, so that what they have on its way cannot commit any more. The second result is
    /// its position: everything up to it is there. `encode` makes the statements of a batch, each with `;` at its end.
    pub fn take(
        database: &Database,
        log: &'static str,
        encode: fn(&[R]) -> String,
    ) -> Result<(TableLog<R>, u64)> {
        let held = Mutex::new(Held { term: 0, session: None });
        let writer = drawn();
        let rows = Rows { database: database.clone(), log, writer, encode, held };
        let position = rows.take()?;
        Ok((TableLog { commit: GroupCommit::new(rows, Vec::new(), position) }, position))
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
}

impl<R: Send> Rows<R> {
    /// Takes the log, whoever had it.
    fn take(&self) -> Result<u64> {
        let row = try_for(PATIENCE, || self.take_row(|_| true));
        let row = row.map_err(|fault| self.failed(fault))?;
        self.held.lock().term = row.term + 1;
        Ok(row.position)
    }

    /// Reads the row of the log and, if `may` says so, takes it, with a higher term. Returns the row as it was before.
    fn take_row(&self, may: impl FnOnce(&Row) -> bool) -> Result<Row, Fault> {
        let log = literal(self.log);
        let mut session = self.database.connect(ASKING_TIME_MAX)?;
        let row = session.run(|connection| {
            connection.query_drop("BEGIN")?;
            connection.query_first(format!(
                "SELECT term, writer, position FROM logs WHERE name = {log} FOR UPDATE"
            ))
        })?;
        let row =
            row.map(|(term, writer, position)| Row { term, writer: Identity(writer), position });
        let is_new = row.is_none();
        let row =
            row.unwrap_or_else(|| Row { term: 0, writer: Identity(String::new()), position: 0 });
        let (term, writer, position) = (row.term + 1, literal(&self.writer.0), row.position);
        let take = if is_new {
            format!(
                "INSERT INTO logs (name, term, writer, position) VALUES ({log}, {term}, {writer}, {position})"
            )
        } else {
            format!("UPDATE logs SET term = {term}, writer = {writer} WHERE name = {log}")
        };
        session.run(|connection| {
            if may(&row) {
                connection.query_drop(take)?;
            }
            connection.query_drop("COMMIT")
        })?;
        Ok(row)
    }

    /// Commits a batch, once. Keeps the connection if that succeeds.
    fn commit(&self, held: &mut Held, rows: &str, after: &Range<u64>) -> Result<(), Fault> {
        let (term, log) = (held.term, literal(self.log));
        let (first, last) = (after.start, after.end);
        let text = format!(
            "BEGIN; UPDATE logs SET position = IF(term = {term} AND position = {first}, {last}, NULL) WHERE name = {log}; \
             {rows} COMMIT"
        );
        let mut session = match held.session.take() {
            Some(session) => session,
            None => self.connect()?,
        };
        session.run(|connection| run_all(connection, &text))?;
        held.session = Some(session);
        Ok(())
    }

    /// A connection that commits at once: it need not see what others have committed.
    fn connect(&self) -> Result<Session, Fault> {
        let mut session = self.database.connect(COMMIT_TIME_MAX)?;
        session.see_others(false)?;
        Ok(session)
    }

    /// After a fault: takes the row again, unless somebody else has it, and writes the batch if it is not there.
    fn write_again(&self, held: &mut Held, rows: &str, after: &Range<u64>) -> Result<(), Fault> {
        let row = self.take_row(|row| row.writer == self.writer)?;
        held.term = row.term + 1;
        match row.outcome(&self.writer, after) {
            Outcome::Written => Ok(()),
            Outcome::NotWritten => self.commit(held, rows, after),
            Outcome::Fenced => Err(Fault::Lasting(Error::Stale { epoch: row.term })),
            Outcome::Changed => Err(Fault::Lasting(self.database.error(format!(
                "the log {} has position {}, expected {} or {}: somebody has changed it; restore the database from a backup",
                self.log, row.position, after.start, after.end
            )))),
        }
    }

    fn failed(&self, fault: Fault) -> Error {
        match fault {
            Fault::Lasting(error) => error,
            Fault::Passing(why) => self.database.error(why),
        }
    }
}

/// Runs the statements of a text; the first error ends it.
fn run_all(connection: &mut Conn, text: &str) -> Result<(), Refusal> {
    let mut results = connection.query_iter(text)?;
    while let Some(result) = results.iter() {
        result.into_iter().try_for_each(|row| row.map(drop))?;
    }
    Ok(())
}

impl<R: Send> Medium for Rows<R> {
    type Pending = Vec<R>;
    type Batch = Vec<R>;

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
        let records =
            format!("the records {} to {} of the log {}", after.start + 1, after.end, self.log);
        if let Fault::Passing(why) = &fault {
            tracing::warn!("not known whether {records} are written: {why}");
        }
        let patience = Patience::new(PATIENCE);
        while let Err(next) = {
            patience.bear(fault).map_err(|fault| self.failed(fault))?;
            self.write_again(&mut held, &rows, &after)
        } {
            fault = next;
        }
        tracing::warn!("{records} are written, after {:.1} s", patience.elapsed().as_secs_f32());
        Ok(())
    }

    fn too_slow(&self) -> Error {
        self.database.error(format!("no answer for {} s", Self::LONGEST.as_secs()))
    }
}
