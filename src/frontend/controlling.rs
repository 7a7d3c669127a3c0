//! The controller's thread: it gives the [controller](super::controller) the reports of the health checkers, and writes
//! each new view to disk before others see it. Started by [`elector`](super::elector) in the front-end that makes the
//! views.

use super::controller::{Controller, Decision, HealthReport, Unclean};
use super::election::Election;
use crate::config::{Config, Engine};
use crate::error::{Error, Result};
use crate::model::{OrderNumber, ReplicaId, View};
use crate::stop::{VitalThread, crash};
use crate::storage::{Directory, replace};
use crate::trace::{Recorder, Traced, scope};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// The committed number is put on disk each time it has grown by this.
const REMEMBER_EVERY: u64 = 1_000;

/// Starts the thread; the last view is in `directory`.
pub(super) fn start(
    config: &Config,
    directory: &Directory,
    election: Arc<Election>,
    recorder: Arc<Recorder>,
) -> Result<VitalThread> {
    let path = directory.file("view.json");
    let Remembered { view, committed } = Remembered::read(&path)?;
    let unclean =
        if config.frontend.allow_unclean_election { Unclean::Allowed } else { Unclean::Forbidden };
    let replicas: Vec<ReplicaId> = config.order.replicas.keys().copied().collect();
    let controller = Controller::new(replicas.clone(), view, committed, unclean, election.now());
    let controller = match config.storage.engine {
        Engine::Files => controller,
        Engine::Database => controller.sharing(),
    };
    let thread =
        ControllerThread { controller, replicas, remembered: committed, path, election, recorder };
    VitalThread::start("controller", move || thread.run())
}

/// The thread on which the controller decides.
struct ControllerThread {
    controller: Controller,
    replicas: Vec<ReplicaId>,
    /// The committed number on disk.
    remembered: OrderNumber,
    path: PathBuf,
    election: Arc<Election>,
    recorder: Arc<Recorder>,
}

impl ControllerThread {
    fn run(mut self) {
        while !self.election.is_stopping() {
            if let Some((id, report)) = self.election.next_report() {
                self.take_report(id, report);
            }
            if self.election.take_join() {
                self.controller.join();
            }
            if let Some(decision) = self.controller.decide(self.election.now()) {
                self.announce(decision);
            }
            self.look_after();
        }
    }

    fn take_report(&mut self, id: ReplicaId, report: HealthReport) {
        let leader = self.controller.view().map(|view| view.leader);
        if report == HealthReport::Refused && leader == Some(id) {
            // Who is fit depends on how far the others are right now.
            self.election.suspect_all(self.replicas.iter().copied());
        }
        let superseded_by = self.controller.superseded_by();
        self.controller.take_report(id, report, self.election.now());
        if let Some(epoch) = self.controller.superseded_by()
            && superseded_by.is_none()
        {
            let mine = self.controller.epoch();
            tracing::error!(
                "replica {id} has a view of epoch {epoch}, the last one made here is {mine}: another \
                 front-end is at work, or {} is an old copy. This front-end makes no more views and \
                 takes no orders. Stop the other one; or remove the file and start with all replicas up",
                self.path.display()
            );
        }
    }

    /// Puts the view on disk, and only then lets anybody see it.
    fn announce(&mut self, Decision { view, reason }: Decision) {
        let mut traced = Traced::background(&self.recorder, "election", Instant::now());
        traced.note("view", &view);
        let _entered = traced.scope().enter();
        self.remember(Some(view.clone()));
        tracing::info!("{reason}; {view}");
        self.election.announce_own(view, &self.replicas, &traced.scope());
        self.election.suspect_all(self.replicas.iter().copied());
    }

    fn look_after(&mut self) {
        let committed = self.controller.committed();
        if committed.0 >= self.remembered.0 + REMEMBER_EVERY {
            self.remember(self.controller.last_view().cloned());
        }
        self.election.set_committed(committed);
        let is_led = self.controller.is_led(self.election.now());
        if let Some(waited) = self.election.set_led(is_led, || self.hint()) {
            let now = Instant::now();
            let since = now.checked_sub(waited).unwrap_or(now);
            drop(Traced::background(&self.recorder, "no leader", since));
        }
    }

    /// What they wait for, if it is more than the return of an order replica.
    fn hint(&self) -> String {
        if self.controller.last_view().is_some() {
            return String::new();
        }
        let path = self.path.display();
        format!(
            " until each of them has answered: there is no {path} that says who has every order"
        )
    }

    fn remember(&mut self, view: Option<View>) {
        self.remembered = self.controller.committed();
        let remembered = Remembered { view, committed: self.remembered };
        let _step = scope::disk("write the view");
        remembered.write(&self.path).unwrap_or_else(|error| crash(&error));
    }
}

/// What the front-end keeps on disk.
#[derive(Default, Serialize, Deserialize)]
struct Remembered {
    view: Option<View>,
    committed: OrderNumber,
}

impl Remembered {
    fn read(path: &Path) -> Result<Remembered> {
        if !path.exists() {
            return Ok(Remembered::default());
        }
        let bytes = fs::read(path).map_err(|e| Error::storage(path, "cannot read it", e))?;
        serde_json::from_slice(&bytes).map_err(|e| Error::Damaged {
            file: path.display().to_string(),
            line: e.line() as u64,
            why: format!("no view: {e}"),
            remedy: "remove it and start with all replicas up: they know the last view".into(),
        })
    }

    fn write(&self, path: &Path) -> Result<()> {
        replace(path, &serde_json::to_vec_pretty(self).expect("a view has string keys"))
    }
}
