//! Where a person sits while the store is open: commands come from the keyboard and from the cluster page,
//! are carried out one after the other, and answered. Called by `run-all`'s own thread, which owns the
//! processes.

use super::command::Command;
use super::control::{Control, Done};
use super::keyboard::Keyboard;
use super::page::{Access, Instruction, Page};
use super::relay::say;
use super::shoppers::Shoppers;
use super::store::Store;
use super::watch::Watch;
use crate::address;
use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::net::transport;
use crossbeam_channel::{Receiver, bounded};

/// More commands than this at once are refused.
const COMMANDS_WAITING_MAX: usize = 16;

/// The console.
pub(super) struct Console {
    keyboard: Option<Keyboard>,
    page: Option<Page>,
    /// What was asked for on the page.
    instructions: Receiver<Instruction>,
    watch: Watch,
    shoppers: Shoppers,
}

/// Whether the store is to stay open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Yes.
    Open,
    /// No: somebody has said so.
    Closed,
}

impl Console {
    /// A console for this store, with a keyboard if there is one, and with a page. It does without a page
    /// whose address is taken, if there is a keyboard.
    pub(super) fn open(
        config: &Config,
        store: &Store,
        keyboard: Option<Keyboard>,
    ) -> Result<Console> {
        let watch = Watch::start(store.services())?;
        let door = config::Client {
            address: address::to_call(&config.frontend.listen),
            ..config.client.clone()
        };
        let shoppers = Shoppers::nobody(transport::public_target(&door)?);
        let (sender, instructions) = bounded(COMMANDS_WAITING_MAX);
        let access = Access {
            board: watch.board.clone(),
            shoppers: shoppers.counts(),
            instructions: sender,
        };
        let page = match open_page(&config.page.listen, access, store) {
            Err(error @ Error::Listen { .. }) if keyboard.is_some() => {
                say(&format!("no cluster page: {error}"));
                None
            }
            page => Some(page?),
        };
        Ok(Console { keyboard, page, instructions, watch, shoppers })
    }

    /// Says where the page is, and what one can type.
    pub(super) fn invite(&self) {
        if let Some(page) = &self.page {
            say(&format!("the cluster page is at {}", page.url()));
        }
        if self.keyboard.is_some() {
            say("commands: crash 3, start 3, shoppers 5, status, help, quit");
        }
    }

    /// Carries out what was typed or clicked since the last call.
    pub(super) fn attend(&mut self, store: &mut Store) -> Wish {
        self.watch.board.look(&store.processes);
        let typed = self.keyboard.as_mut().map(Keyboard::lines).unwrap_or_default();
        for line in typed.iter().filter(|line| !line.trim().is_empty()) {
            match self.obey(line, store) {
                Ok(Done::Changed(text) | Done::Asked(text)) => text.lines().for_each(say),
                Ok(Done::Quit) => return Wish::Closed,
                Err(error) => say(&error.to_string()),
            }
        }
        while let Ok(Instruction { line, answer }) = self.instructions.try_recv() {
            let done = self.obey(&line, store);
            if let Ok(Done::Changed(text)) = &done {
                say(text);
            }
            let is_last = matches!(done, Ok(Done::Quit));
            let said = done.map(|done| match done {
                Done::Changed(text) | Done::Asked(text) => text,
                Done::Quit => "closing the store".to_owned(),
            });
            // Whoever asked may have given up.
            answer.try_send(said).ok();
            if is_last {
                return Wish::Closed;
            }
        }
        Wish::Open
    }

    /// Tells whoever watches.
    pub(super) fn tell(&self, text: &str) {
        self.watch.board.tell(text);
    }

    /// Sends the shoppers home, while there is a store to shop in.
    pub(super) fn close(&mut self) {
        self.shoppers.dismiss(0);
    }

    fn obey(&mut self, line: &str, store: &mut Store) -> Result<Done> {
        let board = &*self.watch.board;
        let mut control = Control { store, shoppers: &mut self.shoppers, board };
        let done = Command::parse(line).and_then(|command| control.obey(command))?;
        if let Done::Changed(text) = &done {
            board.tell(text);
        }
        board.look(&store.processes);
        Ok(done)
    }
}

/// Opens the page, before any service is started, at an address that none of them needs.
fn open_page(address: &str, access: Access, store: &Store) -> Result<Page> {
    let opened = match store.who_listens_at(address) {
        Some(id) => {
            Err(Error::Listen { address: address.to_owned(), why: format!("{id} needs it") })
        }
        None => Page::open(address, access),
    };
    opened.map_err(|error| match error {
        Error::Listen { address, why } => {
            Error::Listen { address, why: format!("{why}; --page-listen takes another address") }
        }
        error => error,
    })
}
