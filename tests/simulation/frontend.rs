//! The front-end as `src/frontend/{election,orders,products,subscription}.rs` run it.

use crate::wire::{Answer, Door, Input, Node, Question, Reply, Tag, Timer, unanswered};
use crate::world::{Context, REPLICAS, ms};
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;
use toystore::error::Error;
use toystore::frontend::asking::{self, Then};
use toystore::frontend::cache::{Cache, Ticket};
use toystore::frontend::controller::{Controller, Decision, Report, SILENT, Unclean};
use toystore::model::{CallId, Epoch, Item, Key, Moment, OrderNumber, ReplicaId, Toy, View};
use toystore::protocol::catalog;
use toystore::protocol::order::{Peer, Request};
use toystore::protocol::purchase::Purchase;

const BEAT: Duration = ms(100);
const QUICK: Duration = ms(5);
const ASK_DEADLINE: Duration = ms(4_000);
const ASK_PAUSE: Duration = ms(10);
const QUERY_DEADLINE: Duration = ms(5_000);
const CHANGES_DEADLINE: Duration = ms(350);
const CHANGES_PAUSE: Duration = ms(50);
/// Small, so that orders reach it.
const REMEMBER_EVERY: u64 = 5;

/// `view.json`.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    pub view: Option<View>,
    pub committed: OrderNumber,
}

/// A running front-end.
pub struct Frontend {
    pub disk: Disk,
    pub controller: Controller,
    view: Option<View>,
    led: bool,
    incarnation: Option<Epoch>,
    hearts: BTreeMap<ReplicaId, Heart>,
    calls: BTreeSet<u64>,
    last_call: u64,
    asking: Vec<Asking>,
    pub cache: Cache<Toy>,
    queries: Vec<Querying>,
    subscription: Subscription,
}

/// The thread that watches one replica.
#[derive(Default)]
struct Heart {
    has: Epoch,
    asked: Option<(Tag, OrderNumber, Moment)>,
    next: Moment,
}

/// A session's thread in `Orders::ask_leader`.
struct Asking {
    tag: Tag,
    what: What,
    begun: Option<CallId>,
    deadline: Moment,
    flow: asking::Asking,
    asked: Option<(Tag, Epoch, ReplicaId)>,
    reply: Option<Reply>,
    paused_until: Moment,
}

#[derive(Debug, Clone)]
enum What {
    Buy { key: Key, item: Item },
    LookUp { number: OrderNumber },
}

/// A session's thread in `Products::toy`.
struct Querying {
    tag: Tag,
    name: String,
    stage: Stage,
}

enum Stage {
    /// Waits for the fetch with this tag, which another began.
    Joined(Tag),
    Fetching(Tag, Ticket),
}

/// The thread that takes the changes.
struct Subscription {
    number: u64,
    acknowledged: Option<u64>,
    asked: Option<(Tag, Moment)>,
    paused_until: Moment,
}

impl Frontend {
    pub fn new(disk: Disk, now: Moment, rng: &mut Rng) -> Frontend {
        let ids: Vec<_> = (1..=REPLICAS).map(ReplicaId).collect();
        let controller = Controller::new(
            ids.clone(),
            disk.view.clone(),
            disk.committed,
            Unclean::Forbidden,
            now,
        );
        let mut frontend = Frontend {
            disk,
            controller,
            view: None,
            led: false,
            incarnation: None,
            hearts: ids.into_iter().map(|id| (id, Heart::default())).collect(),
            calls: BTreeSet::new(),
            last_call: 0,
            asking: Vec::new(),
            cache: Cache::new(1 + usize::from(rng.bool())),
            queries: Vec::new(),
            subscription: Subscription {
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
            Input::Question(tag, Question::Door(door)) => self.open(tag, door, context),
            Input::Reply(tag, reply) => self.reply(tag, reply, context),
            Input::Timer(Timer::Tick) => context.after(ms(50), Timer::Tick),
            Input::Question(..) | Input::Timer(_) => {}
        }
        self.decide(context);
        self.beat(context);
        self.listen(context);
        let mut asking = mem::take(&mut self.asking);
        asking.retain_mut(|task| match self.ask_leader(task, context) {
            None => true,
            Some(reply) => {
                if let Some(call) = task.begun {
                    self.calls.remove(&call.sequence);
                }
                context.answer(task.tag, reply);
                false
            }
        });
        self.asking.append(&mut asking);
        self.beat(context);
    }

    fn open(&mut self, tag: Tag, door: Door, context: &mut Context<'_>) {
        let what = match door {
            Door::Query { name } => return self.query(tag, name, context),
            Door::Buy { key, item } => What::Buy { key, item },
            Door::LookUp { number } => What::LookUp { number },
            Door::Withdraw { .. } => unreachable!("that is asked at the catalog"),
        };
        self.asking.push(Asking {
            tag,
            what,
            begun: None,
            deadline: context.now + ASK_DEADLINE,
            flow: asking::Asking::default(),
            asked: None,
            reply: None,
            paused_until: context.now,
        });
    }

    fn reply(&mut self, tag: Tag, reply: Reply, context: &mut Context<'_>) {
        if let Some((&id, _)) =
            self.hearts.iter().find(|(_, heart)| heart.asked.is_some_and(|asked| asked.0 == tag))
        {
            self.beaten(id, reply, context);
        } else if let Some((_, sent)) = self.subscription.asked.take_if(|(asked, _)| *asked == tag)
        {
            self.listened(&reply, sent, context);
        } else if let Some(task) =
            self.asking.iter_mut().find(|task| task.asked.is_some_and(|a| a.0 == tag))
        {
            task.reply = Some(reply);
        } else {
            self.fetched(tag, &reply, context);
        }
    }
}

/// `election`.
impl Frontend {
    /// `Heart::run` and `Heart::beat`, for each replica.
    fn beat(&mut self, context: &mut Context<'_>) {
        let epoch = self.view.as_ref().map_or(Epoch(0), |view| view.epoch);
        for (id, heart) in &mut self.hearts {
            let due = context.now >= heart.next || epoch > heart.has;
            if heart.asked.is_some() || !due {
                continue;
            }
            let question = match &self.view {
                Some(view) if view.epoch > heart.has => {
                    heart.has = view.epoch;
                    Peer::UpdateLeader { view: view.clone() }
                }
                _ => Peer::HealthCheck,
            };
            let expected = self.controller.committed();
            let (to, deadline) = (Node::Replica(*id), context.now + SILENT);
            let tag = context.ask(to, Question::OrderPeer(question), deadline);
            heart.asked = Some((tag, expected, context.now));
            heart.next = context.now + BEAT;
        }
    }

