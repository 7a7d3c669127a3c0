//! Where the last view outlives the front-end that made it: in a file of the one front-end that makes views, or in a table
//! that all front-ends share. Used by [`controlling`](super::controlling), which writes each view here before others see it.
//!
//! In the table one front-end writes at a time, the one that has the log `views`, and it makes the views. Whoever takes the
//! log fences the writer before it ([`TableLog`]). So no epoch has two views, although every front-end may come to make them.

use crate::config::{Config, Engine};
use crate::error::{Error, Result};
use crate::model::{Epoch, FrontendId, OrderNumber, ReplicaId, View};
use crate::stop::{Stop, crash};
use crate::storage::database::{Candidate, Database, Definition, Schema, TableLog, literal};
use crate::storage::{Directory, replace};
use crate::trace::scope;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The table of the front-ends.
pub const SCHEMA: Schema = Schema {
    service: "frontends",
    version: 1,
    tables: &[Definition {
        name: "views",
        columns: "
    id TINYINT NOT NULL PRIMARY KEY CHECK (id = 1),
    epoch BIGINT NOT NULL,
    leader INT NOT NULL,
    in_sync TEXT NOT NULL COMMENT 'JSON',
    committed BIGINT NOT NULL",
    }],
};

/// The log's name in the table `logs`.
const LOG: &str = "views";
/// For the view that is read when the log was taken.
const READ_TIME_MAX: Duration = Duration::from_secs(5);

/// What outlives the front-end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// The last view made.
    pub(super) view: Option<View>,
    /// The highest committed number in any report, or one before it.
    pub(super) committed: OrderNumber,
}

/// Where a front-end may write views.
pub enum Place {
    /// In a file: it is the only front-end that makes views.
    File(Views, Remembered),
    /// In a table: while no other front-end does.
    Table(Table),
    /// Nowhere: another front-end makes them.
    Elsewhere,
}

/// Where this front-end writes views.
pub enum Views {
    /// In this file.
    File(PathBuf),
    /// In the table, until another front-end takes its log.
    Table {
        /// The log.
        log: TableLog<Remembered>,
        /// The database, for messages.
        place: String,
    },
}

impl Place {
    /// That of the front-end `me`, whose directory this is. A database is opened as soon as it is there.
    pub fn of(
        config: &Config,
        me: FrontendId,
        directory: &Directory,
        stop: &Stop,
    ) -> Result<Place> {
        match config.storage.engine {
            Engine::Files if me == config.frontend.controller => {
                let path = directory.file("view.json");
                let remembered = Remembered::read(&path)?;
                Ok(Place::File(Views::File(path), remembered))
            }
            Engine::Files => Ok(Place::Elsewhere),
            Engine::Database => {
                Ok(Place::Table(Table(Database::open(&config.database, &SCHEMA, stop)?)))
            }
        }
    }
}

impl Views {
    /// Returns when this is written. An error: the table has another writer, or does not answer.
    pub(super) fn write(&self, remembered: Remembered) -> Result<()> {
        let _step = scope::disk("write the view");
        match self {
            Views::File(path) => {
                remembered.write(path).unwrap_or_else(|error| crash(&error));
                Ok(())
            }
            Views::Table { log, .. } => log.sync(log.append([remembered])?),
        }
    }

    /// An error if the table has another writer, as far as that is known, or does not answer any more.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Views::File(_) => Ok(()),
            Views::Table { log, .. } => log.check(),
        }
    }
}

impl Display for Views {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Views::File(path) => write!(f, "{}", path.display()),
            Views::Table { place, .. } => write!(f, "row of the table views in {place}"),
        }
    }
}

impl Remembered {
    fn read(path: &Path) -> Result<Remembered> {
        if !path.exists() {
            return Ok(Remembered::default());
        }
        let bytes = fs::read(path).map_err(|e| Error::storage(path, "cannot read it", e))?;
        serde_json::from_slice(&bytes).map_err(|e| Error::Damaged {
            file: path.display().to_string(),
            line: e.line() as u64,
            why: format!("no view: {e}"),
            remedy: "remove it and start with all replicas up: they know the last view".into(),
        })
    }

    fn write(&self, path: &Path) -> Result<()> {
        replace(path, &serde_json::to_vec_pretty(self).expect("a view has string keys"))
    }
}

/// The table, for a front-end that writes there when no other one does.
pub struct Table(Database);

impl Table {
    /// Waits until no other front-end writes, and takes the log. Returns what was written last; `None` if this process
    /// stops.
    pub(super) fn take(
        &self,
        is_stopping: impl Fn() -> bool,
    ) -> Result<Option<(Views, Remembered)>> {
        let taken = Candidate::new(&self.0, LOG).wait(encode, |pause| {
            thread::sleep(pause);
            is_stopping()
        })?;
        let Some((log, _)) = taken else { return Ok(None) };
        let remembered = self.read()?;
        Ok(Some((Views::Table { log, place: self.0.place() }, remembered)))
    }

    fn read(&self) -> Result<Remembered> {
        let query = "SELECT epoch, leader, in_sync, committed FROM views";
        let row = self.0.read(READ_TIME_MAX, |connection| connection.first(query))?;
        let Some((epoch, leader, in_sync, committed)) = row else {
            return Ok(Remembered::default());
        };
        let in_sync: String = in_sync;
        let in_sync = serde_json::from_str(&in_sync).map_err(|e| {
            let why = format!("in_sync of the table views has no members: {e}");
            self.0.error(format!("{why}; delete the row and start with all replicas up"))
        })?;
        let view = View { epoch: Epoch(epoch), leader: ReplicaId(leader), in_sync };
        Ok(Remembered { view: Some(view), committed: OrderNumber(committed) })
    }
}

/// The statement that writes the last of these.
fn encode(all: &[Remembered]) -> String {
    let Some(Remembered { view: Some(view), committed }) = all.last() else {
        return String::new();
    };
    let View { epoch, leader, in_sync } = view;
    let in_sync = serde_json::to_string(in_sync).expect("a member has string keys");
    let in_sync = literal(&in_sync);
    format!(
        "REPLACE INTO views (id, epoch, leader, in_sync, committed) \
         VALUES (1, {epoch}, {leader}, {in_sync}, {committed});"
    )
}
