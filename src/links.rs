//! The network between the processes of a store, with faults: every connection from one process to another goes through a
//! proxy, and whoever tests the store decides what arrives when. Used by `make torture` and by `grade`.
//!
//! A link is a listener that a caller connects to instead of the called process. Each connection over it has two
//! pumps, one for each direction. All links in one direction between two processes have the same condition:
//!
//! - *held*: bytes wait until the condition changes, and then arrive, however late. So does the
//!   end of a connection. That is a partition: TCP sends again.
//! - *slow*: bytes arrive this much later.
//! - *cut*: connections break at once, and new ones too.

use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often a pump without data checks whether the network still exists.
const LOOK: Duration = Duration::from_millis(100);

/// A paused process with a full backlog does not accept.
const CONNECT: Duration = Duration::from_secs(1);

/// A direction: from, to.
pub type Direction<P> = (P, P);

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

/// All links between processes, which have names of this type. Dropping it ends them.
pub struct Links<P> {
    host: String,
    shared: Arc<Shared<P>>,
    acceptors: Vec<(SocketAddr, JoinHandle<()>)>,
}

struct Shared<P> {
    state: Mutex<State<P>>,
    changed: Condvar,
}

struct State<P> {
    conditions: BTreeMap<Direction<P>, Condition>,
    /// How many connections were made over each link.
    connections: BTreeMap<SocketAddr, usize>,
    is_closed: bool,
}

impl<P: Ord + Clone + Send + 'static> Links<P> {
    /// No links yet, and no faults. The links will listen at this host.
    pub fn at(host: impl Into<String>) -> Links<P> {
        let (conditions, connections) = (BTreeMap::new(), BTreeMap::new());
        let state = Mutex::new(State { conditions, connections, is_closed: false });
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        Links { host: host.into(), shared, acceptors: Vec::new() }
    }

    /// Makes a link from a caller to the address of a callee. Returns the address to connect to instead.
    pub fn link(&mut self, direction: Direction<P>, callee: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((self.host.as_str(), 0))?;
        let address = listener.local_addr()?;
        let shared = self.shared.clone();
        // Joined when the links are dropped.
        let acceptor = thread::Builder::new().name("link".into());
        let acceptor =
            acceptor.spawn(move || shared.accept(&listener, address, &direction, callee))?;
        self.acceptors.push((address, acceptor));
        Ok(address)
    }

    /// Sets the condition of some directions.
    pub fn set(&self, directions: impl IntoIterator<Item = Direction<P>>, condition: Condition) {
        let directions = directions.into_iter().map(|direction| (direction, condition));
        self.shared.state.lock().conditions.extend(directions);
        self.shared.changed.notify_all();
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.shared.state.lock().conditions.clear();
        self.shared.changed.notify_all();
    }

    /// How many connections were made over a link.
    pub fn connections(&self, link: SocketAddr) -> usize {
        self.shared.state.lock().connections.get(&link).copied().unwrap_or(0)
    }
}

impl<P> Drop for Links<P> {
    fn drop(&mut self) {
        self.shared.state.lock().is_closed = true;
        self.shared.changed.notify_all();
        for (address, acceptor) in self.acceptors.drain(..) {
            // Wakes it, so that it sees that the network ends.
            TcpStream::connect(address).ok();
            acceptor.join().ok();
        }
    }
}

impl<P: Ord + Clone + Send + 'static> Shared<P> {
    fn accept(
        self: &Arc<Self>,
        listener: &TcpListener,
        link: SocketAddr,
        direction: &Direction<P>,
        callee: SocketAddr,
    ) {
        let mut connections: Vec<JoinHandle<()>> = Vec::new();
        while let Ok((near, _)) = listener.accept() {
            {
                let mut state = self.state.lock();
                if state.is_closed {
                    break;
                }
                *state.connections.entry(link).or_default() += 1;
            }
            connections.retain(|connection| !connection.is_finished());
            let (shared, direction) = (self.clone(), direction.clone());
            let connection = thread::Builder::new().name("connection".into());
            // Without a thread the connection breaks, as with a process that is down.
            connections.extend(connection.spawn(move || shared.serve(near, &direction, callee)));
        }
        for connection in connections {
            connection.join().ok();
        }
    }

    /// Copies the bytes of a connection in both directions. If the callee is down, the caller sees its connection break.
    fn serve(&self, near: TcpStream, there: &Direction<P>, callee: SocketAddr) {
        let Ok(far) = TcpStream::connect_timeout(&callee, CONNECT) else { return };
        let (Ok(near_again), Ok(far_again)) = (near.try_clone(), far.try_clone()) else { return };
        let back = (there.1.clone(), there.0.clone());
        thread::scope(|scope| {
            scope.spawn(move || self.pump(far_again, near_again, &back));
            self.pump(near, far, there);
        });
    }

    /// Copies bytes in one direction, until the connection ends at either side or is cut.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, direction: &Direction<P>) {
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

    fn is_cut(&self, direction: &Direction<P>) -> bool {
        let state = self.state.lock();
        state.is_closed || state.conditions.get(direction) == Some(&Condition::Cut)
    }

    /// Waits as long as the condition requires. Returns false if the connection must break.
    fn lets_through(&self, direction: &Direction<P>) -> bool {
        let mut state = self.state.lock();
        loop {
            match state.conditions.get(direction).copied() {
                _ if state.is_closed => return false,
                Some(Condition::Held) => self.changed.wait(&mut state),
                Some(Condition::Cut) => return false,
                Some(Condition::Slow(by)) => {
                    drop(state);
                    thread::sleep(by);
                    return true;
                }
                None => return true,
            }
        }
    }
}
