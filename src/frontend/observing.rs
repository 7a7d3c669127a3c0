//! The observer's thread. It joins: the controller makes a view for this front-end, from whose epoch its purchases are
//! counted. Then it gives the [observer](super::observer) the reports of the health checkers, and announces the views that
//! it finds in them. Started by [`elector`](super::elector) in a front-end that makes no views.

use super::election::Election;
use super::observer::Observer;
use crate::config::Config;
use crate::error::Result;
use crate::model::View;
use crate::net::Rpc;
use crate::protocol::ask;
use crate::protocol::frontend::Peer;
use crate::stop::VitalThread;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for the answer of the controller.
const DEADLINE: Duration = Duration::from_secs(1);
/// The pause before it is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts the thread. `controller` is the peer address of the front-end that makes the views.
pub(super) fn start(
    config: &Config,
    controller: Rpc,
    election: Arc<Election>,
) -> Result<VitalThread> {
    let id = config.frontend.controller;
    let named = format!("front-end {id}");
    VitalThread::start("observer", move || run(&named, &controller, &election))
}

fn run(named: &str, controller: &Rpc, election: &Election) {
    let Some(view) = join(named, controller, election) else { return };
    let mut observer = Observer::new(view.clone());
    announce(election, view);
    while !election.is_stopping() {
        let news = election.next_report().and_then(|(id, report)| observer.take_report(id, report));
        if let Some(view) = news {
            announce(election, view);
        }
        election.set_led(observer.is_led(election.now()), String::new);
    }
}

fn announce(election: &Election, view: View) {
    tracing::info!("{view}");
    election.announce(view);
}

/// Asks until there is an answer, or this process stops.
fn join(named: &str, controller: &Rpc, election: &Election) -> Option<View> {
    let mut is_told = false;
    while !election.is_stopping() {
        let stopping = || election.is_stopping();
        match ask(controller, &Peer::Join, Instant::now() + DEADLINE, &stopping) {
            Ok(view) => return Some(view),
            Err(error) if !is_told => {
                tracing::warn!(
                    "cannot join, purchases wait for {named}, which makes the views: {error}"
                );
                is_told = true;
            }
            Err(error) => tracing::debug!("cannot join: {error}"),
        }
        thread::sleep(PAUSE);
    }
    None
}
