//! The services of a store as child processes: open them all, crash and restart one, close them all.
//! Called by `run-all` and by the evaluation.
//!
//! - Dropping a [`Store`] ends the services that still run.

use super::process::{Output, Process, Service};
use super::service::ServiceId;
use crate::address;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::Principal;
use crate::net::{Transport, listeners};
use crate::stop::Stop;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a service may take from its start to its first answer. Reading a long log takes the most
/// time.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause between two health checks of a service that is starting.
const READY_POLL: Duration = Duration::from_millis(3);

/// Whether the store is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// All services answer.
    Yes,
    /// Ctrl-C was pressed before.
    Interrupted,
}

/// The services of a store: none of them runs, or all, or all but those that ended.
pub struct Store {
    services: Vec<Service>,
    /// In the order of their start.
    pub(super) processes: Vec<Process>,
}

impl Store {
    /// The store of this configuration; no service runs yet. Every service is started with the
    /// `flags`. An error if an address is in use.
    pub fn closed(config: &Config, flags: &[String], output: &Output) -> Result<Store> {
        let services = services(config, flags, output)?;
        check_addresses(&services)?;
        Ok(Store { services, processes: Vec::new() })
    }

    /// The service of this store with this address, if there is one.
    pub(super) fn who_listens_at(&self, address: &str) -> Option<ServiceId> {
        let at = |service: &&Service| [&*service.listen, service.peer.address()].contains(&address);
        self.services.iter().find(at).map(|service| service.id)
    }

    /// Its services, in the order of their start.
    pub(super) fn services(&self) -> &[Service] {
        &self.services
    }

    /// Starts each service when the one before is ready, unless this process is asked to end.
    pub fn open(&mut self, stop: &Stop) -> Result<Opened> {
        for service in self.services.clone() {
            let id = service.id;
            self.processes.push(Process::start(service)?);
            let deadline = Instant::now() + READY_TIMEOUT;
            // A catalog besides the first waits until that has ended, and answers nobody before.
            let is_standby =
                |id| matches!(id, ServiceId::Catalog(_)) && id != ServiceId::FIRST_CATALOG;
            while !self.newest_is_ready(deadline)? && !is_standby(id) {
                if stop.wait(READY_POLL) {
                    return Ok(Opened::Interrupted);
                }
            }
        }
        Ok(Opened::Yes)
    }

    /// Whether the service started last is ready; an error if any has ended or `deadline` is over.
    fn newest_is_ready(&mut self, deadline: Instant) -> Result<bool> {
        let is_ready = self.processes.last().is_none_or(Process::is_ready);
        // Checked after the health check: if another process answered at the address of a service
        // that could not start, that service has probably ended by now.
        for process in &mut self.processes {
            if let Some(how) = process.newly_ended() {
                let why = format!("ended while the store was opening ({how})");
                return Err(Error::Service { name: process.service.id.to_string(), why });
            }
        }
        match self.processes.last() {
            Some(process) if !is_ready && Instant::now() > deadline => {
                let why = format!("was not ready within {READY_TIMEOUT:?}");
                Err(Error::Service { name: process.service.id.to_string(), why })
            }
            _ => Ok(is_ready),
        }
    }

    /// Crashes a service, as `kill -9` does.
    pub fn kill(&mut self, id: ServiceId) -> Result<()> {
        self.process(id)?.kill();
        Ok(())
    }

    /// Starts a service again that has ended, without waiting until it is ready.
    pub fn restart(&mut self, id: ServiceId) -> Result<()> {
        let process = self.process(id)?;
        let old = std::mem::replace(process, Process::start(process.service.clone())?);
        old.end();
        Ok(())
    }

    /// Ends the services that still run, the last started first, and calls `tell` with how each
    /// ended.
    pub fn close(&mut self, mut tell: impl FnMut(ServiceId, &str)) {
        while let Some(process) = self.processes.pop() {
            let id = process.service.id;
            if let Some(how) = process.end() {
                tell(id, &how);
            }
        }
    }

    pub(super) fn process(&mut self, id: ServiceId) -> Result<&mut Process> {
        let mut processes = self.processes.iter_mut();
        processes
            .find(|process| process.service.id == id)
            .ok_or_else(|| Error::invalid(format!("the store has no service \"{id}\"")))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close(|_, _| {});
    }
}

/// The services in the order of their start.
fn services(config: &Config, flags: &[String], output: &Output) -> Result<Vec<Service>> {
    let transport = Transport::of(config, Principal::Tool)?;
    let service = |id: ServiceId, own: Vec<String>, listen: &str, peer: &str| {
        let program = match id {
            ServiceId::Catalog(_) => "catalog",
            ServiceId::Order(_) => "order",
            ServiceId::Frontend(_) => "frontend",
        };
        Ok(Service {
            id,
            program: sibling(program)?,
            arguments: [own, flags.to_vec()].concat(),
            listen: listen.to_owned(),
            peer: transport.target(peer)?,
            output: output.clone(),
        })
    };
    let mut all = Vec::new();
    for (id, catalog) in config.catalog.instances() {
        let own = vec!["--id".to_owned(), id.to_string()];
        all.push(service(ServiceId::Catalog(id), own, &catalog.listen, &catalog.peer));
    }
    for (id, replica) in &config.order.replicas {
        let own = vec!["--id".to_owned(), id.to_string()];
        all.push(service(ServiceId::Order(*id), own, &replica.listen, &replica.peer));
    }
    let controller = config.frontend.controller;
    let mut fronts: Vec<_> = config.frontend.instances().collect();
    // The others join at the controller.
    fronts.sort_by_key(|(id, _)| *id != controller);
    for (id, front) in fronts {
        let own = vec!["--id".to_owned(), id.to_string()];
        all.push(service(ServiceId::Frontend(id), own, &front.listen, &front.peer));
    }
    all.into_iter().collect()
}

/// The program of this name in the directory of this program.
pub(super) fn sibling(file: &str) -> Result<PathBuf> {
    let own = std::env::current_exe();
    own.map(|own| own.with_file_name(file)).map_err(|error| Error::Service {
        name: file.to_owned(),
        why: format!("cannot find its program: {error}"),
    })
}

/// Checks that each address has a port that the other services know, and that none is in use, before a service is
/// started: a service of another store at the same address could answer the health checks.
fn check_addresses(services: &[Service]) -> Result<()> {
    for service in services {
        for address in [&*service.listen, service.peer.address()] {
            if address::parts(address).1 == "0" {
                let why = format!("{} needs a port that the others know, not 0", service.id);
                return Err(Error::Listen { address: address.to_owned(), why });
            }
            listeners::listen(address).map_err(|error| match error {
                Error::Listen { address, why } => {
                    Error::Listen { address, why: format!("{why}; {} needs it", service.id) }
                }
                error => error,
            })?;
        }
    }
    Ok(())
}
