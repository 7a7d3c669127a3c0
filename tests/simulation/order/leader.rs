//! The threads of a leader, as `src/order/{purchase,replication,office}.rs` run them: purchases, the senders to the
//! followers, its office, and the watch of the catalog.

use super::Order;
use crate::context::Context;
use crate::wire::{Answer, Node, Question, Reply, Tag, Timer, unanswered};
use crate::world::ms;
use std::time::Duration;
use toystore::error::{Error, Result};
use toystore::model::{Epoch, Key, Moment, ReplicaId};
use toystore::order::buying::{Buying, Next};
use toystore::order::leadership::{Duty, HEARTBEAT, Office};
use toystore::protocol::Answer as Outcome;
use toystore::protocol::catalog::{self, Incarnation, Settle};
use toystore::protocol::order::{Bought, Peer};
use toystore::protocol::purchase::Purchase;

const PURCHASE_DEADLINE: Duration = ms(5_000);
const PURCHASE_PAUSE: Duration = ms(20);
const APPEND_DEADLINE: Duration = ms(1_000);
const APPEND_PAUSE: Duration = ms(50);
const OFFICE_DEADLINE: Duration = ms(1_000);
const OFFICE_PAUSE: Duration = ms(20);
const WATCH_DEADLINE: Duration = ms(300);

/// A leader's thread in `Order::purchase`.
pub(super) struct Purchasing {
    pub(super) tag: Tag,
    pub(super) keys: Vec<Key>,
    pub(super) buying: Buying,
    /// The purchases that the catalog was asked for in the last call, and those that a call may have sold.
    pub(super) asked: Vec<Key>,
    pub(super) may_be_sold: Vec<Key>,
    pub(super) deadline: Moment,
    pub(super) stage: Stage,
    pub(super) is_by_hand: bool,
}

pub(super) enum Stage {
    /// Waits for the replica, or for the end of a pause.
    Going { from: Moment },
    /// Waits for the catalog's answer.
    Selling { tag: Tag, epoch: Epoch, reply: Option<Reply> },
    /// Waits until the journal is durable up to this position.
    Syncing { tag: Tag, epoch: Epoch, reply: Option<Reply>, rests_on: (Incarnation, u64) },
}

impl Purchasing {
    pub(super) fn new(tag: Tag, purchases: Vec<Purchase>, now: Moment) -> Purchasing {
        Purchasing {
            tag,
            keys: purchases.iter().map(|purchase| purchase.key.clone()).collect(),
            buying: Buying::new(purchases),
            asked: Vec::new(),
            may_be_sold: Vec::new(),
            deadline: now + PURCHASE_DEADLINE,
            stage: Stage::Going { from: now },
            is_by_hand: false,
        }
    }
}

/// The thread that sends to one follower.
pub(super) struct Sender {
    pub(super) follower: ReplicaId,
    pub(super) asked: Option<(Tag, Epoch)>,
    pub(super) paused_until: Moment,
}

/// The thread that reconciles and settles.
#[derive(Default)]
pub(super) struct Officer {
    pub(super) asked: Option<(Tag, Asked)>,
    pub(super) paused_until: Moment,
}

/// What the office has asked the catalog.
pub(super) enum Asked {
    /// From where the shared log is to be loaded.
    Settled(Epoch),
    Standing(Epoch),
    Reconcile(Epoch, Incarnation),
    Settle(Epoch, Settle),
}

impl Asked {
    fn epoch(&self) -> Epoch {
        match self {
            Asked::Settled(epoch)
            | Asked::Standing(epoch)
            | Asked::Reconcile(epoch, _)
            | Asked::Settle(epoch, _) => *epoch,
        }
    }
}

/// The thread that watches the catalog.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) asked: Option<Tag>,
    pub(super) next: Moment,
    pub(super) reachable: bool,
}

