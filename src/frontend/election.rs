//! The leader, as the whole front-end sees it: what the threads of the [elector](super::elector) find out, for those who
//! ask, and the reports on their way between these threads.

use super::controller::HealthReport;
use super::elected::{Elected, Leader};
use crate::blocking::Blocking;
use crate::error::{Error, Result};
use crate::model::{Epoch, Moment, OrderNumber, ReplicaId, View};
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
    started: Instant,
    state: Mutex<State>,
    /// Signalled when the leader or the controller is another one, or this process stops.
    changed: Condvar,
    /// Signalled when a replica is suspected, or this process stops.
    suspicion: Condvar,
    /// Signalled when there is a report.
    reported: Condvar,
}

#[derive(Default)]
struct State {
    elected: Elected,
    /// Whether this front-end makes the views.
    controls: bool,
    /// The epoch of the last view made here.
    made: Epoch,
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
    /// No leader yet, and another front-end makes the views.
    pub(super) fn new() -> Election {
        Election {
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
        self.changed.notify_all();
    }

    /// Whether this front-end makes the views.
    pub fn controls(&self) -> bool {
        self.state.lock().controls
    }

    /// The same from now on.
    pub(super) fn set_controls(&self, controls: bool) {
        let mut state = self.state.lock();
        (state.controls, state.is_awaited) = (controls, false);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits while this front-end makes the views. Returns whether another one does; this process may stop instead.
    pub(super) fn await_observing(&self) -> bool {
        let mut state = self.state.lock();
        while state.controls && !state.stopping {
            self.changed.wait_for(&mut state, TICK);
        }
        !state.stopping
    }

    /// Whether another front-end makes the views, and this process does not stop.
    pub(super) fn is_observing(&self) -> bool {
        let state = self.state.lock();
        !state.controls && !state.stopping
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
        let deadline = Instant::now() + JOIN_DEADLINE;
        let mut state = self.state.lock();
        let before = state.elected.epoch();
        state.is_awaited = state.controls;
        self.reported.notify_one();
        loop {
            // One that was found may have been made for an earlier start of the same front-end.
            let is_made = state.made > before;
            if let Some(view) = state.elected.view().filter(|_| is_made) {
                return Ok(view.clone());
            }
            if !state.controls {
                return Err(Error::unavailable("this front-end makes no views, another one does"));
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

    /// A view is in force. The controller has written it.
    pub(super) fn announce(&self, view: View) {
        self.state.lock().elected.announce(view);
        self.changed.notify_all();
    }

    /// The same of a view that was made here, and that these replicas are to be sent for the trace of its election.
    pub(super) fn announce_own(&self, view: View, replicas: &[ReplicaId], scope: &Scope) {
        let mut state = self.state.lock();
        state.to_be_sent = replicas.iter().map(|id| (*id, scope.clone())).collect();
        state.made = view.epoch;
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
