//! Time, network and processes: one queue of events, one source of randomness, one step at a time.
//!
//! A call is answered, or fails at its deadline, or fails when its connection breaks. Then the question
//! may be lost, or may still be handled, now or later. A question to a process that was
//! killed never reaches the next process at the same address. A paused process handles the messages
//! that it was sent when it resumes. A cut link delivers nothing; a part of it is delivered when the link heals.

mod faults;

use crate::catalog;
use crate::client::Client;
use crate::context::{Context, Effect, Trace};
use crate::frontend::{self, views};
use crate::judge::Judge;
use crate::nemesis::Nemesis;
use crate::order;
use crate::order::shared::Table;
use crate::wire::{
    Answer, Input, Node, Question, Reply, Tag, Timer, describe, describe_reply, of_repeated,
    unanswered,
};
use fastrand::Rng;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::mem;
use std::ops::Range;
use std::time::Duration;
use toystore::config::Engine;
use toystore::error::Error;
use toystore::model::{FrontendId, Moment, ReplicaId};

/// A random duration.
pub fn between(rng: &mut Rng, range: &Range<Duration>) -> Duration {
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap();
    Duration::from_micros(rng.u64(micros(range.start)..micros(range.end)))
}

/// Milliseconds.
pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A process that may be running or not, with its disk.
pub enum Slot<P, D> {
    Up(Box<P>),
    Down(D),
}

impl<P, D> Slot<P, D> {
    pub fn up(&self) -> Option<&P> {
        match self {
            Slot::Up(process) => Some(process),
            Slot::Down(_) => None,
        }
    }
}

#[derive(Default)]
struct Host {
    down: bool,
    /// Grows with every crash.
    incarnation: u64,
    paused_until: Moment,
}

struct Call {
    from: Node,
    incarnation: u64,
    to: Node,
    question: Question,
    is_repeated: bool,
    /// The answer is on its way, and may arrive even if the process that sent it has died.
    is_answered: bool,
}

enum Event {
    Question { tag: Tag, from: Node, to: Node, incarnation: u64, question: Question },
    Reply { tag: Tag, from: Option<Node>, reply: Reply },
    Timer { node: Node, incarnation: u64, timer: Timer },
    Fault,
    Restart(Node),
    Heal(Node, Node),
    Nothing,
}

/// The time of an event and its sequence number, in one number, because the queue mostly compares.
type Place = u128;

fn place(at: Moment, order: u64) -> Place {
    (at - Moment::START).as_nanos() << 64 | Place::from(order)
}

/// The store, its customers, and the world around them.
pub struct World {
    pub now: Moment,
    pub rng: Rng,
    pub frontends: BTreeMap<FrontendId, Slot<frontend::Frontend, views::Disk>>,
    pub catalog: Slot<catalog::Catalog, catalog::Disk>,
    pub replicas: BTreeMap<ReplicaId, Slot<order::Order, order::Disk>>,
    /// The database with the orders, if the replicas share them.
    pub table: Option<Table>,
    pub clients: Vec<Client>,
    pub judge: Judge,
    pub trace: Trace,
    nemesis: Nemesis,
    nodes: Vec<Node>,
    hosts: Vec<Host>,
    /// Nothing is delivered from the first to the second.
    cuts: BTreeSet<(Node, Node)>,
    /// Of ten thousand calls, the number whose connection breaks.
    pub flaky: u32,
    queue: BinaryHeap<Reverse<Place>>,
    events: HashMap<u64, (Moment, Event)>,
    scheduled: u64,
    calls: HashMap<Tag, Call>,
    next_tag: Tag,
}

fn index(node: Node) -> usize {
    let index = match node {
        Node::Catalog => 0,
        Node::Replica(id) => id.0,
        Node::Frontend(id) => REPLICAS + id.0,
        Node::Client(id) => 1 + REPLICAS + FRONTENDS_MAX + id,
    };
    index as usize
}

