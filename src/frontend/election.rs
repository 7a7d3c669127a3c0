//! The controller's thread, and the thread of a health checker per replica. A health checker asks its replica for its
//! health each 100 ms, or sends it the view that it does not have yet. The answers go to the
//! controller's thread, which writes each new view to disk before others see it.
//!
//! ```text
//!  replica 1 ◀── health checker ──┐ reports
//!  replica 2 ◀── health checker ──┼─────────▶ controller ──▶ disk ──▶ the view ──▶ sessions, health checkers
//!  replica 3 ◀── health checker ──┘
//! ```

use super::controller::{Controller, Decision, HealthReport, SILENT, Unclean};
use super::elected::{Elected, Leader};
use crate::blocking::Blocking;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Epoch, Moment, OrderNumber, ReplicaId, View};
use crate::net::{Rpc, Transport};
use crate::protocol::ask;
use crate::protocol::order::{Health, Peer};
use crate::stop::{VitalThread, crash};
use crate::storage::{Directory, replace};
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The time between two health checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// The pause after a connection broke: the next attempt shows whether the process is gone.
const RECHECK_PAUSE: Duration = Duration::from_millis(5);
/// How often the controller checks the time when there are no reports.
const TICK: Duration = Duration::from_millis(50);
/// A store that has just started logs that it has no leader after this time.
const LEADERLESS: Duration = Duration::from_secs(2);
/// How many reports may wait for the controller.
const REPORTS_MAX: usize = 64;
/// The committed number is put on disk each time it has grown by this.
const REMEMBER_EVERY: u64 = 1_000;

/// The leader, as the whole front-end sees it.
pub struct Election {
    started: Instant,
    state: Mutex<State>,
    changed: Condvar,
    /// Signalled when a replica is suspected, or this process stops.
    suspicion: Condvar,
    /// Signalled when there is a report.
    reported: Condvar,
}

#[derive(Default)]
struct State {
    elected: Elected,
    /// The highest committed number in any report to the controller.
    committed: OrderNumber,
    /// The replicas whose health is to be checked at once.
    suspected: BTreeSet<ReplicaId>,
    /// What the controller has not taken yet, at most [`REPORTS_MAX`].
    reports: VecDeque<(ReplicaId, HealthReport)>,
    stopping: bool,
}

impl Election {
    /// The leader. Waits for one until `deadline`.
    pub fn leader(&self, deadline: Instant) -> Result<Leader> {
        let mut state = self.state.lock();
        loop {
            if let Some(leader) = state.elected.leader() {
                return Ok(leader);
            }
            let _waiting = Blocking::new();
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return Err(Error::unavailable("no order replica can lead at the moment"));
            }
        }
    }

    /// The epoch of the view in force, 0 before the first.
    pub fn epoch(&self) -> Epoch {
        self.state.lock().elected.epoch()
    }

    /// Whether somebody leads, and answers.
    pub fn is_led(&self) -> bool {
        self.state.lock().elected.is_led
    }

    /// A request failed at this replica: check its health at once.
    pub fn suspect(&self, id: ReplicaId) {
        self.suspect_all([id]);
    }

    fn suspect_all(&self, ids: impl IntoIterator<Item = ReplicaId>) {
        self.state.lock().suspected.extend(ids);
        self.suspicion.notify_all();
    }

    /// Tells the controller how a replica is. While it writes a view, reports wait; it needs only the later ones.
    fn report(&self, id: ReplicaId, report: HealthReport) {
        let mut state = self.state.lock();
        if state.reports.len() == REPORTS_MAX {
            state.reports.pop_front();
        }
        state.reports.push_back((id, report));
        drop(state);
        self.reported.notify_one();
    }

    /// Waits for a report, at most for [`TICK`].
    fn next_report(&self) -> Option<(ReplicaId, HealthReport)> {
        let mut state = self.state.lock();
        if state.reports.is_empty() {
            self.reported.wait_for(&mut state, TICK);
        }
        state.reports.pop_front()
    }

    /// Waits for the next check of this replica, at `due` or when it is suspected.
    fn await_check(&self, id: ReplicaId, due: Instant) {
        let mut state = self.state.lock();
        while !state.suspected.remove(&id) && !state.stopping {
            if self.suspicion.wait_until(&mut state, due).timed_out() {
                return;
            }
        }
    }

    fn now(&self) -> Moment {
        Moment::after(self.started.elapsed())
    }

    /// The view in force.
    pub fn view(&self) -> Option<View> {
        self.state.lock().elected.view().cloned()
    }

    fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }
}

/// The threads of the election. Dropping it stops and joins them.
pub struct Elector {
    election: Arc<Election>,
    threads: Vec<VitalThread>,
}

