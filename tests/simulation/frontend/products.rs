//! Queries and the subscription to changes, as `src/frontend/{products,subscription}.rs` run them.

use super::Frontend;
use crate::context::Context;
use crate::wire::{Answer, Node, Question, Reply, Tag, Timer, unanswered};
use crate::world::{between, ms};
use fastrand::Rng;
use std::time::Duration;
use toystore::frontend::querying::{self, Querying};
use toystore::model::{Moment, Toy};
use toystore::protocol::catalog;

const QUERY_DEADLINE: Duration = ms(5_000);
const CHANGES_DEADLINE: Duration = ms(350);
const CHANGES_PAUSE: Duration = ms(50);

/// A session's thread in `Products::toy`.
pub(super) struct Query {
    pub(super) tag: Tag,
    pub(super) name: String,
    pub(super) flow: Querying<Toy>,
    pub(super) asked: Option<Tag>,
}

/// The thread that takes the changes.
pub(super) struct Subscription {
    pub(super) number: u64,
    /// The last one that was answered.
    pub(super) before: Option<u64>,
    pub(super) acknowledged: Option<u64>,
    pub(super) asked: Option<(Tag, Moment)>,
    pub(super) paused_until: Moment,
}

impl Frontend {
    /// `Products::toy`, as far as it can go now. Returns whether it continues.
    pub(super) fn query(&mut self, query: &mut Query, context: &mut Context<'_>) -> bool {
        if context.rng.u32(0..16) == 0 {
            // Its thread is woken later.
            let wait = between(context.rng, &(ms(0)..ms(20)));
            context.after(wait, Timer::Wake);
            return true;
        }
        match query.flow.next(&mut self.lookup, &query.name, context.now) {
            querying::Next::Over(answer) => {
                context.answer(query.tag, answer.map(Answer::Toy));
                return false;
            }
            querying::Next::Ask if query.asked.is_none() => {
                let question = catalog::Request::Query { name: query.name.parse().unwrap() };
                let deadline = context.now + QUERY_DEADLINE;
                let asked = context.ask(Node::Catalog, Question::Catalog(question), deadline);
                query.asked = Some(asked);
            }
            querying::Next::Ask | querying::Next::Wait => {}
        }
        true
    }

    pub(super) fn fetched(&mut self, tag: Tag, reply: Reply) {
        if let Some(query) = self.queries.iter_mut().find(|query| query.asked == Some(tag)) {
            let answer = match reply {
                Ok(Answer::Toy(toy)) => Ok((toy.version, toy)),
                Ok(_) => Err(unanswered("no answer that fits")),
                Err(error) => Err(error),
            };
            query.flow.told(&mut self.lookup, &query.name, answer);
        }
    }
}

impl Frontend {
    /// The beginning of `Subscriber::listen`.
    pub(super) fn subscribe(&mut self, rng: &mut Rng) {
        self.subscription.number = rng.u64(..);
        self.subscription.acknowledged = None;
        self.lookup.cache.unsubscribe();
    }

    pub(super) fn listen(&mut self, context: &mut Context<'_>) {
        let Subscription { number, before, acknowledged, asked, paused_until } =
            &mut self.subscription;
        if asked.is_some() || context.now < *paused_until {
            return;
        }
        let question = catalog::Peer::Changes {
            subscription: *number,
            acknowledged: *acknowledged,
            replaces: before.filter(|before| before != number),
        };
        let deadline = context.now + CHANGES_DEADLINE;
        let tag = context.ask(Node::Catalog, Question::CatalogPeer(question), deadline);
        *asked = Some((tag, context.now));
    }

    pub(super) fn listened(&mut self, reply: &Reply, sent: Moment, context: &mut Context<'_>) {
        let holds = match reply {
            Ok(Answer::Changes(changes)) => {
                for change in &changes.invalidate {
                    self.lookup.cache.invalidate(&change.name, change.version);
                }
                self.subscription.acknowledged = Some(changes.up_to);
                self.subscription.before = Some(self.subscription.number);
                self.lookup.cache.renew(self.subscription.number, sent, context.now)
            }
            _ => false,
        };
        if !holds {
            self.subscription.paused_until = context.now + CHANGES_PAUSE;
            context.after(CHANGES_PAUSE, Timer::Wake);
            self.subscribe(context.rng);
        }
    }
}
