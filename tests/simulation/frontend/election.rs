//! Who makes the views and who finds them, as `src/frontend/{election,controlling,observing,views}.rs` run it.

use super::Frontend;
use super::views::{Remembered, Term};
use crate::context::Context;
use crate::wire::{Answer, Node, Question, Reply, Tag, Timer};
use crate::world::{FRONTEND, FRONTENDS_MAX, REPLICAS, ms};
use std::mem;
use std::time::Duration;
use toystore::error::Error;
use toystore::frontend::controller::{Controller, Decision, HealthReport, SILENT, Unclean};
use toystore::frontend::observer::Observer;
use toystore::model::{Epoch, FrontendId, Moment, OrderNumber, ReplicaId, View};
use toystore::protocol::frontend;
use toystore::protocol::order::Peer;
use toystore::storage::database::lease::Watch;

const CHECK_INTERVAL: Duration = ms(100);
const RECHECK_PAUSE: Duration = ms(5);
const JOIN_DEADLINE: Duration = ms(1_000);
const JOIN_PAUSE: Duration = ms(100);
/// Small, so that the number of orders reaches it.
const REMEMBER_EVERY: u64 = 5;

/// Where the views come from.
pub(super) enum Views {
    Made {
        controller: Controller,
        /// The committed number that was written.
        remembered: OrderNumber,
        /// The right to write to the table, if that is where the views are.
        term: Option<Term>,
        /// Front-ends that wait for a view that is newer than this epoch.
        joining: Vec<(Tag, Epoch)>,
    },
    /// `None` before it has joined.
    Found { observer: Option<Observer>, asked: Option<Tag>, paused_until: Moment },
}

/// The thread that watches one replica.
#[derive(Default)]
pub(super) struct HealthChecker {
    has: Epoch,
    pub(super) asked: Option<(Tag, OrderNumber, Moment)>,
    pub(super) next: Moment,
}

impl Views {
    pub(super) fn made(Remembered { view, committed }: Remembered, now: Moment) -> Views {
        let ids = (1..=REPLICAS).map(ReplicaId);
        let controller = Controller::new(ids, view, committed, Unclean::Forbidden, now);
        Views::Made { controller, remembered: committed, term: None, joining: Vec::new() }
    }

    pub(super) fn found(view: Option<View>, now: Moment) -> Views {
        Views::Found { observer: view.map(Observer::new), asked: None, paused_until: now }
    }
}

/// Who makes the views.
impl Frontend {
    /// `Candidate::look`, and the beats of a log.
    pub(super) fn take_turns(&mut self, context: &mut Context<'_>) {
        let Some(table) = self.disk.table() else { return };
        match &mut self.views {
            // Now and then the database is slow to answer, and this front-end learns later that it is fenced.
            Views::Made { .. } if context.rng.u32(0..4) == 0 => {}
            Views::Made { term, .. } => {
                if !term.as_ref().is_none_or(|term| table.beat(term)) {
                    self.step_down(context);
                }
            }
            Views::Found { .. } => {
                let row = table.row();
                if self.watch.saw(&row, context.now) {
                    let (taken, remembered) = table.take();
                    self.take_over(taken, remembered, context);
                }
            }
        }
    }

    /// `Controlling::new`, with a table, and the beginning of `Controlling::run`.
    fn take_over(&mut self, taken: Term, remembered: Remembered, context: &mut Context<'_>) {
        context.note(|| format!("makes the views, {taken:?} {remembered:?}"));
        self.views = Views::made(remembered, context.now);
        let Views::Made { controller, term, .. } = &mut self.views else { return };
        *term = Some(taken);
        *controller = controller.clone().sharing();
        if self.elected.view().is_some() {
            *controller = controller.clone().continuing();
        }
        if let Some(view) = controller.view() {
            self.elected.announce(view.clone());
        }
        self.suspect_all(context);
    }

    /// `Controlling::run`, when a step has failed.
    fn step_down(&mut self, context: &mut Context<'_>) {
        context.note(|| "makes no more views".into());
        let found = Views::found(self.elected.view().cloned(), context.now);
        if let Views::Made { joining, .. } = mem::replace(&mut self.views, found) {
            for (tag, _) in joining {
                context.answer(tag, Err(Error::unavailable("this front-end makes no views")));
            }
        }
        self.watch = Watch::default();
    }

    /// `Election::join`.
    pub(super) fn join(&mut self, tag: Tag, context: &mut Context<'_>) {
        let epoch = self.elected.epoch();
        match &mut self.views {
            Views::Made { controller, joining, .. } => {
                controller.join();
                joining.push((tag, epoch));
            }
            Views::Found { .. } => {
                context.answer(tag, Err(Error::unavailable("this front-end makes no views")));
            }
        }
    }

    /// Writes what is to outlive this front-end. `false`: it may not any more.
    fn remember(&mut self) -> bool {
        let Views::Made { controller, remembered, term, .. } = &mut self.views else {
            return false;
        };
        *remembered = controller.committed();
        let view = controller.last_view().cloned();
        self.disk.write(term.as_ref(), Remembered { view, committed: *remembered })
    }
}

