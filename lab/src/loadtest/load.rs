//! The description of a load: which requests, when, and for how long. Made from the program's arguments or
//! by an experiment.

use std::time::Duration;

/// A load.
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
    /// At a fixed rate, whatever the store does: many customers share the connections. A request that is due while all connections are busy is sent late.
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
