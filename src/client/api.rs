//! The REST calls on a kept-alive connection, and the retries (K4).
//!
//! - After a transient error (no connection, no answer, 503), a request is sent to the next front-end; after a pause, if
//!   every front-end had it. A purchase keeps its key, so that it is never made twice.
//! - The latency of a request includes all attempts and the pauses between them.

use super::choices::Step;
use super::measurements::{Kind, Measurements};
use crate::config;
use crate::error::{Error, Result};
use crate::http::{Client, Response, percent_encode};
use crate::model::{Item, OrderNumber, ToyName};
use crate::net::Target;
use crate::protocol::web::{self, Data, Receipt, ShownOrder, ShownToy};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use std::hash::{BuildHasher, RandomState};
use std::process;
use std::thread;
use std::time::{Duration, Instant};

/// The calls of one session.
pub struct Api<'a> {
    /// One for each front-end.
    clients: Vec<Client>,
    /// Which of them is used.
    current: usize,
    keys: Keys,
    retries: usize,
    retry_delay: Duration,
    measurements: &'a Mutex<Measurements>,
}

/// Makes idempotency keys that are unique across sessions and runs, even with the same seed.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
    made: u64,
}

impl Keys {
    /// The keys of a new run. The standard library seeds `RandomState` from the operating system's
    /// entropy.
    pub fn new() -> Keys {
        Keys { prefix: format!("{:016x}", RandomState::new().hash_one(process::id())), made: 0 }
    }

    /// The keys of one session of this run.
    #[must_use]
    pub fn of_session(&self, session: usize) -> Keys {
        Keys { prefix: format!("{}-{session}", self.prefix), made: 0 }
    }

    /// The next key.
    pub fn make(&mut self) -> String {
        self.made += 1;
        format!("{}-{}", self.prefix, self.made)
    }
}

impl Default for Keys {
    fn default() -> Keys {
        Keys::new()
    }
}

impl<'a> Api<'a> {
    /// Calls to the first of these front-ends, of which there is one at least; when it fails, to the next. They are
    /// counted in `measurements`.
    pub fn new(
        front_ends: Vec<Target>,
        config: &config::Client,
        keys: Keys,
        measurements: &'a Mutex<Measurements>,
    ) -> Api<'a> {
        Api {
            clients: front_ends
                .into_iter()
                .map(|front_end| Client::new(front_end, config.deadline))
                .collect(),
            current: 0,
            keys,
            retries: config.retries,
            retry_delay: config.retry_delay,
            measurements,
        }
    }

    /// The names of all toys. Not measured: a session requests them once, before its first step.
    pub fn names(&mut self) -> Result<Vec<ToyName>> {
        let (mut names, mut page) = (Vec::new(), Some("/products".to_owned()));
        while let Some(target) = page {
            let (toys, next): (Vec<ShownToy>, _) = self.persist(|http| {
                let response = http.send("GET", &target, &[], b"")?;
                let next = response.next_page().map(str::to_owned);
                Ok((data(&response, Error::UnknownToy)?, next))
            })?;
            // A page without toys ends the list, so that this loop ends even if there is a next page.
            page = next.filter(|_| !toys.is_empty());
            names.extend(toys.into_iter().map(|toy| toy.name));
        }
        Ok(names)
    }

    /// One toy; `UnknownToy` if no toy has this name.
    pub fn query(&mut self, name: &str) -> Result<ShownToy> {
        let target = format!("/products/{}", percent_encode(name));
        self.measure(Kind::Query, |http| {
            let response = http.send("GET", &target, &[], b"")?;
            data(&response, Error::UnknownToy)
        })
    }

    /// Buys a toy; `NotEnoughStock` is an expected outcome.
    pub fn buy(&mut self, item: &Item) -> Result<OrderNumber> {
        let key = self.keys.make();
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key.as_str())];
        let body = serde_json::to_vec(item).expect("an item has string keys");
        let receipt: Result<Receipt> = self.measure(Kind::Buy, |http| {
            let response = http.send("POST", "/orders", &headers, &body)?;
            data(&response, Error::UnknownToy)
        });
        receipt.map(|receipt| receipt.order_number).map_err(Error::of_a_change)
    }

    /// Does one step of a session: queries one of these toys, and buys it if the step says so and it is not sold out.
    /// Returns the order, if one was made.
    pub fn step(&mut self, toys: &[ToyName], step: &Step) -> Result<Option<ShownOrder>> {
        let name = &toys[step.toy];
        let is_sold_out = self.query(name)?.quantity == 0;
        let Some(quantity) = step.buy.filter(|_| !is_sold_out) else { return Ok(None) };
        let item = Item { name: name.clone(), quantity };
        let number = self.buy(&item)?;
        Ok(Some(ShownOrder { number, item }))
    }

    /// One order; `UnknownOrder` if no order has this number.
    pub fn order(&mut self, number: OrderNumber) -> Result<ShownOrder> {
        let target = format!("/orders/{number}");
        self.measure(Kind::OrderLookup, |http| {
            let response = http.send("GET", &target, &[], b"")?;
            data(&response, Error::UnknownOrder)
        })
    }

    /// Sends a request, with retries, and records its latency and its outcome.
    fn measure<T>(
        &mut self,
        kind: Kind,
        attempt: impl FnMut(&mut Client) -> Result<T>,
    ) -> Result<T> {
        let begun = Instant::now();
        let outcome = self.persist(attempt);
        let elapsed = begun.elapsed();
        let mut measurements = self.measurements.lock();
        measurements.record(kind, elapsed);
        match &outcome {
            Err(Error::NotEnoughStock) => measurements.refused += 1,
            Err(Error::UnknownToy) => measurements.unknown += 1,
            _ => {}
        }
        outcome
    }

    /// Sends a request, and sends it again after transient errors, up to `retries` times.
    fn persist<T>(&mut self, mut attempt: impl FnMut(&mut Client) -> Result<T>) -> Result<T> {
        let mut outcome = attempt(&mut self.clients[self.current]);
        for retry in 1..=self.retries {
            if !outcome.as_ref().is_err_and(Error::is_transient) {
                break;
            }
            if retry % self.clients.len() == 0 {
                thread::sleep(self.retry_delay);
            }
            self.current = (self.current + 1) % self.clients.len();
            self.measurements.lock().retries += 1;
            outcome = attempt(&mut self.clients[self.current]);
        }
        outcome
    }
}

/// The data of a response, or its error; `unknown` is the error for status 404.
fn data<T: DeserializeOwned>(response: &Response, unknown: Error) -> Result<T> {
    if response.status == 200 {
        return serde_json::from_slice::<Data<T>>(&response.body)
            .map(|body| body.data)
            .map_err(|e| Error::invalid(format!("malformed answer from the store: {e}")));
    }
    let message = web::refusal(&response.body);
    Err(match response.status {
        404 => unknown,
        409 => Error::NotEnoughStock,
        422 => Error::KeyReused,
        429 | 500..=599 => {
            Error::unavailable(format!("the store answered {}: {message}", response.status))
        }
        status => Error::invalid(format!("the store answered {status}: {message}")),
    })
}
