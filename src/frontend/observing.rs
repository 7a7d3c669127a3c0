//! The observer's thread. It joins: the controller makes a view for this front-end, from whose epoch its purchases are
//! counted. Then it gives the [observer](super::observer) the reports of the health checkers, and announces the views that
//! it finds in them, while another front-end makes the views. Started by [`elector`](super::elector).

use super::election::Election;
use super::observer::Observer;
use crate::error::Result;
use crate::model::{FrontendId, View};
use crate::net::Rpc;
use crate::protocol::ask;
use crate::protocol::frontend::Peer;
use crate::stop::VitalThread;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for the answer of another front-end.
const DEADLINE: Duration = Duration::from_secs(1);
/// The pause before they are asked again.
const PAUSE: Duration = Duration::from_millis(100);
/// It is told if this front-end could not join for this long. It takes less to find who makes the views now.
const TOLD_AFTER: Duration = Duration::from_secs(2);

/// Starts the thread. `others` are the peer addresses of the front-ends that may make the views.
pub(super) fn start(
    others: Vec<(FrontendId, Rpc)>,
    election: Arc<Election>,
) -> Result<VitalThread> {
    VitalThread::start("observer", move || {
        while election.await_observing() {
            let Some(view) = election.view().or_else(|| join(&others, &election)) else { continue };
            observe(Observer::new(view), &election);
        }
    })
}

/// Takes reports while another front-end makes the views.
fn observe(mut observer: Observer, election: &Election) {
    while election.is_observing() {
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

/// Asks the others in turn, until one of them makes a view for this front-end, or this one is to make them.
fn join(others: &[(FrontendId, Rpc)], election: &Election) -> Option<View> {
    let begun = Instant::now();
    let mut is_told = false;
    while election.is_observing() {
        for (id, other) in others {
            let gives_up = || !election.is_observing();
            match ask(other, &Peer::Join, Instant::now() + DEADLINE, &gives_up) {
                Ok(view) => {
                    announce(election, View::clone(&view));
                    return Some(view);
                }
                Err(error) if !is_told && begun.elapsed() > TOLD_AFTER => {
                    tracing::warn!("cannot join at front-end {id}, purchases wait: {error}");
                    is_told = true;
                }
                Err(error) => tracing::debug!("cannot join at front-end {id}: {error}"),
            }
        }
        thread::sleep(PAUSE);
    }
    None
}