impl Order {
    /// `Order::purchase`, as far as it can go now.
    pub(super) fn purchase(
        &mut self,
        task: &mut Purchasing,
        context: &mut Context<'_>,
    ) -> Option<Vec<Result<Bought>>> {
        match &mut task.stage {
            Stage::Going { from } if context.now < *from => None,
            Stage::Going { .. } => match task.buying.next(&mut self.replica) {
                Next::Over(outcomes) => Some(outcomes),
                Next::Wait => {
                    (context.now >= task.deadline).then(|| task.buying.late(&mut self.replica))
                }
                Next::Ask { epoch, logged, purchases } => {
                    task.asked = purchases.iter().map(|purchase| purchase.key.clone()).collect();
                    let question = catalog::Request::Purchase { epoch, logged, purchases };
                    let tag =
                        context.ask(Node::Catalog, Question::Catalog(question), task.deadline);
                    task.stage = Stage::Selling { tag, epoch, reply: None };
                    None
                }
            },
            Stage::Syncing { epoch, reply, rests_on: (incarnation, position), .. } => {
                let deposed = self.replica.leads() != Some(*epoch);
                let reply = match reply.take() {
                    None if deposed => Err(unanswered("the caller no longer waits")),
                    None => return None,
                    Some(reply) => reply,
                };
                if reply.is_ok() {
                    self.replica.durable(*epoch, *incarnation, *position);
                } else if let Some(leadership) = self.replica.leading(*epoch) {
                    leadership.must_reconcile();
                }
                task.stage = Stage::Going { from: context.now };
                self.purchase(task, context)
            }
            Stage::Selling { epoch, reply, .. } => {
                let deposed = self.replica.leads() != Some(*epoch);
                let reply = match reply.take() {
                    None if deposed => Err(unanswered("the caller no longer waits")),
                    None => return None,
                    Some(reply) => reply,
                };
                self.sold(task, reply, context)
            }
        }
    }

    /// `Purchases::log`.
    fn sold(
        &mut self,
        task: &mut Purchasing,
        reply: Reply,
        context: &mut Context<'_>,
    ) -> Option<Vec<Result<Bought>>> {
        let answer = match reply {
            Ok(Answer::Reserved(reserved)) => Ok(reserved),
            Ok(_) => Err(unanswered("no answer that fits")),
            Err(error) => Err(error),
        };
        match &answer {
            Err(Error::Stale { epoch }) => self.step_down(Epoch(*epoch), context),
            Err(error) if error.is_definite() => {}
            Err(_) => task.may_be_sold.extend(task.asked.iter().cloned()),
            Ok(reserved) => {
                let asked = task.asked.iter().zip(&reserved.outcomes);
                let sold = asked.filter(|(_, outcome)| matches!(outcome, Outcome::Data(_)));
                task.may_be_sold.extend(sold.map(|(key, _)| key.clone()));
            }
        }
        let Stage::Selling { epoch, .. } = task.stage else { return None };
        let rests_on = answer.as_ref().ok().map(|answer| (answer.incarnation, answer.position));
        let before = self.replica.log().last();
        let is_late = context.now + PURCHASE_PAUSE >= task.deadline;
        let is_over = task.buying.told(&mut self.replica, answer, is_late);
        if self.replica.log().last() > before {
            self.write(before);
        }
        if let Some((incarnation, position)) = rests_on {
            let question = catalog::Request::Durable { incarnation, position };
            let tag = context.ask(Node::Catalog, Question::Catalog(question), task.deadline);
            let rests_on = (incarnation, position);
            task.stage = Stage::Syncing { tag, epoch, reply: None, rests_on };
            return None;
        }
        let pause = if is_over { ms(0) } else { PURCHASE_PAUSE };
        task.stage = Stage::Going { from: context.now + pause };
        if !is_over {
            context.after(PURCHASE_PAUSE, Timer::Wake);
            return None;
        }
        self.purchase(task, context)
    }

    /// `replication::send_to`, for each follower.
    pub(super) fn send(&mut self, context: &mut Context<'_>) {
        for sender in &mut self.senders {
            if let Some((_, epoch)) = sender.asked
                && self.replica.leads() != Some(epoch)
            {
                sender.asked = None;
                sender.pause(context);
            }
            if sender.asked.is_some() || context.now < sender.paused_until {
                continue;
            }
            if let Some(append) = self.replica.next_append(sender.follower, context.now) {
                let epoch = append.view.epoch;
                let question = Question::OrderPeer(Peer::Append(append));
                let deadline = context.now + APPEND_DEADLINE;
                let tag = context.ask(Node::Replica(sender.follower), question, deadline);
                sender.asked = Some((tag, epoch));
            }
        }
    }

