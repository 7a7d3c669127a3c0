//! What a service says of itself at `GET /status`, in JSON: for people, for the cluster page, for
//! experiments. `GET /metrics` has the same numbers in Prometheus' spelling.

use crate::model::{Epoch, OrderNumber, ReplicaId, View};
use crate::net::Gauges;
use crate::protocol::catalog::Book;
use crate::protocol::order::Health;
pub use crate::trace::{EVENTS_MAX, Event};
use serde::{Deserialize, Serialize};

/// What every service says; `own` is what only this kind of service has to say.
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
    /// The memory that it occupies, where the system tells.
    pub memory_bytes: Option<u64>,
    /// The files and connections that it has open, where the system tells.
    pub open_files: Option<u64>,
    /// Its request address: who is there.
    pub sessions: Sessions,
    /// Its request address: what was asked there since it started.
    pub requests: Vec<Requests>,
    /// The last things it reported in its log, the oldest first; at most [`EVENTS_MAX`].
    pub events: Vec<Event>,
    /// The rest, beside the fields above.
    #[serde(flatten)]
    pub own: T,
}

/// The threads and connections of an address, of one moment.
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

/// The requests of one kind that ended one way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Requests {
    /// What was asked.
    pub kind: Kind,
    /// How it went.
    pub outcome: Outcome,
    /// How many, since the service started.
    pub count: u64,
    /// What they took together.
    pub seconds: f64,
    /// How many of them took how long: at most the bound of the same place in [`LATENCY_BOUNDS`], and
    /// longer than the one before; the last, which has no bound, counts those beyond all.
    pub latencies: Vec<u64>,
}

/// What a request asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A toy, of the front-end or the catalog.
    Query,
    /// All toys, of the front-end or the catalog.
    List,
    /// To buy, of the front-end or a replica.
    Buy,
    /// A sale, of the catalog. A call that asks for several counts as so many.
    Purchase,
    /// An order, of the front-end or a replica.
    Order,
    /// How the service is, or something that it does not have.
    Other,
}

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It got what it asked for.
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

/// The catalog's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogStatus {
    /// How many toys there are, by name.
    #[serde(default)]
    pub toy_count: usize,
    /// Of how many of them none is left.
    #[serde(default)]
    pub sold_out: usize,
    /// What came and went of each toy; empty if there are more than [`PAGE_TOYS_MAX`](crate::protocol::catalog::PAGE_TOYS_MAX).
    pub toys: Vec<Book>,
    /// Sales that are not known to be orders yet.
    pub open_sales: usize,
    /// Front-ends that are told of changes.
    pub subscribers: usize,
    /// What each query and each purchase takes longer, to play a slow database.
    pub delay_ms: u64,
}

/// A replica's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderStatus {
    /// What the controller is told.
    #[serde(flatten)]
    pub health: Health,
    /// The epoch in which it leads and serves, if it does; a leader that is taking office does not yet.
    pub serves_in: Option<Epoch>,
    /// The first order that is committed here although the leader of its view has another in its place, if
    /// there is one: it takes no more orders until somebody decides which are to stay.
    pub conflict: Option<OrderNumber>,
    /// From a leader whose log and the catalog differed when it took office: how many more toys the catalog had
    /// sold than the log has orders for. One of the two files lost rows at its end.
    pub imbalance: Option<i64>,
    /// From the leader: how far each other replica is.
    pub followers: Vec<FollowerStatus>,
}

/// How far a replica is behind its leader, as the leader knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FollowerStatus {
    /// Which.
    pub id: ReplicaId,
    /// It has everything up to here on disk; 0 until it has answered this leader.
    pub matched: OrderNumber,
    /// Orders that it lacks, at most.
    pub lag: u64,
}

/// The front-end's own, on its peer address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontendStatus {
    /// Who leads, and who is in sync; none before the first election.
    pub view: Option<View>,
    /// Whether the leader of that view answers.
    pub led: bool,
    /// The product cache.
    pub cache: CacheStatus,
}

/// The product cache, all of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheStatus {
    /// How many toys have room; 0 if it is switched off.
    pub capacity: usize,
    /// How many toys are in it.
    #[serde(default)]
    pub toy_count: usize,
    /// Which, most recently used first: the last is evicted next. Of more than
    /// [`PAGE_TOYS_MAX`](crate::protocol::catalog::PAGE_TOYS_MAX) only the first.
    pub toys: Vec<CachedToy>,
    /// Queries answered from it.
    pub hits: u64,
    /// Queries that had to ask the catalog.
    pub misses: u64,
    /// Toys that made room for others.
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