    fn beaten(&mut self, id: ReplicaId, reply: Reply, context: &mut Context<'_>) {
        let heart = self.hearts.get_mut(&id).expect("it asked");
        let (_, expected, asked) = heart.asked.take().expect("it asked");
        let report = match reply {
            Ok(Answer::Health(health)) => {
                heart.has = health.view.as_ref().map_or(Epoch(0), |view| view.epoch);
                Report::Healthy { health, asked, expected }
            }
            Err(Error::Unreachable { .. }) => {
                // Not at once again, though it has not heard of the view.
                heart.has = self.view.as_ref().map_or(Epoch(0), |view| view.epoch);
                Report::Refused
            }
            Err(error) => {
                if !error.is_definite() {
                    heart.has = Epoch(0);
                }
                heart.next = context.now + QUICK;
                context.after(QUICK, Timer::Wake);
                Report::Silent
            }
            Ok(_) => Report::Silent,
        };
        let leader = self.controller.view().map(|view| view.leader);
        if report == Report::Refused && leader == Some(id) {
            self.suspect_all(context);
        }
        self.controller.hear(id, report, context.now);
        assert_eq!(self.controller.usurped(), None, "there is only one front-end");
    }

    /// `Seat::run`.
    fn decide(&mut self, context: &mut Context<'_>) {
        if let Some(Decision { view, reason }) = self.controller.decide(context.now) {
            self.disk.view = Some(view.clone());
            self.disk.committed = self.controller.committed();
            context.note(|| format!("{reason}; {view}"));
            self.incarnation.get_or_insert(view.epoch);
            self.view = Some(view);
            self.suspect_all(context);
        }
        let committed = self.controller.committed();
        if committed.0 >= self.disk.committed.0 + REMEMBER_EVERY {
            self.disk.committed = committed;
        }
        self.led = self.controller.is_led(context.now);
    }

    fn suspect_all(&mut self, context: &Context<'_>) {
        self.hearts.values_mut().for_each(|heart| heart.next = context.now);
    }
}

/// `orders`.
impl Frontend {
    /// `Orders::ask_leader`, as far as it comes now.
    fn ask_leader(&mut self, task: &mut Asking, context: &mut Context<'_>) -> Option<Reply> {
        if let Some((_, epoch, id)) = task.asked {
            let superseded = self.view.as_ref().map(|view| view.epoch) != Some(epoch);
            let reply = match task.reply.take() {
                None if superseded => Err(unanswered("the caller no longer waits")),
                None => return None,
                Some(reply) => reply,
            };
            task.asked = None;
            return self.leader_answered(task, id, reply, context);
        }
        if context.now < task.paused_until {
            return None;
        }
        let leader = self.view.as_ref().filter(|_| self.led).map(|view| (view.epoch, view.leader));
        let Some((epoch, id)) = leader else {
            let is_late = context.now >= task.deadline;
            return is_late.then(|| Err(task.flow.give_up(Error::unavailable("no leader"))));
        };
        let question = self.question(task, epoch);
        let tag = context.ask(Node::Replica(id), Question::Order(question), task.deadline);
        task.asked = Some((tag, epoch, id));
        None
    }

