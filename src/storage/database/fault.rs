//! What an error of a database node means: a *passing* fault goes away, here or at another node; a *lasting* one is for the
//! operator. Pure. Used by [`nodes`](super::nodes) and [`table_log`](super::table_log).

use crate::error::Error;

/// Why a node did not do what it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its error, with its number in MySQL or MariaDB.
    #[error("{1} ({0})")]
    Code(u16, String),
    /// There was no connection, or no answer that can be understood.
    #[error("{0}")]
    Lost(String),
    /// It did not prove its name.
    #[error("{0}")]
    Untrusted(String),
    /// It wants a login that this program cannot do.
    #[error("{0}")]
    Login(String),
    /// A row has other columns than were asked for.
    #[error("{0}")]
    Row(String),
}

/// A statement that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The same statement may succeed at another node or a moment later. Whether it was carried out is unknown.
    Passing(String),
    /// It never succeeds until the operator has changed something. It was not carried out.
    Lasting(Error),
}

/// Codes of errors that pass, in the numbers of MySQL and MariaDB.
const PASSING: [u16; 38] = [
    // The node is full, or shuts down.
    1021, 1030, 1040, 1041, 1053, 1079, 1114, 1203, 1226,
    // The node is not a part of the database now (Galera), cannot reach the others, or may only read.
    // A node that has just joined again lacks a whole database that was made while it was away.
    1036, 1047, 1049, 1290, 1792, 1836, 1874, 1881, 3100, 3101, 3796,
    // The connection was lost, or an answer took too long.
    1156, 1158, 1159, 1160, 1161, 1317, 1927, 1969, 2006, 2013,
    // Another transaction came first.
    1020, 1180, 1205, 1213, // A log has another writer: its row tells.
    1048, // TiDB: the storage is away, or another transaction came first.
    9002, 9005, 9007,
];

/// What this refusal means, of a node of the database `place`.
pub fn of(refusal: &Refusal, place: &str) -> Fault {
    let lasting = |why| Fault::Lasting(Error::Storage { path: place.to_owned(), why });
    match refusal {
        Refusal::Code(code, message) if PASSING.contains(code) => {
            Fault::Passing(format!("{place}: {}", said(*code, message)))
        }
        Refusal::Code(code, message) => lasting(said(*code, message)),
        Refusal::Lost(why) => Fault::Passing(format!("{place}: {why}")),
        Refusal::Untrusted(why) => {
            lasting(format!("{why}; check database.authority and the node's certificate"))
        }
        Refusal::Login(why) => lasting(format!(
            "{why}; give the user a password that mysql_native_password, caching_sha2_password, ed25519 or parsec checks"
        )),
        Refusal::Row(why) => lasting(format!("{why}; it was not written by this store")),
    }
}

/// What the node said, and what the operator can do about it.
fn said(code: u16, message: &str) -> String {
    let said = format!("{message} ({code})");
    match remedy(code) {
        Some(what) => format!("{said}; {what}"),
        None => said,
    }
}

fn remedy(code: u16) -> Option<&'static str> {
    match code {
        1021 | 1114 => Some("make room on the disk of this node"),
        1036 | 1290 | 1836 | 1874 | 1881 => Some(
            "another node is tried; make this one writable, or take it out of database.addresses",
        ),
        1045 | 1698 => Some(
            "check database.user and the password (database.password_file or \
             TOYSTORE_DATABASE_PASSWORD); if the node takes only TLS, set database.authority",
        ),
        1047 => Some("another node is tried; this one is not connected to the others, see its log"),
        1048 => Some("the log may have another writer by now, who would have changed its row"),
        3159 => Some("the node takes only TLS: set database.authority"),
        1044 | 1142 | 1143 | 1227 | 1370 => Some(
            "grant the user all rights on the databases of the store, or make their tables as \
             `toystore database schema` prints them",
        ),
        1054 | 1146 => {
            Some("the tables are not those of this store; `toystore database schema` prints them")
        }
        1153 => Some("raise max_allowed_packet"),
        3819 | 4025 => {
            Some("the books of this row do not balance; restore the database from a backup")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again_and_what_lasts_says_what_to_do() {
        let refusal = |code| of(&Refusal::Code(code, "no".to_owned()), "node 1");
        for code in PASSING {
            let Fault::Passing(why) = refusal(code) else { panic!("{code} lasts") };
            assert!(why.starts_with(&format!("node 1: no ({code})")), "{why}");
        }
        for (code, remedy) in
            [(1045, "database.user"), (1142, "grant"), (1146, "`toystore database schema`")]
        {
            let Fault::Lasting(error) = refusal(code) else { panic!("{code} passes") };
            let text = error.to_string();
            assert!(text.starts_with("node 1: no (") && text.contains(remedy), "{text}");
        }
        let lost = of(&Refusal::Lost("connection reset".to_owned()), "node 1");
        assert!(matches!(lost, Fault::Passing(_)), "{lost:?}");
    }
}
