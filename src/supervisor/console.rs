//! The console of an open store: takes commands from the keyboard and from the cluster page, carries them
//! out one after the other, and answers each. Called by the main thread of `run-all`, which owns the
//! processes.

use super::command::Command;
use super::control::{Control, Done};
use super::customers::Customers;
use super::keyboard::Keyboard;
use super::page::{Access, Instruction, Page};
use super::relay::say;
use super::store::Store;
use super::watch::Watch;
use super::welcome::front_ends;
use crate::collector::Collector;
use crate::config::{self, Config, Engine};
use crate::error::{Error, Result};
use crate::net::transport;
use crate::storage::database::Node;
use crossbeam_channel::{Receiver, bounded};

/// The most commands that may wait; further ones are refused.
const COMMANDS_WAITING_MAX: usize = 16;

/// The console.
pub(super) struct Console {
    keyboard: Option<Keyboard>,
    page: Option<Page>,
    /// Commands from the page.
    instructions: Receiver<Instruction>,
    watch: Watch,
    customers: Customers,
}

/// Whether the store stays open after the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It stays open.
    KeepOpen,
    /// A command asked to close it.
    Close,
}

impl Console {
    /// A console for this store, with a keyboard if there is one, and with a page. If the address
    /// of the page is in use, it opens without a page, provided that there is a keyboard.
    pub(super) fn open(
        config: &Config,
        store: &Store,
        keyboard: Option<Keyboard>,
    ) -> Result<Console> {
        let nodes = match config.storage.engine {
            Engine::Files => Vec::new(),
            Engine::Database => Node::each(&config.database)?,
        };
        let watch = Watch::start(store.services(), nodes)?;
        let client = config::Client { addresses: front_ends(config), ..config.client.clone() };
        let customers = Customers::none(transport::public_targets(&client)?);
        let (sender, instructions) = bounded(COMMANDS_WAITING_MAX);
        let access = Access {
            board: watch.board.clone(),
            customers: customers.counts(),
            collector: Collector::of(config)?,
            instructions: sender,
        };
        let page = match open_page(&config.page.listen, access, store) {
            Err(error @ Error::Listen { .. }) if keyboard.is_some() => {
                say(&format!("no cluster page: {error}"));
                None
            }
            page => Some(page?),
        };
        Ok(Console { keyboard, page, instructions, watch, customers })
    }

    /// Prints the address of the page and the most important commands.
    pub(super) fn print_welcome(&self) {
        if let Some(page) = &self.page {
            say(&format!("the cluster page is at {}", page.url()));
        }
        if self.keyboard.is_some() {
            say("commands: crash 3, start 3, customers 5, status, help, quit");
        }
    }

    /// Carries out the commands that were typed or clicked since the last call.
    pub(super) fn run_commands(&mut self, store: &mut Store) -> Next {
        self.watch.board.update_processes(&store.processes);
        let typed = self.keyboard.as_mut().map(Keyboard::lines).unwrap_or_default();
        for line in typed.iter().filter(|line| !line.trim().is_empty()) {
            match self.execute(line, store) {
                Ok(Done::Changed(text) | Done::Asked(text)) => text.lines().for_each(say),
                Ok(Done::Quit) => return Next::Close,
                Err(error) => say(&error.to_string()),
            }
        }
        while let Ok(Instruction { line, answer }) = self.instructions.try_recv() {
            let done = self.execute(&line, store);
            if let Ok(Done::Changed(text)) = &done {
                say(text);
            }
            let is_last = matches!(done, Ok(Done::Quit));
            let reply = done.map(|done| match done {
                Done::Changed(text) | Done::Asked(text) => text,
                Done::Quit => "closing the store".to_owned(),
            });
            // The page may have stopped waiting.
            answer.try_send(reply).ok();
            if is_last {
                return Next::Close;
            }
        }
        Next::KeepOpen
    }

    /// Adds an event for the page.
    pub(super) fn add_event(&self, text: &str) {
        self.watch.board.add_event(text);
    }

    /// Stops the customers, while the store is still open.
    pub(super) fn close(&mut self) {
        self.customers.dismiss(0);
    }

    fn execute(&mut self, line: &str, store: &mut Store) -> Result<Done> {
        let board = &*self.watch.board;
        let mut control = Control { store, customers: &mut self.customers, board };
        let done = Command::parse(line).and_then(|command| control.execute(command))?;
        if let Done::Changed(text) = &done {
            board.add_event(text);
        }
        board.update_processes(&store.processes);
        Ok(done)
    }
}

/// Opens the page, before any service is started. The address must not be that of a service.
fn open_page(address: &str, access: Access, store: &Store) -> Result<Page> {
    let opened = match store.who_listens_at(address) {
        Some(id) => {
            Err(Error::Listen { address: address.to_owned(), why: format!("{id} needs it") })
        }
        None => Page::open(address, access),
    };
    opened.map_err(|error| match error {
        Error::Listen { address, why } => {
            Error::Listen { address, why: format!("{why}; --page-listen sets another address") }
        }
        error => error,
    })
}