impl Elector {
    /// Begins to watch the replicas of `config`; the last view is in `directory`.
    pub fn start(config: &Config, transport: &Transport, directory: &Directory) -> Result<Elector> {
        let path = directory.file("view.json");
        let remembered = Remembered::read(&path)?;
        let unclean = if config.frontend.allow_unclean_election {
            Unclean::Allowed
        } else {
            Unclean::Forbidden
        };
        let replicas = &config.order.replicas;
        let election = Arc::new(Election {
            started: Instant::now(),
            state: Mutex::default(),
            changed: Condvar::new(),
            suspicion: Condvar::new(),
            reported: Condvar::new(),
        });
        let mut elector = Elector { election: election.clone(), threads: Vec::new() };
        for (&id, replica) in replicas {
            let peer = transport.rpc(&replica.peer)?;
            let checker = HealthChecker { id, peer, election: election.clone() };
            let thread = VitalThread::start(format!("health-{id}"), move || checker.run())?;
            elector.threads.push(thread);
        }
        let Remembered { view, committed } = remembered;
        let ids: Vec<ReplicaId> = replicas.keys().copied().collect();
        let controller = Controller::new(ids.clone(), view, committed, unclean, election.now());
        let controller_thread = ControllerThread {
            controller,
            replicas: ids,
            remembered: committed,
            leaderless_since: None,
            path,
            election,
        };
        elector.threads.push(VitalThread::start("controller", move || controller_thread.run())?);
        Ok(elector)
    }

    /// Who leads, for those who ask.
    pub fn election(&self) -> Arc<Election> {
        self.election.clone()
    }
}

impl Drop for Elector {
    fn drop(&mut self) {
        self.election.state.lock().stopping = true;
        self.election.suspicion.notify_all();
        self.threads.clear();
    }
}

/// Asks one replica for its health, again and again.
struct HealthChecker {
    id: ReplicaId,
    peer: Rpc,
    election: Arc<Election>,
}

impl HealthChecker {
    fn run(&self) {
        let mut has = Epoch(0);
        while !self.election.is_stopping() {
            let begun = Instant::now();
            let (report, pause) = self.check(&mut has, begun + SILENT);
            let answered = matches!(report, HealthReport::Healthy { .. });
            self.election.report(self.id, report);
            let news = self.election.epoch() > has;
            if !(answered && news) {
                self.election.await_check(self.id, begun + pause);
            }
        }
    }

    /// Sends the replica the view if it does not have it, else asks for its health. Returns how
    /// long to wait before the next check.
    fn check(&self, has: &mut Epoch, deadline: Instant) -> (HealthReport, Duration) {
        let question = match self.election.view() {
            Some(view) if view.epoch > *has => {
                *has = view.epoch;
                Peer::UpdateLeader { view }
            }
            _ => Peer::HealthCheck,
        };
        let expected = self.election.state.lock().committed;
        let asked = self.election.now();
        let stopping = || self.election.is_stopping();
        match ask::<_, Health>(&self.peer, &question, deadline, &stopping) {
            Ok(health) => {
                *has = health.view.as_ref().map_or(Epoch(0), |view| view.epoch);
                (HealthReport::Healthy { health, asked, expected }, CHECK_INTERVAL)
            }
            Err(Error::Unreachable { .. }) => {
                *has = Epoch(0);
                (HealthReport::Refused, CHECK_INTERVAL)
            }
            // It has this view or a newer one. The next health check shows which.
            Err(error) if error.is_definite() => (HealthReport::Silent, RECHECK_PAUSE),
            Err(_) => {
                *has = Epoch(0);
                (HealthReport::Silent, RECHECK_PAUSE)
            }
        }
    }
}

/// The thread on which the controller decides.
struct ControllerThread {
    controller: Controller,
    replicas: Vec<ReplicaId>,
    /// The committed number on disk.
    remembered: OrderNumber,
    /// Since when purchases wait, if they do and somebody was told.
    leaderless_since: Option<Moment>,
    path: PathBuf,
    election: Arc<Election>,
}

impl ControllerThread {
    fn run(mut self) {
        while !self.election.is_stopping() {
            if let Some((id, report)) = self.election.next_report() {
                self.take_report(id, report);
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
        self.remember(Some(view.clone()));
        tracing::info!("{reason}; {view}");
        self.election.state.lock().elected.announce(view);
        self.election.changed.notify_all();
        self.election.suspect_all(self.replicas.iter().copied());
    }

    fn look_after(&mut self) {
        let committed = self.controller.committed();
        if committed.0 >= self.remembered.0 + REMEMBER_EVERY {
            self.remember(self.controller.last_view().cloned());
        }
        let now = self.election.now();
        let led = self.controller.is_led(now);
        let mut state = self.election.state.lock();
        state.committed = committed;
        // At a start there is no leader. It is logged only if that lasts.
        let waits_from_the_start =
            !led && self.leaderless_since.is_none() && now > Moment::START + LEADERLESS;
        if state.elected.is_led == led && !waits_from_the_start {
            return;
        }
        state.elected.is_led = led;
        drop(state);
        self.election.changed.notify_all();
        if !led {
            tracing::warn!("no leader: no order replica can lead; purchases wait{}", self.hint());
            self.leaderless_since = Some(now);
        } else if let Some(since) = self.leaderless_since.take() {
            let ms = (now - since).as_millis();
            tracing::info!("a leader was elected after {ms} ms; purchases continue");
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
