//! The links between the processes of a store: a link is a proxy on a port of its own, which leads to the port of
//! another process. Held links make a partition.
//!
//! Also counts the connections of a link, by which the check `keep-alive` sees whether one was enough.

use std::net::{Ipv4Addr, SocketAddr};
use toystore::error::{Error, Result};
use toystore::links::{Condition, Links};

/// The links of a store. Dropping it ends them.
pub struct Network {
    links: Links<String>,
    known: Vec<Link>,
}

struct Link {
    from: String,
    to: String,
    /// The address that it leads to.
    there: SocketAddr,
    here: SocketAddr,
}

impl Default for Network {
    fn default() -> Network {
        Network { links: Links::at(Ipv4Addr::LOCALHOST.to_string()), known: Vec::new() }
    }
}

impl Network {
    /// The port of the link from one process to an address of another.
    pub fn link(&mut self, from: &str, to: &str, there: SocketAddr) -> Result<u16> {
        let same = |link: &&Link| link.from == from && link.to == to && link.there == there;
        if let Some(link) = self.known.iter().find(same) {
            return Ok(link.here.port());
        }
        let (from, to) = (from.to_owned(), to.to_owned());
        let here = self.links.link((from.clone(), to.clone()), there);
        let here = here
            .map_err(|e| Error::Listen { address: "127.0.0.1:0".to_owned(), why: e.to_string() })?;
        self.known.push(Link { from, to, there, here });
        Ok(here.port())
    }

    /// How many connections were made over the link with this port.
    pub fn connections(&self, port: u16) -> usize {
        let link = self.known.iter().find(|link| link.here.port() == port);
        link.map_or(0, |link| self.links.connections(link.here))
    }

    /// Whether a process can be isolated: others have links to it, or it to them.
    pub fn reaches(&self, process: &str) -> bool {
        self.links_of(process).next().is_some()
    }

    /// Holds all links from and to a process.
    pub fn isolate(&self, process: &str) {
        let directions = self.links_of(process).flat_map(|Link { from, to, .. }| {
            [(from.clone(), to.clone()), (to.clone(), from.clone())]
        });
        self.links.set(directions, Condition::Held);
    }

    /// Releases all links.
    pub fn release(&self) {
        self.links.clear();
    }

    fn links_of(&self, process: &str) -> impl Iterator<Item = &Link> {
        self.known.iter().filter(move |link| link.from == process || link.to == process)
    }
}
