//! The table of all settings, and the conversion of text to values.
//!
//! A [`Key`] is a row of the table. A [`Setting`] is a key and, if it is a key of `[order.N]`, `[frontend.N]` or `[catalog.N]`,
//! this number. A setting has three names: `order.2.listen` in the file, the flag `--order-2-listen`, and
//! the variable `TOYSTORE_ORDER_2_LISTEN`.

use super::settings::{Config, Failure, FailureKind, Instance, word};
use crate::address;
use crate::model::{CatalogId, FrontendId, OrderNumber, ReplicaId};
use clap::ValueEnum;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// A row of the table.
pub(super) struct Key {
    section: &'static str,
    name: &'static str,
    /// The one-letter flag, in the program of this section.
    pub(super) short: Option<char>,
    /// A second name of the flag, in every program.
    pub(super) alias: Option<&'static str>,
    field: Field,
    /// Its meaning, in one line.
    pub(super) meaning: &'static str,
}

/// Returns the field of the configuration that has the value. The number selects the process; keys outside the sections
/// with an `N` ignore it.
type Place<T> = fn(&mut Config, u32) -> &mut T;

/// The type of a value: its field in the configuration, and the allowed values.
enum Field {
    Count(RangeInclusive<usize>, Place<usize>),
    Whole(RangeInclusive<u64>, Place<u64>),
    Id(Place<u32>),
    Milliseconds(RangeInclusive<u64>, Place<Duration>),
    /// A number from 0 to 1.
    Chance(Place<f64>),
    /// A name of letters, digits and `_`.
    Name(Place<String>),
    Switch(Place<bool>),
    /// `host:port`, of one service only.
    OwnAddress(Place<String>),
    Address(Place<String>),
    /// One or more, with commas between them.
    Addresses(Place<Vec<String>>),
    /// A directory of one service only.
    OwnDirectory(Place<PathBuf>),
    MaybeFile(Place<Option<PathBuf>>),
    MaybeDirectory(Place<Option<PathBuf>>),
    MaybeFailure(Place<Option<Failure>>),
    /// `http://host:port`.
    MaybeUrl(Place<Option<String>>),
    OneOf(Place<dyn Word>),
}
use Field::{
    Address, Addresses, Chance, Count, Id, MaybeDirectory, MaybeFailure, MaybeFile, MaybeUrl,
    Milliseconds, Name, OneOf, OwnAddress, OwnDirectory, Switch, Whole,
};

const HOUR_MS: u64 = 3_600_000;
const IDS: RangeInclusive<u32> = 1..=Instance::ID_MAX;
const THREADS: RangeInclusive<usize> = 1..=1_000;
/// For the peer addresses of the catalog and the replicas. Up to four calls need a thread at the same time: taking office
/// or an append, a long poll for changes, a view, and a health check.
const PEER_THREADS: RangeInclusive<usize> = 4..=1_000;

