//! The settings and their defaults. Read by whoever is configured; set by [`load`](super::load) only.

use crate::error::{Error, Result};
use crate::model::{CatalogId, FrontendId, OrderNumber, Principal, ReplicaId};
use clap::ValueEnum;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of every process of the store.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// The front-end.
    pub frontend: Frontend,
    /// The catalog.
    pub catalog: Catalog,
    /// The order service.
    pub order: Order,
    /// Where the services keep what must not be lost.
    pub storage: Storage,
    /// The database, if it is there.
    pub database: Database,
    /// The client.
    pub client: Client,
    /// The cluster page.
    pub page: Page,
    /// What protects the services from the network.
    pub tls: Tls,
    /// The settings of the log.
    pub log: Log,
    /// The settings of the traces.
    pub trace: Trace,
}

/// The settings of the front-ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Frontend {
    /// Front-end 1: its addresses for customers and for health, status and metrics, and the directory of the last view.
    pub first: Instance,
    /// The other front-ends, in order of id.
    pub others: BTreeMap<FrontendId, Instance>,
    /// The front-end that makes the views, with files. The others learn them from the replicas.
    pub controller: FrontendId,
    /// The certificate for customers, with its intermediate certificates; with it `listen` is HTTPS.
    pub certificate: Option<PathBuf>,
    /// The private key of that certificate.
    pub key: Option<PathBuf>,
    /// Sessions that are served at the same time (F4).
    pub threads: usize,
    /// Requests that are served at the same time at the peer address.
    pub peer_threads: usize,
    /// What a thread is given to.
    pub thread_per: ThreadPer,
    /// Connections that may be open; more wait in the kernel until one closes.
    pub connections_max: usize,
    /// Toys in the cache; 0 switches it off (F5).
    pub cache_capacity: usize,
    /// How long a purchase may take, fail-over included.
    pub purchase_deadline: Duration,
    /// How long a request may take to arrive.
    pub request_deadline: Duration,
    /// How long a connection may be silent between two requests.
    pub idle_deadline: Duration,
    /// Whether each request is logged (F9).
    pub access_log: bool,
    /// Whether a replica that may lack orders may be made leader when no other is left.
    pub allow_unclean_election: bool,
}

/// What a thread of a pool is given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ThreadPer {
    /// A session keeps its thread between its requests, while there are threads for all.
    Session,
    /// Each request takes a thread and gives it back with the answer.
    Request,
}

/// The settings of the catalogs.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalog {
    /// Catalog 1: its addresses for requests and for the subscriptions of front-ends, and the directory of `toys.csv` and
    /// `journal.csv`.
    pub first: Instance,
    /// The other catalogs, in order of id. One at a time is active.
    pub others: BTreeMap<CatalogId, Instance>,
    /// Requests that are served at the same time (C5).
    pub threads: usize,
    /// Requests that are served at the same time at the peer address.
    pub peer_threads: usize,
    /// The toys of a new store, CSV or JSON; without it, the built-in ones (C1).
    pub initial: Option<PathBuf>,
    /// The time between two restocks (C3).
    pub restock_every: Duration,
    /// Which toys a restock fills up.
    pub restock: Restock,
    /// How many there are of a toy after its restock.
    pub restock_to: u64,
    /// Whether every toy is set to `restock_to` at the start (C4).
    pub reset_stock: bool,
    /// Artificial delay per request, to simulate a slow database (L4).
    pub delay: Duration,
}

/// Which toys a restock fills up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Restock {
    /// Those of which none is left.
    SoldOut,
    /// Those of which fewer than `restock_to` are left.
    All,
}

/// The settings of the order service.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Requests that each replica serves at the same time (O6).
    pub threads: usize,
    /// Requests that each replica serves at the same time at its peer address.
    pub peer_threads: usize,
    /// The failure to simulate, if any (O8).
    pub fail: Option<Failure>,
    /// The replicas, in order of id.
    pub replicas: BTreeMap<ReplicaId, Instance>,
}

/// One process of a service that runs several times.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Where it takes requests, `host:port`.
    pub listen: String,
    /// Where it takes health checks and the calls of other services, `host:port`.
    pub peer: String,
    /// Its directory.
    pub data: PathBuf,
}

/// A failure that a replica simulates once its log reaches an order (O8). Written `crash@7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// What happens.
    pub how: FailureKind,
    /// At which order.
    pub at: OrderNumber,
}

/// The effect of a simulated failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailureKind {
    /// The process ends at once, as by `kill -9`.
    Crash,
    /// The process stops answering, as by `kill -STOP`.
    Hang,
    /// The write of the order's row fails.
    FailWrite,
}

