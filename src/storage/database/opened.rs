//! The database of one service, once its tables are known to be there. Used by
//! [`table_log`](super::table_log), and by the services to read what they have stored.

use super::connection::Connection;
use super::fault::{Fault, Refusal};
use super::nodes::{Nodes, Session, try_for};
use super::schema::Schema;
use crate::config;
use crate::error::{Error, Result};
use crate::model::Identity;
use crate::stop::Stop;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Longer than this for a statement that makes tables counts as no answer.
const OPEN_TIME_MAX: Duration = Duration::from_secs(10);

/// A program that only reads tries for this long to open the database.
const EXISTING_TIME_MAX: Duration = Duration::from_secs(5);

/// Between two attempts to open the database.
const OPEN_PAUSE: Duration = Duration::from_secs(1);

/// The database of one service, shared by all who use it.
#[derive(Debug, Clone)]
pub struct Database {
    nodes: Arc<Nodes>,
    identity: Identity,
    /// The connection of the last read, and the longest answer that it waits for.
    idle: Arc<Mutex<Option<(Duration, Session)>>>,
}

impl Database {
    /// Opens the database of a service, and makes its tables if they are missing. While no node answers, it waits, until the
    /// process is asked to end.
    pub fn open(settings: &config::Database, schema: &Schema, stop: &Stop) -> Result<Database> {
        let nodes = Arc::new(Nodes::new(settings, schema.database(settings))?);
        let prepare = || {
            let mut session = nodes.connect(OPEN_TIME_MAX, None)?;
            schema.prepare(&mut session, &nodes.name)
        };
        let mut attempts = 0_u64;
        loop {
            let why = match prepare() {
                Ok(identity) => return Ok(Database { nodes, identity, idle: Arc::default() }),
                Err(Fault::Lasting(error)) => return Err(error),
                Err(Fault::Passing(why)) => why,
            };
            if attempts.is_multiple_of(30) {
                tracing::warn!("waiting for the database: {why}");
            }
            attempts += 1;
            if stop.wait(OPEN_PAUSE) {
                return Err(Error::unavailable(format!("no answer from the database: {why}")));
            }
        }
    }

    /// The database of a service as it is, for a program that only reads: nothing is made.
    pub fn existing(settings: &config::Database, schema: &Schema) -> Result<Database> {
        Database::reached(settings, schema, Schema::known)
    }

    /// The database of a service for a program that fills its tables, which must be empty. They are made if they are
    /// missing. Until [`release`](Database::release) no service opens them.
    pub fn claim(settings: &config::Database, schema: &Schema) -> Result<Database> {
        Database::reached(settings, schema, Schema::claim)
    }

    /// A database that was claimed has everything: the service may open it.
    pub fn release(&self, schema: &Schema) -> Result<()> {
        self.repeat(OPEN_TIME_MAX, &schema.release())
    }

    fn reached(
        settings: &config::Database,
        schema: &Schema,
        prepare: fn(&Schema, &mut Session, &str) -> Result<Identity, Fault>,
    ) -> Result<Database> {
        let nodes = Arc::new(Nodes::new(settings, schema.database(settings))?);
        let prepared = || {
            let mut session = nodes.connect(OPEN_TIME_MAX, None)?;
            prepare(schema, &mut session, &nodes.name)
        };
        let identity = try_for(EXISTING_TIME_MAX, prepared).map_err(unavailable)?;
        Ok(Database { nodes, identity, idle: Arc::default() })
    }

    /// Drawn when the tables were made: another store's database has another one.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// How long a writer waits for a commit, at all nodes in turn.
    pub(super) fn commit_deadline(&self) -> Duration {
        self.nodes.commit_deadline
    }

    /// Its name and nodes, for messages.
    pub fn place(&self) -> String {
        format!("database {} at {}", self.nodes.name, self.nodes.addresses.join(","))
    }

    /// An error of the whole database, not of one node.
    pub fn error(&self, why: impl Into<String>) -> Error {
        Error::Storage { path: self.place(), why: why.into() }
    }

    /// Reads, on the connection of the read before if nobody else uses it. After a passing fault `read` is called again,
    /// with a connection to another node, for as long as `longest`; then the database counts as unavailable.
    pub fn read<T>(
        &self,
        longest: Duration,
        mut read: impl FnMut(&mut Connection) -> Result<T, Refusal>,
    ) -> Result<T> {
        let attempt = || {
            let kept = self.idle.lock().take().filter(|(waits, _)| *waits == longest);
            let mut session =
                kept.map_or_else(|| self.connect(longest), |(_, session)| Ok(session))?;
            let found = session.with(&mut read)?;
            *self.idle.lock() = Some((longest, session));
            Ok(found)
        };
        try_for(longest, attempt).map_err(unavailable)
    }

    /// Runs the statements of a text, each with `;` at its end. They are run again after a passing fault, so each has to
    /// be one that can be repeated.
    pub fn repeat(&self, longest: Duration, text: &str) -> Result<()> {
        self.read(longest, |connection| connection.run(text))
    }

    /// A new connection to the node in use. No answer on it may take longer than `longest`.
    pub(super) fn connect(&self, longest: Duration) -> Result<Session, Fault> {
        self.nodes.connect(longest, Some(&self.nodes.name))
    }
}

/// The error of a read.
pub(super) fn unavailable(fault: Fault) -> Error {
    match fault {
        Fault::Lasting(error) => error,
        Fault::Passing(why) => Error::unavailable(why),
    }
}
