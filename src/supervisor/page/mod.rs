//! The cluster page: shows the state of the store, and crashes, pauses and starts services. Served by
//! `run-all` on a loopback address of its own.
//!
//! ```text
//!  browser ── state? ────▶ server, guard ──▶ what the watch knows
//!          ── crash 3 ──▶ server, guard ──▶ the thread that owns the processes
//! ```
//!
//! * [`guard`] (pure): lets in who has the token, from the page itself.
//! * [`server`]: the page's address: its files, the state as JSON, commands.

mod guard;
mod server;

pub use server::{Access, Instruction};

use crate::error::{Error, Result};
use crate::net::{Limits, Server, resolver};
use guard::Guard;
use server::PageServer;
use std::sync::Arc;

/// A few browser tabs, and a command that waits.
const THREADS: usize = 4;

/// The page. Dropping it closes it.
pub struct Page {
    url: String,
    _server: Server,
}

impl Page {
    /// Opens the page at `address`, which has to be a loopback address: whoever reaches it could try to
    /// get in.
    pub fn open(address: &str, access: Access) -> Result<Page> {
        check_is_loopback(address)?;
        let guard = Arc::new(Guard::new()?);
        let page_server = Arc::new(PageServer { guard: guard.clone(), access });
        let limits = Limits { threads: THREADS, ..Limits::default() };
        let server = Server::start("page", address, page_server, limits)?;
        Ok(Page { url: guard.url(server.address()), _server: server })
    }

    /// Where a browser finds it, token included.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// An error if anybody outside this machine could reach the address.
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