/// The number of replicas.
pub const REPLICAS: u32 = 3;
/// The front-end that makes the views, with files.
pub const FRONTEND: FrontendId = FrontendId(1);
pub const FRONTENDS_MAX: u32 = 2;

impl World {
    pub fn new(seed: u64, engine: Engine, trace: Trace) -> World {
        let mut rng = Rng::with_seed(seed);
        let ids = (1..=REPLICAS).map(ReplicaId);
        let clients = rng.u32(1..=6);
        // Every second store has a second front-end.
        let frontends = (1..=u32::from(seed % 2 == 1) + 1).map(FrontendId);
        let nodes = frontends.clone().map(Node::Frontend).chain([Node::Catalog]);
        let nodes = nodes.chain(ids.clone().map(Node::Replica));
        let nodes: Vec<Node> = nodes.chain((0..clients).map(Node::Client)).collect();
        let count = frontends.clone().count();
        let table = (engine == Engine::Database).then(Table::default);
        let disk = |id| match &table {
            None => order::Disk::new(id, 0),
            Some(table) => order::Disk::sharing(id, table),
        };
        let views = match &table {
            None => views::Disk::File(views::Remembered::default()),
            Some(_) => views::Disk::Table(views::ViewTable::new()),
        };
        let mut world = World {
            now: Moment::START,
            frontends: frontends.map(|id| (id, Slot::Down(views.clone()))).collect(),
            catalog: Slot::Down(catalog::Disk::new(&mut rng)),
            replicas: ids.map(|id| (id, Slot::Down(disk(id)))).collect(),
            table: table.clone(),
            clients: (0..clients).map(|id| Client::new(id, count)).collect(),
            judge: Judge::new(table.clone()),
            trace,
            nemesis: Nemesis::new(&mut rng),
            hosts: (0..=index(Node::Client(clients))).map(|_| Host::default()).collect(),
            nodes: nodes.clone(),
            cuts: BTreeSet::new(),
            flaky: if rng.bool() { rng.u32(0..300) } else { 0 },
            queue: BinaryHeap::new(),
            events: HashMap::new(),
            scheduled: 0,
            calls: HashMap::new(),
            next_tag: 0,
            rng,
        };
        for node in nodes {
            world.host(node).down = true;
            let wait = between(&mut world.rng, &(ms(0)..ms(300)));
            world.schedule(wait, Event::Restart(node));
        }
        let wait = between(&mut world.rng, &(ms(100)..ms(1_500)));
        world.schedule(wait, Event::Fault);
        world
    }

    /// Handles all events before `until`.
    pub fn run_until(&mut self, until: Moment) -> Result<(), String> {
        while self.now < until {
            self.step()?;
        }
        Ok(())
    }

    /// Handles the next event, and checks its result.
    fn step(&mut self) -> Result<(), String> {
        let next = self.queue.pop();
        #[expect(clippy::cast_possible_truncation, reason = "the order is the lower half")]
        let event = next.and_then(|Reverse(place)| self.events.remove(&(place as u64)));
        let Some((at, event)) = event else { return Err("nothing happens any more".into()) };
        self.now = at;
        match event {
            Event::Question { to, .. } if self.is_paused(to) => self.postpone(to, event),
            Event::Question { from, to, .. } if self.is_cut(from, to) => {
                self.hold_back(event);
            }
            Event::Question { tag, to, incarnation, question, .. } => {
                let host = self.host(to);
                if host.down || host.incarnation != incarnation {
                    self.schedule(ms(1), Event::Reply { tag, from: Some(to), reply: reset() });
                } else {
                    self.trace.add(at, || format!("{to:?} ← #{tag} {}", describe(&question)));
                    self.give(to, Input::Question(tag, question))?;
                }
            }
            Event::Reply { tag, from, reply } => self.reply(tag, from, reply)?,
            Event::Timer { node, .. } if self.is_paused(node) => self.postpone(node, event),
            Event::Timer { node, incarnation, timer } => {
                let host = self.host(node);
                if !host.down && host.incarnation == incarnation {
                    self.give(node, Input::Timer(timer))?;
                }
            }
            Event::Fault => {
                if let Some(pause) = Nemesis::strike(self) {
                    self.schedule(pause, Event::Fault);
                }
            }
            Event::Restart(node) => self.restart(node)?,
            Event::Nothing => {}
            Event::Heal(a, b) => {
                self.cuts.remove(&(a, b));
            }
        }
        Ok(())
    }

