//! The controller's thread: it gives the [controller](super::controller) the reports of the health checkers, and writes
//! each new [view](super::views) before others see it. Started by [`elector`](super::elector): with files in the front-end
//! that makes the views; with a database in every front-end, where it waits until no other one makes them.

use super::controller::{Controller, Decision, HealthReport, Unclean};
use super::election::Election;
use super::views::{Remembered, Table, Views};
use crate::config::{Config, Engine};
use crate::error::Result;
use crate::model::{OrderNumber, ReplicaId, View};
use crate::stop::VitalThread;
use crate::trace::{Recorder, Traced};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The committed number is written each time it has grown by this.
const REMEMBER_EVERY: u64 = 1_000;
/// The pause after the table of the views did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts the thread in the only front-end that makes views.
pub(super) fn start(
    config: &Config,
    views: Views,
    remembered: Remembered,
    election: Arc<Election>,
    recorder: Arc<Recorder>,
) -> Result<VitalThread> {
    let thread = Controlling::new(config, views, remembered, election, recorder);
    VitalThread::start("controller", move || thread.run())
}

/// Starts the thread in one of several front-ends: it makes the views while it has the table of the views.
pub(super) fn start_in_turns(
    config: &Config,
    table: Table,
    election: Arc<Election>,
    recorder: Arc<Recorder>,
) -> Result<VitalThread> {
    let config = config.clone();
    VitalThread::start("controller", move || {
        while !election.is_stopping() {
            match table.take(|| election.is_stopping()) {
                Ok(Some((views, remembered))) => {
                    tracing::info!("this front-end makes the views from now on");
                    let (election, recorder) = (election.clone(), recorder.clone());
                    Controlling::new(&config, views, remembered, election, recorder).run();
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!("cannot take over the views: {error}");
                    thread::sleep(PAUSE);
                }
            }
        }
    })
}

/// The front-end that makes the views, until it stops, or another one makes them.
struct Controlling {
    controller: Controller,
    replicas: Vec<ReplicaId>,
    views: Views,
    /// The committed number that was written.
    remembered: OrderNumber,
    election: Arc<Election>,
    recorder: Arc<Recorder>,
}

impl Controlling {
    fn new(
        config: &Config,
        views: Views,
        Remembered { view, committed }: Remembered,
        election: Arc<Election>,
        recorder: Arc<Recorder>,
    ) -> Controlling {
        let replicas: Vec<ReplicaId> = config.order.replicas.keys().copied().collect();
        let unclean = config.frontend.allow_unclean_election;
        let unclean = if unclean { Unclean::Allowed } else { Unclean::Forbidden };
        let now = election.now();
        let mut controller = Controller::new(replicas.clone(), view, committed, unclean, now);
        if config.storage.engine == Engine::Database {
            controller = controller.sharing();
        }
        // This front-end has learnt of the last view, or of one before it, from the front-end that made it.
        if election.view().is_some() {
            controller = controller.continuing();
        }
        election.set_controls(true);
        Controlling { controller, replicas, views, remembered: committed, election, recorder }
    }

    fn run(mut self) {
        if let Some(view) = self.controller.view() {
            self.election.announce(view.clone());
        }
        self.election.suspect_all(self.replicas.iter().copied());
        while !self.election.is_stopping() {
            if let Err(error) = self.step() {
                tracing::warn!("this front-end makes no more views, others may: {error}");
                break;
            }
        }
        self.election.set_controls(false);
    }

    /// An error: it can write no more views.
    fn step(&mut self) -> Result<()> {
        self.views.check()?;
        if let Some((id, report)) = self.election.next_report() {
            self.take_report(id, report)?;
        }
        if self.election.take_join() {
            self.controller.join();
        }
        if let Some(decision) = self.controller.decide(self.election.now()) {
            self.announce(decision)?;
        }
        self.look_after()
    }

    fn take_report(&mut self, id: ReplicaId, report: HealthReport) -> Result<()> {
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
            // Fails if another front-end makes the views now.
            self.remember(self.controller.last_view().cloned())?;
            let mine = self.controller.epoch();
            tracing::error!(
                "replica {id} has a view of epoch {epoch}, the last one made here is {mine}: another \
                 front-end is at work, or {} is an old copy. This front-end makes no more views and \
                 takes no orders. Stop the other one; or remove it and start with all replicas up",
                self.views
            );
        }
        Ok(())
    }

    /// Writes the view, and only then lets anybody see it.
    fn announce(&mut self, Decision { view, reason }: Decision) -> Result<()> {
        let mut traced = Traced::background(&self.recorder, "election", Instant::now());
        traced.note("view", &view);
        let _entered = traced.scope().enter();
        self.remember(Some(view.clone()))?;
        tracing::info!("{reason}; {view}");
        self.election.announce_own(view, &self.replicas, &traced.scope());
        self.election.suspect_all(self.replicas.iter().copied());
        Ok(())
    }

    fn look_after(&mut self) -> Result<()> {
        let committed = self.controller.committed();
        if committed.0 >= self.remembered.0 + REMEMBER_EVERY {
            self.remember(self.controller.last_view().cloned())?;
        }
        self.election.set_committed(committed);
        let now = self.election.now();
        let is_led = self.controller.is_led(now);
        if !is_led && !self.controller.has_looked_around(now) {
            // The one before it may have found a leader.
            return Ok(());
        }
        if let Some(waited) = self.election.set_led(is_led, || self.hint()) {
            let now = Instant::now();
            let since = now.checked_sub(waited).unwrap_or(now);
            drop(Traced::background(&self.recorder, "no leader", since));
        }
        Ok(())
    }

    /// What they wait for, if it is more than the return of an order replica.
    fn hint(&self) -> String {
        if self.controller.knows_nobody(self.election.now()) {
            let what = ": all replicas answer, but none has the data of a member of the last view; bring that data back, \
                        or stop all front-ends and start one once with --frontend-allow-unclean-election";
            return what.to_owned();
        }
        if self.controller.last_view().is_some() {
            return String::new();
        }
        let place = &self.views;
        format!(
            " until each of them has answered: there is no {place} that says who has every order"
        )
    }

    fn remember(&mut self, view: Option<View>) -> Result<()> {
        self.remembered = self.controller.committed();
        self.views.write(Remembered { view, committed: self.remembered })
    }
}