/// What the threads do with the health of the replicas.
impl Frontend {
    /// `HealthChecker::run` and `HealthChecker::check`, for each replica.
    pub(super) fn check(&mut self, context: &mut Context<'_>) {
        let epoch = self.elected.epoch();
        for (id, checker) in &mut self.checkers {
            let due = context.now >= checker.next || epoch > checker.has;
            if checker.asked.is_some() || !due {
                continue;
            }
            let question = match self.elected.view() {
                Some(view) if view.epoch > checker.has => {
                    checker.has = view.epoch;
                    Peer::UpdateLeader { view: view.clone() }
                }
                _ => Peer::HealthCheck,
            };
            let expected = match &self.views {
                Views::Made { controller, .. } => controller.committed(),
                Views::Found { .. } => OrderNumber(0),
            };
            let (to, deadline) = (Node::Replica(*id), context.now + SILENT);
            let tag = context.ask(to, Question::OrderPeer(question), deadline);
            checker.asked = Some((tag, expected, context.now));
            checker.next = context.now + CHECK_INTERVAL;
        }
    }

    pub(super) fn checked(&mut self, id: ReplicaId, reply: Reply, context: &mut Context<'_>) {
        let checker = self.checkers.get_mut(&id).expect("it asked");
        let (_, expected, asked) = checker.asked.take().expect("it asked");
        let report = match reply {
            Ok(Answer::Health(health)) => {
                checker.has = health.view.as_ref().map_or(Epoch(0), |view| view.epoch);
                HealthReport::Healthy { health, asked, expected }
            }
            Err(Error::Unreachable { .. }) => {
                // Not again at once, although it has not received the view.
                checker.has = self.elected.epoch();
                HealthReport::Refused
            }
            Err(error) => {
                if !error.is_definite() {
                    checker.has = Epoch(0);
                }
                checker.next = context.now + RECHECK_PAUSE;
                context.after(RECHECK_PAUSE, Timer::Wake);
                HealthReport::Silent
            }
            Ok(_) => HealthReport::Silent,
        };
        match &mut self.views {
            Views::Made { controller, .. } => {
                let leader = controller.view().map(|view| view.leader);
                let is_lost = report == HealthReport::Refused && leader == Some(id);
                controller.take_report(id, report, context.now);
                if controller.superseded_by().is_some() {
                    assert!(!self.remember(), "one front-end makes views at a time");
                    self.step_down(context);
                } else if is_lost {
                    self.suspect_all(context);
                }
            }
            Views::Found { observer, .. } => {
                let observer = observer.as_mut();
                if let Some(view) = observer.and_then(|observer| observer.take_report(id, report)) {
                    self.elected.announce(view);
                }
            }
        }
    }

    /// `Controlling::step`, or the observer's.
    pub(super) fn decide(&mut self, context: &mut Context<'_>) {
        match &mut self.views {
            Views::Made { controller, remembered, .. } => {
                let decision = controller.decide(context.now);
                let is_led = controller.is_led(context.now);
                if is_led || controller.has_looked_around(context.now) {
                    self.elected.is_led = is_led;
                }
                let is_behind = controller.committed().0 >= remembered.0 + REMEMBER_EVERY;
                if (decision.is_some() || is_behind) && !self.remember() {
                    self.step_down(context);
                } else if let Some(Decision { view, reason }) = decision {
                    context.note(|| format!("{reason}; {view}"));
                    self.announce(view, context);
                }
            }
            Views::Found { observer: Some(observer), .. } => {
                self.elected.is_led = observer.is_led(context.now);
            }
            Views::Found { observer: None, asked, paused_until } => {
                if asked.is_none() && context.now >= *paused_until {
                    let join = Question::FrontendPeer(frontend::Peer::Join);
                    let deadline = context.now + JOIN_DEADLINE;
                    let other = other(self.me);
                    *asked = Some(context.ask(Node::Frontend(other), join, deadline));
                }
            }
        }
    }

    fn announce(&mut self, view: View, context: &mut Context<'_>) {
        if let Views::Made { joining, .. } = &mut self.views {
            for (tag, _) in joining.extract_if(.., |(_, before)| *before < view.epoch) {
                context.answer(tag, Ok(Answer::View(view.clone())));
            }
        }
        self.elected.announce(view);
        self.suspect_all(context);
    }

    pub(super) fn joined(&mut self, reply: Reply, context: &mut Context<'_>) {
        let Views::Found { observer, paused_until, .. } = &mut self.views else { return };
        if let Ok(Answer::View(view)) = reply {
            *observer = Some(Observer::new(view.clone()));
            self.elected.announce(view);
        } else {
            *paused_until = context.now + JOIN_PAUSE;
            context.after(JOIN_PAUSE, Timer::Wake);
        }
    }

    fn suspect_all(&mut self, context: &Context<'_>) {
        self.checkers.values_mut().for_each(|checker| checker.next = context.now);
    }
}

/// The front-end that may make the views if `me` does not.
fn other(FrontendId(me): FrontendId) -> FrontendId {
    if me == FRONTEND.0 { FrontendId(FRONTENDS_MAX) } else { FRONTEND }
}
