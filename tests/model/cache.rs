//! The caches of the front-ends and the leases of one catalog as a transition system, with one toy and
//! one clock that moves in steps. One clock is enough, because all sides measure durations only.
//!
//! Calls for changes and their answers arrive late, twice or never; fetches arrive late; the catalog is
//! killed, with its last change on disk or without.

use stateright::{Model, Property};
use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::hash::{Hash, Hasher};
use std::time::Duration;
use toystore::catalog::leases::{Coverage, LEASE_OVER, Leases};
use toystore::frontend::cache::{Cache, Ticket};
use toystore::model::Moment;
use toystore::protocol::catalog::Changes;

const TOY: &str = "Tux";
/// A lease after the catalog's start, so that no earlier lease is left.
const START: Moment = Moment::after(LEASE_OVER);

/// Bounds.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub name: &'static str,
    pub front_ends: usize,
    /// The length of a step of the clock.
    pub step_ms: u64,
    /// The number of steps.
    pub steps: u32,
    pub purchases: u64,
    /// Queries that the cache cannot answer. What it would answer is checked in every state.
    pub fetches: u8,
    /// Of each front-end.
    pub subscriptions: u64,
    /// Kills of the catalog.
    pub restarts: u8,
}

const ONE_SALE: Bounds = Bounds {
    name: "one sale",
    front_ends: 1,
    step_ms: 250,
    steps: 3,
    purchases: 1,
    fetches: 1,
    subscriptions: 1,
    restarts: 0,
};
const FINE: Bounds = Bounds { name: "one sale, a fine clock", step_ms: 100, steps: 6, ..ONE_SALE };

/// For `cargo test`.
pub const SMALL: [Bounds; 1] = [ONE_SALE];

/// For `make model`.
pub const LARGE: [Bounds; 6] = [
    FINE,
    Bounds { name: "two sales", purchases: 2, ..FINE },
    Bounds { name: "two fetches", fetches: 2, ..FINE },
    Bounds { name: "a new subscription", subscriptions: 2, ..ONE_SALE },
    Bounds { name: "the catalog restarts", restarts: 1, subscriptions: 2, ..ONE_SALE },
    Bounds { name: "two front-ends", front_ends: 2, steps: 2, ..ONE_SALE },
];

impl Bounds {
    fn step(&self) -> Duration {
        Duration::from_millis(self.step_ms)
    }
}

impl Display for Bounds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Bounds { name, step_ms, steps, purchases, fetches, subscriptions, restarts, .. } = self;
        write!(
            f,
            "{name}: {steps} × {step_ms} ms, sales {purchases}, fetches {fetches}, \
             subscriptions {subscriptions}, restarts {restarts}"
        )
    }
}