    fn reply(&mut self, tag: Tag, from: Option<Node>, reply: Reply) -> Result<(), String> {
        let Some(&Call { from: asker, incarnation, is_repeated, .. }) = self.calls.get(&tag) else {
            return Ok(());
        };
        let event = Event::Reply { tag, from, reply };
        if from.is_some_and(|from| self.is_cut(from, asker)) {
            self.hold_back(event);
            return Ok(());
        }
        if self.is_paused(asker) {
            self.postpone(asker, event);
            return Ok(());
        }
        self.calls.remove(&tag);
        let host = self.host(asker);
        let Event::Reply { reply, .. } = event else { return Ok(()) };
        if host.down || host.incarnation != incarnation {
            return Ok(());
        }
        self.trace.add(self.now, || format!("{asker:?} ⇐ #{tag} {}", describe_reply(&reply)));
        let reply = if is_repeated { of_repeated(reply) } else { reply };
        self.give(asker, Input::Reply(tag, reply))
    }

    /// Makes a process handle an input.
    fn give(&mut self, node: Node, input: Input) -> Result<(), String> {
        let mut context = Context {
            me: node,
            now: self.now,
            rng: &mut self.rng,
            effects: Vec::new(),
            next_tag: &mut self.next_tag,
            trace: &mut self.trace,
        };
        match node {
            Node::Frontend(id) => {
                let Some(Slot::Up(process)) = self.frontends.get_mut(&id) else { return Ok(()) };
                process.handle(input, &mut context);
            }
            Node::Catalog => {
                let Slot::Up(process) = &mut self.catalog else { return Ok(()) };
                process.handle(input, &mut context);
            }
            Node::Replica(id) => {
                let Some(Slot::Up(process)) = self.replicas.get_mut(&id) else { return Ok(()) };
                process.handle(input, &mut context);
            }
            Node::Client(id) => {
                let client = &mut self.clients[id as usize];
                client.handle(input, &mut context, &mut self.judge)?;
            }
        }
        let effects = mem::take(&mut context.effects);
        self.carry_out(node, effects)?;
        Judge::check(self, node)
    }

