//! The cluster page: shows the state of the store, and crashes, pauses and starts services. Served by
//! `run-all` on a loopback address of its own.
//!
//! ```text
//!  browser ── state ────▶ server, guard ──▶ the board of the watch
//!          ── crash 3 ──▶ server, guard ──▶ the thread that owns the processes
//! ```
//!
//! * [`guard`] (pure): access control, by token and origin.
//! * [`server`]: serves the files, the state as JSON, and commands.

mod guard;
mod server;

pub use server::{Access, Instruction};

use crate::error::{Error, Result};
use crate::net::{Limits, Server, resolver};
use guard::Guard;
use server::PageServer;
use std::sync::Arc;

/// Enough for a few browser tabs and a command that waits.
const THREADS: usize = 4;

/// The page. Dropping it closes it.
pub struct Page {
    url: String,
    _server: Server,
}

impl Page {
    /// Opens the page at `address`, which must be a loopback address, so that other machines cannot
    /// reach it.
    pub fn open(address: &str, access: Access) -> Result<Page> {
        check_is_loopback(address)?;
        let guard = Arc::new(Guard::new()?);
        let page_server = Arc::new(PageServer { guard: guard.clone(), access });
        let limits = Limits { threads: THREADS, ..Limits::default() };
        let server = Server::start("page", address, page_server, limits)?;
        Ok(Page { url: guard.url(server.address()), _server: server })
    }

    /// Its URL, with the token.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// An error if other machines could reach the address.
fn check_is_loopback(address: &str) -> Result<()> {
    if resolver::own_addresses(address)?.iter().all(|address| address.ip().is_loopback()) {
        return Ok(());
    }
    Err(Error::Config {
        place: "page.listen".to_owned(),
        why: format!(
            "\"{address}\" can be reached from other machines, expected a loopback address such as \
             127.0.0.1:8080: the page can kill processes"
        ),
    })
}
