//! The network between the services: every connection from one process to another goes through here,
//! and the nemesis decides what arrives when.
//!
//! A link is a listener that a caller dials in the place of its callee; each connection over it has two
//! pumps, one a direction. Weather is between two processes and of one direction, so that all links
//! between the two have the same:
//!
//! - *held*: what is sent waits until the weather changes, and then arrives, however late. So does the
//!   end of a connection. That is a partition: TCP sends again.
//! - *slow*: everything arrives this much later.
//! - *cut*: connections break at once, and new ones too.

use crate::support::{Id, own_host};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often a silent pump looks whether the network still is.
const LOOK: Duration = Duration::from_millis(250);

/// A callee that stands still, with a full backlog, does not answer.
const CONNECT: Duration = Duration::from_secs(1);

/// From whom to whom.
pub type Way = (Id, Id);

/// What happens to what is sent one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// It waits.
    Held,
    /// It is late.
    Slow(Duration),
    /// The connection breaks.
    Cut,
}

/// All links of a store.
pub struct Network {
    /// Where its links are dialled: not where the store has its addresses, some of which are only reserved.
    host: String,
    sky: Arc<Sky>,
    acceptors: Vec<JoinHandle<()>>,
    addresses: Vec<SocketAddr>,
}

#[derive(Default)]
struct Sky {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    weather: BTreeMap<Way, Weather>,
    closed: bool,
}

impl Network {
    /// A network without links, in fair weather.
    pub fn new() -> Network {
        let (acceptors, addresses) = (Vec::new(), Vec::new());
        Network { host: own_host(), sky: Arc::default(), acceptors, addresses }
    }

    /// Lays a link from a caller to the address of a callee. Returns the address to dial instead.
    pub fn link(&mut self, way: Way, callee: &str) -> String {
        let callee: SocketAddr = callee.parse().expect("an address with a port");
        let listener = TcpListener::bind((self.host.as_str(), 0)).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let sky = self.sky.clone();
        // Joined when the network is dropped.
        let acceptor = thread::Builder::new().name(format!("link {way:?}"));
        let acceptor = acceptor.spawn(move || sky.accept(&listener, way, callee));
        self.acceptors.push(acceptor.expect("a thread"));
        self.addresses.push(address);
        address.to_string()
    }

    /// Sets the weather of some ways.
    pub fn set(&self, ways: &[Way], weather: Weather) {
        let mut state = self.sky.state.lock().expect("nobody panics in here");
        state.weather.extend(ways.iter().map(|way| (*way, weather)));
        self.sky.changed.notify_all();
    }

    /// Fair weather everywhere.
    pub fn clear(&self) {
        self.sky.state.lock().expect("nobody panics in here").weather.clear();
        self.sky.changed.notify_all();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.sky.state.lock().expect("nobody panics in here").closed = true;
        self.sky.changed.notify_all();
        for (acceptor, address) in self.acceptors.drain(..).zip(&self.addresses) {
            // Wakes it up, so that it sees that all is over.
            TcpStream::connect(address).ok();
            acceptor.join().expect("an acceptor never panics");
        }
    }
}

impl Sky {
    fn accept(self: &Arc<Sky>, listener: &TcpListener, there: Way, to: SocketAddr) {
        let mut pumps: Vec<JoinHandle<()>> = Vec::new();
        while let Ok((near, _)) = listener.accept() {
            if self.state.lock().expect("nobody panics in here").closed {
                break;
            }
            pumps.retain(|pump| !pump.is_finished());
            // A callee that is down: the caller sees its connection break.
            let Ok(far) = TcpStream::connect_timeout(&to, CONNECT) else { continue };
            let clones = near.try_clone().and_then(|near| Ok((near, far.try_clone()?)));
            let Ok((near_again, far_again)) = clones else { continue };
            for (from, to, way) in [(near, far, there), (far_again, near_again, (there.1, there.0))]
            {
                let sky = self.clone();
                // Ends with its connection; joined by this acceptor.
                let pump = thread::Builder::new().name(format!("pump {way:?}"));
                pumps.push(pump.spawn(move || sky.pump(from, to, way)).expect("a thread"));
            }
        }
        for pump in pumps {
            pump.join().expect("a pump never panics");
        }
    }

    /// Carries what comes one way, until the connection ends at either side or is cut.
    fn pump(&self, mut from: TcpStream, mut to: TcpStream, way: Way) {
        let mut chunk = vec![0; 64 * 1024];
        let ready = from.set_read_timeout(Some(LOOK)).and_then(|()| to.set_nodelay(true));
        while ready.is_ok() {
            let read = match from.read(&mut chunk) {
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if self.is_cut(way) {
                        break;
                    }
                    continue;
                }
                read => read.unwrap_or(0),
            };
            if !self.lets_through(way) || read == 0 || to.write_all(&chunk[..read]).is_err() {
                break;
            }
        }
        // Either may be closed already.
        from.shutdown(Shutdown::Both).ok();
        to.shutdown(Shutdown::Both).ok();
    }

    fn is_cut(&self, way: Way) -> bool {
        let state = self.state.lock().expect("nobody panics in here");
        state.closed || state.weather.get(&way) == Some(&Weather::Cut)
    }

    /// Waits as long as the weather says. False if the connection is to break.
    fn lets_through(&self, way: Way) -> bool {
        let mut state = self.state.lock().expect("nobody panics in here");
        loop {
            match state.weather.get(&way) {
                _ if state.closed => return false,
                Some(Weather::Held) => {
                    state = self.changed.wait(state).expect("nobody panics in here");
                }
                Some(Weather::Cut) => return false,
                Some(Weather::Slow(by)) => {
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
