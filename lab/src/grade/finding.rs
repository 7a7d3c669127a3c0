//! The finding of a check: passed, lost or not graded, and why.

use serde::Serialize;
use std::fmt::Write;
use toystore::error::Error;

/// What a check returns: what was seen, or why there are no points.
pub type Finding = Result<String, NoPoints>;

/// Why a check gives no points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoPoints {
    /// The store does not do what is asked. The text says what was seen.
    Lost(String),
    /// It cannot be decided. The text says why.
    NotGraded(String),
}

/// The three verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All points.
    Passed,
    /// No points: there is a counterexample.
    Lost,
    /// No points: it could not be decided.
    NotGraded,
}

/// A loss of points.
pub fn lost<T>(what: impl Into<String>) -> Result<T, NoPoints> {
    Err(NoPoints::Lost(what.into()))
}

/// What cannot be decided.
pub fn not_graded<T>(why: impl Into<String>) -> Result<T, NoPoints> {
    Err(NoPoints::NotGraded(why.into()))
}

/// What a store said, for a terminal and a page: its control characters are shown as `\u{1b}`, except tabs and the ends of
/// lines.
pub fn readable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && !['\n', '\t'].contains(&character) {
            // Writing into a `String` cannot fail.
            let _ = write!(out, "{}", character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// A process that does not start, or a fault that cannot be injected, decides nothing.
impl From<Error> for NoPoints {
    fn from(error: Error) -> NoPoints {
        NoPoints::NotGraded(error.to_string())
    }
}
