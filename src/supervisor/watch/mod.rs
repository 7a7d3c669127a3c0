//! Collects the state of the open store: requests the status of every service, and of every node of its database, several
//! times a second.
//! Used by the cluster page and by `status` at the terminal.
//!
//! ```text
//!  services ◀── GET /status ── a thread for each ──▶ board ──▶ picture, pace, feed
//!  nodes    ◀── SHOW STATUS ── a thread for each ──▶
//! ```
//!
//! * [`board`]: the shared state, behind a lock.
//! * [`picture`] (pure): the state of the store at one moment.
//! * [`database`] (pure): that of the nodes of its database.
//! * [`pace`] (pure): rates and latencies of the last two minutes.
//! * [`feed`] (pure): the list of events.
//! * [`report`]: the status of a service.
//!
//! A paused service or node delays only its own thread.

pub mod board;
mod picture;
mod database;
mod pace;
mod feed;
mod report;

use super::process::Service;
use crate::error::Result;
use crate::http::Client;
use crate::protocol::web::Data;
use crate::stop::VitalThread;
use crate::storage::database::Node;
use board::Board;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use report::ServiceStatus;
use std::sync::Arc;
use std::time::Duration;

/// The pause between two requests to a service or a node.
const EVERY: Duration = Duration::from_millis(400);

/// A service that takes longer is shown as "does not answer".
const DEADLINE: Duration = Duration::from_millis(400);

/// The threads that request the status. Dropping it stops and joins them.
pub struct Watch {
    pub board: Arc<Board>,
    /// Dropping it ends the threads. It is declared before them, so it is dropped before they are joined.
    _stop: Sender<()>,
    threads: Vec<VitalThread>,
}

impl Watch {
    /// Starts a thread for each service, and for each node of the database.
    pub fn start(services: &[Service], nodes: Vec<Node>) -> Result<Watch> {
        let board = Arc::new(Board::new(services, nodes.iter().map(Node::address)));
        let (stop, stopped) = bounded::<()>(0);
        let mut watch = Watch { board, _stop: stop, threads: Vec::new() };
        for Service { id, peer, .. } in services {
            let (id, mut client) = (*id, Client::new(peer.clone(), DEADLINE));
            watch.repeat(format!("watch {id}"), &stopped, move |board| {
                board.update_status(id, ask(&mut client));
            })?;
        }
        for (place, mut node) in nodes.into_iter().enumerate() {
            watch.repeat(format!("watch node {}", place + 1), &stopped, move |board| {
                board.update_node(place, node.ask());
            })?;
        }
        Ok(watch)
    }

    /// Starts a thread that asks again and again, until the watch is dropped.
    fn repeat(
        &mut self,
        name: String,
        stopped: &Receiver<()>,
        mut ask: impl FnMut(&Board) + Send + 'static,
    ) -> Result<()> {
        let (board, stopped) = (self.board.clone(), stopped.clone());
        self.threads.push(VitalThread::start(name, move || {
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                ask(&board);
            }
        })?);
        Ok(())
    }
}

/// The status of a service; `None` if it did not answer in time, or if the answer is not a status.
fn ask(client: &mut Client) -> Option<ServiceStatus> {
    let response = client.send("GET", "/status", &[], b"").ok()?;
    let status = serde_json::from_slice::<Data<ServiceStatus>>(&response.body).ok()?;
    (response.status == 200).then_some(status.data)
}
