//! Puts a load on a running store and measures its answers. Called by the program `loadtest` and by the evaluation.
//!
//! ```text
//! run ─▶ engine: one thread, all connections            ┌▶ schedule   when the next request is due
//!          │ a request is due, a connection has room ───┤
//!          │                                            └▶ choices    what it asks for, by the seed
//!          ▼                                               requests   its bytes, rendered once
//!        connection ── bytes ──▶ store
//!          │        ◀─ bytes ─── (http::Arrival finds the end of each answer)
//!          ▼
//!        summary: latencies and outcomes ──▶ report: table, JSON, CSV
//!          └─────▶ observe: every answer, for whoever wants more (progress, the evaluation's plots)
//! ```
//!
//! * [`schedule`] (pure): closed loop or open loop, and when it is over.
//! * [`choices`] (pure): the random customer of a connection, repeatable by its seed.
//! * [`requests`] (pure): the bytes to send.
//! * `connection`: a non-blocking socket with what it has asked.
//! * `engine`: the event loop.
//! * [`summary`] (pure), [`report`]: what was measured, and how it is shown.
//! * [`arguments`], [`progress`]: the program's command line and its bar.
//!
//! - One thread, no allocation per query and no lock, so that one core can saturate the front-end.
//! - Every request that is sent has exactly one [`Outcome`], and the load goes on whatever it is.
//! - In an open loop a latency counts from when the request was *due*. A closed loop sends less to a store
//!   that stalls, and so hardly sees the stall ("coordinated omission"); an open loop does not let
//!   the store off.

pub mod schedule;
pub mod choices;
pub mod requests;
mod connection;
mod engine;
pub mod summary;
pub mod report;
pub mod progress;
pub mod arguments;

pub use summary::Summary;

use engine::Engine;
use parking_lot::Mutex;
use requests::Requests;
use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use toystore::client::api::{Keys, Shop};
use toystore::client::report::Kind;
use toystore::config;
use toystore::error::{Error, Result};
use toystore::model::ToyName;
use toystore::net::Resolver;

/// What to do to the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// The front-end, `host:port`.
    pub address: String,
    /// What is asked for.
    pub workload: Workload,
    /// When.
    pub pace: Pace,
    /// How long.
    pub span: Span,
    /// Connections, all open at the same time; at least one.
    pub connections: usize,
    /// Requests that may be under way on one connection; at least one. More than one is HTTP
    /// pipelining.
    pub pipeline: usize,
    /// The same seed makes the same requests on each connection.
    pub seed: u64,
    /// How long one answer may take, counted from when its request was sent.
    pub deadline: Duration,
}

/// What is asked for. Toys are chosen at random, and of each is bought one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Workload {
    /// Toys by name.
    Query,
    /// Purchases, each with an idempotency key of its own.
    Buy,
    /// Queries, each followed with this probability by a purchase of the same toy, whatever the answer
    /// to the query was.
    Mixed {
        /// From 0 to 1.
        probability: f64,
    },
}

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// As soon as the answer before is there: the connections are customers who wait.
    Closed,
    /// At a fixed rate, whatever the store does: the connections are those over which a city's customers
    /// come. A request that is due while all connections are busy is sent late.
    Open {
        /// Requests a second, over all connections; above 0.
        rate: f64,
    },
}

/// How long it goes on. Requests that are under way then are waited for, for the deadline at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// For so many requests.
    Requests(u64),
    /// For so long.
    For(Duration),
}

/// What one request came to.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// What was asked for.
    pub kind: Kind,
    /// Of which toy.
    pub toy: &'a str,
    /// On which connection, counted from 0.
    pub connection: usize,
    /// When it should have been sent; the same as `sent` in a closed loop.
    pub due: Instant,
    /// When it was sent.
    pub sent: Instant,
    /// When its answer was there, or it was given up.
    pub received: Instant,
    /// How it ended.
    pub outcome: Outcome,
}

