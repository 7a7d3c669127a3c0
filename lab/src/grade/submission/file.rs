//! The entries of a submission file, with their defaults.

use super::api::Api;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;

/// A store to be graded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// Its name in reports; by default the name of the file.
    #[serde(default)]
    pub name: String,
    /// What is copied and run; relative to the file until it is read.
    #[serde(default = "here")]
    pub directory: PathBuf,
    /// The command that makes a store which somebody else started fresh: no orders, and the first stock.
    #[serde(default)]
    pub fresh: Vec<String>,
    /// Whether its URLs may name other machines.
    #[serde(default)]
    pub remote: bool,
    /// The number of the first order.
    #[serde(default = "one")]
    pub first_order: u64,
    /// The processes, in the order of their start.
    #[serde(default, rename = "process")]
    pub(super) processes: Vec<Spanned<Process>>,
    /// The requests.
    pub(super) api: Spanned<Api>,
    /// The toys and their first stock.
    pub(super) toys: Spanned<BTreeMap<String, u64>>,
    /// The restock rule.
    pub restock: Option<Restock>,
    /// The cache of the front-end.
    #[serde(default)]
    pub cache: Cache,
    /// How to find out which replica leads.
    #[serde(default)]
    pub leader: Leader,
    /// How logs of replicas are read.
    #[serde(default)]
    pub log: Log,
    /// How long to wait.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// What a process may use.
    #[serde(default)]
    pub limits: Limits,
}

/// A process of a store.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// The number of a replica.
    pub id: Option<u64>,
    /// The program and its arguments; empty if it is started by somebody else.
    #[serde(default)]
    pub command: Vec<String>,
    /// Where it runs, in the copy.
    #[serde(default = "here")]
    pub directory: PathBuf,
    /// Its environment variables.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Its ports by name; 0 for a free one.
    #[serde(default)]
    pub ports: BTreeMap<String, u16>,
    /// When it is ready.
    pub ready: Option<Ready>,
    /// The log of a replica: a file in the copy, or a URL with `{number}`.
    pub log: Option<String>,
    /// Commands for the faults of a process that is started by somebody else.
    #[serde(default)]
    pub faults: Faults,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It keeps the stock.
    Catalog,
    /// It keeps orders.
    Order,
    /// It answers customers.
    Frontend,
}

/// When a process is ready: one of three conditions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum Ready {
    /// This port accepts a connection.
    Port(Port),
    /// This URL answers with 2xx.
    Url(String),
    /// A line of its output contains this text.
    Line(String),
}

/// A port as a number or as a template.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Port {
    /// A number.
    Number(u16),
    /// A template.
    Template(String),
}

/// Commands that inject faults into a process that is started by somebody else. Empty: impossible.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Ends it at once.
    pub kill: Vec<String>,
    /// Starts it again.
    pub start: Vec<String>,
    /// Pauses it.
    pub pause: Vec<String>,
    /// Resumes it.
    pub resume: Vec<String>,
}

/// The restock rule.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restock {
    /// The time between two restocks, in milliseconds.
    pub every_ms: u64,
    /// The quantity after a restock.
    pub to: u64,
    /// Which toys.
    #[serde(default)]
    pub toys: Restocked,
}

/// Which toys are restocked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restocked {
    /// Those with nothing left.
    #[default]
    SoldOut,
    /// All of them.
    All,
}

/// The cache of the front-end.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// How many toys it holds.
    pub capacity: Option<usize>,
}

/// How to find out which replica leads.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, tag = "rule", rename_all = "kebab-case")]
pub enum Leader {
    /// The highest id that runs.
    #[default]
    HighestId,
    /// A request tells its id.
    Ask {
        /// The request.
        url: String,
        /// Where its answer has the id.
        at: String,
    },
}

/// How the log of a replica is read, if it is a file: the columns of its rows, counted from 1.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Which column has what.
    #[serde(default)]
    pub columns: Columns,
}

/// The columns of a log.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// The number of the order.
    pub number: usize,
    /// The name of the toy.
    pub name: usize,
    /// How many.
    pub quantity: usize,
}

impl Default for Columns {
    fn default() -> Columns {
        Columns { number: 1, name: 2, quantity: 3 }
    }
}

/// How long to wait for a condition, in milliseconds.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "keys of the file, which say their unit")]
pub struct Deadlines {
    start_ms: u64,
    answer_ms: u64,
    failover_ms: u64,
    sync_ms: u64,
    restock_ms: u64,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            start_ms: 10_000,
            answer_ms: 5_000,
            failover_ms: 10_000,
            sync_ms: 10_000,
            restock_ms: 5_000,
        }
    }
}

impl Deadlines {
    /// From the start of a process until it is ready.
    pub fn start(&self) -> Duration {
        Duration::from_millis(self.start_ms)
    }

    /// For an answer.
    pub fn answer(&self) -> Duration {
        Duration::from_millis(self.answer_ms)
    }

    /// From a fault until a purchase is answered.
    pub fn failover(&self) -> Duration {
        Duration::from_millis(self.failover_ms)
    }

    /// From the return of a replica until its log agrees.
    pub fn sync(&self) -> Duration {
        Duration::from_millis(self.sync_ms)
    }

    /// Beyond the time of a restock.
    pub fn restock(&self) -> Duration {
        Duration::from_millis(self.restock_ms)
    }
}

/// What the processes may use.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Private writable memory of each process.
    pub memory_mb: u64,
    /// Processes of the whole store.
    pub processes: usize,
    /// The longest file.
    pub file_mb: u64,
    /// Output of each process that is kept.
    pub output_mb: usize,
    /// The whole grading.
    pub total_s: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory_mb: 2_048, processes: 256, file_mb: 256, output_mb: 4, total_s: 600 }
    }
}

fn here() -> PathBuf {
    PathBuf::from(".")
}

fn one() -> u64 {
    1
}

impl Submission {
    /// The processes, in the order of their start.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().map(Spanned::get_ref)
    }

    /// Whether somebody else starts it, at least in part.
    pub fn is_foreign(&self) -> bool {
        self.processes.is_empty() || self.processes().any(|process| process.command.is_empty())
    }

    /// A process by its name.
    pub fn process(&self, name: &str) -> Option<&Process> {
        self.processes().find(|process| process.name == name)
    }

    /// The replicas.
    pub fn replicas(&self) -> impl Iterator<Item = &Process> {
        self.processes().filter(|process| process.role == Role::Order)
    }

    /// The first process of a role.
    pub fn first(&self, role: Role) -> Option<&Process> {
        self.processes().find(|process| process.role == role)
    }

    /// The requests.
    pub fn api(&self) -> &Api {
        self.api.get_ref()
    }

    /// The toys and their first stock, by name.
    pub fn toys(&self) -> &BTreeMap<String, u64> {
        self.toys.get_ref()
    }

    /// Sets a variable in the environment of every process.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        for process in &mut self.processes {
            process.as_mut().environment.insert(name.to_owned(), value.to_owned());
        }
    }
}
