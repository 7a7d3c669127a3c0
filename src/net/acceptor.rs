//! The acceptor: the thread that accepts connections and, at intervals, closes connections that have waited
//! too long. It never serves a request.
//!
//! * At [`Limits::connections_max`], or when open files run short, it stops accepting; others wait in
//!   the kernel's backlog.
//! * When accepting fails, it tries again at the next check rather than at once, because the listener
//!   stays ready.
//! * It never blocks on a connection: a worker does what may block.
//! * When the server stops, it waits until all connections are closed, at most until a deadline.
//!
//! [`Limits::connections_max`]: super::limits::Limits::connections_max

use super::connection::{Connection, OpenCount};
use super::file_limit::FileLimit;
use super::scheduler::{Reason, Scheduler};
use super::transport::Listen;
use super::watched::Watched;
use polling::{Event, Events, Poller};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// How often deadlines are checked, and active connections are counted.
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);

/// The same while there are no connections.
const IDLE_SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// The same while the server stops.
const LAST_SWEEPS_INTERVAL: Duration = Duration::from_millis(10);

/// How long requests in flight may take when the server stops.
const STOP_DEADLINE: Duration = Duration::from_secs(3);

/// The listeners, and what the acceptor needs to pass connections on.
pub(super) struct Acceptor<S> {
    /// Watches the listeners only; the workers have a poller for connections.
    arrivals: Arc<Poller>,
    listeners: Vec<Watched<TcpListener>>,
    is_accepting: bool,
    files: FileLimit,
    listen: Listen,
    scheduler: Arc<Scheduler<S>>,
}

impl<S: Send + 'static> Acceptor<S> {
    /// Takes over these listeners, at least one.
    pub(super) fn open(
        listeners: Vec<TcpListener>,
        listen: Listen,
        scheduler: Arc<Scheduler<S>>,
    ) -> io::Result<Acceptor<S>> {
        /// Clients that may wait to be accepted. The standard library asks for 128; those in a
        /// burst above that would lose their first packet, and a second until they repeat it.
        const BACKLOG: i32 = 1024;
        for listener in &listeners {
            rustix::net::listen(listener, BACKLOG)?;
            listener.set_nonblocking(true)?;
        }
        let arrivals = Arc::new(Poller::new()?);
        let watched = |listener| Watched::new(listener, Arc::clone(&arrivals));
        let listeners = listeners.into_iter().map(watched).collect();
        let files = FileLimit::for_clients(scheduler.limits.clients);
        let mut acceptor =
            Acceptor { arrivals, listeners, is_accepting: false, files, listen, scheduler };
        acceptor.expect_clients()?;
        Ok(acceptor)
    }

    /// With the real port if 0 was configured.
    pub(super) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(|listener| listener.local_addr()).collect()
    }

    /// Notified when the server stops.
    pub(super) fn arrivals(&self) -> Arc<Poller> {
        Arc::clone(&self.arrivals)
    }

    /// The acceptor's thread, until the server stops.
    pub(super) fn run(mut self) {
        let mut events = Events::new();
        let mut next_sweep = Instant::now() + SWEEP_INTERVAL;
        while !self.scheduler.is_stopping() {
            wait(&self.arrivals, &mut events, next_sweep);
            let now = Instant::now();
            if !events.is_empty() {
                self.accept();
                next_sweep = next_sweep.min(now + SWEEP_INTERVAL);
            }
            if now >= next_sweep {
                self.sweep(now);
                let is_idle = self.scheduler.open.load(Ordering::Relaxed) == 0;
                next_sweep = now + if is_idle { IDLE_SWEEP_INTERVAL } else { SWEEP_INTERVAL };
            }
        }
        self.close();
    }

    fn sweep(&mut self, now: Instant) {
        self.scheduler.sweep(now);
        if !self.is_accepting && self.has_room() {
            self.expect_clients().unwrap_or_else(|error| tracing::error!(%error, "cannot accept"));
        }
    }

    fn has_room(&self) -> bool {
        self.scheduler.open.load(Ordering::Relaxed) < self.scheduler.limits.connections_max
            && !self.files.are_short(&*self.arrivals)
    }

    fn expect_clients(&mut self) -> io::Result<()> {
        self.is_accepting = false;
        for listener in &mut self.listeners {
            listener.watch(Event::readable(0))?;
        }
        self.is_accepting = true;
        Ok(())
    }

    /// Accepts all waiting connections and watches for more, unless there is no room.
    fn accept(&mut self) {
        self.is_accepting = false;
        let mut emptied = 0;
        while self.has_room() {
            let Some(listener) = self.listeners.get(emptied) else {
                return self
                    .expect_clients()
                    .unwrap_or_else(|error| tracing::error!(%error, "cannot accept"));
            };
            match listener.accept() {
                Ok((socket, peer)) => self.admit(socket, peer),
                Err(error) if error.kind() == ErrorKind::WouldBlock => emptied += 1,
                // This client has disconnected; the next may still be there.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    return tracing::warn!(%error, "cannot accept; will try again");
                }
            }
        }
        let warning = self.files.warning();
        if self.files.are_short(&*self.arrivals) && self.scheduler.refusals.is_news(&warning) {
            tracing::warn!("{warning}");
        }
    }

    /// Hands a new connection to a thread, as its first request mostly follows at once. If the
    /// server is saturated, that request has to arrive first.
    fn admit(&self, socket: TcpStream, peer: SocketAddr) {
        let scheduler = &*self.scheduler;
        let place = OpenCount::take(&scheduler.open);
        let prepared = prepare(&socket, scheduler.limits.stay).and_then(|()| self.listen.channel());
        let channel = match prepared {
            Ok(channel) => channel,
            Err(error) => {
                return tracing::debug!(%peer, %error, "client disconnected before it was served");
            }
        };
        let socket = Watched::new(socket, Arc::clone(&scheduler.poller));
        let connection = Box::new(Connection::new(socket, peer, channel, place));
        if scheduler.saturation.is_saturated() {
            let awaits = connection.next_wait();
            scheduler.park(connection, awaits);
        } else {
            scheduler.queue(connection, Reason::New);
        }
    }

    /// Stops listening, then waits until every connection is closed or the deadline has passed.
    fn close(self) {
        let Acceptor { listeners, scheduler, .. } = self;
        drop(listeners);
        let deadline = Instant::now() + STOP_DEADLINE;
        loop {
            let now = Instant::now();
            scheduler.sweep(now);
            if scheduler.open.load(Ordering::Relaxed) == 0 || now >= deadline {
                return scheduler.close();
            }
            thread::sleep(LAST_SWEEPS_INTERVAL);
        }
    }
}

/// Sets the options of an accepted socket. `stay` is how long a read or a write may block.
fn prepare(socket: &TcpStream, stay: Duration) -> io::Result<()> {
    // On Linux an accepted socket does not inherit the listener's non-blocking mode, on other systems it does.
    socket.set_nonblocking(false)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(stay))?;
    socket.set_write_timeout(Some(stay))
}

/// Waits until a client connects, the server stops, or the time has passed.
fn wait(arrivals: &Poller, events: &mut Events, until: Instant) {
    events.clear();
    if let Err(error) = arrivals.wait_deadline(events, until) {
        tracing::error!(%error, "cannot wait for connections");
        thread::sleep(SWEEP_INTERVAL);
    }
}