    fn leader_answered(
        &mut self,
        task: &mut Asking,
        id: ReplicaId,
        reply: Reply,
        context: &mut Context<'_>,
    ) -> Option<Reply> {
        match task.flow.told(reply, context.now + ASK_PAUSE >= task.deadline) {
            Then::Over(Ok(Answer::Bought(bought))) => {
                if let (What::Buy { item, .. }, Some(version)) = (&task.what, bought.version) {
                    self.cache.invalidate(&item.name, version);
                }
                return Some(Ok(Answer::Number(bought.number)));
            }
            Then::Over(answer) => return Some(answer),
            Then::Again { is_suspect } => {
                if is_suspect {
                    self.hearts.get_mut(&id).expect("configured").next = context.now;
                }
            }
        }
        task.paused_until = context.now + ASK_PAUSE;
        context.after(ASK_PAUSE, Timer::Wake);
        None
    }

    fn question(&mut self, task: &mut Asking, epoch: Epoch) -> Request {
        let (key, item) = match &task.what {
            What::Buy { key, item } => (key.clone(), item.clone()),
            What::LookUp { number } => return Request::OrderDetails { number: *number },
        };
        let incarnation = self.incarnation.expect("there is a leader, so there was a first view");
        let call = *task.begun.get_or_insert_with(|| {
            self.last_call += 1;
            self.calls.insert(self.last_call);
            CallId { caller: 0, incarnation, sequence: self.last_call }
        });
        let ack_below = self.calls.first().copied().unwrap_or(self.last_call + 1);
        Request::Buy(Purchase { epoch, call, ack_below, key, item })
    }
}

/// `products`.
impl Frontend {
    /// `Products::toy`.
    fn query(&mut self, tag: Tag, name: String, context: &mut Context<'_>) {
        if let Some(toy) = self.cache.get(&name, context.now) {
            context.note(|| format!("#{tag} {name} is cached, version {}", toy.version));
            context.answer(tag, Ok(Answer::Toy(toy)));
            return;
        }
        let other = self.queries.iter().find_map(|query| match query.stage {
            Stage::Fetching(fetch, _) if query.name == name => Some(fetch),
            _ => None,
        });
        let stage = match other {
            Some(fetch) => Stage::Joined(fetch),
            None => Stage::Fetching(fetch(&name, context), self.cache.begin_fetch()),
        };
        self.queries.push(Querying { tag, name, stage });
    }

    fn fetched(&mut self, fetch_tag: Tag, reply: &Reply, context: &mut Context<'_>) {
        let begun = self.queries.iter().find_map(|query| match query.stage {
            Stage::Fetching(tag, ticket) if tag == fetch_tag => Some((ticket, query.name.clone())),
            _ => None,
        });
        let Some((ticket, name)) = begun else { return };
        let fetched = match reply {
            Ok(Answer::Toy(toy)) => Some(self.cache.store(ticket, &name, toy.version, toy.clone())),
            _ => None,
        };
        for mut query in mem::take(&mut self.queries) {
            let joined = match query.stage {
                Stage::Fetching(tag, _) if tag == fetch_tag => Some(reply.clone()),
                Stage::Joined(tag) if tag == fetch_tag => match &fetched {
                    Some(fetched) => {
                        self.cache.join(fetched, &name, context.now).map(|toy| Ok(Answer::Toy(toy)))
                    }
                    None => Some(reply.clone()),
                },
                _ => {
                    self.queries.push(query);
                    continue;
                }
            };
            if let Some(reply) = joined {
                context.answer(query.tag, reply);
            } else {
                let ticket = self.cache.begin_fetch();
                query.stage = Stage::Fetching(fetch(&query.name, context), ticket);
                self.queries.push(query);
            }
        }
    }
}

fn fetch(name: &str, context: &mut Context<'_>) -> Tag {
    let question = catalog::Request::Query { name: name.to_owned() };
    context.ask(Node::Catalog, Question::Catalog(question), context.now + QUERY_DEADLINE)
}

/// `subscription`.
impl Frontend {
    /// The beginning of `Subscriber::listen`.
    fn subscribe(&mut self, rng: &mut Rng) {
        self.subscription.number = rng.u64(..);
        self.subscription.acknowledged = None;
        self.cache.unsubscribe();
    }

    fn listen(&mut self, context: &mut Context<'_>) {
        let Subscription { number, acknowledged, asked, paused_until } = &mut self.subscription;
        if asked.is_some() || context.now < *paused_until {
            return;
        }
        let question =
            catalog::Peer::Changes { subscription: *number, acknowledged: *acknowledged };
        let deadline = context.now + CHANGES_DEADLINE;
        let tag = context.ask(Node::Catalog, Question::CatalogPeer(question), deadline);
        *asked = Some((tag, context.now));
    }

    fn listened(&mut self, reply: &Reply, sent: Moment, context: &mut Context<'_>) {
        let holds = match reply {
            Ok(Answer::Changes(changes)) => {
                for change in &changes.invalidate {
                    self.cache.invalidate(&change.name, change.version);
                }
                self.subscription.acknowledged = Some(changes.up_to);
                self.cache.renew(self.subscription.number, sent, context.now)
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
