//! The links between the processes of a store: a link is a proxy on a port of its own, which leads to the port of
//! another process. Held links make a partition: bytes wait, and arrive when the links are released, as TCP sends again.
//!
//! Also counts the connections of a link, by which the check `keep-alive` sees whether one was enough.

use parking_lot::{Condvar, Mutex};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use toystore::error::{Error, Result};

/// How often a pump without data checks whether the network still exists.
const LOOK: Duration = Duration::from_millis(100);

/// A paused process with a full backlog does not accept.
const CONNECT: Duration = Duration::from_secs(1);

/// The links of a store. Dropping it ends them.
#[derive(Default)]
pub struct Network {
    links: Vec<Link>,
    state: Arc<State>,
}

struct Link {
    from: String,
    to: String,
    /// The port that leads there, and the port that it leads to.
    ports: (u16, u16),
    connections: Arc<AtomicUsize>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    /// The process whose links are held.
    isolated: Option<String>,
    is_closed: bool,
}

impl Network {
    /// The port of the link from one process to a port of another.
    pub fn link(&mut self, from: &str, to: &str, port: u16) -> Result<u16> {
        let same = |link: &&Link| link.from == from && link.to == to && link.ports.1 == port;
        if let Some(link) = self.links.iter().find(same) {
            return Ok(link.ports.0);
        }
        let failed = |e: std::io::Error| Error::Listen {
            address: "127.0.0.1:0".to_owned(),
            why: e.to_string(),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let here = listener.local_addr().map_err(failed)?.port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (state, counted) = (self.state.clone(), connections.clone());
        let ends = [from.to_owned(), to.to_owned()];
        let acceptor = thread::Builder::new().name("link".into());
        let acceptor = acceptor
            .spawn(move || accept(&listener, port, &ends, &state, &counted))
            .map_err(failed)?;
        self.links.push(Link {
            from: from.to_owned(),
            to: to.to_owned(),
            ports: (here, port),
            connections,
            acceptor: Some(acceptor),
        });
        Ok(here)
    }

    /// How many connections were made over the link with this port.
    pub fn connections(&self, port: u16) -> usize {
        let link = self.links.iter().find(|link| link.ports.0 == port);
        link.map_or(0, |link| link.connections.load(Ordering::Relaxed))
    }

    /// Whether a process can be isolated: others have links to it, or it to them.
    pub fn reaches(&self, process: &str) -> bool {
        self.links.iter().any(|link| link.from == process || link.to == process)
    }

    /// Holds all links from and to a process, or releases all.
    pub fn isolate(&self, process: Option<&str>) {
        self.state.inner.lock().isolated = process.map(str::to_owned);
        self.state.changed.notify_all();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.state.inner.lock().is_closed = true;
        self.state.changed.notify_all();
        for link in &mut self.links {
            // Wakes the acceptor, so that it sees that the network ends.
            TcpStream::connect((Ipv4Addr::LOCALHOST, link.ports.0)).ok();
            if let Some(acceptor) = link.acceptor.take() {
                acceptor.join().ok();
            }
        }
    }
}

impl State {
    fn is_closed(&self) -> bool {
        self.inner.lock().is_closed
    }

    /// Waits while the links of one of these processes are held. Returns false if the network has ended.
    fn lets_through(&self, ends: &[String; 2]) -> bool {
        let mut inner = self.inner.lock();
        while !inner.is_closed && inner.isolated.as_ref().is_some_and(|one| ends.contains(one)) {
            self.changed.wait(&mut inner);
        }
        !inner.is_closed
    }
}

fn accept(
    listener: &TcpListener,
    port: u16,
    ends: &[String; 2],
    state: &Arc<State>,
    counted: &AtomicUsize,
) {
    let mut pumps: Vec<JoinHandle<()>> = Vec::new();
    while let Ok((near, _)) = listener.accept() {
        if state.is_closed() {
            break;
        }
        counted.fetch_add(1, Ordering::Relaxed);
        pumps.retain(|pump| !pump.is_finished());
        let (state, ends) = (state.clone(), ends.clone());
        let serve = move || serve(near, port, &ends, &state);
        // Without a thread the connection breaks, as with a process that is down.
        pumps.extend(thread::Builder::new().name("pump".into()).spawn(serve));
    }
    for pump in pumps {
        pump.join().ok();
    }
}

/// Connects to the process, once the link lets anything through, and copies bytes in both directions.
fn serve(near: TcpStream, port: u16, ends: &[String; 2], state: &State) {
    if !state.lets_through(ends) {
        return;
    }
    let Ok(far) = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), CONNECT) else {
        return;
    };
    let (Ok(near_again), Ok(far_again)) = (near.try_clone(), far.try_clone()) else { return };
    thread::scope(|scope| {
        scope.spawn(|| pump(far_again, near_again, ends, state));
        pump(near, far, ends, state);
    });
}

/// Copies bytes in one direction, until the connection ends at either side.
fn pump(mut from: TcpStream, mut to: TcpStream, ends: &[String; 2], state: &State) {
    let mut chunk = vec![0; 64 * 1024];
    let ready = from.set_read_timeout(Some(LOOK)).and_then(|()| to.set_nodelay(true));
    while ready.is_ok() {
        let read = match from.read(&mut chunk) {
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if state.is_closed() {
                    break;
                }
                continue;
            }
            read => read.unwrap_or(0),
        };
        if !state.lets_through(ends) || read == 0 || to.write_all(&chunk[..read]).is_err() {
            break;
        }
    }
    // Either may be closed already.
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}
