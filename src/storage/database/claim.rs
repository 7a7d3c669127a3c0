//! The row of a log in the table `logs`, for one who writes the log or wants to. Used by [`table_log`](super::table_log) and
//! [`candidate`](super::candidate).

use super::fault::Fault;
use super::nodes::Session;
use super::opened::Database;
use super::row::Row;
use super::statement::literal;
use crate::error::Error;
use crate::model::Identity;
use crate::storage::directory::drawn;
use std::time::Duration;

/// The answer may take some seconds: the nodes that are left may be agreeing on who they are.
const TAKE_TIME_MAX: Duration = Duration::from_secs(5);

/// Longer than this for giving a log back counts as no answer.
const GIVE_BACK_TIME_MAX: Duration = Duration::from_secs(1);

/// One who writes a log or wants to.
pub(super) struct Claim {
    pub(super) database: Database,
    pub(super) log: &'static str,
    /// Its name: different for each time that the log is taken.
    pub(super) writer: Identity,
}

impl Claim {
    pub(super) fn new(database: &Database, log: &'static str) -> Claim {
        Claim { database: database.clone(), log, writer: drawn() }
    }

    /// Reads the row as the node of this session has it. A log that nobody has written yet is free.
    pub(super) fn read(&self, session: &mut Session) -> Result<Row, Fault> {
        self.select(session, "")
    }

    /// Reads the row and, if `may` says so, takes the log, with a higher term: what the writer before has on its way
    /// cannot commit any more. Returns the row as it was before.
    pub(super) fn take(&self, may: impl FnOnce(&Row) -> bool) -> Result<Row, Fault> {
        let (log, writer) = (literal(self.log), literal(&self.writer.0));
        let begin = format!(
            "INSERT IGNORE INTO logs (name, term, writer, position, beat) VALUES ({log}, 0, '', 0, 0)"
        );
        let mut session = self.database.connect(TAKE_TIME_MAX)?;
        session.run(&format!("{begin}; BEGIN"))?;
        let row = self.select(&mut session, "FOR UPDATE")?;
        let term = row.term + 1;
        let take = format!("UPDATE logs SET term = {term}, writer = {writer} WHERE name = {log}");
        if may(&row) {
            session.run(&take)?;
        }
        session.run("COMMIT")?;
        Ok(row)
    }

    /// Gives the log back, unless somebody has taken it: nobody has to wait for the lease.
    pub(super) fn give_back(&self, session: Option<Session>, term: u64) -> Result<(), Fault> {
        let text = format!(
            "UPDATE logs SET term = term + 1, writer = '' WHERE name = {} AND term = {term}",
            literal(self.log)
        );
        let mut session = match session {
            Some(session) => session,
            None => self.database.connect(GIVE_BACK_TIME_MAX)?,
        };
        session.run(&text)
    }

    pub(super) fn failed(&self, fault: Fault) -> Error {
        match fault {
            Fault::Lasting(error) => error,
            Fault::Passing(why) => self.database.error(why),
        }
    }

    fn select(&self, session: &mut Session, lock: &str) -> Result<Row, Fault> {
        let query = format!(
            "SELECT term, writer, position, beat FROM logs WHERE name = {} {lock}",
            literal(self.log)
        );
        let row = session.with(|connection| connection.first(&query))?;
        let (term, writer, position, beat) = row.unwrap_or_default();
        Ok(Row { term, writer: Identity(writer), position, beat })
    }
}
