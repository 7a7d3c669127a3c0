//! The one error type. A variant says who is at fault, its text says what happened, to what, and
//! what to do. The first three groups travel between services inside frames, so the type
//! serializes; the last group ends a process at its start or when its disk fails.
//!
//! An error is *definite* when the thing asked for surely did not happen, and *indefinite* when it
//! may have. A definite one may be retried freely; an indefinite one only with the same key.

use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::path::Path;

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Error {
    // The customer asked for something that cannot be.
    /// The request is malformed or out of range. `why` names the field, its value and the rule.
    #[error("{why}")]
    Invalid {
        /// What is wrong with it.
        why: String,
    },
    /// The request's body is in a format that is not read. `why` names the header, its value and what
    /// is read.
    #[error("{why}")]
    UnknownFormat {
        /// What is wrong with it.
        why: String,
    },
    /// Whoever asks may not. `why` says who may.
    #[error("{why}")]
    Forbidden {
        /// Who may.
        why: String,
    },
    /// A toy of this name cannot be added.
    #[error("a toy with this name already exists")]
    ToyExists,
    /// The catalog has no such toy.
    #[error("product not found")]
    UnknownToy,
    /// The log has no such committed order.
    #[error("order not found")]
    UnknownOrder,
    /// Fewer are left than were asked for.
    #[error("not enough stock")]
    NotEnoughStock,
    /// An idempotency key was used before for something else.
    #[error("this idempotency key was already used for another order")]
    KeyReused,

    // Nobody's fault: another server, or another moment, will do.
    /// The receiver knows a newer view than the sender.
    #[error("stale request: the current epoch is {epoch}")]
    Stale {
        /// The receiver's epoch.
        epoch: u64,
    },
    /// This replica does not lead, or does not lead yet, in the view of this epoch.
    #[error("not the leader in epoch {epoch}; retry at the leader")]
    NotLeader {
        /// The receiver's epoch.
        epoch: u64,
    },
    /// The receiver is up but cannot do this now.
    #[error("{what}; try again")]
    Unavailable {
        /// What is missing.
        what: String,
    },
    /// Nobody could be reached at an address; nothing was sent.
    #[error("cannot reach {address}: {why}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// The operating system's word.
        why: String,
    },

    // It may have happened, or not.
    /// A request was sent and its answer did not come.
    #[error("the outcome is unknown: {what}")]
    Unanswered {
        /// Who did not answer, and why.
        what: String,
    },

    // The operator has to look at it.
    /// A setting is wrong. `place` is a file and line, a flag or an environment variable.
    #[error("{place}: {why}")]
    Config {
        /// Where the setting was found.
        place: String,
        /// What is wrong with it, and what is allowed.
        why: String,
    },
    /// A file holds something its writer never wrote.
    #[error("{file}, line {line}: {why}; {remedy}")]
    Damaged {
        /// The file.
        file: String,
        /// Counted from 1, the header included.
        line: u64,
        /// What is wrong there.
        why: String,
        /// What the operator can do.
        remedy: String,
    },
    /// A file or directory could not be used.
    #[error("{path}: {why}")]
    Storage {
        /// The file or directory.
        path: String,
        /// What was tried, and the operating system's word.
        why: String,
    },
    /// An address could not be listened on.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// Host and port.
        address: String,
        /// The operating system's word.
        why: String,
    },
    /// A program of the store could not be started, or ended while the store was opening.
    #[error("{name}: {why}")]
    Service {
        /// Which one.
        name: String,
        /// What happened to it.
        why: String,
    },
}

impl Error {
    /// Whether the thing asked for surely did not happen.
    pub fn is_definite(&self) -> bool {
        !matches!(self, Error::Unanswered { .. })
    }

    /// Whether the same request may succeed elsewhere or a moment later.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Error::Stale { .. }
                | Error::NotLeader { .. }
                | Error::Unavailable { .. }
                | Error::Unreachable { .. }
                | Error::Unanswered { .. }
        )
    }

    /// A malformed or impossible request.
    pub fn invalid(why: impl Into<String>) -> Error {
        Error::Invalid { why: why.into() }
    }

    /// A service that cannot do this now.
    pub fn unavailable(what: impl Into<String>) -> Error {
        Error::Unavailable { what: what.into() }
    }

    /// An answer that did not come.
    pub fn unanswered(what: impl Into<String>) -> Error {
        Error::Unanswered { what: what.into() }
    }

    /// A file or directory that could not be used; `doing` is what was tried ("cannot open it").
    pub fn storage(path: &Path, doing: &str, source: impl Display) -> Error {
        Error::Storage { path: path.display().to_string(), why: format!("{doing}: {source}") }
    }
}