impl Answer<'_> {
    /// What the customer waited, from the moment at which the request was due.
    pub fn latency(&self) -> Duration {
        self.received.saturating_duration_since(self.due)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer of this status.
    Status(u16),
    /// Without one.
    Failed(Failure),
}

impl Outcome {
    /// Whether it did what it was asked to.
    pub fn is_success(self) -> bool {
        self == Outcome::Status(200)
    }

    /// Whether it was a purchase that was refused for want of stock, which is neither a success nor an
    /// error.
    pub fn is_sold_out(self) -> bool {
        self == Outcome::Status(409)
    }

    /// Whether the store did not do its duty.
    pub fn is_error(self) -> bool {
        !self.is_success() && !self.is_sold_out()
    }
}

/// Why a request has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Nobody listens at the address.
    Refused,
    /// The connection could not be made for another reason.
    Unreachable,
    /// The connection broke, or was closed, before the answer was whole.
    Lost,
    /// The answer did not come within the deadline.
    TimedOut,
    /// What came was no HTTP answer.
    Malformed,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Failure::Refused => "refused",
            Failure::Unreachable => "unreachable",
            Failure::Lost => "lost",
            Failure::TimedOut => "timed out",
            Failure::Malformed => "malformed",
        })
    }
}

/// Puts the load on the store, from this thread, and shows every answer to `observe`, in the order in
/// which they came. An error means that it could not begin: the load makes no sense, or the store did
/// not name its toys. What goes wrong later is in the summary.
pub fn run(load: &Load, observe: &mut dyn FnMut(&Answer<'_>)) -> Result<Summary> {
    Ok(Ready::new(load)?.run(observe, &|| false))
}

/// A load that can begin.
pub struct Ready<'a> {
    load: &'a Load,
    address: SocketAddr,
    requests: Requests,
}

impl<'a> Ready<'a> {
    /// Asks the store for its toys. An error if the load makes no sense, or the store does not answer.
    pub fn new(load: &'a Load) -> Result<Ready<'a>> {
        check(load)?;
        let requests = Requests::new(&load.address, &toys(load)?);
        Ok(Ready { load, address: first_that_accepts(load)?, requests })
    }

    /// Does what [`run`] does. When `interrupted` becomes true nothing more is asked for; what is not answered
    /// within a second then is not counted.
    pub fn run(
        &self,
        observe: &mut dyn FnMut(&Answer<'_>),
        interrupted: &dyn Fn() -> bool,
    ) -> Summary {
        Engine::new(self.load, self.address, &self.requests, observe).run(interrupted)
    }
}

fn check(load: &Load) -> Result<()> {
    let wrong = |what: &str| Err(Error::invalid(format!("a load needs {what}")));
    match (load.workload, load.pace) {
        (Workload::Mixed { probability }, _) if !(0.0..=1.0).contains(&probability) => {
            wrong("a probability from 0 to 1")
        }
        (_, Pace::Open { rate }) if !(rate > 0.0 && rate.is_finite()) => wrong("a rate above 0"),
        _ if load.connections == 0 || load.pipeline == 0 => wrong("at least one connection"),
        _ => Ok(()),
    }
}

/// The names of the toys.
fn toys(load: &Load) -> Result<Vec<ToyName>> {
    let config =
        config::Client { deadline: load.deadline, retries: 0, ..config::Client::default() };
    let toys = Shop::new(&*load.address, &config, Keys::new(), &Mutex::default()).names()?;
    if toys.is_empty() {
        return Err(Error::invalid("the store has no toys to ask for"));
    }
    Ok(toys)
}

/// The first of the address's meanings that accepts. The engine itself asks no resolver.
fn first_that_accepts(load: &Load) -> Result<SocketAddr> {
    let mut why = "the name has no address".to_owned();
    let deadline = Instant::now() + load.deadline;
    for address in Resolver::of_process().resolve(&load.address, deadline, &|| false)? {
        match TcpStream::connect_timeout(&address, load.deadline) {
            Ok(_) => return Ok(address),
            Err(error) => why = error.to_string(),
        }
    }
    Err(Error::Unreachable { address: load.address.clone(), why })
}