/// All settings, in the order of `config/toystore.toml`.
#[rustfmt::skip]
static KEYS: &[Key] = &[
    key("frontend", "listen", OwnAddress(|c, _| &mut c.frontend.first.listen), "Address for customers"),
    key("frontend", "peer", OwnAddress(|c, _| &mut c.frontend.first.peer), "Address for health, status and metrics"),
    key("frontend", "controller", Id(|c, _| &mut c.frontend.controller.0), "Id of the front-end that makes the views; with a database any may"),
    key("frontend", "certificate", MaybeFile(|c, _| &mut c.frontend.certificate), "Certificate of the HTTPS server for customers; empty for HTTP"),
    key("frontend", "key", MaybeFile(|c, _| &mut c.frontend.key), "Private key of that certificate"),
    key("frontend", "data", OwnDirectory(|c, _| &mut c.frontend.first.data), "Directory of the file with the last view"),
    key("frontend", "threads", Count(THREADS, |c, _| &mut c.frontend.threads), "Sessions served at the same time"),
    key("frontend", "peer_threads", Count(THREADS, |c, _| &mut c.frontend.peer_threads), "Requests served at the same time at the peer address"),
    key("frontend", "thread_per", OneOf(|c, _| &mut c.frontend.thread_per), "What a thread serves: a whole session, while there are enough threads, or one request"),
    key("frontend", "connections_max", Count(1..=1_000_000, |c, _| &mut c.frontend.connections_max), "Connections open at the same time"),
    key("frontend", "cache_capacity", Count(0..=1_000_000, |c, _| &mut c.frontend.cache_capacity), "Toys in the cache; 0 switches it off"),
    key("frontend", "purchase_deadline_ms", Milliseconds(1..=HOUR_MS, |c, _| &mut c.frontend.purchase_deadline), "Deadline of a purchase, including a fail-over"),
    key("frontend", "request_deadline_ms", Milliseconds(1..=HOUR_MS, |c, _| &mut c.frontend.request_deadline), "Deadline for receiving a whole request"),
    key("frontend", "idle_deadline_ms", Milliseconds(1..=HOUR_MS, |c, _| &mut c.frontend.idle_deadline), "Longest idle time of a connection between two requests"),
    key("frontend", "access_log", Switch(|c, _| &mut c.frontend.access_log), "Log each request"),
    key("frontend", "allow_unclean_election", Switch(|c, _| &mut c.frontend.allow_unclean_election), "If no other replica is left, elect one that may lack orders; these orders are lost"),
    key(FRONT_END, "listen", OwnAddress(|c, n| &mut front_end(c, n).listen), "Address for customers"),
    key(FRONT_END, "peer", OwnAddress(|c, n| &mut front_end(c, n).peer), "Address for health, status and metrics"),
    key(FRONT_END, "data", OwnDirectory(|c, n| &mut front_end(c, n).data), "Directory of the file with the last view"),

    key("catalog", "listen", OwnAddress(|c, _| &mut c.catalog.first.listen), "Address for requests"),
    key("catalog", "peer", OwnAddress(|c, _| &mut c.catalog.first.peer), "Address for subscriptions of front-ends, health, status and metrics"),
    key("catalog", "data", OwnDirectory(|c, _| &mut c.catalog.first.data), "Directory of toys.csv and journal.csv"),
    key("catalog", "threads", Count(THREADS, |c, _| &mut c.catalog.threads), "Requests served at the same time"),
    key("catalog", "peer_threads", Count(PEER_THREADS, |c, _| &mut c.catalog.peer_threads), "Requests served at the same time at the peer address"),
    key("catalog", "initial", MaybeFile(|c, _| &mut c.catalog.initial), "Toys of a new store, CSV or JSON, 100,000 at most; empty for the built-in toys"),
    key("catalog", "restock_every_ms", Milliseconds(1..=168 * HOUR_MS, |c, _| &mut c.catalog.restock_every), "Time between two restocks"),
    key("catalog", "restock", OneOf(|c, _| &mut c.catalog.restock), "Which toys a restock fills up"),
    key("catalog", "restock_to", Whole(1..=1_000_000_000, |c, _| &mut c.catalog.restock_to), "Quantity of a toy after its restock"),
    key("catalog", "reset_stock", Switch(|c, _| &mut c.catalog.reset_stock), "Set every toy to restock_to at the start"),
    key("catalog", "delay_ms", Milliseconds(0..=HOUR_MS, |c, _| &mut c.catalog.delay), "Artificial delay per request in milliseconds, to simulate a slow database"),
    key(CATALOG, "listen", OwnAddress(|c, n| &mut catalog(c, n).listen), "Address for requests"),
    key(CATALOG, "peer", OwnAddress(|c, n| &mut catalog(c, n).peer), "Address for subscriptions of front-ends, health, status and metrics"),
    key(CATALOG, "data", OwnDirectory(|c, n| &mut catalog(c, n).data), "Directory of its lock"),

    key("order", "threads", Count(THREADS, |c, _| &mut c.order.threads), "Requests served at the same time, by each replica"),
    key("order", "peer_threads", Count(PEER_THREADS, |c, _| &mut c.order.peer_threads), "Requests served at the same time at the peer address, by each replica"),
    key("order", "fail", MaybeFailure(|c, _| &mut c.order.fail), "Failure to simulate when the log reaches an order"),
    key(REPLICA, "listen", OwnAddress(|c, n| &mut replica(c, n).listen), "Address for requests"),
    key(REPLICA, "peer", OwnAddress(|c, n| &mut replica(c, n).peer), "Address for health checks, views, replication, status and metrics"),
    key(REPLICA, "data", OwnDirectory(|c, n| &mut replica(c, n).data), "Directory of orders.csv"),

    key("storage", "engine", OneOf(|c, _| &mut c.storage.engine), "What keeps the stock and the orders").alias("engine"),

    key("database", "addresses", Addresses(|c, _| &mut c.database.addresses), "Addresses of the database's nodes, tried in turn"),
    key("database", "user", Name(|c, _| &mut c.database.user), "User of the database"),
    key("database", "password_file", MaybeFile(|c, _| &mut c.database.password_file), "File with the user's password; if empty, TOYSTORE_DATABASE_PASSWORD has it"),
    key("database", "prefix", Name(|c, _| &mut c.database.prefix), "How the names of the services' databases begin"),
    key("database", "authority", MaybeFile(|c, _| &mut c.database.authority), "CA certificate of the database's nodes, to use TLS; empty for none"),
    key("database", "commit_deadline_ms", Milliseconds(1_000..=50_000, |c, _| &mut c.database.commit_deadline), "How long a service waits for a commit, at all nodes in turn; then it ends"),

    key("client", "address", Addresses(|c, _| &mut c.client.addresses), "Addresses of the front-ends, with commas between them"),
    key("client", "authority", MaybeFile(|c, _| &mut c.client.authority), "CA certificate of the front-end, to use HTTPS; empty for HTTP"),
    key("client", "sessions", Count(1..=10_000, |c, _| &mut c.client.sessions), "Sessions at the same time").short('c'),
    key("client", "iterations", Count(1..=1_000_000_000, |c, _| &mut c.client.iterations), "Queries of each session").short('n'),
    key("client", "probability", Chance(|c, _| &mut c.client.probability), "Probability that a query is followed by a purchase").short('p'),
    key("client", "exactly", Switch(|c, _| &mut c.client.exactly), "Buy after exactly iterations * probability of the queries"),
    key("client", "seed", Whole(0..=u64::MAX, |c, _| &mut c.client.seed), "Seed of the random choices; 0 for a new seed in each run"),
    key("client", "retries", Count(0..=1_000, |c, _| &mut c.client.retries), "Number of retries of a failed request"),
    key("client", "retry_delay_ms", Milliseconds(0..=HOUR_MS, |c, _| &mut c.client.retry_delay), "Pause before each retry"),
    key("client", "deadline_ms", Milliseconds(1..=HOUR_MS, |c, _| &mut c.client.deadline), "Deadline for an answer"),
    key("client", "orders", MaybeFile(|c, _| &mut c.client.orders), "CSV file to save the orders to; empty for none"),

    key("page", "listen", Address(|c, _| &mut c.page.listen), "Address of the cluster page of run-all; loopback only"),

    key("tls", "directory", MaybeDirectory(|c, _| &mut c.tls.directory), "Directory of the certificates for mutual TLS between services; empty for no TLS"),
    key("tls", "insecure", Switch(|c, _| &mut c.tls.insecure), "Allow services without TLS at addresses that other machines can reach").alias("insecure"),

    key("log", "format", OneOf(|c, _| &mut c.log.format), "Format of a log line"),
    key("log", "level", OneOf(|c, _| &mut c.log.level), "Lowest level of lines to write"),

    key("trace", "sample", Chance(|c, _| &mut c.trace.sample), "Share of the customers' requests that is traced; all are while somebody looks at the traces"),
    key("trace", "otlp", MaybeUrl(|c, _| &mut c.trace.otlp), "Collector that spans are sent to, by OTLP over HTTP with JSON; empty for none"),
];

