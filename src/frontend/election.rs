//! The leader, as the whole front-end sees it: what the threads of the [elector](super::elector) find out, for those who
//! ask, and the reports on their way between these threads.

use super::controller::HealthReport;
use super::elected::{Elected, Leader};
use crate::blocking::Blocking;
use crate::error::{Error, Result};
use crate::model::{Epoch, FrontendId, Moment, OrderNumber, ReplicaId, View};
use crate::trace::Scope;
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

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
    /// The replicas that were not sent the last view yet, and for which trace.
    to_be_sent: BTreeMap<ReplicaId, Scope>,
    /// Another front-end has started and waits for a view that is made after this.
    is_awaited: bool,
    /// Since when purchases wait, if they do and somebody was told.
    leaderless_since: Option<Moment>,
    stopping: bool,
}

impl Election {
    /// No leader yet, in the front-end `me`.
    pub(super) fn new(me: FrontendId, controller: FrontendId) -> Election {
        Election {
            controller,
            is_controller: me == controller,
            started: Instant::now(),
            state: Mutex::default(),
            changed: Condvar::new(),
            suspicion: Condvar::new(),
            reported: Condvar::new(),
        }
    }

    /// This process stops.
    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.suspicion.notify_all();
    }

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
    pub(super) fn report(&self, id: ReplicaId, report: HealthReport) {
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
    pub(super) fn await_check(&self, id: ReplicaId, due: Instant) {
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

    /// The same of a view that was made here, and that these replicas are to be sent for the trace of its election.
    pub(super) fn announce_own(&self, view: View, replicas: &[ReplicaId], scope: &Scope) {
        let mut state = self.state.lock();
        state.to_be_sent = replicas.iter().map(|id| (*id, scope.clone())).collect();
        drop(state);
        self.announce(view);
    }

    /// For whose trace a replica is sent the view in force; `None` if it was sent it before.
    pub(super) fn take_scope(&self, id: ReplicaId) -> Option<Scope> {
        self.state.lock().to_be_sent.remove(&id)
    }

    /// The highest committed number in any report to the controller.
    pub(super) fn committed(&self) -> OrderNumber {
        self.state.lock().committed
    }

    /// The same, from the controller.
    pub(super) fn set_committed(&self, committed: OrderNumber) {
        self.state.lock().committed = committed;
    }

    /// Whether the leader of the view answers. While it does not, purchases wait; `hint` says for what, if it is more
    /// than the return of an order replica. Returns how long they have waited, if a leader was elected now.
    pub(super) fn set_led(&self, is_led: bool, hint: impl FnOnce() -> String) -> Option<Duration> {
        let now = self.now();
        let mut state = self.state.lock();
        // At a start there is no leader. It is logged only if that lasts.
        let waits_from_the_start =
            !is_led && state.leaderless_since.is_none() && now > Moment::START + LEADERLESS;
        if state.elected.is_led == is_led && !waits_from_the_start {
            return None;
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
            return None;
        }
        let waited = now - since?;
        let ms = waited.as_millis();
        tracing::info!("a leader was elected after {ms} ms; purchases continue");
        Some(waited)
    }
}
