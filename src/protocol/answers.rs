//! The answer to any question, as it is sent. Used by every message's reader and writer.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The frame that answers: what was asked for, or why not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// It was done.
    Data(T),
    /// It was refused or failed.
    Error(Error),
}

impl<T> From<Result<T>> for Answer<T> {
    fn from(outcome: Result<T>) -> Answer<T> {
        outcome.map_or_else(Answer::Error, Answer::Data)
    }
}

impl<T> From<Answer<T>> for Result<T> {
    fn from(answer: Answer<T>) -> Result<T> {
        match answer {
            Answer::Data(data) => Ok(data),
            Answer::Error(error) => Err(error),
        }
    }
}