/// The section of the keys that each replica has.
const REPLICA: &str = "order.N";
/// The section of the keys that each front-end has, but the first.
const FRONT_END: &str = "frontend.N";
/// The section of the keys that each catalog has, but the first.
const CATALOG: &str = "catalog.N";

const fn key(
    section: &'static str,
    name: &'static str,
    field: Field,
    meaning: &'static str,
) -> Key {
    Key { section, name, short: None, alias: None, field, meaning }
}

impl Key {
    const fn short(mut self, letter: char) -> Key {
        self.short = Some(letter);
        self
    }

    const fn alias(mut self, flag: &'static str) -> Key {
        self.alias = Some(flag);
        self
    }
}

/// The replica of this id, made with its defaults if it is new.
pub(super) fn replica(config: &mut Config, number: u32) -> &mut Instance {
    let id = ReplicaId(number);
    config.order.replicas.entry(id).or_insert_with(|| Instance::replica(id))
}

/// The front-end of this id, which is not the first, made with its defaults if it is new.
pub(super) fn front_end(config: &mut Config, number: u32) -> &mut Instance {
    let id = FrontendId(number);
    config.frontend.others.entry(id).or_insert_with(|| Instance::front_end(id))
}

/// The catalog of this id, which is not the first, made with its defaults if it is new.
pub(super) fn catalog(config: &mut Config, number: u32) -> &mut Instance {
    let id = CatalogId(number);
    config.catalog.others.entry(id).or_insert_with(|| Instance::catalog(id))
}

