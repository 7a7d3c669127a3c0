//! What is known of the open store: every service is asked for its status, several times a second. For
//! the cluster page and for `status` at the terminal.
//!
//! ```text
//!  services ◀── GET /status ── a thread for each ──▶ board ──▶ picture, pace, feed
//! ```
//!
//! * [`board`]: what is known, behind a lock.
//! * [`picture`] (pure): the store at one moment.
//! * [`pace`] (pure): rates and latencies of the last two minutes.
//! * [`feed`] (pure): what happened, in words.
//! * [`report`]: what a service says of itself.
//!
//! A service that is paused holds up only its own thread.

pub mod board;
mod picture;
mod pace;
mod feed;
mod report;

use super::process::Service;
use crate::error::Result;
use crate::http::Client;
use crate::protocol::web::Data;
use crate::stop::VitalThread;
use board::Board;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use report::ServiceStatus;
use std::sync::Arc;
use std::time::Duration;

/// The pause between two questions.
const EVERY: Duration = Duration::from_millis(400);

/// A service that takes longer is silent.
const DEADLINE: Duration = Duration::from_millis(400);

/// The threads that ask. Dropping it stops and joins them.
pub struct Watch {
    pub board: Arc<Board>,
    /// Dropped before the threads, as the field before them, which ends them.
    _stop: Sender<()>,
    threads: Vec<VitalThread>,
}

impl Watch {
    /// Begins to ask these services.
    pub fn start(services: &[Service]) -> Result<Watch> {
        let board = Arc::new(Board::new(services));
        let (stop, stopped) = bounded::<()>(0);
        let mut watch = Watch { board, _stop: stop, threads: Vec::new() };
        for Service { id, peer, .. } in services {
            let (board, stopped, id) = (watch.board.clone(), stopped.clone(), *id);
            let mut client = Client::new(peer.clone(), DEADLINE);
            watch.threads.push(VitalThread::start(format!("watch {id}"), move || {
                while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                    board.update_status(id, ask(&mut client));
                }
            })?);
        }
        Ok(watch)
    }
}

/// `None` if the service is down, or hangs, or is none of ours.
fn ask(client: &mut Client) -> Option<ServiceStatus> {
    let response = client.send("GET", "/status", &[], b"").ok()?;
    let status = serde_json::from_slice::<Data<ServiceStatus>>(&response.body).ok()?;
    (response.status == 200).then_some(status.data)
}
