//! One who wants to write a log and waits until nobody else does. Used by the services of which one at a time is active.

use super::claim::Claim;
use super::fault::Fault;
use super::lease::{LOOK, Watch};
use super::nodes::Session;
use super::opened::Database;
use super::row::Row;
use super::table_log::TableLog;
use crate::error::Result;
use crate::model::Moment;
use std::mem;
use std::time::{Duration, Instant};

/// Longer than this for reading the row counts as no answer.
const READ_TIME_MAX: Duration = Duration::from_secs(1);

/// Who waits for a log.
pub struct Candidate {
    claim: Claim,
    started: Instant,
    watch: Watch,
    session: Option<Session>,
}

impl Candidate {
    /// Nothing is read yet.
    pub fn new(database: &Database, log: &'static str) -> Candidate {
        let (claim, started) = (Claim::new(database, log), Instant::now());
        Candidate { claim, started, watch: Watch::default(), session: None }
    }

    /// Waits for the log, and takes it. `gives_up` waits as long as it is told, and says whether the log is not wanted any
    /// more: then the result is `None`. Otherwise as of [`look`](Candidate::look).
    pub fn wait<R: Send + 'static>(
        mut self,
        encode: fn(&[R]) -> String,
        mut gives_up: impl FnMut(Duration) -> bool,
    ) -> Result<Option<(TableLog<R>, u64)>> {
        loop {
            let taken = self.look(encode)?;
            if taken.is_some() || gives_up(LOOK) {
                return Ok(taken);
            }
        }
    }

    /// Reads the row of the log, and takes the log if it may. The second result is the position of the log: everything up
    /// to it is there. From then on its lease is kept, until it is dropped.
    /// `encode` makes the statements of a batch, each with `;` at its end.
    pub fn look<R: Send + 'static>(
        &mut self,
        encode: fn(&[R]) -> String,
    ) -> Result<Option<(TableLog<R>, u64)>> {
        let sent = Instant::now();
        match self.try_take() {
            Ok(None) => Ok(None),
            Ok(Some(row)) => {
                // The next time that the log is taken is another one.
                let next = Claim::new(&self.claim.database, self.claim.log);
                let claim = mem::replace(&mut self.claim, next);
                Ok(Some((TableLog::leased(claim, encode, &row, sent)?, row.position)))
            }
            Err(Fault::Lasting(error)) => Err(error),
            Err(Fault::Passing(why)) => {
                tracing::debug!("cannot read who writes the log {}: {why}", self.claim.log);
                // The writer may have no answer either.
                self.watch = Watch::default();
                Ok(None)
            }
        }
    }

    /// Returns the row as it was before the log was taken.
    fn try_take(&mut self) -> Result<Option<Row>, Fault> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.claim.database.connect(READ_TIME_MAX)?,
        };
        let row = self.claim.read(&mut session)?;
        self.session = Some(session);
        if !self.watch.saw(&row, Moment::after(self.started.elapsed())) {
            return Ok(None);
        }
        let row = self.claim.take(|row| self.watch.has_seen(row))?;
        Ok(Some(row).filter(|row| self.watch.has_seen(row)))
    }
}