/// A key, and its number if it is a key of `[order.N]`, `[frontend.N]` or `[catalog.N]`.
pub(super) struct Setting {
    /// The section as the file writes it, such as `order.2`.
    pub(super) section: String,
    number: u32,
    pub(super) key: &'static Key,
}

/// All settings of a configuration with these replicas, front-ends and catalogs, in the order of the table.
pub(super) fn settings(config: &Config) -> Vec<Setting> {
    let mut all = Vec::new();
    for keys in KEYS.chunk_by(|a, b| a.section == b.section) {
        let numbers: Vec<u32> = match keys[0].section {
            REPLICA => config.order.replicas.keys().map(|id| id.0).collect(),
            FRONT_END => config.frontend.others.keys().map(|id| id.0).collect(),
            CATALOG => config.catalog.others.keys().map(|id| id.0).collect(),
            _ => vec![0],
        };
        for number in numbers {
            let section = keys[0].section.replace(".N", &format!(".{number}"));
            all.extend(keys.iter().map(|key| Setting { section: section.clone(), number, key }));
        }
    }
    all
}

impl Setting {
    /// Its name within its section.
    pub(super) fn name(&self) -> &'static str {
        self.key.name
    }

    /// Its name in the file.
    pub(super) fn path(&self) -> String {
        format!("{}.{}", self.section, self.key.name)
    }

    /// Its flag, without the dashes in front.
    pub(super) fn flag(&self) -> String {
        self.path().replace(['.', '_'], "-")
    }

    /// Its environment variable.
    pub(super) fn variable(&self) -> String {
        format!("TOYSTORE_{}", self.path().replace('.', "_").to_uppercase())
    }

    /// Whether no two services may share its value.
    pub(super) fn is_exclusive(&self) -> bool {
        matches!(self.key.field, OwnAddress(_) | OwnDirectory(_))
    }

    /// Whether it is on or off.
    pub(super) fn is_switch(&self) -> bool {
        matches!(self.key.field, Switch(_))
    }

    /// Sets the value, or returns a message with the allowed values.
    pub(super) fn set(&self, config: &mut Config, text: &str) -> Result<(), String> {
        let value = match &self.key.field {
            Count(range, place) => within(text, range).map(|n| *place(config, self.number) = n),
            Whole(range, place) => within(text, range).map(|n| *place(config, self.number) = n),
            Id(place) => within(text, &IDS).map(|n| *place(config, self.number) = n),
            Milliseconds(range, place) => within(text, range)
                .map(|ms| *place(config, self.number) = Duration::from_millis(ms)),
            Chance(place) => within(text, &(0.0..=1.0)).map(|p| *place(config, self.number) = p),
            Name(place) => is_name(text).then(|| text.clone_into(place(config, self.number))),
            Switch(place) => text.parse().ok().map(|on| *place(config, self.number) = on),
            OwnAddress(place) | Address(place) => {
                address::is_one(text).then(|| text.clone_into(place(config, self.number)))
            }
            Addresses(place) => {
                let all: Vec<String> = text.split(',').map(|one| one.trim().to_owned()).collect();
                let are_addresses = all.iter().all(|one| address::is_one(one));
                are_addresses.then(|| *place(config, self.number) = all)
            }
            OwnDirectory(place) => {
                (!text.is_empty()).then(|| *place(config, self.number) = text.into())
            }
            MaybeFile(place) | MaybeDirectory(place) => {
                *place(config, self.number) = (!text.is_empty()).then(|| text.into());
                Some(())
            }
            MaybeFailure(place) => {
                failure(text).map(|failure| *place(config, self.number) = failure)
            }
            MaybeUrl(place) => {
                let is_url = text.strip_prefix("http://").is_some_and(address::is_one);
                (text.is_empty() || is_url).then(|| {
                    *place(config, self.number) = is_url.then(|| text.to_owned());
                })
            }
            OneOf(place) => place(config, self.number).read(text),
        };
        value.ok_or_else(|| format!("{} is \"{text}\", expected {}", self.path(), self.allowed()))
    }

    /// Its value in this configuration, in the form that [`set`](Setting::set) reads.
    pub(super) fn show(&self, config: &Config) -> String {
        // A `Place` returns a mutable reference, so the value is read from a copy.
        let config = &mut config.clone();
        match &self.key.field {
            Count(_, place) => place(config, self.number).to_string(),
            Whole(_, place) => place(config, self.number).to_string(),
            Id(place) => place(config, self.number).to_string(),
            Milliseconds(_, place) => place(config, self.number).as_millis().to_string(),
            Chance(place) => place(config, self.number).to_string(),
            Switch(place) => place(config, self.number).to_string(),
            Name(place) | OwnAddress(place) | Address(place) => place(config, self.number).clone(),
            Addresses(place) => place(config, self.number).join(","),
            OwnDirectory(place) => place(config, self.number).display().to_string(),
            MaybeFile(place) | MaybeDirectory(place) => place(config, self.number)
                .as_ref()
                .map_or_else(String::new, |file| file.display().to_string()),
            MaybeFailure(place) => {
                place(config, self.number).map_or_else(String::new, |failure| failure.to_string())
            }
            MaybeUrl(place) => place(config, self.number).clone().unwrap_or_default(),
            OneOf(place) => place(config, self.number).show(),
        }
    }

    /// The values it allows, in words.
    pub(super) fn allowed(&self) -> String {
        match &self.key.field {
            Count(range, _) => format!("a whole number from {} to {}", range.start(), range.end()),
            Whole(range, _) => format!("a whole number from {} to {}", range.start(), range.end()),
            Id(_) => format!("a whole number from {} to {}", IDS.start(), IDS.end()),
            Milliseconds(range, _) => {
                format!("a whole number of milliseconds from {} to {}", range.start(), range.end())
            }
            Chance(_) => "a number from 0 to 1".to_owned(),
            Name(_) => "1 to 40 letters, digits or _".to_owned(),
            Switch(_) => "true or false".to_owned(),
            OwnAddress(_) | Address(_) => "host:port".to_owned(),
            Addresses(_) => "host:port, or several with commas between them".to_owned(),
            OwnDirectory(_) => "a directory".to_owned(),
            MaybeFile(_) => "a file, or empty".to_owned(),
            MaybeDirectory(_) => "a directory, or empty".to_owned(),
            MaybeFailure(_) => "crash@N, hang@N or fail-write@N, or empty".to_owned(),
            MaybeUrl(_) => "http://host:port, or empty".to_owned(),
            OneOf(place) => place(&mut Config::default(), self.number).allowed(),
        }
    }

    /// The placeholder for its value in the help.
    pub(super) fn value_name(&self) -> &'static str {
        match &self.key.field {
            Count(..) | Whole(..) | Id(_) => "N",
            Milliseconds(..) => "MS",
            Chance(_) => "P",
            Name(_) => "NAME",
            Switch(_) => "true|false",
            OwnAddress(_) | Address(_) => "HOST:PORT",
            Addresses(_) => "HOST:PORT,…",
            OwnDirectory(_) | MaybeDirectory(_) => "DIRECTORY",
            MaybeFile(_) => "FILE",
            MaybeFailure(_) => "FAILURE@N",
            MaybeUrl(_) => "URL",
            OneOf(_) => "WORD",
        }
    }
}