    fn carry_out(&mut self, node: Node, effects: Vec<Effect>) -> Result<(), String> {
        for effect in effects {
            match effect {
                Effect::Ask { tag, to, question, deadline } => {
                    let wait = deadline - self.now;
                    let reply = Err(unanswered("the deadline passed"));
                    self.schedule(wait, Event::Reply { tag, from: None, reply });
                    self.send(tag, node, to, question);
                }
                Effect::Answer { tag, reply } => {
                    if let (Ok(Answer::Toy(toy)), Node::Catalog) = (&reply, node)
                        && let Slot::Up(catalog) = &self.catalog
                    {
                        Judge::answered_toy(catalog, toy)?;
                    }
                    if let Some(call) = self.calls.get_mut(&tag) {
                        call.is_answered = true;
                    }
                    let is_late = self.rng.u32(0..10_000) < self.flaky;
                    let late = ms(0)..ms(4_000);
                    let delay = if is_late { between(&mut self.rng, &late) } else { self.delay() };
                    self.schedule(delay, Event::Reply { tag, from: Some(node), reply });
                }
                Effect::Begin { tag, id, key } => self.judge.begun(tag, id, key)?,
                Effect::Show { name, version } => {
                    self.judge.raise_floor(&name, version, self.now);
                }
                Effect::Timer { wait, timer } => {
                    let incarnation = self.host(node).incarnation;
                    self.schedule(wait, Event::Timer { node, incarnation, timer });
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, tag: Tag, from: Node, to: Node, question: Question) {
        let incarnation = self.host(from).incarnation;
        let call = Call {
            from,
            incarnation,
            to,
            question: question.clone(),
            is_repeated: false,
            is_answered: false,
        };
        self.calls.insert(tag, call);
        let host = self.host(to);
        let incarnation = host.incarnation;
        let delay = self.delay();
        if self.host(to).down {
            let address = format!("{to:?}");
            let reply = Err(Error::Unreachable { address, why: "connection refused".into() });
            self.schedule(delay, Event::Reply { tag, from: Some(to), reply });
            return;
        }
        let event = Event::Question { tag, from, to, incarnation, question };
        let (breaks, late) = (self.rng.u32(0..10_000) < self.flaky, ms(0)..ms(4_000));
        if !breaks {
            self.schedule(delay, event);
            return;
        }
        // Between services a request is sent again automatically; customers decide themselves.
        let kinds = if matches!(from, Node::Client(_)) { 3 } else { 4 };
        match self.rng.u32(0..kinds) {
            0 => {}
            1 => self.schedule(delay, event),
            2 => {
                let late = between(&mut self.rng, &late);
                self.schedule(late, event);
            }
            _ => {
                // The caller sends it once more at once; the first one is handled later.
                let late = between(&mut self.rng, &late);
                self.schedule(late, event);
                return self.send_again(tag);
            }
        }
        let delay = self.delay();
        self.schedule(delay, Event::Reply { tag, from: Some(to), reply: reset() });
    }

    /// A service found its connection closed before the answer began.
    fn send_again(&mut self, tag: Tag) {
        let Some(call) = self.calls.get_mut(&tag) else { return };
        call.is_repeated = true;
        let (from, to, question) = (call.from, call.to, call.question.clone());
        let (delay, incarnation) = (self.delay(), self.host(to).incarnation);
        self.schedule(delay, Event::Question { tag, from, to, incarnation, question });
    }

    /// A message on a cut link: lost, or delivered when the link heals, or long after that, because TCP doubles its
    /// pauses.
    fn hold_back(&mut self, event: Event) {
        if self.rng.u32(0..3) > 0 {
            let longest = if self.rng.u32(0..3) == 0 { ms(3_000) } else { ms(300) };
            let wait = between(&mut self.rng, &(ms(20)..longest));
            self.schedule(wait, event);
        }
    }

    fn delay(&mut self) -> Duration {
        let slow = self.rng.u32(0..50) == 0;
        let range = if slow { ms(1)..ms(40) } else { Duration::from_micros(50)..ms(1) };
        between(&mut self.rng, &range)
    }

    /// When a process resumes, its threads run in any order.
    fn postpone(&mut self, node: Node, event: Event) {
        let wait = self.host(node).paused_until - self.now;
        let wait = wait + self.rng.u32(0..5) * Duration::from_micros(200);
        self.schedule(wait, event);
    }

    fn schedule(&mut self, wait: Duration, event: Event) {
        self.scheduled += 1;
        let at = self.now + wait;
        self.events.insert(self.scheduled, (at, event));
        self.queue.push(Reverse(place(at, self.scheduled)));
    }

    fn host(&mut self, node: Node) -> &mut Host {
        &mut self.hosts[index(node)]
    }

    fn is_cut(&self, from: Node, to: Node) -> bool {
        !self.cuts.is_empty() && self.cuts.contains(&(from, to))
    }

    fn is_paused(&mut self, node: Node) -> bool {
        let now = self.now;
        now < self.host(node).paused_until
    }
}

fn reset() -> Reply {
    Err(unanswered("the connection broke"))
}
