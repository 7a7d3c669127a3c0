//! One request at the leader, over all its attempts. Pure: told what an attempt brought, it says whether another one
//! makes sense and what the customer is told in the end. Driven by [`orders`](super::orders) and the simulation.
//!
//! One attempt whose outcome nobody knows makes the whole request indefinite: it may be done, whatever later
//! attempts say.

use crate::error::{Error, Result};

/// A request that is asked at one leader after another.
#[derive(Debug, Default)]
pub struct Asking {
    is_indefinite: bool,
}

/// What follows from an attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Then<T> {
    /// This is the answer.
    Over(Result<T>),
    /// The same leader, or the next one, is to be asked again.
    Again,
}

/// Whether a replica that was asked and brought this may be down.
pub fn is_suspect(error: &Error) -> bool {
    matches!(error, Error::Unreachable { .. } | Error::Unanswered { .. })
}

impl Asking {
    /// An attempt brought this. `is_late` if there is no time for another.
    pub fn told<T>(&mut self, answer: Result<T>, is_late: bool) -> Then<T> {
        let error = match answer {
            Err(error) if error.is_transient() => error,
            answer => return Then::Over(answer),
        };
        self.is_indefinite |= !error.is_definite();
        if is_late {
            return Then::Over(Err(self.give_up(error)));
        }
        Then::Again
    }

    /// The answer when time is up, or nobody leads, as `error` says.
    pub fn give_up(&self, error: Error) -> Error {
        if self.is_indefinite {
            Error::unanswered("the order service did not answer in time")
        } else {
            error
        }
    }
}
