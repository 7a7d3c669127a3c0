//! A customer's session: its requests are recorded, with their answers, in the history of the store.
//! Used by the trial for single requests, and by the customers of a load.

use super::caller::{Amount, Caller, Exchange, Purchase, Reply};
use super::submission::Submission;
use fastrand::Rng;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;
use toystore::history::{Operation, Outcome, Request};

/// All requests since a store was opened.
pub struct History {
    began: Instant,
    requests: Mutex<Vec<Request>>,
    /// In every key: a store that runs already may know the keys of an earlier grading.
    salt: u32,
    keys: AtomicU64,
}

impl History {
    /// A history that begins now.
    pub fn begin() -> History {
        let (began, salt, keys) = (Instant::now(), fastrand::u32(..), AtomicU64::new(0));
        History { began, requests: Mutex::default(), salt, keys }
    }

    /// The time on its clock.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The requests so far, in the order in which they ended.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }

    /// How many purchases that began since this time have got a number or were refused.
    pub fn answered_since(&self, since_us: u64) -> usize {
        let requests = self.requests.lock();
        let answered = |request: &&Request| {
            let is_buy = matches!(request.operation, Operation::Buy { .. });
            let is_answered = matches!(request.outcome, Outcome::Number(_) | Outcome::Refused(_));
            is_buy && is_answered && request.start_us >= since_us
        };
        requests.iter().filter(answered).count()
    }

    /// A new key.
    pub fn key(&self) -> String {
        format!("grade-{:08x}-{}", self.salt, self.keys.fetch_add(1, Ordering::Relaxed))
    }
}

/// A customer, who records what it is answered. Each attempt has a connection of its own, so that a store which
/// serves few sessions at a time loses the points of sessions only.
pub struct Session<'a> {
    caller: Caller<'a>,
    submission: &'a Submission,
    history: Arc<History>,
    /// Random choices of the customer.
    pub rng: Rng,
    /// The last request that failed, with its answer.
    pub failed: Option<String>,
    /// Whether it stays on one connection.
    pub keeps_connection: bool,
}

impl<'a> Session<'a> {
    /// A session with this caller.
    pub fn new(
        caller: Caller<'a>,
        submission: &'a Submission,
        history: &Arc<History>,
    ) -> Session<'a> {
        let (history, rng) = (history.clone(), Rng::with_seed(1));
        Session { caller, submission, history, rng, failed: None, keeps_connection: false }
    }

    /// Queries a toy.
    pub fn query(&mut self, toy: &str) -> (Exchange, Reply<u64>) {
        let operation = Operation::Query { toy: toy.to_owned() };
        self.persist(&operation, |caller| caller.query(toy), Outcome::Left)
    }

    /// Buys, with a new key if the API has keys.
    pub fn buy(&mut self, toy: &str, quantity: u64) -> (Exchange, Reply<u64>) {
        let key = self.history.key();
        self.buy_with(&key, toy, quantity)
    }

    /// Buys with this key.
    pub fn buy_with(&mut self, key: &str, toy: &str, quantity: u64) -> (Exchange, Reply<u64>) {
        let operation = Operation::Buy { key: key.to_owned(), toy: toy.to_owned(), quantity };
        let purchase = Purchase { toy, amount: Amount::from(quantity), key: Some(key) };
        self.persist(&operation, |caller| caller.buy(&purchase), Outcome::Number)
    }

    /// Sends a request, and sends it again after a failure, as often as the lab asks of clients. Only the last
    /// attempt counts as a failure that the customer sees.
    fn persist(
        &mut self,
        operation: &Operation,
        send: impl Fn(&mut Caller<'a>) -> (Exchange, Reply<u64>),
        is: fn(u64) -> Outcome,
    ) -> (Exchange, Reply<u64>) {
        let retries = self.submission.api().retries;
        let mut operation = operation.clone();
        let mut left = retries.times;
        loop {
            if !self.keeps_connection {
                self.caller.reconnect();
            }
            let start_us = self.history.now_us();
            let (exchange, reply) = send(&mut self.caller);
            if !matches!(reply, Reply::Is(_)) {
                self.failed = Some(exchange.to_string());
            }
            let mut outcome = self.outcome(&operation, &exchange, &reply, is);
            let is_failed = matches!(outcome, Outcome::Unavailable(_) | Outcome::Unknown(_));
            let is_last = !is_failed || left == 0;
            if !is_last {
                outcome = Outcome::Abandoned;
            }
            let end_us = self.history.now_us();
            let request =
                Request { session: 0, operation: operation.clone(), start_us, end_us, outcome };
            self.history.requests.lock().push(request);
            if is_last {
                return (exchange, reply);
            }
            left -= 1;
            thread::sleep(retries.pause());
            // Without keys in the API the next attempt may be another order.
            if let (Operation::Buy { key, .. }, None) = (&mut operation, &self.submission.api().key)
            {
                *key = self.history.key();
            }
        }
    }

    fn outcome(
        &self,
        operation: &Operation,
        exchange: &Exchange,
        reply: &Reply<u64>,
        is: fn(u64) -> Outcome,
    ) -> Outcome {
        let said = || exchange.to_string();
        match reply {
            Reply::Is(number) => is(*number),
            Reply::None(_) if exchange.is_definite => Outcome::Unavailable(said()),
            Reply::None(_) | Reply::Unreadable(_) => Outcome::Unknown(said()),
            Reply::Failed(code) => {
                let not_enough = self.submission.api().codes.not_enough;
                match (operation, not_enough) {
                    (Operation::Buy { .. }, Some(expected)) if *code == expected => {
                        Outcome::Refused(409)
                    }
                    (Operation::Buy { .. }, None) if !(500..600).contains(code) => {
                        Outcome::Refused(409)
                    }
                    _ => Outcome::Unknown(said()),
                }
            }
        }
    }
}