/// Where the services keep what must not be lost.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    /// What keeps it.
    pub engine: Engine,
}

/// What keeps the stock and the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// Files in the directories of the services.
    Files,
    /// Tables of a database that speaks MySQL's protocol.
    Database,
}

/// The settings of the database, which all services use, each with tables of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Database {
    /// Its nodes, each `host:port`, tried in turn.
    pub addresses: Vec<String>,
    /// The user.
    pub user: String,
    /// The file with the user's password.
    pub password_file: Option<PathBuf>,
    /// The password, if there is no file; without both, none is sent. Only the environment has it, because a command line can be
    /// read by everybody.
    pub password: Option<String>,
    /// How the names of the services' databases begin.
    pub prefix: String,
    /// CA certificate of the nodes; with it the connections use TLS.
    pub authority: Option<PathBuf>,
    /// How long a service waits for a commit, at all nodes in turn. Then it ends.
    pub commit_deadline: Duration,
}

/// The settings of the client.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// Where the front-ends are, each `host:port`.
    pub addresses: Vec<String>,
    /// CA certificate of the front-end; with it the client uses HTTPS.
    pub authority: Option<PathBuf>,
    /// Sessions at the same time, each on a connection of its own (K2).
    pub sessions: usize,
    /// Queries of each session (K1).
    pub iterations: usize,
    /// The chance that a query is followed by a purchase, 0 to 1.
    pub probability: f64,
    /// Whether exactly `iterations * probability` queries are followed by one.
    pub exactly: bool,
    /// The seed of all choices; 0 takes a new one each time.
    pub seed: u64,
    /// How often a failed request is tried again (K4).
    pub retries: usize,
    /// The pause before each retry.
    pub retry_delay: Duration,
    /// How long an answer may take.
    pub deadline: Duration,
    /// The CSV file that the orders are saved to, if any (K3).
    pub orders: Option<PathBuf>,
}

/// The settings of the cluster page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Where `run-all` serves it, `host:port`, on loopback only.
    pub listen: String,
}

/// What protects the services from the network between them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tls {
    /// The directory of `authority.pem` and of each process's own certificate and key, by its name. With
    /// it, the services speak mutual TLS.
    pub directory: Option<PathBuf>,
    /// Whether they may speak plainly on addresses that other machines reach.
    pub insecure: bool,
}

/// The settings of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// The least important lines that are written.
    pub level: Level,
}

/// The settings of the traces.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The share of customers' requests that is traced, 0 to 1.
    pub sample: f64,
    /// The collector that spans are sent to, such as `http://127.0.0.1:4318`, if any.
    pub otlp: Option<String>,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// How important a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the words everybody uses")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl Default for Frontend {
    fn default() -> Frontend {
        Frontend {
            first: Instance {
                listen: "localhost:8081".to_owned(),
                peer: "127.0.0.1:9081".to_owned(),
                data: "data/frontend".into(),
            },
            others: BTreeMap::new(),
            controller: FrontendId(1),
            certificate: None,
            key: None,
            threads: 10,
            peer_threads: 2,
            thread_per: ThreadPer::Session,
            connections_max: 16_000,
            cache_capacity: 7,
            purchase_deadline: Duration::from_secs(10),
            request_deadline: Duration::from_secs(10),
            idle_deadline: Duration::from_secs(300),
            access_log: true,
            allow_unclean_election: false,
        }
    }
}

impl Default for Catalog {
    fn default() -> Catalog {
        Catalog {
            first: Instance {
                listen: "127.0.0.1:8082".to_owned(),
                peer: "127.0.0.1:9082".to_owned(),
                data: "data/catalog".into(),
            },
            others: BTreeMap::new(),
            threads: 10,
            peer_threads: 10,
            initial: None,
            restock_every: Duration::from_secs(10),
            restock: Restock::SoldOut,
            restock_to: 100,
            reset_stock: false,
            delay: Duration::ZERO,
        }
    }
}

impl Default for Order {
    fn default() -> Order {
        let replicas = (1..=3).map(|n| (ReplicaId(n), Instance::replica(ReplicaId(n))));
        Order { threads: 10, peer_threads: 10, fail: None, replicas: replicas.collect() }
    }
}

impl Default for Storage {
    fn default() -> Storage {
        Storage { engine: Engine::Files }
    }
}

impl Default for Database {
    fn default() -> Database {
        Database {
            addresses: vec!["127.0.0.1:3306".to_owned()],
            user: "toystore".to_owned(),
            password_file: None,
            password: None,
            prefix: "toystore_".to_owned(),
            authority: None,
            commit_deadline: Duration::from_secs(30),
        }
    }
}

