//! The commands for an open store, as text: `crash 3`, `pause catalog`, `customers 5`. The
//! keyboard and the cluster page use the same commands. Pure.

use super::customers::CUSTOMERS_MAX;
use super::service::ServiceId;
use crate::error::{Error, Result};

/// A command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `kill -9`.
    Crash(Selector),
    /// `kill -STOP`: the process stops, its connections stay open.
    Pause(Selector),
    /// `kill -CONT`: the process resumes.
    Continue(Selector),
    /// Start a service that has ended.
    Start(Selector),
    /// Switch the artificial delay of the catalog on.
    SlowDatabase,
    /// Switch this delay off.
    NormalDatabase,
    /// Run this number of customers.
    Customers(usize),
    /// Show the state of the store.
    Status,
    /// Show the commands.
    Help,
    /// Close the store.
    Quit,
}

/// The service that a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selector {
    /// This service.
    Service(ServiceId),
    /// The current leader.
    Leader,
}

/// The answer to `help`.
pub const HELP: &str = "\
crash 3       kill -9; also: crash catalog, crash frontend, crash leader
pause 2       kill -STOP: the process stops, its connections stay open
continue 2    kill -CONT: the process resumes
start 3       start it again
slow on       add 200 ms to each query and purchase at the catalog, to simulate a slow database
slow off      remove this delay
customers 5   run five simulated customers; 0 stops them
status        show the state of all services
help          show these commands
quit          close the store; Ctrl-C does the same";

impl Command {
    /// Parses a line.
    pub fn parse(line: &str) -> Result<Command> {
        let line = line.trim().to_lowercase();
        let (verb, rest) =
            line.split_once(' ').map_or((&*line, ""), |(verb, rest)| (verb, rest.trim()));
        match (verb, rest) {
            ("crash", service) => target(verb, service).map(Command::Crash),
            ("pause", service) => target(verb, service).map(Command::Pause),
            ("continue", service) => target(verb, service).map(Command::Continue),
            ("start", service) => target(verb, service).map(Command::Start),
            ("slow", "on") => Ok(Command::SlowDatabase),
            ("slow", "off") => Ok(Command::NormalDatabase),
            ("slow", _) => Err(Error::invalid("type slow on or slow off")),
            ("customers", count) => match count.parse() {
                Ok(count) if count <= CUSTOMERS_MAX => Ok(Command::Customers(count)),
                _ => Err(Error::invalid(format!(
                    "expected a number of customers from 0 to {CUSTOMERS_MAX}"
                ))),
            },
            ("status", "") => Ok(Command::Status),
            ("help" | "?", "") => Ok(Command::Help),
            ("quit" | "exit", "") => Ok(Command::Quit),
            _ => {
                Err(Error::invalid(format!("unknown command \"{line}\"; help lists all commands")))
            }
        }
    }
}

fn target(verb: &str, service: &str) -> Result<Selector> {
    if service == "leader" {
        return Ok(Selector::Leader);
    }
    let service = ServiceId::named(service).map(Selector::Service);
    service.ok_or_else(|| {
        Error::invalid(format!(
            "{verb} which service? Expected the number of a replica, leader, catalog or frontend"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ReplicaId;

    #[test]
    fn what_is_typed_is_understood_or_explained() {
        let order = |id| Selector::Service(ServiceId::Order(ReplicaId(id)));
        for (typed, expected) in [
            ("crash 3", Ok(Command::Crash(order(3)))),
            ("  Crash   order 3 \n", Ok(Command::Crash(order(3)))),
            ("pause leader", Ok(Command::Pause(Selector::Leader))),
            (
                "continue catalog",
                Ok(Command::Continue(Selector::Service(ServiceId::FIRST_CATALOG))),
            ),
            ("start front-end", Ok(Command::Start(Selector::Service(ServiceId::FIRST_FRONT_END)))),
            ("slow on", Ok(Command::SlowDatabase)),
            ("customers 0", Ok(Command::Customers(0))),
            ("customers 20", Ok(Command::Customers(20))),
            ("status", Ok(Command::Status)),
            ("?", Ok(Command::Help)),
            ("quit", Ok(Command::Quit)),
            (
                "crash",
                Err(
                    "crash which service? Expected the number of a replica, leader, catalog or frontend",
                ),
            ),
            (
                "crash Tux",
                Err(
                    "crash which service? Expected the number of a replica, leader, catalog or frontend",
                ),
            ),
            ("slow", Err("type slow on or slow off")),
            ("customers many", Err("expected a number of customers from 0 to 20")),
            ("customers 21", Err("expected a number of customers from 0 to 20")),
            ("quit now", Err("unknown command \"quit now\"; help lists all commands")),
            ("", Err("unknown command \"\"; help lists all commands")),
        ] {
            let parsed = Command::parse(typed).map_err(|error| error.to_string());
            assert_eq!(parsed, expected.map_err(str::to_owned), "{typed:?}");
        }
    }
}
