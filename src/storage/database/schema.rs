//! The tables that a service needs in its database. A service makes them at its first start, if its user may;
//! `toystore database schema` prints them for whoever makes them by hand.
//!
//! Every table names its collation, so that names which differ only in case differ, whatever the database's default is.

use super::fault::{Fault, Refusal};
use super::nodes::Session;
use super::statement::literal;
use crate::config;
use crate::error::Error;
use crate::model::Identity;
use crate::storage::directory::drawn;
use std::iter;

/// The tables of a service.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The service, which is the end of its database's name.
    pub service: &'static str,
    /// Raised with every change of the tables.
    pub version: u32,
    /// Its own tables.
    pub tables: &'static [Definition],
}

/// What a table is made of.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// Its columns and checks, as in `CREATE TABLE`.
    pub columns: &'static str,
}

/// The version of tables that an import has not filled yet.
const UNFINISHED: u32 = 0;

const NO_STORE: &str =
    "its table `store` has no row; if it had the data of a store, restore it from a backup";

/// The tables of every service: whose database it is, and the logs in it.
const COMMON: [Definition; 2] = [
    Definition {
        name: "store",
        columns: "
    id TINYINT NOT NULL PRIMARY KEY CHECK (id = 1),
    service VARCHAR(20) NOT NULL,
    version INT NOT NULL,
    identity CHAR(16) NOT NULL",
    },
    Definition {
        name: "logs",
        columns: "
    name VARCHAR(20) NOT NULL PRIMARY KEY,
    term BIGINT NOT NULL,
    writer CHAR(16) NOT NULL,
    position BIGINT NOT NULL,
    beat BIGINT NOT NULL",
    },
];

/// The row of the table `store`.
struct Store {
    service: String,
    version: u32,
    identity: String,
}

impl Schema {
    /// The name of the service's database.
    pub fn database(&self, settings: &config::Database) -> String {
        format!("{}{}", settings.prefix, self.service)
    }

    /// The statements that make the database of this name, which then has this identity. Each can be repeated. The
    /// row of `store` comes last: with it, all tables are there. A database with a log gets none: it had one.
    pub fn statements(&self, database: &str, identity: &Identity) -> Vec<String> {
        let Schema { service, version, .. } = self;
        let mut all = vec![
            format!("CREATE DATABASE IF NOT EXISTS `{database}` CHARACTER SET utf8mb4"),
            format!("USE `{database}`"),
        ];
        all.extend(self.all_tables().map(|Definition { name, columns }| {
            format!(
                "CREATE TABLE IF NOT EXISTS {name} ({columns}\n) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin"
            )
        }));
        all.push(format!(
            "INSERT IGNORE INTO store (id, service, version, identity) SELECT 1, {}, {version}, {} FROM DUAL \
             WHERE NOT EXISTS (SELECT 1 FROM logs)",
            literal(service),
            literal(&identity.0)
        ));
        all
    }

    fn all_tables(&self) -> impl Iterator<Item = &'static Definition> {
        COMMON.iter().chain(self.tables)
    }

    /// Makes what is missing. Returns the identity of the database, in which the user may do all that the service does.
    pub(super) fn prepare(&self, session: &mut Session, database: &str) -> Result<Identity, Fault> {
        let is_new = find(session, database)?.is_none();
        if is_new {
            for statement in self.statements(database, &drawn()) {
                session.run(&statement)?;
            }
        }
        let identity = self.known(session, database)?;
        self.try_rights(session, database)?;
        if is_new {
            tracing::info!("made the tables of the {} in the database {database}", self.service);
        }
        Ok(identity)
    }

    /// Does with each table what the service does, and changes nothing.
    fn try_rights(&self, session: &mut Session, database: &str) -> Result<(), Fault> {
        let update = format!("UPDATE `{database}`.logs SET beat = beat WHERE FALSE");
        let replace = self.all_tables().map(|Definition { name, .. }| {
            format!(
                "REPLACE INTO `{database}`.{name} SELECT * FROM `{database}`.{name} WHERE FALSE"
            )
        });
        let all: Vec<String> = iter::once(update).chain(replace).collect();
        session.run(&all.join("; "))
    }

    /// Takes the database for a program that fills its tables, if they are empty: until [`release`](Schema::release)
    /// nobody else opens it. Returns its identity.
    pub(super) fn claim(&self, session: &mut Session, database: &str) -> Result<Identity, Fault> {
        let identity = self.prepare(session, database)?;
        let claim = format!(
            "UPDATE `{database}`.store SET version = {UNFINISHED} WHERE NOT EXISTS (SELECT 1 FROM `{database}`.logs)"
        );
        session.run(&claim)?;
        if find(session, database)?.is_some_and(|store| store.version == UNFINISHED) {
            return Ok(identity);
        }
        let why = "it has the data of a store; set another database.prefix, or drop this database";
        Err(Fault::Lasting(Error::Storage {
            path: format!("database {database}"),
            why: why.into(),
        }))
    }

    /// The statement with which a database that was claimed becomes one of these tables.
    pub(super) fn release(&self) -> String {
        format!("UPDATE store SET version = {};", self.version)
    }

    /// The identity of a database that has these tables.
    pub(super) fn known(&self, session: &mut Session, database: &str) -> Result<Identity, Fault> {
        let (path, why) = (format!("database {database}"), NO_STORE.to_owned());
        let missing = Fault::Lasting(Error::Storage { path, why });
        let found = find(session, database)?.ok_or(missing)?;
        self.check(database, &found)?;
        Ok(Identity(found.identity))
    }

    /// Refuses the tables of another service or of another version.
    fn check(&self, database: &str, found: &Store) -> Result<(), Fault> {
        let why = if found.service != self.service {
            format!("it belongs to the service {}; set another database.prefix", found.service)
        } else if found.version == UNFINISHED {
            "an import into it did not finish; drop this database and import again".to_owned()
        } else if found.version != self.version {
            let (version, ours) = (found.version, self.version);
            format!(
                "its tables have version {version}, this program needs {ours}; use the program that made them"
            )
        } else {
            return Ok(());
        };
        Err(Fault::Lasting(Error::Storage { path: format!("database {database}"), why }))
    }
}

/// The row of `store`, if there is such a table.
fn find(session: &mut Session, database: &str) -> Result<Option<Store>, Fault> {
    const UNKNOWN_DATABASE: u16 = 1049;
    const UNKNOWN_TABLE: u16 = 1146;
    let query = format!("SELECT service, version, identity FROM `{database}`.store");
    let row = session.with(|connection| match connection.first(&query) {
        Err(Refusal::Code(UNKNOWN_DATABASE | UNKNOWN_TABLE, _)) => Ok(None),
        other => other,
    })?;
    Ok(row.map(|(service, version, identity)| Store { service, version, identity }))
}