impl Default for Client {
    fn default() -> Client {
        Client {
            addresses: vec![Frontend::default().first.listen],
            authority: None,
            sessions: 5,
            iterations: 100,
            probability: 0.5,
            exactly: false,
            seed: 0,
            retries: 3,
            retry_delay: Duration::from_secs(2),
            deadline: Duration::from_secs(15),
            orders: None,
        }
    }
}

impl Default for Page {
    fn default() -> Page {
        Page { listen: "127.0.0.1:8080".to_owned() }
    }
}

impl Default for Log {
    fn default() -> Log {
        Log { format: LogFormat::Text, level: Level::Info }
    }
}

impl Default for Trace {
    fn default() -> Trace {
        Trace { sample: 0.01, otlp: None }
    }
}

impl Config {
    /// Everybody who has addresses for the other services, with both of them. The other address of a front-end
    /// is for customers.
    pub fn service_addresses(&self) -> Vec<(Principal, String)> {
        let Config { frontend, catalog, order, .. } = self;
        let fronts = frontend.instances().map(|(_, front)| (Principal::Frontend, &front.peer));
        let mut all: Vec<_> = fronts.collect();
        for (_, catalog) in catalog.instances() {
            all.extend([&catalog.listen, &catalog.peer].map(|a| (Principal::Catalog, a)));
        }
        for (id, replica) in &order.replicas {
            all.extend([&replica.listen, &replica.peer].map(|a| (Principal::Order(*id), a)));
        }
        all.into_iter().map(|(principal, address)| (principal, address.clone())).collect()
    }
}

impl Order {
    /// The replica of this id, as `--id` named it.
    pub fn replica(&self, id: ReplicaId) -> Result<&Instance> {
        let known = self.replicas.keys();
        self.replicas.get(&id).ok_or_else(|| unknown_id("replica", id, known.copied()))
    }
}

impl Frontend {
    /// All front-ends, in order of id.
    pub fn instances(&self) -> impl Iterator<Item = (FrontendId, &Instance)> {
        let first = [(FrontendId(1), &self.first)];
        first.into_iter().chain(self.others.iter().map(|(id, instance)| (*id, instance)))
    }

    /// The front-end of this id, as `--id` named it.
    pub fn instance(&self, id: FrontendId) -> Result<&Instance> {
        let mut all = self.instances();
        let found = all.find(|(other, _)| *other == id).map(|(_, instance)| instance);
        found.ok_or_else(|| unknown_id("front-end", id, self.instances().map(|(id, _)| id)))
    }
}

impl Catalog {
    /// All catalogs, in order of id.
    pub fn instances(&self) -> impl Iterator<Item = (CatalogId, &Instance)> {
        let first = [(CatalogId(1), &self.first)];
        first.into_iter().chain(self.others.iter().map(|(id, instance)| (*id, instance)))
    }

    /// The catalog of this id, as `--id` named it.
    pub fn instance(&self, id: CatalogId) -> Result<&Instance> {
        let mut all = self.instances();
        let found = all.find(|(other, _)| *other == id).map(|(_, instance)| instance);
        found.ok_or_else(|| unknown_id("catalog", id, self.instances().map(|(id, _)| id)))
    }
}

fn unknown_id<T: fmt::Display>(what: &str, id: T, known: impl Iterator<Item = T>) -> Error {
    let known: Vec<_> = known.map(|id| id.to_string()).collect();
    let why = format!("there is no {what} {id}, expected one of {}", known.join(", "));
    Error::Config { place: "--id".to_owned(), why }
}

impl Instance {
    /// The highest id, so that the default ports stay clear of those of the other services.
    pub const ID_MAX: u32 = 99;

    /// What a replica has of which nothing else is said: ports and directory by its number.
    pub(super) fn replica(ReplicaId(id): ReplicaId) -> Instance {
        Instance::numbered(8090 + id, 9090 + id, format!("data/order-{id}"))
    }

    /// The same of a front-end.
    pub(super) fn front_end(FrontendId(id): FrontendId) -> Instance {
        Instance::numbered(8200 + id, 9200 + id, format!("data/frontend-{id}"))
    }

    /// The same of a catalog.
    pub(super) fn catalog(CatalogId(id): CatalogId) -> Instance {
        Instance::numbered(8300 + id, 9300 + id, format!("data/catalog-{id}"))
    }

    fn numbered(listen: u32, peer: u32, data: String) -> Instance {
        let [listen, peer] = [listen, peer].map(|port| format!("127.0.0.1:{port}"));
        Instance { listen, peer, data: data.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", word(&self.how), self.at)
    }
}

/// The word for one of a few choices.
pub(super) fn word(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
