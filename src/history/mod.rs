//! Histories: the requests of customers and their answers, and what they say about a store. Used by the customers of
//! [`client`](crate::client), by the torture test, and by the lab's program `grade`, which judges any store.
//!
//! * [`checker`] (pure): which promises were broken.
//! * [`service`] (pure): what customers noticed.
//!
//! - All times are microseconds on one monotonic clock since the history began.
//! - A request that was sent again is another request with the same key.

pub mod checker;
pub mod service;
#[cfg(test)]
mod requests;

use serde::Serialize;

/// One request and its outcome.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// The number of the session that sent it.
    pub session: usize,
    /// The request.
    #[serde(flatten)]
    pub operation: Operation,
    /// The time before its first byte was sent.
    pub start_us: u64,
    /// The time after its answer was read, or given up.
    pub end_us: u64,
    /// Its outcome.
    pub outcome: Outcome,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum Operation {
    /// Query a toy.
    Query {
        /// Its name.
        toy: String,
    },
    /// Buy.
    Buy {
        /// The identity of the purchase, the same in every retry.
        key: String,
        /// The toy.
        toy: String,
        /// The quantity.
        quantity: u64,
    },
    /// Look an order up.
    LookUp {
        /// Its number.
        number: u64,
    },
}

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Of a query: the quantity in stock.
    Left(u64),
    /// Of a purchase: the number of the order.
    Number(u64),
    /// Of a look-up: the content of the order.
    Order(String, u64),
    /// Refused with this status; nothing happened.
    Refused(u16),
    /// Unavailable: nothing happened, and it is sent again.
    Unavailable(String),
    /// The customer did not wait for the answer: it may have happened, and is sent again at once.
    Abandoned,
    /// No answer, or an indefinite error: it may have happened, and is sent again.
    Unknown(String),
}
