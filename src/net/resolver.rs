//! Looks names up, with a deadline, however long the operating system takes. Callers use it for each new
//! connection, servers and tools at their start.
//!
//! ```text
//! caller ── name ──▶ queue ──▶ the resolver's thread ── getaddrinfo ──▶ name server
//!        ◀── addresses ── what is known ◀──┘
//! ```
//!
//! * An IP address needs no look-up. Neither does `localhost`: it means both loopback addresses (RFC 6761 §6.3).
//! * `getaddrinfo` has no deadline and cannot be interrupted, so one thread, started by the first name, calls it for
//!   the whole process. The callers wait for it until their deadline.
//! * The last addresses of a name are kept. They stay in use when a look-up takes long or fails, so an unreachable
//!   name server has no effect on names that were looked up before.

use super::socket::TICK;
use crate::address;
use crate::error::{Error, Result};
use crate::stop;
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

/// The function that looks up `host:port`.
type LookUp = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// How long the start of a server may wait for the look-up of its own name.
const START_DEADLINE: Duration = Duration::from_secs(5);

/// How many names may wait to be looked up. A store has fewer.
const QUEUED_MAX: usize = 256;

/// How long a look-up may take before the name's last addresses are used instead. No caller waits longer than half of
/// its time. A name server answers in a few milliseconds.
const USUAL: Duration = Duration::from_millis(100);

/// Looks names up.
pub struct Resolver {
    look_up: LookUp,
    known: Arc<Known>,
    /// To the thread, once there is one.
    questions: Mutex<Option<Sender<String>>>,
}

/// The names that were looked up: those of the configuration and the command line, so not many.
#[derive(Default)]
struct Known {
    names: Mutex<HashMap<String, Name>>,
    /// A look-up has ended.
    news: Condvar,
}

/// One name, with its port.
#[derive(Default)]
struct Name {
    /// When it was asked for, while that look-up is queued or under way.
    asked: Option<Instant>,
    /// Its last addresses.
    addresses: Vec<SocketAddr>,
    /// Why it has no address, if it never had one.
    why: String,
}

impl Resolver {
    /// A resolver that uses this function.
    pub fn new(look_up: LookUp) -> Resolver {
        Resolver { look_up, known: Arc::default(), questions: Mutex::default() }
    }

    /// The resolver of this process.
    pub fn of_process() -> Arc<Resolver> {
        static RESOLVER: LazyLock<Arc<Resolver>> = LazyLock::new(|| {
            Arc::new(Resolver::new(|name| name.to_socket_addrs().map(Iterator::collect)))
        });
        Arc::clone(&RESOLVER)
    }

    /// The addresses of `host:port`, at least one. [`Error::Unreachable`] if the name is known to have no address,
    /// [`Error::Unavailable`] if that is not known in time or `abandoned` is true.
    pub fn resolve(
        &self,
        address: &str,
        deadline: Instant,
        abandoned: &dyn Fn() -> bool,
    ) -> Result<Vec<SocketAddr>> {
        if let Some(fixed) = fixed(address) {
            return Ok(fixed);
        }
        let begun = Instant::now();
        let mut names = self.known.names.lock();
        let name = names.entry(address.to_owned()).or_default();
        // Callers that come while a look-up is under way share its answer.
        if name.asked.is_none() {
            self.ask(address)?;
        }
        let asked = *name.asked.get_or_insert(begun);
        let half = deadline.saturating_duration_since(begun) / 2;
        let enough = (asked + USUAL).min(begun + half);
        loop {
            let (name, now) = (&names[address], Instant::now());
            let is_answered = name.asked != Some(asked);
            if !name.addresses.is_empty() && (is_answered || now >= enough) {
                return Ok(name.addresses.clone());
            }
            if is_answered {
                return Err(Error::Unreachable {
                    address: address.to_owned(),
                    why: name.why.clone(),
                });
            }
            if now >= deadline || abandoned() {
                let what = format!("the name in {address} was not looked up in time");
                return Err(Error::unavailable(what));
            }
            let until = if name.addresses.is_empty() { deadline } else { enough };
            self.known.news.wait_until(&mut names, until.min(now + TICK));
        }
    }

    fn ask(&self, address: &str) -> Result<()> {
        let mut questions = self.questions.lock();
        let questions = match &*questions {
            Some(questions) => questions,
            None => questions.insert(self.start()?),
        };
        let full = |_| {
            Error::unavailable(format!(
                "too many names wait to be looked up before that in {address}"
            ))
        };
        questions.try_send(address.to_owned()).map_err(full)
    }

    /// Starts the thread. It is not joined, because `getaddrinfo` may hang for a long time. It ends after the look-up
    /// that is under way when its resolver is dropped, or with the process.
    fn start(&self) -> Result<Sender<String>> {
        const NAME: &str = "resolver";
        let (questions, asked) = bounded(QUEUED_MAX);
        let (look_up, known) = (self.look_up, Arc::clone(&self.known));
        let run = move || stop::vital(NAME, || known.learn(look_up, &asked));
        match thread::Builder::new().name(NAME.to_owned()).spawn(run) {
            Ok(_) => Ok(questions),
            Err(e) => Err(Error::unavailable(format!("cannot start the thread {NAME}: {e}"))),
        }
    }
}

/// The addresses that need no look-up.
fn fixed(address: &str) -> Option<Vec<SocketAddr>> {
    if let Ok(literal) = address.parse() {
        return Some(vec![literal]);
    }
    let (host, port) = address::parts(address);
    let port = port.parse().ok().filter(|_| address::is_localhost(host))?;
    let both: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    Some(both.map(|ip| SocketAddr::new(ip, port)).to_vec())
}

/// The addresses of a configured address of ours, to listen at.
pub fn own_addresses(address: &str) -> Result<Vec<SocketAddr>> {
    let deadline = Instant::now() + START_DEADLINE;
    Resolver::of_process().resolve(address, deadline, &|| false).map_err(|error| {
        let why = match error {
            Error::Unreachable { why, .. } => why,
            other => other.to_string(),
        };
        Error::Listen { address: address.to_owned(), why }
    })
}

impl Known {
    /// What the thread does.
    fn learn(&self, look_up: LookUp, asked: &Receiver<String>) {
        for address in asked {
            let found = look_up(&address);
            let mut names = self.names.lock();
            let name = names.entry(address).or_default();
            name.asked = None;
            match found {
                Ok(found) if !found.is_empty() => name.addresses = found,
                Ok(_) => "the name has no address".clone_into(&mut name.why),
                Err(error) => name.why = error.to_string(),
            }
            drop(names);
            self.news.notify_all();
        }
    }
}
