//! Carries out commands on the open store, for the terminal and for the cluster page. Used by the
//! thread that owns the processes.

use super::command::{Command, HELP, Selector};
use super::customers::Customers;
use super::process::{Process, State};
use super::service::ServiceId;
use super::store::Store;
use super::watch::board::Board;
use crate::error::{Error, Result};
use rustix::process::Signal;

/// What a command needs.
pub(super) struct Control<'a> {
    pub(super) store: &'a mut Store,
    pub(super) customers: &'a mut Customers,
    pub(super) board: &'a Board,
}

/// The result of a command.
pub(super) enum Done {
    /// Something changed: the text is for the sender and for all consoles.
    Changed(String),
    /// Nothing changed: the text is for the sender only.
    Asked(String),
    /// The store has to be closed.
    Quit,
}

impl Control<'_> {
    /// Carries out a command. An error says why it is impossible.
    pub(super) fn execute(&mut self, command: Command) -> Result<Done> {
        let changed = match command {
            Command::Crash(target) => self.crash(target)?,
            Command::Pause(target) => self.pause(target)?,
            Command::Continue(target) => self.resume(target)?,
            Command::Start(target) => self.start(target)?,
            Command::SlowDatabase => {
                self.signal_catalog(Signal::USR1, "the artificial delay is on")?
            }
            Command::NormalDatabase => {
                self.signal_catalog(Signal::USR2, "the artificial delay is off")?
            }
            Command::Customers(count) => {
                self.customers.set(count)?;
                format!("customers: {count}")
            }
            Command::Status => return Ok(Done::Asked(self.board.picture().to_string())),
            Command::Help => return Ok(Done::Asked(HELP.to_owned())),
            Command::Quit => return Ok(Done::Quit),
        };
        Ok(Done::Changed(changed))
    }

    fn crash(&mut self, target: Selector) -> Result<String> {
        let process = self.running(target)?;
        process.kill();
        Ok(format!("{} crashed (kill -9 {})", process.service.id, process.pid()))
    }

    fn pause(&mut self, target: Selector) -> Result<String> {
        let process = self.running(target)?;
        if process.state() == State::Paused {
            return Err(refused(process, "is already paused"));
        }
        process.pause();
        Ok(format!("{} paused (kill -STOP {})", process.service.id, process.pid()))
    }

    fn resume(&mut self, target: Selector) -> Result<String> {
        let process = self.running(target)?;
        if process.state() != State::Paused {
            return Err(refused(process, "is not paused"));
        }
        process.resume();
        Ok(format!("{} resumed (kill -CONT {})", process.service.id, process.pid()))
    }

    fn start(&mut self, target: Selector) -> Result<String> {
        let id = self.service(target)?;
        let process = self.store.process(id)?;
        if !process.has_ended() {
            return Err(refused(process, "is already running"));
        }
        self.store.restart(id)?;
        Ok(format!("{id} started, pid {}", self.store.process(id)?.pid()))
    }

    /// Of several catalogs, the active one. It must be ready: before it has installed its handler, the signal would end it.
    fn signal_catalog(&mut self, signal: Signal, done: &str) -> Result<String> {
        let mut catalogs = self.store.processes.iter_mut();
        let is_active = |process: &&mut Process| {
            matches!(process.service.id, ServiceId::Catalog(_))
                && process.state() == State::Running
                && process.is_ready()
        };
        let Some(catalog) = catalogs.find(is_active) else {
            let first = self.running(Selector::Service(ServiceId::FIRST_CATALOG))?;
            return Err(refused(first, "does not answer"));
        };
        catalog.signal(signal);
        Ok(done.to_owned())
    }

    fn running(&mut self, target: Selector) -> Result<&mut Process> {
        let id = self.service(target)?;
        let process = self.store.process(id)?;
        if process.has_ended() {
            return Err(Error::invalid(format!("{id} is not running; start it first")));
        }
        Ok(process)
    }

    fn service(&self, target: Selector) -> Result<ServiceId> {
        match target {
            Selector::Service(id) => Ok(id),
            Selector::Leader => match self.board.leader() {
                Some(leader) => Ok(ServiceId::Order(leader)),
                None => Err(Error::unavailable("there is no leader at the moment")),
            },
        }
    }
}

fn refused(process: &Process, why: &str) -> Error {
    Error::invalid(format!("{} {why}", process.service.id))
}
