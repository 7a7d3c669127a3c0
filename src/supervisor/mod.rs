//! `run-all`: the whole store from one command.
//!
//! The services are started in the order in which they need each other: the catalog, the order
//! replicas by id, the front-end. Each is started when the one before it answers `GET /health`.
//! ([`store`] has them all, `process.rs` starts, asks and ends one.) What they say comes out here,
//! each line behind its name (`relay.rs`).
//!
//! - A service that ends while the store opens ends the opening. Later the others go on without
//!   it, as they are built to, and the command that brings it back is printed.
//! - Ctrl-C ends them in the opposite order, so that each still has what it needs to finish its
//!   work. Should the supervisor itself be killed, they end by themselves.
//! - Each service reads the same configuration as the supervisor: it is passed the flags that the
//!   supervisor was given, and inherits the environment.

pub mod store;
mod process;
mod relay;
mod fresh;

pub use process::Output;
pub use store::{Opened, Store};

use crate::config::{self, Config};
use crate::error::Result;
use crate::stop::Stop;
use clap::ArgMatches;
use process::Service;
use relay::say;
use std::time::{Duration, Instant};

/// The pause between two looks at whether a service has ended.
const WATCH_POLL: Duration = Duration::from_millis(50);

/// Opens the store, keeps it open until this process is asked to end, and closes it.
pub fn run(config: &Config, arguments: &ArgMatches) -> Result<()> {
    let stop = Stop::install(arguments)?;
    if arguments.get_flag("fresh") {
        fresh::empty_directories(config)?;
    }
    let flags = config::given_flags(arguments, config);
    let mut store = Store::closed(config, &flags, &Output::Relayed)?;
    let begin = Instant::now();
    let opened = store.open(&stop);
    if let Ok(Opened::Yes) = opened {
        store.invite(config, &flags, begin.elapsed());
        store.watch(&stop);
    }
    say("closing the store");
    store.close(|name, how| say(&format!("{name:8} ended: {how}")));
    opened.map(|_| ())
}

/// What is said to whoever ran it.
impl Store {
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
}
