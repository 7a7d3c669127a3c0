//! The description of a load: which requests, when, and for how long. Made from the program's arguments or
//! by an experiment.

use std::time::Duration;

/// A load.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// The front-ends, each `host:port`; one at least. Each connection begins at one of them, and changes over to the next
    /// when it fails.
    pub addresses: Vec<String>,
    /// Which requests are sent.
    pub workload: Workload,
    /// When they are sent.
    pub pace: Pace,
    /// How long the load lasts.
    pub span: Span,
    /// Connections, all open at the same time; at least one.
    pub connections: usize,
    /// Requests in flight on one connection, at most; at least one. More than one is HTTP
    /// pipelining.
    pub pipeline: usize,
    /// The same seed makes the same requests on each connection.
    pub seed: u64,
    /// Deadline of an answer, counted from when its request was sent.
    pub deadline: Duration,
}

/// The requests. Toys are chosen at random; a purchase buys one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Workload {
    /// Queries of toys.
    Query,
    /// Purchases, each with its own idempotency key.
    Buy,
    /// Queries. Each is followed with this probability by a purchase of the same toy, whatever the answer
    /// to the query.
    Mixed {
        /// From 0 to 1.
        probability: f64,
    },
}

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// A closed loop: each request is sent as soon as the answer before is received.
    Closed,
    /// An open loop: at a fixed rate, independent of the answers. A request that is due while all connections are
    /// busy is sent late.
    Open {
        /// Requests per second, over all connections; above 0.
        rate: f64,
    },
}

/// How long it lasts. The answers in flight at the end are still received, until their deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// For this number of requests.
    Requests(u64),
    /// For this duration.
    For(Duration),
}
