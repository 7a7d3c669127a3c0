//! The one server that all services use: any number of connections on a fixed number of threads.
//!
//! A protocol says how bytes become answers; the server does everything else. Its threads are one
//! poller, named `<name>-poller`, and [`Limits::threads`] workers, named `<name>`.

use super::channel::Way;
use super::lobby::Lobby;
use super::poller::Door;
use super::transport::Listen;
use crate::error::{Error, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use threadpool::ThreadPool;

/// What a server speaks, without any I/O: requests are cut out of bytes and answered into bytes.
///
/// `serve` runs on a worker thread and may block while it asks other services, but only with a
/// deadline. The other methods must be quick.
pub trait Protocol: Send + Sync + 'static {
    /// What one connection remembers between its requests.
    type Session: Send + 'static;

    /// A client has connected, this way. Runs on the poller thread, so it must neither block nor panic.
    fn open(&self, way: Way) -> Self::Session;

    /// Answers the first request in `input` if it is whole, by appending to `output`. Never called
    /// with an empty `input`, and after [`Progress::NeedMore`] only once there are more bytes.
    fn serve(&self, session: &mut Self::Session, input: &[u8], output: &mut Vec<u8>) -> Progress;

    /// A request did not arrive whole within its deadline. Last words may be appended before the
    /// connection is closed.
    fn expired(&self, session: &mut Self::Session, output: &mut Vec<u8>);

    /// `serve` panicked; what it had appended is gone. Last words may be appended before the
    /// connection is closed.
    fn panicked(&self, session: &mut Self::Session, output: &mut Vec<u8>);
}

/// What became of the bytes given to [`Protocol::serve`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// They hold no whole request yet. Something may have been appended all the same, such as
    /// HTTP's `100 Continue`; it is sent at once.
    NeedMore,
    /// The first `bytes` of them were a request, and its answer was appended.
    Served {
        /// Where the next request begins. At least 1.
        bytes: usize,
    },
    /// What was appended is the last that this connection says.
    Close,
}

/// Who comes to a server, when open files run short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// Anybody: they wait first.
    Customers,
    /// Other services, whom customers must not keep out.
    Services,
}

/// The limits of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Worker threads, at least one.
    pub threads: usize,
    /// Open connections. Further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// How many of the files that this process may have open they must leave it, connections included.
    pub clients: Clients,
    /// For a whole request, from its first byte.
    pub request_deadline: Duration,
    /// For the next request to begin.
    pub idle_deadline: Duration,
    /// For the client to take an answer that did not fit into the kernel's buffers.
    pub write_deadline: Duration,
    /// Whether a thread stays with its session between two requests while there are threads for all:
    /// thread per session. If not, each turn ends with the answers to what was received: thread per
    /// request.
    pub stays: bool,
    /// Requests after which a session that never falls silent goes to the end of the queue, when
    /// others wait.
    pub turn_requests_max: u32,
    /// How long a thread that stays waits for the next bytes before it parks the connection. Not zero, which
    /// would mean forever to a socket.
    pub stay: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            threads: 10,
            connections_max: 12_000,
            clients: Clients::Customers,
            request_deadline: Duration::from_secs(10),
            idle_deadline: Duration::from_secs(300),
            write_deadline: Duration::from_secs(10),
            stays: true,
            turn_requests_max: 64,
            stay: Duration::from_millis(10),
        }
    }
}

/// How a server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauges {
    /// Threads that serve.
    pub threads: usize,
    /// Connections.
    pub open: usize,
    /// Threads with a connection.
    pub busy: usize,
    /// Connections that wait without a thread.
    pub parked: usize,
    /// Connections that wait for a thread.
    pub queued: usize,
}

/// Tells how a server is doing, also to those who do not own it.
pub type Watch = Arc<dyn Fn() -> Gauges + Send + Sync>;

/// A running server. Dropping it stops it.
pub struct Server {
    address: SocketAddr,
    stop: Box<dyn Fn() -> io::Result<()> + Send + Sync>,
    gauges: Watch,
    poller: Option<JoinHandle<()>>,
    pool: ThreadPool,
    /// Disconnected once every worker has left.
    workers_left: Receiver<()>,
}

impl Server {
    /// Serves `protocol` where `listen` says; an address alone means plainly. `name` names the threads.
    pub fn start<P: Protocol>(
        name: &str,
        listen: impl Into<Listen>,
        protocol: Arc<P>,
        limits: Limits,
    ) -> Result<Server> {
        let listen = listen.into();
        let address = listen.address().to_owned();
        let cannot_listen =
            |error: io::Error| Error::Listen { address: address.clone(), why: error.to_string() };
        let threads = limits.threads;
        let lobby = Arc::new(Lobby::new(limits).map_err(cannot_listen)?);
        let door = Door::open(listen, protocol, Arc::clone(&lobby)).map_err(cannot_listen)?;
        let address = door.address().map_err(cannot_listen)?;

        // Serve requests. Each worker is one job that lasts as long as the server. They leave when
        // the poller thread ends, and `Drop for Server` waits for them.
        let pool = threadpool::Builder::new().num_threads(threads).thread_name(name.into()).build();
        let (worker_leaves, workers_left) = crossbeam_channel::bounded(0);
        for _ in 0..threads {
            let worker = door.worker();
            let worker_leaves = worker_leaves.clone();
            pool.execute(move || {
                worker.run();
                drop(worker_leaves);
            });
        }

        // Accepts and watches connections; `Drop for Server` joins it.
        let poller = thread::Builder::new()
            .name(format!("{name}-poller"))
            .spawn(move || door.run())
            .map_err(cannot_listen)?;

        let gauges: Watch = Arc::new({
            let lobby = Arc::clone(&lobby);
            move || lobby.gauges()
        });
        let stop = Box::new(move || lobby.stop());
        Ok(Server { address, stop, gauges, poller: Some(poller), pool, workers_left })
    }

    /// Where it listens; the port is the real one when port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it is doing.
    pub fn gauges(&self) -> Gauges {
        (self.gauges)()
    }

    /// The same, for somebody else to ask.
    pub fn watch(&self) -> Watch {
        Arc::clone(&self.gauges)
    }

    /// Takes no more connections, finishes the requests in flight, closes the idle ones and joins
    /// its threads. Takes at most about four seconds.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        /// How long a worker may still take when the poller has given up waiting for connections.
        const LEAVE_DEADLINE: Duration = Duration::from_secs(1);
        if let Err(error) = (self.stop)() {
            tracing::error!(%error, "cannot wake the poller: the server stops a little later");
        }
        if self.poller.take().is_some_and(|poller| poller.join().is_err()) {
            tracing::error!("the poller panicked");
        }
        match self.workers_left.recv_timeout(LEAVE_DEADLINE) {
            Err(RecvTimeoutError::Timeout) => {
                let workers = self.pool.active_count();
                tracing::warn!(workers, "some requests did not end in time and are left alone");
            }
            Ok(()) | Err(RecvTimeoutError::Disconnected) => self.pool.join(),
        }
    }
}
