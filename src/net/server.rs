//! The server that all services use: any number of connections on a fixed number of threads.
//!
//! A protocol turns requests into answers; the server does everything else. Its threads are one
//! acceptor, named `<name>-acceptor`, and workers, named `<name>`. There is one worker more than
//! [`Limits::threads`], so that one can poll while the others serve.

use super::acceptor::Acceptor;
use super::limits::Limits;
use super::listeners;
use super::protocol::Protocol;
use super::scheduler::{Gauges, Scheduler};
use super::transport::Listen;
use super::worker::Worker;
use crate::error::{Error, Result};
use crate::stop::{VitalThread, vital};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::io;
use std::iter;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use threadpool::ThreadPool;

/// Reads the state of a server. May be passed to other owners.
pub type Watch = Arc<dyn Fn() -> Gauges + Send + Sync>;

/// A running server. Dropping it stops it.
pub struct Server {
    /// At least one.
    addresses: Vec<SocketAddr>,
    stop: Box<dyn Fn() -> io::Result<()> + Send + Sync>,
    gauges: Watch,
    acceptor: Option<VitalThread>,
    pool: ThreadPool,
    /// Disconnected once every worker has ended.
    workers_left: Receiver<()>,
}

impl Server {
    /// Serves `protocol` at `listen`; an address alone means plain TCP. `name` names the threads.
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
        let scheduler = Arc::new(Scheduler::new(limits).map_err(cannot_listen)?);
        let workers: Vec<_> = iter::repeat_n(protocol, scheduler.workers())
            .map(|protocol| Worker { protocol, scheduler: Arc::clone(&scheduler) })
            .collect();
        let listeners = listeners::listen(&address)?;
        let acceptor = Acceptor::open(listeners, listen, Arc::clone(&scheduler));
        let acceptor = acceptor.map_err(cannot_listen)?;
        let arrivals = acceptor.arrivals();
        let addresses = acceptor.addresses().map_err(cannot_listen)?;

        // Serve requests. Each worker runs as long as the server. Workers end when
        // the acceptor ends, and `Drop for Server` waits for them.
        let pool =
            threadpool::Builder::new().num_threads(workers.len()).thread_name(name.into()).build();
        let (worker_leaves, workers_left) = crossbeam_channel::bounded(0);
        for worker in workers {
            let (worker_leaves, name) = (worker_leaves.clone(), name.to_owned());
            // A panic in a request is caught there; a panic in the shared polling ends the process.
            pool.execute(move || {
                vital(&name, || worker.run());
                drop(worker_leaves);
            });
        }

        // Accepts connections and watches their deadlines; `Drop for Server` joins it.
        let acceptor = VitalThread::start(format!("{name}-acceptor"), move || acceptor.run())?;

        let gauges: Watch = Arc::new({
            let scheduler = Arc::clone(&scheduler);
            move || scheduler.gauges()
        });
        let stop = Box::new(move || {
            scheduler.stop();
            arrivals.notify()
        });
        Ok(Server { addresses, stop, gauges, acceptor: Some(acceptor), pool, workers_left })
    }

    /// The address where it listens, the first if there are several; with the real port if 0 was configured.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All addresses where it listens, for people.
    pub fn listening_on(&self) -> String {
        let all: Vec<_> = self.addresses.iter().map(SocketAddr::to_string).collect();
        all.join(" and ")
    }

    /// Its state.
    pub fn gauges(&self) -> Gauges {
        (self.gauges)()
    }

    /// A handle that reads its state.
    pub fn watch(&self) -> Watch {
        Arc::clone(&self.gauges)
    }

    /// Accepts no more connections, finishes the requests in flight, closes idle connections and joins
    /// its threads. Takes at most about four seconds.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        /// How long to wait for the workers after the acceptor has ended.
        const LEAVE_DEADLINE: Duration = Duration::from_secs(1);
        if let Err(error) = (self.stop)() {
            tracing::error!(%error, "cannot wake the acceptor: the server stops a little later");
        }
        drop(self.acceptor.take());
        match self.workers_left.recv_timeout(LEAVE_DEADLINE) {
            Err(RecvTimeoutError::Timeout) => {
                let workers = self.pool.active_count();
                tracing::warn!(
                    workers,
                    "some requests did not end in time; the server does not wait for them"
                );
            }
            Ok(()) | Err(RecvTimeoutError::Disconnected) => self.pool.join(),
        }
    }
}