    /// `office::hold_office`.
    pub(super) fn hold_office(&mut self, context: &mut Context<'_>) {
        let leads = self.replica.leads();
        if let Some((_, asked)) =
            self.office.asked.take_if(|(_, asked)| leads != Some(asked.epoch()))
        {
            self.office_answered(asked, Err(unanswered("the caller no longer waits")), context);
        }
        if self.office.asked.is_some() || context.now < self.office.paused_until {
            return;
        }
        self.load_log(context);
        self.replica.tick(context.now);
        match self.replica.duty(context.now) {
            None => {}
            Some(Duty::Reconcile(epoch)) => {
                self.ask_catalog(Asked::Standing(epoch), catalog::Peer::Standing, context);
            }
            Some(Duty::Load(epoch)) => {
                self.ask_catalog(Asked::Settled(epoch), catalog::Peer::Standing, context);
            }
            Some(Duty::Settle(epoch, settle)) => {
                let question = catalog::Peer::Settle(settle.clone());
                self.ask_catalog(Asked::Settle(epoch, settle), question, context);
            }
        }
    }

    fn ask_catalog(&mut self, asked: Asked, question: catalog::Peer, context: &mut Context<'_>) {
        let deadline = context.now + OFFICE_DEADLINE;
        let tag = context.ask(Node::Catalog, Question::CatalogPeer(question), deadline);
        self.office.asked = Some((tag, asked));
    }

    pub(super) fn office_answered(
        &mut self,
        asked: Asked,
        reply: Reply,
        context: &mut Context<'_>,
    ) {
        if let (Asked::Standing(epoch), Ok(Answer::Standing(standing))) = (&asked, &reply) {
            if let Some(question) = self.replica.reconcile(*epoch, *standing) {
                let asked = Asked::Reconcile(*epoch, standing.incarnation);
                self.ask_catalog(asked, catalog::Peer::Reconcile(question), context);
            }
            return;
        }
        self.office.paused_until = context.now + OFFICE_PAUSE;
        context.after(OFFICE_PAUSE, Timer::Wake);
        if let Err(Error::Stale { epoch }) = &reply {
            self.step_down(Epoch(*epoch), context);
        }
        match (asked, reply) {
            (Asked::Reconcile(epoch, incarnation), Ok(Answer::Reconciled(answer))) => {
                let taken = self.replica.reconciled(epoch, incarnation, answer);
                let Some(write_after) = taken.expect("open sales fit the log") else { return };
                self.write(write_after);
                assert_eq!(self.replica.imbalance(), None, "no disk loses synced rows");
                if self.replica.office() != Some(Office::Serving) {
                    context.note(|| format!("reconciled in epoch {epoch}"));
                }
            }
            (Asked::Settle(epoch, settle), Ok(_)) => {
                if let Some(leadership) = self.replica.leading(epoch) {
                    leadership.settled(&settle);
                }
            }
            (Asked::Settled(epoch), Ok(_)) => self.take_log(epoch, context),
            (Asked::Settled(_) | Asked::Settle(..), Err(_)) => {}
            (Asked::Standing(epoch) | Asked::Reconcile(epoch, _), reply) => {
                assert!(!matches!(reply, Err(Error::Invalid { .. })), "{reply:?}");
                if let Some(leadership) = self.replica.leading(epoch) {
                    leadership.must_reconcile();
                }
            }
        }
    }

    /// `office::watch_catalog`.
    pub(super) fn watch_catalog(&mut self, context: &mut Context<'_>) {
        if self.watch.asked.is_none() && context.now >= self.watch.next {
            self.watch.next = context.now + HEARTBEAT;
            let question = Question::CatalogPeer(catalog::Peer::HealthCheck);
            let deadline = context.now + WATCH_DEADLINE;
            self.watch.asked = Some(context.ask(Node::Catalog, question, deadline));
        }
    }
}

impl Sender {
    pub(super) fn pause(&mut self, context: &mut Context<'_>) {
        self.paused_until = context.now + APPEND_PAUSE;
        context.after(APPEND_PAUSE, Timer::Wake);
    }
}
