//! The error type of all modules. A variant says who has to act. Its text says what happened, to what, and
//! what to do. The first three groups are sent between services in frames, so the type serializes. An error
//! of the last group ends a process, at its start or when its disk fails.
//!
//! An error is *definite* if this request certainly did nothing and never will, and *indefinite* if it may
//! have done it. After a definite error any retry is safe. After an indefinite error only a retry with the
//! same key is safe. A definite error says nothing of earlier requests with the same key: each has its own
//! answer.

use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::path::Path;

/// The result of all functions that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Error {
    // The customer sent a request that cannot be carried out.
    /// The request is malformed or out of range. `why` names the field, its value and the rule.
    #[error("{why}")]
    Invalid {
        /// What is wrong with it.
        why: String,
    },
    /// The request's body has an unsupported format. `why` names the header, its value and the supported
    /// formats.
    #[error("{why}")]
    UnknownFormat {
        /// What is wrong with it.
        why: String,
    },
    /// The caller is not allowed to do this. `why` says who is.
    #[error("{why}")]
    Forbidden {
        /// Who is allowed to.
        why: String,
    },
    /// A toy with this name exists and cannot be added again.
    #[error("a toy with this name already exists")]
    ToyExists,
    /// The catalog has no such toy.
    #[error("product not found")]
    UnknownToy,
    /// The log has no such committed order.
    #[error("order not found")]
    UnknownOrder,
    /// The stock is less than the requested quantity.
    #[error("not enough stock")]
    NotEnoughStock,
    /// An idempotency key was used before for another purchase.
    #[error("this idempotency key was already used for another order")]
    KeyReused,

    // Temporary: a retry at another server or a moment later may succeed.
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
    /// No connection to an address; nothing was sent.
    #[error("cannot reach {address}: {why}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// The operating system's message.
        why: String,
    },

    // The outcome is unknown.
    /// A request was sent and its answer did not come.
    #[error("{what}")]
    Unanswered {
        /// Which service did not answer, and why.
        what: String,
    },

    // The operator has to act.
    /// A setting is wrong. `place` is a file and line, a flag or an environment variable.
    #[error("{place}: {why}")]
    Config {
        /// Where the setting was found.
        place: String,
        /// What is wrong with it, and what is allowed.
        why: String,
    },
    /// A file has content that its program never wrote.
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
        /// What was tried, and the operating system's message.
        why: String,
    },
    /// Listening at an address failed.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// Host and port.
        address: String,
        /// The operating system's message.
        why: String,
    },
    /// A program of the store could not be started, or ended while the store was opening.
    #[error("{name}: {why}")]
    Service {
        /// The name of the program.
        name: String,
        /// What happened.
        why: String,
    },
}

impl Error {
    /// Whether the requested operation certainly did not happen.
    pub fn is_definite(&self) -> bool {
        !matches!(self, Error::Unanswered { .. })
    }

    /// Whether the same request may succeed elsewhere or a moment later.
    pub fn is_transient(&self) -> bool {
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

    /// The same error of a request that changes something: it says so if that may have been done.
    #[must_use]
    pub fn of_a_change(self) -> Error {
        match self {
            Error::Unanswered { what } => {
                Error::unanswered(format!("the outcome is unknown: {what}"))
            }
            other => other,
        }
    }

    /// A file or directory that could not be used; `doing` is what was tried ("cannot open it").
    pub fn storage(path: &Path, doing: &str, source: impl Display) -> Error {
        Error::Storage { path: path.display().to_string(), why: format!("{doing}: {source}") }
    }
}
