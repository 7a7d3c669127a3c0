//! The answer to a request, as it is sent. Used by the readers and writers of all messages.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The payload of an answer: the result, or an error.
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
