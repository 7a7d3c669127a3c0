//! The state of the store: written by the threads that ask the services, read by the page and the
//! terminal. It has one lock, which is never held across a call.

use super::database::KnownNode;
use super::feed::{Entry, Feed};
use super::pace::{Pace, Sample};
use super::picture::{Known, Picture};
use super::report::{Own, ServiceStatus};
use crate::address;
use crate::error::Result;
use crate::model::ReplicaId;
use crate::storage::database::NodeStatus;
use crate::supervisor::process::{Process, Service, State};
use crate::supervisor::service::ServiceId;
use parking_lot::Mutex;
use serde::Serialize;
use std::time::{SystemTime, UNIX_EPOCH};

/// The shared state.
pub struct Board {
    state: Mutex<Knowledge>,
}

struct Knowledge {
    services: Vec<Known>,
    nodes: Vec<KnownNode>,
    feed: Feed,
    pace: Pace,
}

/// The state that the page receives.
#[derive(Serialize)]
pub struct Snapshot {
    unix_ms: u64,
    #[serde(flatten)]
    picture: Picture,
    /// The events that the page does not have yet.
    events: Vec<Entry>,
    /// The samples that the page does not have yet.
    samples: Vec<Sample>,
}

impl Board {
    /// A board for these services and nodes of the database, before their first status.
    pub fn new<'a>(services: &[Service], nodes: impl Iterator<Item = &'a str>) -> Board {
        let unknown = |service: &Service| Known {
            id: service.id,
            listen: address::to_call(&service.listen),
            pid: 0,
            process: State::Ended(std::process::ExitStatus::default()),
            report: None,
            answers: false,
        };
        let services = services.iter().map(unknown).collect();
        let nodes = nodes.map(KnownNode::new).collect();
        let state = Knowledge { services, nodes, feed: Feed::default(), pace: Pace::default() };
        Board { state: Mutex::new(state) }
    }

    /// Updates the states of the processes.
    pub fn update_processes(&self, processes: &[Process]) {
        let mut state = self.state.lock();
        for process in processes {
            let id = process.service.id;
            let Some(known) = state.services.iter_mut().find(|known| known.id == id) else {
                continue;
            };
            known.answers &= known.pid == process.pid() && !process.has_ended();
            known.pid = process.pid();
            known.process = process.state();
        }
    }

    /// Stores the answer of a service; `None` if it did not answer.
    pub fn update_status(&self, id: ServiceId, report: Option<ServiceStatus>) {
        let unix_ms = unix_ms();
        let mut state = self.state.lock();
        let Knowledge { services, feed, pace, .. } = &mut *state;
        let Some(known) = services.iter_mut().find(|known| known.id == id) else { return };
        known.answers = report.is_some();
        let Some(report) = report else { return };
        feed.add_events(id, report.pid, &report.events);
        if let Own::Frontend(front) = &report.own {
            feed.refused(unix_ms, pace.add(unix_ms, &report, &front.cache));
        }
        known.report = Some(report);
    }

    /// Stores the answer of the node at this place of the settings.
    pub fn update_node(&self, place: usize, answer: Result<NodeStatus>) {
        self.state.lock().nodes[place].answer = Some(answer);
    }

    /// Adds an event of the supervisor.
    pub fn add_event(&self, text: &str) {
        self.state.lock().feed.add_own(unix_ms(), text);
    }

    /// The current leader, if known.
    pub fn leader(&self) -> Option<ReplicaId> {
        self.picture().leader()
    }

    /// The current state of the store.
    pub fn picture(&self) -> Picture {
        let state = self.state.lock();
        Picture::of(&state.services, &state.nodes)
    }

    /// The current state of the store, and the events and samples that the page does not have yet.
    pub fn snapshot(&self, seen: Seen) -> Snapshot {
        let state = self.state.lock();
        Snapshot {
            unix_ms: unix_ms(),
            picture: Picture::of(&state.services, &state.nodes),
            events: state.feed.after(seen.event).cloned().collect(),
            samples: state.pace.after(seen.unix_ms).cloned().collect(),
        }
    }
}

/// The last event and sample that a page has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// The number of the last event.
    pub event: u64,
    /// The moment of the last sample.
    pub unix_ms: u64,
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
