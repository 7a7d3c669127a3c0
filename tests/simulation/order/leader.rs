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
use toystore::protocol::catalog;
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
    /// The purchases that the catalog was asked for.
    pub(super) asked: Vec<Key>,
    pub(super) deadline: Moment,
    pub(super) stage: Stage,
    pub(super) is_by_hand: bool,
}

pub(super) enum Stage {
    /// Waits for the replica, or for the end of a pause.
    Going {
        from: Moment,
    },
    Selling {
        tag: Tag,
        epoch: Option<Epoch>,
        reply: Option<Reply>,
    },
}

impl Purchasing {
    pub(super) fn new(tag: Tag, purchases: Vec<Purchase>, now: Moment) -> Purchasing {
        Purchasing {
            tag,
            keys: purchases.iter().map(|purchase| purchase.key.clone()).collect(),
            buying: Buying::new(purchases),
            asked: Vec::new(),
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

/// The thread that takes office and settles.
#[derive(Default)]
pub(super) struct Officer {
    pub(super) asked: Option<(Tag, Duty)>,
    pub(super) paused_until: Moment,
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
                Next::Wait => (context.now >= task.deadline).then(|| task.buying.late()),
                Next::Ask(purchases) => {
                    Order::sell(task, purchases, context);
                    None
                }
            },
            Stage::Selling { epoch, reply, .. } => {
                let deposed = self.replica.leads() != *epoch;
                let reply = match reply.take() {
                    None if deposed => Err(unanswered("the caller no longer waits")),
                    None => return None,
                    Some(reply) => reply,
                };
                self.sold(task, reply, context)
            }
        }
    }

    /// `Purchases::sell`.
    fn sell(task: &mut Purchasing, purchases: Vec<Purchase>, context: &mut Context<'_>) {
        task.asked.extend(purchases.iter().map(|purchase| purchase.key.clone()));
        let epoch = purchases.iter().map(|purchase| purchase.epoch).max();
        let question = Question::Catalog(catalog::Request::Purchase { purchases });
        let tag = context.ask(Node::Catalog, question, task.deadline);
        task.stage = Stage::Selling { tag, epoch, reply: None };
    }

    fn sold(
        &mut self,
        task: &mut Purchasing,
        reply: Reply,
        context: &mut Context<'_>,
    ) -> Option<Vec<Result<Bought>>> {
        let answers = match reply {
            Ok(Answer::Sales(sales)) => Ok(sales),
            Ok(_) => Err(unanswered("no answer that fits")),
            Err(error) => Err(error),
        };
        let newer = answers.iter().flatten().filter_map(|answer| match answer {
            Err(Error::Stale { epoch }) => Some(Epoch(*epoch)),
            _ => None,
        });
        if let Some(newer) = newer.max() {
            self.step_down(newer, context);
        }
        let before = self.replica.log().last();
        let is_late = context.now + PURCHASE_PAUSE >= task.deadline;
        if !task.buying.told(&mut self.replica, answers, is_late) {
            task.stage = Stage::Going { from: context.now + PURCHASE_PAUSE };
            context.after(PURCHASE_PAUSE, Timer::Wake);
            return None;
        }
        if self.replica.log().last() > before {
            self.write(before);
        }
        task.stage = Stage::Going { from: context.now };
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
        let epoch_of = |duty: &Duty| match duty {
            Duty::TakeOffice(epoch) | Duty::Settle(epoch, _) => *epoch,
        };
        let abandoned = |(_, duty): &mut (Tag, Duty)| self.replica.leads() != Some(epoch_of(duty));
        if let Some((_, duty)) = self.office.asked.take_if(abandoned) {
            self.office_answered(duty, Err(unanswered("the caller no longer waits")), context);
        }
        if self.office.asked.is_some() || context.now < self.office.paused_until {
            return;
        }
        self.replica.tick(context.now);
        let Some(duty) = self.replica.duty(context.now) else { return };
        let question = match &duty {
            Duty::TakeOffice(epoch) => catalog::Peer::TakeOffice { epoch: *epoch },
            Duty::Settle(epoch, keys) => {
                catalog::Peer::Settle { epoch: *epoch, keys: keys.clone() }
            }
        };
        let deadline = context.now + OFFICE_DEADLINE;
        let tag = context.ask(Node::Catalog, Question::CatalogPeer(question), deadline);
        self.office.asked = Some((tag, duty));
    }

    pub(super) fn office_answered(&mut self, duty: Duty, reply: Reply, context: &mut Context<'_>) {
        self.office.paused_until = context.now + OFFICE_PAUSE;
        context.after(OFFICE_PAUSE, Timer::Wake);
        if let Err(Error::Stale { epoch }) = &reply {
            self.step_down(Epoch(*epoch), context);
        }
        match (duty, reply) {
            (Duty::TakeOffice(epoch), Ok(Answer::Office(office))) => {
                let taken =
                    self.replica.took_office(epoch, office).expect("open sales fit the log");
                let Some(write_after) = taken else { return };
                self.write(write_after);
                assert_eq!(self.replica.imbalance(), None, "no disk loses synced rows");
                if self.replica.office() != Some(Office::Serving) {
                    context.note(|| format!("takes office in epoch {epoch}"));
                }
            }
            (Duty::TakeOffice(epoch), _) => self.replica.office_refused(epoch),
            (Duty::Settle(epoch, keys), Ok(_)) => self.replica.settled(epoch, keys.len()),
            (Duty::Settle(..), Err(_)) => {}
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
