//! The requests of customers and their answers: one JSON line for each request, written at once, so that
//! an interrupted run leaves its history.
//!
//! - All times are microseconds since the history began, on one monotonic clock, which the nemesis
//!   also uses.
//! - A request that was sent again is another request with the same key.

use crate::support::wait_until;
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

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

/// A history that is being written.
pub struct History {
    began: Instant,
    requests: Mutex<(Vec<Request>, BufWriter<File>)>,
}

impl History {
    /// A history that begins now, in this file.
    pub fn begin(path: &Path) -> History {
        let file = File::create(path).expect("a new file");
        History { began: Instant::now(), requests: Mutex::new((Vec::new(), BufWriter::new(file))) }
    }

    /// The time on its clock.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).expect("a test does not run for ages")
    }

    /// Adds a request that has just ended.
    pub fn record(&self, request: Request) {
        let line = serde_json::to_string(&request).expect("it has string keys");
        let mut requests = self.requests.lock().expect("nobody panics in here");
        writeln!(requests.1, "{line}").expect("a disk that is not full");
        requests.0.push(request);
    }

    /// Waits until this number of purchases, which begin after this call, are answered.
    pub fn await_business(&self, purchases: usize) {
        let now_us = self.now_us();
        wait_until("customers can buy", || {
            let requests = self.requests();
            let since = requests.iter().filter(|request| request.start_us >= now_us);
            since.filter(|request| matches!(request.outcome, Outcome::Number(_))).count()
                >= purchases
        });
    }

    /// The history so far, in the order in which requests ended.
    pub fn requests(&self) -> Vec<Request> {
        let mut requests = self.requests.lock().expect("nobody panics in here");
        requests.1.flush().expect("a disk that is not full");
        requests.0.clone()
    }
}
