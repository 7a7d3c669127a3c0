//! The view in a front-end that makes none. Pure: health reports in, the newest view that they name out. Its
//! thread is in [`observing`](super::observing).
//!
//! A replica tells of a view only when it is on its disk, and the controller sends it only when it is on its own. So
//! every view that is found here is in force, or was.

use super::controller::{HealthReport, SILENT};
use crate::model::{Epoch, Identity, Moment, ReplicaId, View};
use std::collections::BTreeMap;

/// What a front-end knows of the views that another makes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observer {
    /// The view with which this front-end joined, or a newer one.
    view: View,
    /// The last answer of each replica, and when it was asked.
    heard: BTreeMap<ReplicaId, (Identity, Moment)>,
}

impl Observer {
    /// An observer that has joined with this view.
    pub fn new(view: View) -> Observer {
        Observer { view, heard: BTreeMap::new() }
    }

    /// Takes a report. Returns the view if it is news.
    pub fn take_report(&mut self, id: ReplicaId, report: HealthReport) -> Option<View> {
        match report {
            HealthReport::Healthy { health, asked, .. } => {
                self.heard.insert(id, (health.identity, asked));
                self.view = health.view.filter(|view| view.epoch > self.view.epoch)?;
                Some(self.view.clone())
            }
            HealthReport::Silent => None,
            HealthReport::Refused => {
                self.heard.remove(&id);
                None
            }
        }
    }

    /// Whether the leader of the view answers.
    pub fn is_led(&self, now: Moment) -> bool {
        let leader = self.view.leader;
        let answers = |(identity, asked): &(Identity, Moment)| {
            now <= *asked + SILENT && self.view.has(leader, identity)
        };
        self.heard.get(&leader).is_some_and(answers)
    }

    /// The epoch of its view.
    pub fn epoch(&self) -> Epoch {
        self.view.epoch
    }
}
