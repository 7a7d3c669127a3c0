//! Sends a load to a running store and measures the answers. Called by the program `loadtest` and by the evaluation.
//!
//! ```text
//! run ─▶ engine: one thread, all connections            ┌▶ schedule   when the next request is due
//!          │ a request is due, a connection has room ───┤
//!          │                                            └▶ customer   what it asks for, by the seed
//!          ▼                                               requests   its bytes, rendered once
//!        connection ── bytes ──▶ store
//!          │        ◀─ bytes ─── (http::Arrival finds the end of each answer)
//!          ▼
//!        summary: latencies and outcomes ──▶ report: table, JSON, CSV
//!          └─────▶ observe: every answer, for the progress bar and the figures of the evaluation
//! ```
//!
//! * [`schedule`] (pure): closed loop or open loop, and when it is over.
//! * [`customer`] (pure): the random customer of a connection, repeatable by its seed.
//! * [`requests`] (pure): the bytes to send.
//! * `connection`: a non-blocking socket with its requests in flight.
//! * `engine`: the event loop.
//! * [`summary`] (pure), [`report`]: the measured numbers, and how they are shown.
//! * [`load`], [`answer`]: the description of a load, and the outcome of one request.
//! * [`arguments`], [`progress`]: the program's command line and its bar.
//!
//! - One thread, no allocation per query and no lock, so that one core can saturate the front-end.
//! - Every request that is sent has exactly one [`Outcome`], and the load continues after each.
//! - In an open loop a latency counts from when the request was *due*. A closed loop sends less to a store
//!   that stalls, so it hardly measures the stall ("coordinated omission"); an open loop measures it.

pub mod schedule;
pub mod customer;
pub mod requests;
mod connection;
mod engine;
pub mod summary;
pub mod report;
pub mod progress;
pub mod arguments;
pub mod load;
pub mod answer;

pub use answer::{Answer, Failure, Outcome};
pub use load::{Load, Pace, Span, Workload};
pub use summary::Summary;

use engine::Engine;
use parking_lot::Mutex;
use requests::Requests;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;
use toystore::client::api::{Api, Keys};
use toystore::config;
use toystore::error::{Error, Result};
use toystore::model::ToyName;
use toystore::net::Resolver;

/// Sends the load to the store, from this thread, and passes every answer to `observe`, in the order of
/// arrival. An error means that the load could not begin: it is invalid, or the store did
/// not list its toys. Later failures are in the summary.
pub fn run(load: &Load, observe: &mut dyn FnMut(&Answer<'_>)) -> Result<Summary> {
    Ok(Ready::new(load)?.run(observe, &|| false))
}

/// A load that is ready to begin.
pub struct Ready<'a> {
    load: &'a Load,
    addresses: Arc<[SocketAddr]>,
    requests: Requests,
}

impl<'a> Ready<'a> {
    /// Asks the store for its toys. An error if the load is invalid, or the store does not answer.
    pub fn new(load: &'a Load) -> Result<Ready<'a>> {
        check(load)?;
        let requests = Requests::new(&load.addresses[0], &toys(load)?);
        let addresses = load.addresses.iter().map(|address| first_that_accepts(load, address));
        Ok(Ready { load, addresses: addresses.collect::<Result<_>>()?, requests })
    }

    /// Does what [`run`] does. When `interrupted` becomes true, no more requests are sent. Answers that do not arrive
    /// within a second after that are not counted.
    pub fn run(
        &self,
        observe: &mut dyn FnMut(&Answer<'_>),
        interrupted: &dyn Fn() -> bool,
    ) -> Summary {
        Engine::new(self.load, &self.addresses, &self.requests, observe).run(interrupted)
    }
}

fn check(load: &Load) -> Result<()> {
    let wrong = |what: &str| Err(Error::invalid(format!("a load needs {what}")));
    match (load.workload, load.pace) {
        (Workload::Mixed { probability }, _) if !(0.0..=1.0).contains(&probability) => {
            wrong("a probability from 0 to 1")
        }
        (_, Pace::Open { rate }) if !(rate > 0.0 && rate.is_finite()) => wrong("a rate above 0"),
        _ if load.addresses.is_empty() => wrong("the address of a front-end"),
        _ if load.connections == 0 || load.pipeline == 0 => wrong("at least one connection"),
        _ => Ok(()),
    }
}

/// The names of the toys.
fn toys(load: &Load) -> Result<Vec<ToyName>> {
    let config =
        config::Client { deadline: load.deadline, retries: 0, ..config::Client::default() };
    let front_ends = load.addresses.iter().map(|address| (&**address).into()).collect();
    let toys = Api::new(front_ends, &config, Keys::new(), &Mutex::default()).names()?;
    if toys.is_empty() {
        return Err(Error::invalid("the store has no toys to ask for"));
    }
    Ok(toys)
}

/// The first address of the name that accepts a connection, so that the engine resolves no names.
fn first_that_accepts(load: &Load, address: &str) -> Result<SocketAddr> {
    let mut why = "the name has no address".to_owned();
    let deadline = Instant::now() + load.deadline;
    for socket_address in Resolver::of_process().resolve(address, deadline, &|| false)? {
        match TcpStream::connect_timeout(&socket_address, load.deadline) {
            Ok(_) => return Ok(socket_address),
            Err(error) => why = error.to_string(),
        }
    }
    Err(Error::Unreachable { address: address.to_owned(), why })
}
