//! `run-all`: starts and supervises the whole store.
//!
//! The services are started in the order in which they need each other: the catalog, the order
//! replicas by id, the front-end. Each is started when the one before it answers `GET /health`.
//! ([`store`] owns all of them, `process.rs` starts, checks and ends one.) Their output is printed
//! with the name of the service before each line (`relay.rs`).
//!
//! - If a service ends while the store opens, opening fails. Later the other services keep running,
//!   and the command that starts it again is printed.
//! - `welcome.rs` prints example commands that work in any shell and directory (`shell.rs`).
//! - Ctrl-C ends them in the opposite order, so that a service that finishes its requests can still
//!   call the services that it needs. If the supervisor is killed, all services end, too.
//! - Each service reads the same configuration as the supervisor: it is passed the flags that the
//!   supervisor was given, and inherits the environment.
//! - With a terminal, [`command`]s that are typed ([`keyboard`]) or clicked on the cluster [`page`] crash,
//!   pause and start services ([`control`]) and start [`customers`]. [`console`] runs the commands;
//!   [`watch`] collects the state of the services.

pub mod store;
mod service;
mod process;
mod relay;
mod shell;
mod welcome;
mod fresh;
mod command;
mod keyboard;
mod control;
mod customers;
mod watch;
mod page;
mod console;

pub use process::Output;
pub use service::ServiceId;
pub use store::{Opened, Store};

use crate::config::{self, Config};
use crate::error::Result;
use crate::stop::Stop;
use clap::ArgMatches;
use console::{Console, Next};
use keyboard::Keyboard;
use process::Service;
use relay::{padded, say};
use std::env;
use std::time::{Duration, Instant};

/// The interval between two checks for ended services and for commands.
const WATCH_POLL: Duration = Duration::from_millis(50);

/// Opens the store, keeps it open until this process is asked to end, and closes it.
pub fn run(config: &Config, arguments: &ArgMatches) -> Result<()> {
    let stop = Stop::install(arguments)?;
    let flags = config::given_flags(arguments, config, |variable| env::var_os(variable));
    let mut store = Store::closed(config, &flags, &Output::Relayed)?;
    let _output = relay::open(store.services().iter().map(|service| service.id))?;
    if arguments.get_flag("fresh") {
        fresh::empty_directories(config)?;
    }
    let keyboard = Keyboard::attached().filter(|_| !arguments.get_flag("no-page"));
    let mut console = None;
    if keyboard.is_some() || arguments.get_flag("page") {
        console = Some(Console::open(config, &store, keyboard)?);
    }
    let begin = Instant::now();
    let opened = store.open(&stop);
    if let Ok(Opened::Yes) = opened {
        welcome::print(config, &flags, &store.processes, begin.elapsed())?;
        console.iter().for_each(Console::print_welcome);
        supervise(&mut store, console.as_mut(), &stop);
    }
    say("closing the store");
    console.iter_mut().for_each(Console::close);
    store.close(|id, how| say(&format!("{} ended: {how}", padded(id))));
    opened.map(|_| ())
}

/// Reports services that end and carries out commands, until this process is asked to end.
fn supervise(store: &mut Store, mut console: Option<&mut Console>, stop: &Stop) {
    while !stop.wait(WATCH_POLL) {
        for process in &mut store.processes {
            let Some(how) = process.newly_ended() else { continue };
            let id = process.service.id;
            say(&format!(
                "{id} has ended ({how}); the other services keep running. Start it again with:"
            ));
            let Service { program, arguments, .. } = &process.service;
            say(&format!("  {}", shell::run(program, arguments)));
            if let Some(console) = &console {
                console.add_event(&format!("{id} has ended ({how})"));
            }
        }
        if let Some(console) = &mut console
            && console.run_commands(store) == Next::Close
        {
            return;
        }
    }
}