/// A number that lies in a range.
fn within<T: std::str::FromStr + PartialOrd>(text: &str, range: &RangeInclusive<T>) -> Option<T> {
    text.parse().ok().filter(|n| range.contains(n))
}

fn is_name(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Reads an empty text or a failure such as `crash@7`; the outer `None` is a syntax error.
#[expect(clippy::option_option, reason = "a syntax error and no failure are different results")]
fn failure(text: &str) -> Option<Option<Failure>> {
    if text.is_empty() {
        return Some(None);
    }
    let (how, at) = text.split_once('@')?;
    let how = FailureKind::from_str(how, false).ok()?;
    let at = OrderNumber(within(at, &(1..=u64::MAX))?);
    Some(Some(Failure { how, at }))
}

/// A value of any type that is one of a few words.
trait Word {
    fn read(&mut self, text: &str) -> Option<()>;
    fn show(&self) -> String;
    fn allowed(&self) -> String;
}

impl<E: ValueEnum> Word for E {
    fn read(&mut self, text: &str) -> Option<()> {
        *self = E::from_str(text, false).ok()?;
        Some(())
    }

    fn show(&self) -> String {
        word(self)
    }

    fn allowed(&self) -> String {
        format!("one of {}", E::value_variants().iter().map(word).collect::<Vec<_>>().join(", "))
    }
}

/// The candidate nearest to a mistyped name, if one is near enough.
pub(super) fn nearest(name: &str, candidates: &[String]) -> Option<String> {
    candidates
        .iter()
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 3 && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.clone())
}
