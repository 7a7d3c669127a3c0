//! `run-all`: the whole store from one command.
//!
//! The services are started in the order in which they need each other: the catalog, the order
//! replicas by id, the front-end. Each is started when the one before it answers `GET /health`.
//! ([`process`](self) starts, asks and ends one.) What they say comes out here, each line behind
//! its name (`relay.rs`).
//!
//! - A service that ends while the store opens ends the opening. Later the others go on without
//!   it, as they are built to, and the command that brings it back is printed.
//! - Ctrl-C ends them in the opposite order, so that each still has what it needs to finish its
//!   work. Should the supervisor itself be killed, they end by themselves.
//! - Each service reads the same configuration as the supervisor: it is passed the flags that the
//!   supervisor was given, and inherits the environment.

mod process;
mod relay;
mod fresh;

use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::stop::Stop;
use clap::ArgMatches;
use process::{Process, Service};
use relay::say;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a service may take from its start to its first answer; reading a long log is the
/// longest part of it.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause between two questions to a service that is starting.
const READY_POLL: Duration = Duration::from_millis(3);

/// The pause between two looks at whether a service has ended.
const WATCH_POLL: Duration = Duration::from_millis(50);

/// Opens the store, keeps it open until this process is asked to end, and closes it.
pub fn run(config: &Config, arguments: &ArgMatches) -> Result<()> {
    let stop = Stop::install(arguments)?;
    if arguments.get_flag("fresh") {
        fresh::empty_directories(config)?;
    }
    let flags = config::given_flags(arguments, config);
    let services = services(config, &flags)?;
    check_addresses(&services)?;
    let begin = Instant::now();
    let mut store = Store { processes: Vec::new() };
    let opened = store.open(services, &stop);
    if let Ok(Opened::Yes) = opened {
        store.invite(config, &flags, begin.elapsed());
        store.watch(&stop);
    }
    store.close();
    opened.map(|_| ())
}

/// The services in the order of their start.
fn services(config: &Config, flags: &[String]) -> Result<Vec<Service>> {
    let service = |name: String, file: &str, own: Vec<String>, listen: &str, peer: Option<&str>| {
        Ok(Service {
            name,
            program: sibling(file)?,
            arguments: [own, flags.to_vec()].concat(),
            listen: listen.to_owned(),
            peer: peer.map(str::to_owned),
        })
    };
    let (catalog, frontend) = (&config.catalog, &config.frontend);
    let peer = Some(catalog.peer.as_str());
    let mut all = vec![service("catalog".to_owned(), "catalog", vec![], &catalog.listen, peer)];
    for (id, replica) in &config.order.replicas {
        let own = vec!["--id".to_owned(), id.to_string()];
        let peer = Some(replica.peer.as_str());
        all.push(service(format!("order {id}"), "order", own, &replica.listen, peer));
    }
    let peer = Some(frontend.peer.as_str());
    all.push(service("frontend".to_owned(), "frontend", vec![], &frontend.listen, peer));
    all.into_iter().collect()
}

/// The program of this name next to this one.
fn sibling(file: &str) -> Result<PathBuf> {
    let own = std::env::current_exe();
    own.map(|own| own.with_file_name(file)).map_err(|error| Error::Service {
        name: file.to_owned(),
        why: format!("cannot find its program: {error}"),
    })
}

/// Finds addresses in use before anything is started: the stranger there might even be a service
/// of another store, and answer our health checks.
fn check_addresses(services: &[Service]) -> Result<()> {
    for service in services {
        for address in [Some(&service.listen), service.peer.as_ref()].into_iter().flatten() {
            TcpListener::bind(address.as_str()).map_err(|error| Error::Listen {
                address: address.clone(),
                why: format!("{error}; {} needs it", service.name),
            })?;
        }
    }
    Ok(())
}

/// Whether the store came to be open.
enum Opened {
    Yes,
    /// Ctrl-C was faster.
    Interrupted,
}

struct Store {
    /// In the order of their start.
    processes: Vec<Process>,
}

impl Store {
    /// Starts each service when the one before is ready.
    fn open(&mut self, services: Vec<Service>, stop: &Stop) -> Result<Opened> {
        for service in services {
            self.processes.push(Process::start(service)?);
            let deadline = Instant::now() + READY_TIMEOUT;
            while !self.newest_is_ready(deadline)? {
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
        // Asked in this order, an answer by another process at the address of one that could not
        // start is most likely noticed.
        for process in &mut self.processes {
            if let Some(how) = process.newly_ended() {
                let why = format!("ended while the store was opening ({how})");
                return Err(Error::Service { name: process.service.name.clone(), why });
            }
        }
        match self.processes.last() {
            Some(process) if !is_ready && Instant::now() > deadline => {
                let why = format!("was not ready within {READY_TIMEOUT:?}");
                Err(Error::Service { name: process.service.name.clone(), why })
            }
            _ => Ok(is_ready),
        }
    }

    /// Says that the store is open, and what one can do there.
    fn invite(&self, config: &Config, flags: &[String], after: Duration) {
        for process in &self.processes {
            let Service { name, listen, .. } = &process.service;
            say(&format!("{name:8} at {listen}, pid {}", process.pid()));
        }
        let door = format!("http://{}", config.frontend.listen);
        let client = match flags {
            [] => "make client".to_owned(),
            _ => format!("target/release/client {}", flags.join(" ")),
        };
        let things = [
            (format!("curl {door}/products/Tux"), "look at a toy"),
            (format!("curl -d '{{\"name\":\"Tux\",\"quantity\":1}}' {door}/orders"), "buy one"),
            (format!("curl {door}/orders/1"), "look at the order"),
            (client, "send five customers"),
            // In a new store the highest id leads (F6), and it is the one started last but one.
            (self.kill_line(), "the leader, if nothing happened yet: nobody will notice"),
        ];
        say(&format!("the store is open at {door} after {:.2} s; try", after.as_secs_f64()));
        for (command, meaning) in things {
            say(&format!("  {command:<66} # {meaning}"));
        }
        say("Ctrl-C closes the store");
    }

    /// The command that kills the replica of the highest id.
    fn kill_line(&self) -> String {
        let replica = self.processes.iter().rev().nth(1);
        replica.map_or_else(String::new, |process| format!("kill -9 {}", process.pid()))
    }

    /// Tells of services that end, until this process is asked to end.
    fn watch(&mut self, stop: &Stop) {
        while !stop.wait(WATCH_POLL) {
            for process in &mut self.processes {
                if let Some(how) = process.newly_ended() {
                    let Service { name, .. } = &process.service;
                    say(&format!(
                        "{name} has ended ({how}); the others go on. Start it again with"
                    ));
                    say(&format!("  {}", process.service.command_line()));
                }
            }
        }
    }

    /// Ends the services that still run, the last started first.
    fn close(self) {
        say("closing the store");
        for process in self.processes.into_iter().rev() {
            let name = process.service.name.clone();
            if let Some(how) = process.end() {
                say(&format!("{name:8} ended: {how}"));
            }
        }
    }
}
