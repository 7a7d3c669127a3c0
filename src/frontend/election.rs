//! The leader, as the whole front-end sees it, and the thread of a health checker per replica. A health checker asks its
//! replica for its health each 100 ms, or sends it the view that it does not have yet. The answers go to one
//! thread more: in one front-end to the [controller's](super::controlling), which makes the views, in the others to the
//! [observer's](super::observing), which finds them in the answers.
//!
//! ```text
//!  replica 1 ◀── health checker ──┐ reports
//!  replica 2 ◀── health checker ──┼─────────▶ controller or observer ──▶ the view ──▶ sessions, health checkers
//!  replica 3 ◀── health checker ──┘
//! ```

use super::controller::{HealthReport, SILENT};
use super::controlling;
use super::elected::{Elected, Leader};
use super::observing;
use crate::blocking::Blocking;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Epoch, FrontendId, Moment, OrderNumber, ReplicaId, View};
use crate::net::{Rpc, Transport};
use crate::protocol::ask;
use crate::protocol::order::{Health, Peer};
use crate::stop::VitalThread;
use crate::storage::Directory;
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The time between two health checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// The pause after a connection broke: the next attempt shows whether the process is gone.
const RECHECK_PAUSE: Duration = Duration::from_millis(5);
/// How often the time is checked when there are no reports.
const TICK: Duration = Duration::from_millis(50);
/// A store that has just started logs that it has no leader after this time.
const LEADERLESS: Duration = Duration::from_secs(2);
/// How many reports may wait.
const REPORTS_MAX: usize = 64;
/// How long a front-end that joins waits for the view that is made for it.
const JOIN_DEADLINE: Duration = Duration::from_millis(500);

/// The leader, as the whole front-end sees it.
pub struct Election {
    /// The front-end that makes the views.
    controller: FrontendId,
    /// Whether that is this one.
    is_controller: bool,
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
    /// What was not taken yet, at most [`REPORTS_MAX`].
    reports: VecDeque<(ReplicaId, HealthReport)>,
    /// Another front-end has started and waits for a view that is made after this.
    is_awaited: bool,
    /// Since when purchases wait, if they do and somebody was told.
    leaderless_since: Option<Moment>,
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

    pub(super) fn suspect_all(&self, ids: impl IntoIterator<Item = ReplicaId>) {
        self.state.lock().suspected.extend(ids);
        self.suspicion.notify_all();
    }

    /// Tells how a replica is. While the controller writes a view, reports wait; it needs only the later ones.
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
    pub(super) fn next_report(&self) -> Option<(ReplicaId, HealthReport)> {
        let mut state = self.state.lock();
        if state.reports.is_empty() && !state.is_awaited {
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

    pub(super) fn now(&self) -> Moment {
        Moment::after(self.started.elapsed())
    }

    /// The view in force.
    pub fn view(&self) -> Option<View> {
        self.state.lock().elected.view().cloned()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.state.lock().stopping
    }

    /// Another front-end has started. Returns the view that was made for it: its purchases are counted from this epoch.
    pub fn join(&self) -> Result<View> {
        if !self.is_controller {
            return Err(Error::invalid(format!(
                "this front-end makes no views, front-end {} does",
                self.controller
            )));
        }
        let deadline = Instant::now() + JOIN_DEADLINE;
        let mut state = self.state.lock();
        let before = state.elected.epoch();
        state.is_awaited = true;
        self.reported.notify_one();
        loop {
            if let Some(view) = state.elected.view().filter(|view| view.epoch > before) {
                return Ok(view.clone());
            }
            let _waiting = Blocking::new();
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return Err(Error::unavailable("no order replica can lead at the moment"));
            }
        }
    }

    /// Whether a front-end has joined since this was asked.
    pub(super) fn take_join(&self) -> bool {
        std::mem::take(&mut self.state.lock().is_awaited)
    }

    /// A view is in force. It is on the controller's disk.
    pub(super) fn announce(&self, view: View) {
        self.state.lock().elected.announce(view);
        self.changed.notify_all();
    }

    /// The highest committed number in any report to the controller.
    pub(super) fn set_committed(&self, committed: OrderNumber) {
        self.state.lock().committed = committed;
    }

    /// Whether the leader of the view answers. While it does not, purchases wait; `hint` says for what, if it is more
    /// than the return of an order replica.
    pub(super) fn set_led(&self, is_led: bool, hint: impl FnOnce() -> String) {
        let now = self.now();
        let mut state = self.state.lock();
        // At a start there is no leader. It is logged only if that lasts.
        let waits_from_the_start =
            !is_led && state.leaderless_since.is_none() && now > Moment::START + LEADERLESS;
        if state.elected.is_led == is_led && !waits_from_the_start {
            return;
        }
        state.elected.is_led = is_led;
        let since = state.leaderless_since.take();
        if !is_led {
            state.leaderless_since = Some(now);
        }
        drop(state);
        self.changed.notify_all();
        if !is_led {
            tracing::warn!("no leader: no order replica can lead; purchases wait{}", hint());
        } else if let Some(since) = since {
            let ms = (now - since).as_millis();
            tracing::info!("a leader was elected after {ms} ms; purchases continue");
        }
    }
}

/// The threads of the election. Dropping it stops and joins them.
pub struct Elector {
    election: Arc<Election>,
    threads: Vec<VitalThread>,
}

impl Elector {
    /// Begins to watch the replicas of `config` in the front-end `me`.
    pub fn start(
        config: &Config,
        me: FrontendId,
        transport: &Transport,
        directory: &Directory,
    ) -> Result<Elector> {
        let controller = config.frontend.controller;
        let election = Arc::new(Election {
            controller,
            is_controller: me == controller,
            started: Instant::now(),
            state: Mutex::default(),
            changed: Condvar::new(),
            suspicion: Condvar::new(),
            reported: Condvar::new(),
        });
        let mut elector = Elector { election: election.clone(), threads: Vec::new() };
        for (&id, replica) in &config.order.replicas {
            let peer = transport.rpc(&replica.peer)?;
            let checker = HealthChecker { id, peer, election: election.clone() };
            let thread = VitalThread::start(format!("health-{id}"), move || checker.run())?;
            elector.threads.push(thread);
        }
        let decider = if me == controller {
            controlling::start(config, directory, election)
        } else {
            let controller = transport.rpc(&config.frontend.instance(controller)?.peer)?;
            observing::start(config, controller, election)
        };
        elector.threads.push(decider?);
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
