//! A front-end, as `src/frontend/{election,controlling,observing,orders,products,subscription}.rs` run it: their waits
//! and calls. The decisions are made by the production code (`controller`, `observer`, `elected`, `purchases`, `asking`,
//! `querying`, `cache`). With files the first front-end makes the views, with a database any.

mod election;
mod products;
pub mod views;

use crate::context::Context;
use crate::wire::{Answer, CustomerRequest, Input, Node, Question, Reply, Tag, Timer, unanswered};
use crate::world::{FRONTEND, REPLICAS, between, ms};
use election::{HealthChecker, Views};
use fastrand::Rng;
use products::{Query, Subscription};
use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;
use std::time::Duration;
use toystore::error::Error;
use toystore::frontend::asking::{Asking, Then, is_suspect};
use toystore::frontend::cache::Cache;
use toystore::frontend::elected::{Elected, Leader};
use toystore::frontend::purchases::{self, Batch, PAUSE, PurchasesInFlight};
use toystore::frontend::querying::{Lookup, Querying};
use toystore::model::{Epoch, FrontendId, Moment, OrderNumber, ReplicaId, Toy, ToyName};
use toystore::protocol::frontend;
use toystore::protocol::order::{Bought, Request};
use toystore::storage::database::lease::Watch;
use views::Disk;

/// `frontend.purchase_deadline_ms`, shorter than its default.
const ASK_DEADLINE: Range<Duration> = ms(200)..ms(4_000);

/// A running front-end.
pub struct Frontend {
    me: FrontendId,
    pub disk: Disk,
    /// What this front-end has seen of the table of the views.
    watch: Watch,
    views: Views,
    elected: Elected,
    checkers: BTreeMap<ReplicaId, HealthChecker>,
    ask_deadline: Duration,
    purchases: PurchasesInFlight<Tag>,
    /// The purchases, in the order of their sequences.
    tags: Vec<Tag>,
    pending: Vec<PendingPurchase>,
    sending: Vec<Sending>,
    looking_up: Vec<LookingUp>,
    lookup: Lookup<Toy>,
    queries: Vec<Query>,
    subscription: Subscription,
}

/// A connection whose purchase is in flight.
struct PendingPurchase {
    tag: Tag,
    sequence: u64,
    name: ToyName,
    deadline: Moment,
    /// It was woken, or has just arrived: it has a thread.
    is_awake: bool,
}

/// A thread in `Orders::send`.
struct Sending {
    /// The purchase whose thread it is.
    sequence: u64,
    batch: Batch,
    attempt: Attempt,
}

/// A thread in `Orders::look_up_at_leader`.
struct LookingUp {
    tag: Tag,
    number: OrderNumber,
    flow: Asking,
    attempt: Attempt,
}

/// `Orders::at_leader`, and the pause before it.
struct Attempt {
    deadline: Moment,
    asked: Option<(Tag, Epoch, ReplicaId)>,
    reply: Option<Reply>,
    paused_until: Moment,
}

impl Frontend {
    pub fn new(me: FrontendId, disk: Disk, now: Moment, rng: &mut Rng) -> Frontend {
        let ids: Vec<_> = (1..=REPLICAS).map(ReplicaId).collect();
        let views = match &disk {
            Disk::File(remembered) if me == FRONTEND => Views::made(remembered.clone(), now),
            _ => Views::found(None, now),
        };
        let mut frontend = Frontend {
            me,
            disk,
            watch: Watch::default(),
            views,
            elected: Elected::default(),
            checkers: ids.into_iter().map(|id| (id, HealthChecker::default())).collect(),
            ask_deadline: between(rng, &ASK_DEADLINE),
            tags: Vec::new(),
            purchases: PurchasesInFlight::new(me),
            pending: Vec::new(),
            sending: Vec::new(),
            looking_up: Vec::new(),
            lookup: Lookup::new(Cache::new(1 + usize::from(rng.bool()))),
            queries: Vec::new(),
            subscription: Subscription {
                before: None,
                number: 0,
                acknowledged: None,
                asked: None,
                paused_until: now,
            },
        };
        frontend.subscribe(rng);
        frontend
    }

