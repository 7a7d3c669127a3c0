//! The status of a service, `GET /status`, in JSON: for people, for the cluster page, for
//! experiments. `GET /metrics` has the same numbers in the format of Prometheus.

pub use crate::diagnostics::{EVENTS_MAX, Event};
use crate::model::{Epoch, OrderNumber, ReplicaId, View};
use crate::net::Gauges;
use crate::protocol::catalog::Book;
use crate::protocol::order::Health;
use serde::{Deserialize, Serialize};

/// The status of every service; `own` is the part of this kind of service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status<T> {
    /// `front-end`, `catalog`, or `order 3`.
    pub service: String,
    /// Its process.
    pub pid: u32,
    /// When it started, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// How long it has been running.
    pub uptime_ms: u64,
    /// The memory that it uses, if the system reports it.
    pub memory_bytes: Option<u64>,
    /// The files and connections that it has open, if the system reports it.
    pub open_files: Option<u64>,
    /// Its request address: threads and connections.
    pub sessions: Sessions,
    /// Its request address: the requests since it started.
    pub requests: Vec<Requests>,
    /// Its traces.
    #[serde(default)]
    pub traces: Traces,
    /// The last lines of its log, the oldest first; at most [`EVENTS_MAX`].
    pub events: Vec<Event>,
    /// The rest, beside the fields above.
    #[serde(flatten)]
    pub own: T,
}

/// The threads and connections of an address, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// Threads it has.
    pub threads: usize,
    /// Threads with a connection.
    pub busy: usize,
    /// Connections.
    pub open: usize,
    /// Connections that wait without a thread for their next request.
    pub parked: usize,
    /// Connections that wait for a thread.
    pub queued: usize,
}

impl From<Gauges> for Sessions {
    fn from(gauges: Gauges) -> Sessions {
        let Gauges { threads, busy, open, parked, queued } = gauges;
        Sessions { threads, busy, open, parked, queued }
    }
}

/// Spans that are not kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traces {
    /// Dropped because newer ones came.
    pub dropped: u64,
    /// Not sent to the collector of `[trace] otlp`.
    pub unsent: u64,
}

impl From<(u64, u64)> for Traces {
    fn from((dropped, unsent): (u64, u64)) -> Traces {
        Traces { dropped, unsent }
    }
}

/// The requests of one kind that had one outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Requests {
    /// What was asked.
    pub kind: Kind,
    /// Its outcome.
    pub outcome: Outcome,
    /// Their number since the service started.
    pub count: u64,
    /// Their total time.
    pub seconds: f64,
    /// Their latencies: each number counts those up to the bound at the same index of [`LATENCY_BOUNDS`] and
    /// above the bound before. The last number counts those above all bounds.
    pub latencies: Vec<u64>,
}

/// What a request asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A toy, at the front-end or the catalog.
    Query,
    /// All toys, at the front-end or the catalog.
    List,
    /// A purchase, at the front-end or a replica.
    Buy,
    /// A sale, at the catalog. A call for several sales counts each of them.
    Purchase,
    /// An order, at the front-end or a replica.
    Order,
    /// Health, status, metrics, or something that does not exist.
    Other,
}

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was answered with what it asked for.
    Served,
    /// It was refused, because of what it asked for: not enough stock, an unknown toy, bad input.
    Refused,
    /// It could not be done: nobody leads, the catalog is down.
    Failed,
}

/// Upper bounds of latencies, in seconds: 1, 2, 5 in each power of ten.
pub const LATENCY_BOUNDS: [f64; 19] = [
    0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// The catalog's part of its status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogStatus {
    /// The number of toys, by name.
    #[serde(default)]
    pub toy_count: usize,
    /// How many of them are sold out.
    #[serde(default)]
    pub sold_out: usize,
    /// The books of each toy; empty if there are more than [`PAGE_TOYS_MAX`](crate::protocol::catalog::PAGE_TOYS_MAX).
    pub toys: Vec<Book>,
    /// Open sales: not known to be orders yet.
    pub open_sales: usize,
    /// Front-ends that are subscribed to changes.
    pub subscribers: usize,
    /// The artificial delay of each query and each purchase, to simulate a slow database.
    pub delay_ms: u64,
}

/// A replica's part of its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderStatus {
    /// Its health, as the controller receives it.
    #[serde(flatten)]
    pub health: Health,
    /// The epoch in which it leads and serves, if it does; a leader that is taking office does not yet.
    pub serves_in: Option<Epoch>,
    /// The number of the first order that is committed here and differs from the leader's order of the same number, if
    /// there is one. The replica accepts no more orders until the operator decides which orders to keep.
    pub conflict: Option<OrderNumber>,
    /// From a leader whose log differed from the catalog when it took office: how many more toys the catalog had
    /// sold than the log has orders for. One of the two files lost rows at its end.
    pub imbalance: Option<i64>,
    /// From the leader: the lag of each other replica.
    pub followers: Vec<FollowerStatus>,
}

/// The lag of a replica, as the leader knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowerStatus {
    /// The replica.
    pub id: ReplicaId,
    /// It has all orders up to this number on disk; 0 until it has answered this leader.
    pub matched: OrderNumber,
    /// Orders that it lacks, at most.
    pub lag: u64,
}

/// The front-end's part of its status, at its peer address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontendStatus {
    /// The leader and the in-sync set; none before the first election.
    pub view: Option<View>,
    /// Whether the leader of that view answers.
    pub led: bool,
    /// Whether this front-end makes the views.
    #[serde(default)]
    pub controls: bool,
    /// The product cache.
    pub cache: CacheStatus,
}

/// The product cache, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheStatus {
    /// Its capacity in toys; 0 if it is switched off.
    pub capacity: usize,
    /// How many toys are in it.
    #[serde(default)]
    pub toy_count: usize,
    /// The toys, most recently used first: the last is evicted next. Of more than
    /// [`PAGE_TOYS_MAX`](crate::protocol::catalog::PAGE_TOYS_MAX) only the first.
    pub toys: Vec<CachedToy>,
    /// Queries answered from it.
    pub hits: u64,
    /// Queries that had to ask the catalog.
    pub misses: u64,
    /// Toys that were evicted.
    pub evictions: u64,
    /// Toys dropped because they changed.
    pub invalidations: u64,
}

/// A toy in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedToy {
    /// Its name.
    pub name: String,
    /// The version that is cached.
    pub version: u64,
}