/// A state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    now: Moment,
    catalog: Catalog,
    front_ends: Vec<Frontend>,
    /// Calls for changes, which may arrive at any time.
    calls: BTreeSet<Call>,
    /// The highest version that was acknowledged to a customer.
    acknowledged: u64,
    fetches: u8,
    restarts: u8,
    /// A query showed a version that was old, or not on disk yet.
    shown: Shown,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Catalog {
    version: u64,
    /// The version on disk.
    durable: u64,
    leases: Leases,
    /// The subscriptions in its file.
    written: Option<BTreeSet<u64>>,
    /// The change of the purchase that waits for the caches.
    waiting: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Frontend {
    cache: Cached,
    subscription: u64,
    /// The last one that was answered.
    before: Option<u64>,
    acknowledged: Option<u64>,
    /// When the current call was sent.
    asked: Option<Moment>,
    /// The catalog's answers to the current call.
    answers: BTreeSet<Reply>,
    fetch: Option<Fetch>,
}

/// With one toy, its text contains the whole state in one form.
#[derive(Debug, Clone)]
struct Cached(Cache<u64>);

impl PartialEq for Cached {
    fn eq(&self, other: &Cached) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl Eq for Cached {}

impl Hash for Cached {
    fn hash<H: Hasher>(&self, state: &mut H) {
        format!("{self:?}").hash(state);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call {
    subscription: u64,
    acknowledged: Option<u64>,
    replaces: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reply {
    up_to: u64,
    version: Option<u64>,
}

/// A query that asks the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Fetch {
    ticket: Ticket,
    /// What had been acknowledged when it began.
    at_least: u64,
    /// What the catalog read.
    version: Option<u64>,
}

/// The error that a fetch showed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Shown {
    stale: bool,
    unsynced: bool,
}

/// What happens. A number is the place of a front-end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The clock moves.
    Step,
    /// The front-end sends a call for changes.
    Ask(usize),
    /// It sends the same call on a new connection, because the catalog was killed.
    AskAgain(usize),
    /// A call arrives at the catalog.
    Arrive(Call),
    /// The catalog's answer arrives at the front-end.
    Answered(usize, Reply),
    /// The front-end gives up its subscription, and begins another one.
    Subscribe(usize),
    /// The catalog sells.
    Sell,
    /// The leader sends the same purchase again, because the catalog was killed.
    SellAgain,
    /// Its change is on disk.
    Sync,
    /// Its change is out of every cache, and this front-end's customer gets the answer, with its version or without.
    Acknowledge(usize, Telling),
    /// A customer queries the toy, and the cache does not have it.
    Fetch(usize),
    /// The catalog reads the toy for a fetch.
    Read(usize),
    /// The answer to a fetch arrives.
    Fetched(usize),
    /// The catalog is killed and starts.
    Restart,
}

/// The answer to a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    Version,
    /// It answers a repetition.
    NumberOnly,
}

impl Frontend {
    /// One that has not called yet. Its subscriptions are its own.
    fn new(place: usize) -> Frontend {
        Frontend {
            cache: Cached(Cache::new(1)),
            subscription: first_subscription(place),
            before: None,
            acknowledged: None,
            asked: None,
            answers: BTreeSet::new(),
            fetch: None,
        }
    }

    /// What the cache would show to a query now. It changes only counters.
    fn cached(&self, now: Moment) -> Option<u64> {
        self.cache.0.clone().get(TOY, now)
    }

    /// The call that it waits for.
    fn at_hand(&self) -> Option<Call> {
        let Frontend { subscription, before, acknowledged, asked, .. } = *self;
        let replaces = before.filter(|before| *before != subscription);
        asked.map(|_| Call { subscription, acknowledged, replaces })
    }

    /// `Products::take_changes`.
    fn answered(&mut self, reply: Reply, now: Moment) {
        let Some(sent) = self.asked.take() else { return };
        self.answers.clear();
        self.before = Some(self.subscription);
        let Cached(cache) = &mut self.cache;
        if let Some(version) = reply.version {
            cache.invalidate(TOY, version);
        }
        if cache.renew(self.subscription, sent, now) {
            self.acknowledged = Some(reply.up_to);
        } else {
            self.subscribe();
        }
    }

    fn subscribe(&mut self) {
        self.subscription += 1;
        self.acknowledged = None;
        self.asked = None;
        self.cache.0.unsubscribe();
        self.answers.clear();
    }
}

/// The number of the first subscription of the front-end at this place.
fn first_subscription(place: usize) -> u64 {
    1 + 100 * place as u64
}

impl State {
    /// What the caches would show to a query now.
    fn cached(&self) -> impl Iterator<Item = u64> {
        self.front_ends.iter().filter_map(|front_end| front_end.cached(self.now))
    }

    /// Answers to earlier calls are no longer waited for.
    fn ask(&mut self, place: usize) {
        self.front_ends[place].asked = Some(self.now);
        self.ask_again(place);
    }

    /// The connection was reset, so no answer can arrive on it.
    fn ask_again(&mut self, place: usize) {
        self.front_ends[place].answers.clear();
        self.calls.extend(self.front_ends[place].at_hand());
    }

    /// `Subscribers::changes`, without the time that it holds the answer back.
    fn arrive(&mut self, call: Call) -> Option<()> {
        let Catalog { leases, written, .. } = &mut self.catalog;
        if let Some(replaced) = call.replaces {
            leases.end(replaced);
        }
        leases.call(call.subscription, call.acknowledged, self.now).ok()?;
        *written = leases.subscriptions(self.now);
        let Changes { up_to, invalidate, .. } = leases.changes(call.subscription).ok()?;
        let version = invalidate.first().map(|change| change.version);
        for front_end in &mut self.front_ends {
            if front_end.at_hand() == Some(call) {
                front_end.answers.insert(Reply { up_to, version });
            }
        }
        Some(())
    }

    fn fetch(&mut self, place: usize) {
        self.fetches += 1;
        let front_end = &mut self.front_ends[place];
        let ticket = front_end.cache.0.begin_fetch();
        front_end.fetch = Some(Fetch { ticket, at_least: self.acknowledged, version: None });
    }

    fn fetched(&mut self, place: usize) {
        let front_end = &mut self.front_ends[place];
        let Some(Fetch { ticket, at_least, version: Some(version) }) = front_end.fetch.take()
        else {
            return;
        };
        front_end.cache.0.store(ticket, TOY, version, version);
        self.shown.stale |= version < at_least;
        self.shown.unsynced |= version > self.catalog.durable;
    }

    fn acknowledge(&mut self, place: usize, telling: Telling) {
        self.acknowledged = self.catalog.durable;
        self.catalog.waiting = None;
        if telling == Telling::Version {
            self.front_ends[place].cache.0.invalidate(TOY, self.acknowledged);
        }
    }

    fn restart(&mut self) {
        self.restarts += 1;
        // Requests in a connection to the process are lost with it, but not its answers.
        self.calls.clear();
        let Catalog { durable, ref written, .. } = self.catalog;
        let written = written.clone();
        let leases = Leases::new(self.now, written.clone());
        self.catalog = Catalog { version: durable, durable, leases, written, waiting: None };
        for fetch in self.front_ends.iter_mut().filter_map(|front_end| front_end.fetch.as_mut()) {
            fetch.version = fetch.version.filter(|version| *version <= durable);
        }
    }

    fn is_covered(&self) -> bool {
        let covered =
            |change| self.catalog.leases.clone().coverage(change, self.now) == Coverage::Covered;
        self.catalog.version == self.catalog.durable && self.catalog.waiting.is_some_and(covered)
    }
}

impl Bounds {
    /// What the front-end at this place, and its customers, may do next.
    fn actions_of(&self, place: usize, state: &State, actions: &mut Vec<Action>) {
        let front_end = &state.front_ends[place];
        let last = first_subscription(place) + self.subscriptions - 1;
        if front_end.asked.is_none() {
            actions.push(Action::Ask(place));
        } else if front_end.subscription < last {
            actions.push(Action::Subscribe(place));
        }
        if front_end.at_hand().is_some_and(|call| !state.calls.contains(&call)) {
            actions.push(Action::AskAgain(place));
        }
        let answers = front_end.answers.iter().copied();
        actions.extend(answers.map(|reply| Action::Answered(place, reply)));
        if state.is_covered() {
            actions.push(Action::Acknowledge(place, Telling::Version));
            actions.push(Action::Acknowledge(place, Telling::NumberOnly));
        }
        match &front_end.fetch {
            None if state.fetches < self.fetches && front_end.cached(state.now).is_none() => {
                actions.push(Action::Fetch(place));
            }
            Some(Fetch { version: None, .. }) => actions.push(Action::Read(place)),
            Some(Fetch { version: Some(version), .. }) if *version <= state.catalog.durable => {
                actions.push(Action::Fetched(place));
            }
            _ => {}
        }
    }
}

impl Model for Bounds {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let written = Some(BTreeSet::new());
        let leases = Leases::new(Moment::START, written.clone());
        vec![State {
            now: START,
            catalog: Catalog { version: 1, durable: 1, leases, written, waiting: None },
            front_ends: (0..self.front_ends).map(Frontend::new).collect(),
            calls: BTreeSet::new(),
            acknowledged: 0,
            fetches: 0,
            restarts: 0,
            shown: Shown::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let catalog = &state.catalog;
        if state.now < START + self.step() * self.steps {
            actions.push(Action::Step);
        }
        actions.extend(state.calls.iter().copied().map(Action::Arrive));
        if catalog.waiting.is_none() && catalog.version <= self.purchases {
            actions.push(Action::Sell);
        }
        if catalog.waiting.is_none() && catalog.version > state.acknowledged.max(1) {
            actions.push(Action::SellAgain);
        }
        if catalog.durable < catalog.version {
            actions.push(Action::Sync);
        }
        if state.restarts < self.restarts {
            actions.push(Action::Restart);
        }
        for place in 0..self.front_ends {
            self.actions_of(place, state, actions);
        }
    }

    fn next_state(&self, old: &State, action: Action) -> Option<State> {
        let mut state = old.clone();
        match action {
            Action::Step => state.now += self.step(),
            Action::Ask(place) => state.ask(place),
            Action::AskAgain(place) => state.ask_again(place),
            Action::Arrive(call) => state.arrive(call)?,
            Action::Answered(place, reply) => state.front_ends[place].answered(reply, old.now),
            Action::Subscribe(place) => state.front_ends[place].subscribe(),
            Action::Sell => {
                state.catalog.version += 1;
                let version = state.catalog.version;
                state.catalog.waiting =
                    Some(state.catalog.leases.publish(&TOY.parse().expect("a name"), version));
            }
            Action::SellAgain => state.catalog.waiting = Some(state.catalog.leases.last()),
            Action::Sync => state.catalog.durable = state.catalog.version,
            Action::Acknowledge(place, telling) => state.acknowledge(place, telling),
            Action::Fetch(place) => state.fetch(place),
            Action::Read(place) => {
                let version = state.catalog.version;
                state.front_ends[place].fetch.as_mut()?.version = Some(version);
            }
            Action::Fetched(place) => state.fetched(place),
            Action::Restart => state.restart(),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Bounds>> {
        let mut properties = vec![
            Property::always("6: what is shown reflects every order acknowledged before", fresh),
            Property::always("7: nothing is shown that is not on disk", |_, state: &State| {
                let is_durable = |version| version <= state.catalog.durable;
                !state.shown.unsynced && state.cached().all(is_durable)
            }),
            Property::sometimes("the cache is used after a sale", |_, state: &State| {
                state.acknowledged > 1 && state.cached().next().is_some()
            }),
            Property::sometimes(
                "a sale is acknowledged without a subscriber",
                |_, state: &State| state.acknowledged > 1 && state.catalog.leases.count() == 0,
            ),
        ];
        let several = self.front_ends > 1;
        properties.extend(several.then(|| {
            Property::sometimes(
                "a cache is used after a sale to which both had subscribed",
                |_, state: &State| {
                    let is_used = state.cached().next().is_some();
                    is_used && state.acknowledged > 1 && state.catalog.leases.count() > 1
                },
            )
        }));
        let restarts = self.restarts > 0;
        properties.extend(restarts.then(|| {
            Property::sometimes("the cache is used after a restart", |_, state: &State| {
                state.restarts > 0 && state.acknowledged > 1 && state.cached().next().is_some()
            })
        }));
        properties
    }
}

fn fresh(_: &Bounds, state: &State) -> bool {
    let is_fresh = |version| version >= state.acknowledged;
    !state.shown.stale && state.cached().all(is_fresh)
}
