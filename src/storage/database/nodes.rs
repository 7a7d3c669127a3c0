//! The nodes of a service's database. Whoever needs a connection gets one to the node that answered last, or to the next
//! one. Used by the rest of this directory.
//!
//! - Every look-up of a name, connect, read and write has a deadline.
//! - A connection sees everything that was committed at any node before (`wsrep_sync_wait`, where the database is Galera).

use super::connection::{Connection, Options};
use super::fault::{self, Fault, Refusal};
use crate::address;
use crate::blocking::Blocking;
use crate::config;
use crate::error::Result;
use crate::net::Resolver;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than this for the look-up of a name, or for a TCP connection, counts as no answer.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(1);

/// The pause after a fault, before the next node is asked.
const PAUSE: Duration = Duration::from_millis(50);

/// Settings of every connection. Strict, so that a value which does not fit is refused; and a text is quoted as
/// [`literal`](super::literal) does it.
const SESSION: &str = "\
    SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES,NO_ENGINE_SUBSTITUTION';
    SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
    SET SESSION innodb_lock_wait_timeout = 2";

/// The nodes.
#[derive(Debug)]
pub(super) struct Nodes {
    /// The name of the database.
    pub(super) name: String,
    pub(super) addresses: Vec<String>,
    /// How long a writer bears passing faults.
    pub(super) commit_deadline: Duration,
    options: Options,
    /// Which node is used, counted on without end.
    current: AtomicUsize,
}

/// A connection to one node.
#[derive(Debug)]
pub(super) struct Session {
    nodes: Arc<Nodes>,
    node: usize,
    connection: Connection,
}

impl Nodes {
    pub(super) fn new(settings: &config::Database, name: String) -> Result<Nodes> {
        Ok(Nodes {
            name,
            addresses: settings.addresses.clone(),
            commit_deadline: settings.commit_deadline,
            options: Options::of(settings, CONNECT_TIME_MAX)?,
            current: AtomicUsize::new(0),
        })
    }

    /// A new connection to the node in use. No answer on it may take longer than `longest`.
    pub(super) fn connect(
        self: &Arc<Nodes>,
        longest: Duration,
        database: Option<&str>,
    ) -> Result<Session, Fault> {
        let _waiting = Blocking::new();
        let node = self.current.load(Ordering::Relaxed);
        let call = |host: &str| {
            let port = address::parts(self.address(node)).1;
            Connection::open(&self.options, (host, port), database, longest)
        };
        let connection = self.hosts(node).and_then(|hosts| self.first_of(&hosts, node, call));
        let connection = connection.map_err(|fault| self.leave(node, fault))?;
        let mut session = Session { nodes: self.clone(), node, connection };
        session.run(SESSION)?;
        session.see_others(true)?;
        Ok(session)
    }

    /// Connects to the first of these hosts, which are all of one node, that does not refuse the connection.
    fn first_of(
        &self,
        hosts: &[String],
        node: usize,
        call: impl Fn(&str) -> Result<Connection, Refusal>,
    ) -> Result<Connection, Fault> {
        let mut fault = Fault::Passing(format!("{}: its name has no address", self.place(node)));
        for host in hosts {
            match call(host) {
                Ok(connection) => return Ok(connection),
                Err(error) => fault = fault::of(&error, &self.place(node)),
            }
            if let Fault::Lasting(_) = fault {
                break;
            }
        }
        Err(fault)
    }

    /// The IP addresses of a node. The crate would look its name up without a deadline; that is done only for a name that is
    /// known by then, because a certificate is for a name.
    fn hosts(&self, node: usize) -> Result<Vec<String>, Fault> {
        let (address, deadline) = (self.address(node), Instant::now() + CONNECT_TIME_MAX);
        let found = Resolver::of_process()
            .resolve(address, deadline, &|| false)
            .map_err(|error| Fault::Passing(format!("{}: {error}", self.place(node))))?;
        Ok(if self.options.has_tls() {
            vec![address::parts(address).0.to_owned()]
        } else {
            found.iter().map(|address| address.ip().to_string()).collect()
        })
    }

    fn address(&self, node: usize) -> &str {
        &self.addresses[node % self.addresses.len()]
    }

    /// A node, for messages.
    fn place(&self, node: usize) -> String {
        format!("database {} at {}", self.name, self.address(node))
    }

    /// After a passing fault the next node is used.
    fn leave(&self, node: usize, fault: Fault) -> Fault {
        if let Fault::Passing(_) = fault {
            let next = node.wrapping_add(1);
            // Another thread may have gone on to the next node already.
            self.current.compare_exchange(node, next, Ordering::Relaxed, Ordering::Relaxed).ok();
        }
        fault
    }
}

impl Session {
    /// Runs the statements of a text, in one round trip.
    pub(super) fn run(&mut self, text: &str) -> Result<(), Fault> {
        self.with(|connection| connection.run(text))
    }

    /// Uses the connection. After a fault the session is of no use any more: what it has begun is undone when it is dropped.
    pub(super) fn with<T>(
        &mut self,
        act: impl FnOnce(&mut Connection) -> Result<T, Refusal>,
    ) -> Result<T, Fault> {
        let _waiting = Blocking::new();
        act(&mut self.connection).map_err(|error| {
            self.nodes.leave(self.node, fault::of(&error, &self.nodes.place(self.node)))
        })
    }

    /// Whether each statement waits until the node has everything that was committed at any other node before. Without
    /// effect if the database is not Galera.
    pub(super) fn see_others(&mut self, wait: bool) -> Result<(), Fault> {
        const UNKNOWN_VARIABLE: u16 = 1193;
        let text = format!("SET SESSION wsrep_sync_wait = {}", if wait { 7 } else { 0 });
        self.with(|connection| match connection.run(&text) {
            Err(Refusal::Code(UNKNOWN_VARIABLE, _)) => Ok(()),
            other => other,
        })
    }
}

/// Tries until there is an answer or a lasting fault, for as long as `longest`.
pub(super) fn try_for<T>(
    longest: Duration,
    mut attempt: impl FnMut() -> Result<T, Fault>,
) -> Result<T, Fault> {
    let patience = Patience::new(longest);
    loop {
        match attempt() {
            Ok(value) => return Ok(value),
            Err(fault) => patience.bear(fault)?,
        }
    }
}

/// How long passing faults are borne.
pub(super) struct Patience {
    began: Instant,
    longest: Duration,
}

impl Patience {
    pub(super) fn new(longest: Duration) -> Patience {
        Patience { began: Instant::now(), longest }
    }

    /// Makes a pause after a passing fault. Returns a lasting fault, and a passing one when it has gone on for too long.
    pub(super) fn bear(&self, fault: Fault) -> Result<(), Fault> {
        match fault {
            Fault::Passing(why) if self.began.elapsed() >= self.longest => {
                let seconds = self.longest.as_secs_f32();
                Err(Fault::Passing(format!("no answer for {seconds} s: {why}")))
            }
            Fault::Passing(_) => {
                let _waiting = Blocking::new();
                thread::sleep(PAUSE);
                Ok(())
            }
            Fault::Lasting(_) => Err(fault),
        }
    }

    /// How long it has been.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}
