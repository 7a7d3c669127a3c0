//! The network between the services: every connection from one process to another goes through this proxy,
//! and the nemesis decides what arrives when.
//!
//! A link is a listener that a caller connects to instead of the called service. Each connection over it has two
//! pumps, one for each direction. All links in one direction between two processes have the same condition:
//!
//! - *held*: bytes wait until the condition changes, and then arrive, however late. So does the
//!   end of a connection. That is a partition: TCP sends again.
//! - *slow*: bytes arrive this much later.
//! - *cut*: connections break at once, and new ones too.

use crate::support::{Id, own_host};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often a pump without data checks whether the network still exists.
const LOOK: Duration = Duration::from_millis(250);

/// A paused process with a full backlog does not accept.
const CONNECT: Duration = Duration::from_secs(1);

/// A direction: from, to.
pub type Direction = (Id, Id);

/// What happens to bytes in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// They wait.
    Held,
    /// They are late.
    Slow(Duration),
    /// The connection breaks.
    Cut,
}

/// All links of a store.
pub struct Network {
    /// The host of the links: not the host of the store, where some addresses are only reserved.
    host: String,
    links: Arc<Links>,
    acceptors: Vec<JoinHandle<()>>,
    addresses: Vec<SocketAddr>,
}

#[derive(Default)]
struct Links {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    condition: BTreeMap<Direction, Condition>,
    closed: bool,
}

impl Network {
    /// A network without links and without faults.
    pub fn new() -> Network {
        let (acceptors, addresses) = (Vec::new(), Vec::new());
        Network { host: own_host(), links: Arc::default(), acceptors, addresses }
    }

    /// Makes a link from a caller to the address of a service. Returns the address to connect to instead.
    pub fn link(&mut self, direction: Direction, callee: &str) -> String {
        let callee: SocketAddr = callee.parse().expect("an address with a port");
        let listener = TcpListener::bind((self.host.as_str(), 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let links = self.links.clone();
        // Joined when the network is dropped.
        let acceptor = thread::Builder::new().name(format!("link {direction:?}"));
        let acceptor = acceptor.spawn(move || links.accept(&listener, direction, callee));
        self.acceptors.push(acceptor.expect("a thread"));
        self.addresses.push(address);
        address.to_string()
    }

    /// Sets the condition of some directions.
    pub fn set(&self, directions: &[Direction], condition: Condition) {
        let mut state = self.links.state.lock().expect("nobody panics in here");
        state.condition.extend(directions.iter().map(|direction| (*direction, condition)));
        self.links.changed.notify_all();
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.links.state.lock().expect("nobody panics in here").condition.clear();
        self.links.changed.notify_all();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.links.state.lock().expect("nobody panics in here").closed = true;
        self.links.changed.notify_all();
        for (acceptor, address) in self.acceptors.drain(..).zip(&self.addresses) {
            // Wakes it, so that it sees that the network ends.
            TcpStream::connect(address).ok();
            acceptor.join().expect("an acceptor never panics");
        }
    }
}

impl Links {
    fn accept(self: &Arc<Links>, listener: &TcpListener, there: Direction, to: SocketAddr) {
        let mut pumps: Vec<JoinHandle<()>> = Vec::new();
        while let Ok((near, _)) = listener.accept() {
            if self.state.lock().expect("nobody panics in here").closed {
                break;
            }
            pumps.retain(|pump| !pump.is_finished());
            // The called service is down: the caller sees its connection break.
            let Ok(far) = TcpStream::connect_timeout(&to, CONNECT) else { continue };
            let clones = near.try_clone().and_then(|near| Ok((near, far.try_clone()?)));
            let Ok((near_again, far_again)) = clones else { continue };
            for (from, to, direction) in
                [(near, far, there), (far_again, near_again, (there.1, there.0))]
            {
                let links = self.clone();
                // Ends with its connection; joined by this acceptor.
                let pump = thread::Builder::new().name(format!("pump {direction:?}"));
                pumps.push(pump.spawn(move || links.pump(from, to, direction)).expect("a thread"));
            }
        }
        for pump in pumps {
            pump.join().expect("a pump never panics");
        }
    }

    /// Copies bytes in one direction, until the connection ends at either side or is cut.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, direction: Direction) {
        let mut chunk = vec![0; 64 * 1024];
        let ready = from.set_read_timeout(Some(LOOK)).and_then(|()| to.set_nodelay(true));
        while ready.is_ok() {
            let read = match from.read(&mut chunk) {
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.is_cut(direction) {
                        break;
                    }
                    continue;
                }
                read => read.unwrap_or(0),
            };
            if !self.lets_through(direction) || read == 0 || to.write_all(&chunk[..read]).is_err() {
                break;
            }
        }
        // Either may be closed already.
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
    }

    fn is_cut(&self, direction: Direction) -> bool {
        let state = self.state.lock().expect("nobody panics in here");
        state.closed || state.condition.get(&direction) == Some(&Condition::Cut)
    }

    /// Waits as long as the condition requires. Returns false if the connection must break.
    fn lets_through(&self, direction: Direction) -> bool {
        let mut state = self.state.lock().expect("nobody panics in here");
        loop {
            match state.condition.get(&direction) {
                _ if state.closed => return false,
                Some(Condition::Held) => {
                    state = self.changed.wait(state).expect("nobody panics in here");
                }
                Some(Condition::Cut) => return false,
                Some(Condition::Slow(by)) => {
                    let by = *by;
                    drop(state);
                    thread::sleep(by);
                    return true;
                }
                None => return true,
            }
        }
    }
}