    pub fn handle(&mut self, input: Input, context: &mut Context<'_>) {
        match input {
            Input::Question(tag, Question::Customer(request)) => self.open(tag, request, context),
            Input::Question(tag, Question::FrontendPeer(frontend::Peer::Join)) => {
                self.join(tag, context);
            }
            Input::Reply(tag, reply) => self.reply(tag, reply, context),
            Input::Timer(Timer::Tick) => {
                self.take_turns(context);
                context.after(ms(50), Timer::Tick);
            }
            Input::Question(..) | Input::Timer(_) => {}
        }
        self.decide(context);
        self.check(context);
        self.listen(context);
        self.look_up(context);
        self.send(context);
        while self.buy(context) {
            self.send(context);
        }
        let mut queries = mem::take(&mut self.queries);
        queries.retain_mut(|query| self.query(query, context));
        self.queries = queries;
        self.check(context);
    }

    fn open(&mut self, tag: Tag, request: CustomerRequest, context: &mut Context<'_>) {
        let deadline = context.now + self.ask_deadline;
        match request {
            CustomerRequest::Query { name } => {
                self.queries.push(Query { tag, name, flow: Querying::default(), asked: None });
            }
            CustomerRequest::Buy { key, item } => {
                let name = item.name.clone();
                match self.purchases.begin(key, item, deadline, tag) {
                    Ok(sequence) => {
                        self.pending.push(PendingPurchase {
                            tag,
                            sequence,
                            name,
                            deadline,
                            is_awake: true,
                        });
                        self.tags.push(tag);
                        context.after(self.ask_deadline, Timer::Wake);
                    }
                    Err(error) => context.answer(tag, Err(error)),
                }
            }
            CustomerRequest::LookUp { number } => {
                let attempt = Attempt::new(deadline, context.now);
                self.looking_up.push(LookingUp { tag, number, flow: Asking::default(), attempt });
            }
            CustomerRequest::Withdraw { .. } => unreachable!("that is asked at the catalog"),
        }
    }

    fn reply(&mut self, tag: Tag, reply: Reply, context: &mut Context<'_>) {
        if let Views::Found { asked, .. } = &mut self.views
            && asked.take_if(|asked| *asked == tag).is_some()
        {
            self.joined(reply, context);
        } else if let Some((&id, _)) = self
            .checkers
            .iter()
            .find(|(_, checker)| checker.asked.is_some_and(|asked| asked.0 == tag))
        {
            self.checked(id, reply, context);
        } else if let Some((_, sent)) = self.subscription.asked.take_if(|(asked, _)| *asked == tag)
        {
            self.listened(&reply, sent, context);
        } else if let Some(attempt) =
            self.attempts().find(|attempt| attempt.asked.is_some_and(|asked| asked.0 == tag))
        {
            attempt.reply = Some(reply);
        } else {
            self.fetched(tag, reply);
        }
    }
}

/// `orders`.
impl Frontend {
    /// `PendingPurchase::proceed`, for each purchase that is awake. Returns whether a call is to be sent.
    fn buy(&mut self, context: &mut Context<'_>) -> bool {
        let mut is_to_send = false;
        let mut woken = Vec::new();
        let (purchases, cache) = (&mut self.purchases, &mut self.lookup.cache);
        let sending = &mut self.sending;
        self.pending.retain_mut(|task| {
            let is_awake = mem::take(&mut task.is_awake) || context.now >= task.deadline;
            if !is_awake || sending.iter().any(|sending| sending.sequence == task.sequence) {
                return true;
            }
            let outcome = match purchases.next(task.sequence, context.now) {
                purchases::Next::Wait => return true,
                purchases::Next::Ask(batch, from) => {
                    let mut attempt = Attempt::new(task.deadline, context.now);
                    attempt.pause_until(from, context);
                    let sequence = task.sequence;
                    sending.push(Sending { sequence, batch, attempt });
                    is_to_send = true;
                    return true;
                }
                purchases::Next::Over(outcome) => outcome,
            };
            if let Ok(Bought { version: Some(version), .. }) = outcome {
                cache.invalidate(&task.name, version);
            }
            woken.extend(purchases.end(task.sequence));
            context.answer(task.tag, outcome.map(|bought| Answer::Number(bought.number)));
            false
        });
        self.wake(&woken);
        is_to_send || self.pending.iter().any(|task| task.is_awake)
    }

