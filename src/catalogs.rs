//! The catalogs of a store, as their callers know them: one is active, the others listen at no address. Used by the order
//! service, the front-ends and the operator's programs.
//!
//! - Who answers a health check is active. A service asks each catalog every 100 ms, on a thread for each ([`Watch`]); a
//!   program that has a few questions only looks once ([`Catalogs::find`]).
//! - A call is given up when another catalog is found to be active ([`Active::is_replaced`]): the one that was asked may be
//!   paused, or out of reach.

use crate::config::{Config, Instance};
use crate::error::Result;
use crate::net::{Rpc, Transport};
use crate::protocol::catalog::Peer;
use crate::protocol::{ask, wanted};
use crate::stop::VitalThread;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often a catalog is asked.
const EVERY: Duration = Duration::from_millis(100);

/// For a health check; the catalog counts as out of reach after it.
const DEADLINE: Duration = Duration::from_millis(300);

/// All catalogs, and which of them is active.
pub struct Catalogs {
    all: Vec<Catalog>,
    /// The place of the one that answered last.
    active: AtomicUsize,
    is_reachable: AtomicBool,
}

struct Catalog {
    requests: Rpc,
    peers: Rpc,
}

/// The catalog that was active when a call began.
pub struct Active<'a> {
    catalogs: &'a Catalogs,
    place: usize,
}

impl Catalogs {
    /// Those of this configuration. The first counts as active until another answers.
    pub fn of(config: &Config, transport: &Transport) -> Result<Catalogs> {
        let catalog = |(_, at): (_, &Instance)| {
            let (requests, peers) = (transport.rpc(&at.listen)?, transport.rpc(&at.peer)?);
            Ok(Catalog { requests, peers })
        };
        Ok(Catalogs {
            all: config.catalog.instances().map(catalog).collect::<Result<_>>()?,
            active: AtomicUsize::new(0),
            is_reachable: AtomicBool::new(false),
        })
    }

    /// The same, after a look at which is active, if there are several.
    pub fn find(config: &Config, transport: &Transport) -> Result<Catalogs> {
        let catalogs = Catalogs::of(config, transport)?;
        let answers = |place: &usize| catalogs.check(*place, &wanted).is_ok();
        if catalogs.are_several()
            && let Some(active) = (0..catalogs.all.len()).find(answers)
        {
            catalogs.active.store(active, Ordering::Relaxed);
        }
        Ok(catalogs)
    }

    /// Whether there are more than one.
    pub fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// The active one.
    pub fn active(&self) -> Active<'_> {
        Active { catalogs: self, place: self.active.load(Ordering::Relaxed) }
    }

    /// Whether the active one answered the last health check.
    pub fn is_reachable(&self) -> bool {
        self.is_reachable.load(Ordering::Relaxed)
    }

    fn check(&self, place: usize, abandoned: &dyn Fn() -> bool) -> Result<()> {
        ask(&self.all[place].peers, &Peer::HealthCheck, Instant::now() + DEADLINE, abandoned)
    }

    /// Notes what one catalog answered to a health check.
    fn note(&self, place: usize, answer: Result<()>) {
        match answer {
            Ok(()) => {
                if self.active.swap(place, Ordering::Relaxed) != place {
                    tracing::info!("the catalog at {} is active", self.all[place].peers.address());
                }
                if !self.is_reachable.swap(true, Ordering::Relaxed) {
                    tracing::info!("the catalog can be reached");
                }
            }
            Err(error) => {
                if self.active.load(Ordering::Relaxed) == place
                    && self.is_reachable.swap(false, Ordering::Relaxed)
                {
                    tracing::warn!("the catalog cannot be reached: {error}");
                }
            }
        }
    }
}

impl Active<'_> {
    /// Its address for requests.
    pub fn requests(&self) -> &Rpc {
        &self.catalogs.all[self.place].requests
    }

    /// Its address for the calls of services.
    pub fn peers(&self) -> &Rpc {
        &self.catalogs.all[self.place].peers
    }

    /// Whether another one has been found to be active.
    pub fn is_replaced(&self) -> bool {
        self.catalogs.active.load(Ordering::Relaxed) != self.place
    }
}

/// The threads that find out which catalog is active. Dropping it stops and joins them.
pub struct Watch {
    stopping: Arc<AtomicBool>,
    threads: Vec<VitalThread>,
}

impl Watch {
    /// Starts one for each catalog.
    pub fn start(catalogs: &Arc<Catalogs>) -> Result<Watch> {
        let mut watch = Watch { stopping: Arc::default(), threads: Vec::new() };
        for place in 0..catalogs.all.len() {
            let (catalogs, stopping) = (catalogs.clone(), watch.stopping.clone());
            watch.threads.push(VitalThread::start("watch", move || {
                let is_stopping = || stopping.load(Ordering::Relaxed);
                while !is_stopping() {
                    let begun = Instant::now();
                    catalogs.note(place, catalogs.check(place, &is_stopping));
                    thread::sleep(EVERY.saturating_sub(begun.elapsed()));
                }
            })?);
        }
        Ok(watch)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}
