//! Sessions of customers: they query, buy, repeat an earlier purchase with its key, and look orders up, until they are
//! told to stop.
//!
//! A request without an answer is sent again, a purchase with the same key, until there is an
//! answer: at the next front-end, if there are several. The checker counts the purchases that stay without one.

use crate::history::History;
use fastrand::Rng;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use toystore::history::{Operation, Outcome, Request};
use toystore::http::{Client, percent_encode};

pub const SESSIONS: usize = 6;
/// Longer than the front-end's deadline for a purchase, so that the front-end answers first.
pub const ANSWER: Duration = Duration::from_secs(15);
/// After this the customer gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long an impatient customer waits before it sends the same request on another connection, while the
/// store may still handle the first; and how often: one purchase in this number.
const IMPATIENCE_MS_MAX: u64 = 20;
const IMPATIENT_ONE_IN: u32 = 25;
/// The pause between a failed request and the next.
const PAUSE: Duration = Duration::from_millis(50);
/// The pause between two requests, so that the customers leave processor time to the store.
const THINKING_MS_MAX: u64 = 12;

/// The sessions.
pub struct Load {
    stop: Arc<AtomicBool>,
    sessions: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts sessions at the front-ends at these addresses, which buy these toys, and wait as long as `answer` for each
    /// answer.
    pub fn start(
        addresses: &[String],
        answer: Duration,
        toys: &[String],
        seed: u64,
        history: &Arc<History>,
    ) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let session = |id: usize| {
            let mut session = Session {
                id,
                addresses: addresses.to_vec(),
                at: id % addresses.len(),
                http: addresses.iter().map(|address| Client::new(address, answer)).collect(),
                rng: Rng::with_seed(seed.wrapping_mul(1_000).wrapping_add(id as u64)),
                toys: toys.to_vec(),
                history: history.clone(),
                purchases: Vec::new(),
                last_number: 0,
            };
            let stop = stop.clone();
            let thread = thread::Builder::new().name(format!("session {id}"));
            thread.spawn(move || session.shop(&stop)).expect("a thread")
        };
        Load { sessions: (0..SESSIONS).map(session).collect(), stop }
    }

    /// Lets every session finish its request, and ends it.
    pub fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        for session in self.sessions {
            session.join().expect("a customer never panics");
        }
    }
}

/// A session, with its own connection to each front-end.
struct Session {
    id: usize,
    addresses: Vec<String>,
    /// The front-end that it asks.
    at: usize,
    http: Vec<Client>,
    rng: Rng,
    toys: Vec<String>,
    history: Arc<History>,
    /// Its purchases, to be sent again.
    purchases: Vec<Operation>,
    /// The highest order number that it got.
    last_number: u64,
}

impl Session {
    fn shop(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let operation = self.choose();
            self.persist(&operation);
            thread::sleep(Duration::from_millis(self.rng.u64(0..THINKING_MS_MAX)));
        }
    }

    fn choose(&mut self) -> Operation {
        let toy = self.rng.choice(&self.toys).expect("there are toys").clone();
        match self.rng.u32(0..100) {
            0..45 => Operation::Query { toy },
            45..85 => Operation::Buy {
                key: format!("{}-{:016x}", self.id, self.rng.u64(..)),
                toy,
                quantity: self.rng.u64(1..=5),
            },
            85..90 => match self.rng.choice(&self.purchases) {
                Some(purchase) => purchase.clone(),
                None => Operation::Query { toy },
            },
            // Sometimes an order that may not exist yet.
            _ => Operation::LookUp { number: self.rng.u64(1..=self.last_number + 3) },
        }
    }

    /// Sends a request until it is answered.
    fn persist(&mut self, operation: &Operation) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let start_us = self.history.now_us();
            let outcome = self.attempt(operation);
            let request = Request {
                session: self.id,
                operation: operation.clone(),
                start_us,
                end_us: self.history.now_us(),
                outcome: outcome.clone(),
            };
            self.history.record(request);
            match outcome {
                Outcome::Abandoned => {}
                Outcome::Unknown(_) | Outcome::Unavailable(_) if Instant::now() < give_up => {
                    self.at = (self.at + 1) % self.http.len();
                    thread::sleep(PAUSE);
                }
                Outcome::Number(number) => {
                    self.last_number = self.last_number.max(number);
                    self.purchases.push(operation.clone());
                    return;
                }
                _ => return,
            }
        }
    }

    fn attempt(&mut self, operation: &Operation) -> Outcome {
        let is_purchase = matches!(operation, Operation::Buy { .. });
        if is_purchase && self.rng.u32(0..IMPATIENT_ONE_IN) == 0 {
            let patience = Duration::from_millis(self.rng.u64(1..IMPATIENCE_MS_MAX));
            let mut other = Client::new(&self.addresses[self.at], patience);
            let outcome = ask(&mut other, operation);
            let is_answered = matches!(outcome, Outcome::Number(_) | Outcome::Refused(_));
            return if is_answered { outcome } else { Outcome::Abandoned };
        }
        ask(&mut self.http[self.at], operation)
    }
}

/// Sends a request once.
fn ask(http: &mut Client, operation: &Operation) -> Outcome {
    let sent = match operation {
        Operation::Query { toy } => {
            http.send("GET", &format!("/products/{}", percent_encode(toy)), &[], b"")
        }
        Operation::Buy { key, toy, quantity } => {
            let body = json!({ "name": toy, "quantity": quantity }).to_string();
            http.send("POST", "/orders", &[("Idempotency-Key", key)], body.as_bytes())
        }
        Operation::LookUp { number } => http.send("GET", &format!("/orders/{number}"), &[], b""),
    };
    let response = match sent {
        Ok(response) => response,
        Err(error) if error.is_definite() => return Outcome::Unavailable(error.to_string()),
        Err(error) => return Outcome::Unknown(error.to_string()),
    };
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let answer = || match operation {
        Operation::Query { .. } => body["data"]["quantity"].as_u64().map(Outcome::Left),
        Operation::Buy { .. } => body["data"]["order_number"].as_u64().map(Outcome::Number),
        Operation::LookUp { number } => {
            let order = &body["data"];
            let (name, quantity) = (order["name"].as_str()?, order["quantity"].as_u64()?);
            let is_it = order["number"].as_u64() == Some(*number);
            is_it.then(|| Outcome::Order(name.to_owned(), quantity))
        }
    };
    match response.status {
        200 => answer().unwrap_or_else(|| Outcome::Unknown(format!("not an answer: {body}"))),
        400..500 => Outcome::Refused(response.status),
        status => {
            let said = format!("{status}: {}", body["error"]["message"]);
            let is_open = said.contains("the outcome is unknown");
            if is_open { Outcome::Unknown(said) } else { Outcome::Unavailable(said) }
        }
    }
}