    fn wake(&mut self, woken: &[Tag]) {
        for task in &mut self.pending {
            task.is_awake |= woken.contains(&task.tag);
        }
    }

    /// `Orders::send`, for each call under way.
    fn send(&mut self, context: &mut Context<'_>) {
        for mut task in mem::take(&mut self.sending) {
            let question = |frontend: &mut Frontend, leader, context: &mut Context<'_>| {
                let Leader { epoch, incarnation, .. } = leader;
                let purchases = frontend.purchases.to_send(&mut task.batch, epoch, incarnation);
                for purchase in &purchases {
                    let nth = usize::try_from(purchase.id.sequence).unwrap();
                    context.begins(frontend.tags[nth - 1], purchase);
                }
                Request::Buy { purchases }
            };
            let answers = match self.at_leader(&mut task.attempt, question, context) {
                Some(Ok(Answer::Bought(answers))) => Ok(answers),
                Some(Ok(_)) => Err(unanswered("no answer that fits")),
                Some(Err(error)) => Err(error),
                None => {
                    self.sending.push(task);
                    continue;
                }
            };
            let woken = self.purchases.told(&task.batch, answers, context.now);
            self.wake(&woken);
            let owner = self.pending.iter_mut().find(|other| other.sequence == task.sequence);
            owner.expect("it waits for its thread").is_awake = true;
        }
    }

    /// `Orders::look_up_at_leader`, for each call under way.
    fn look_up(&mut self, context: &mut Context<'_>) {
        for mut task in mem::take(&mut self.looking_up) {
            let number = task.number;
            let question =
                |_: &mut Frontend, _, _: &mut Context<'_>| Request::OrderDetails { number };
            if let Some(reply) = self.at_leader(&mut task.attempt, question, context) {
                match task.flow.told(reply, context.now + PAUSE >= task.attempt.deadline) {
                    Then::Over(answer) => {
                        context.answer(task.tag, answer);
                        continue;
                    }
                    Then::Again => task.attempt.pause_until(context.now + PAUSE, context),
                }
            }
            self.looking_up.push(task);
        }
    }

    fn attempts(&mut self) -> impl Iterator<Item = &mut Attempt> {
        let sent = self.sending.iter_mut().map(|task| &mut task.attempt);
        sent.chain(self.looking_up.iter_mut().map(|task| &mut task.attempt))
    }

    /// `Orders::at_leader`, as far as it can go now.
    fn at_leader(
        &mut self,
        attempt: &mut Attempt,
        question: impl FnOnce(&mut Frontend, Leader, &mut Context<'_>) -> Request,
        context: &mut Context<'_>,
    ) -> Option<Reply> {
        if context.now < attempt.paused_until {
            return None;
        }
        if let Some((_, epoch, id)) = attempt.asked {
            let superseded = self.elected.epoch() != epoch;
            let reply = match attempt.reply.take() {
                None if superseded => Err(unanswered("the caller no longer waits")),
                None => return None,
                Some(reply) => reply,
            };
            attempt.asked = None;
            if reply.as_ref().is_err_and(is_suspect) {
                self.checkers.get_mut(&id).expect("configured").next = context.now;
            }
            return Some(reply);
        }
        let Some(leader) = self.elected.leader() else {
            let is_late = context.now >= attempt.deadline;
            return is_late.then(|| Err(Error::unavailable("no leader")));
        };
        let question = Question::Order(question(self, leader, context));
        let tag = context.ask(Node::Replica(leader.id), question, attempt.deadline);
        attempt.asked = Some((tag, leader.epoch, leader.id));
        None
    }
}

impl Attempt {
    fn new(deadline: Moment, now: Moment) -> Attempt {
        Attempt { deadline, asked: None, reply: None, paused_until: now }
    }

    fn pause_until(&mut self, moment: Moment, context: &mut Context<'_>) {
        self.paused_until = moment;
        context.after(moment - context.now, Timer::Wake);
    }
}
