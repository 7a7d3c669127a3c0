//! The cache of one front-end and the leases of one catalog as a transition system, with one toy, on
//! one clock that goes in steps: both sides measure durations only, so that is no restriction.
//!
//! Calls for changes and their answers come late, twice or never; fetches come late; the catalog is
//! killed, with and without its last change on disk.

use stateright::{Model, Property};
use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::hash::{Hash, Hasher};
use std::time::Duration;
use toystore::catalog::leases::{Coverage, Leases};
use toystore::frontend::cache::{Cache, Ticket};
use toystore::model::Moment;
use toystore::protocol::catalog::Changes;

const TOY: &str = "Tux";
const STEP: Duration = Duration::from_millis(100);

/// What is explored.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub name: &'static str,
    /// Steps of the clock, of 100 ms.
    pub steps: u32,
    pub purchases: u64,
    pub queries: u8,
    pub subscriptions: u64,
    /// Kills of the catalog.
    pub restarts: u8,
}

/// For `cargo test`.
pub const SMALL: [Bounds; 1] = [Bounds {
    name: "one sale",
    steps: 6,
    purchases: 1,
    queries: 2,
    subscriptions: 2,
    restarts: 0,
}];

/// For `make model`.
pub const LARGE: [Bounds; 3] = [
    Bounds { name: "two sales", purchases: 2, steps: 6, queries: 2, subscriptions: 2, restarts: 0 },
    Bounds {
        name: "many subscriptions",
        subscriptions: 3,
        steps: 6,
        queries: 2,
        purchases: 1,
        restarts: 0,
    },
    Bounds {
        name: "the catalog restarts",
        restarts: 1,
        steps: 8,
        queries: 2,
        purchases: 1,
        subscriptions: 2,
    },
];

impl Display for Bounds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Bounds { steps, purchases, queries, subscriptions, restarts, .. } = self;
        write!(
            f,
            "{}: {steps} steps of time, {purchases} sales, {queries} queries, {subscriptions} \
             subscriptions, {restarts} restarts",
            self.name
        )
    }
}

/// A state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    now: Moment,
    catalog: Catalog,
    frontend: Frontend,
    /// Calls for changes, which may arrive at any time.
    calls: BTreeSet<Call>,
    /// The catalog's answers to the call at hand.
    answers: BTreeSet<Reply>,
    /// The highest version that a customer was told of.
    acknowledged: u64,
    queries: u8,
    restarts: u8,
    /// What customers saw.
    seen: Seen,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Catalog {
    version: u64,
    /// The version on disk.
    durable: u64,
    leases: Leases,
    /// The change of the purchase that waits for the caches.
    waiting: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Frontend {
    cache: Cached,
    subscription: u64,
    acknowledged: Option<u64>,
    /// When the call at hand was sent.
    asked: Option<Moment>,
    fetch: Option<Fetch>,
}

/// With one toy its text says all there is, in one way.
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

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Seen {
    stale: bool,
    unsynced: bool,
    hits: u8,
    hit_after_purchase: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The clock goes on.
    Step,
    /// The front-end asks for changes.
    Ask,
    /// A call comes to the catalog.
    Arrive(Call),
    /// The catalog's answer comes to the front-end.
    Answered(Reply),
    /// The front-end gives up its subscription, and begins another.
    Subscribe,
    /// The catalog sells.
    Sell,
    /// The leader asks for the same purchase again, because the catalog was killed.
    SellAgain,
    /// Its change is on disk.
    Sync,
    /// It is out of every cache, and the customer is told; with its version, or without.
    Acknowledge(Telling),
    /// A customer asks for the toy.
    Query,
    /// The catalog reads the toy for a fetch.
    Read,
    /// The answer to a fetch comes.
    Fetched,
    /// The catalog is killed and starts.
    Restart,
}

/// What the answer to a purchase says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    Version,
    /// It answers a repetition.
    NumberOnly,
}

impl State {
    fn saw(&mut self, version: u64, at_least: u64) {
        self.seen.stale |= version < at_least;
        self.seen.unsynced |= version > self.catalog.durable;
    }

    /// The call that the front-end waits for.
    fn at_hand(&self) -> Option<Call> {
        let Frontend { subscription, acknowledged, asked, .. } = self.frontend;
        asked.map(|_| Call { subscription, acknowledged })
    }

    /// What was answered to earlier calls finds nobody who waits for it.
    fn ask(&mut self) {
        self.frontend.asked = Some(self.now);
        self.answers.clear();
        self.calls.extend(self.at_hand());
    }

    /// `Subscribers::changes`, with the time that it holds the answer back left out.
    fn arrive(&mut self, call: Call) -> Option<()> {
        let leases = &mut self.catalog.leases;
        leases.hear(call.subscription, call.acknowledged, self.now).ok()?;
        let Changes { up_to, invalidate } = leases.changes(call.subscription).ok()?;
        if self.at_hand() == Some(call) {
            let version = invalidate.first().map(|change| change.version);
            self.answers.insert(Reply { up_to, version });
        }
        Some(())
    }

    /// `Products::take_changes`.
    fn answered(&mut self, reply: Reply) {
        let Some(sent) = self.frontend.asked.take() else { return };
        self.answers.clear();
        let Frontend { cache: Cached(cache), subscription, acknowledged, .. } = &mut self.frontend;
        if let Some(version) = reply.version {
            cache.invalidate(TOY, version);
        }
        if cache.renew(*subscription, sent, self.now) {
            *acknowledged = Some(reply.up_to);
        } else {
            self.subscribe();
        }
    }

    fn subscribe(&mut self) {
        self.frontend.subscription += 1;
        self.frontend.acknowledged = None;
        self.frontend.asked = None;
        self.frontend.cache.0.unsubscribe();
        self.answers.clear();
    }

    fn query(&mut self) {
        self.queries += 1;
        let at_least = self.acknowledged;
        let cache = &mut self.frontend.cache.0;
        if let Some(version) = cache.get(TOY, self.now) {
            self.seen.hits += 1;
            self.seen.hit_after_purchase |= at_least > 1;
            self.saw(version, at_least);
        } else {
            let ticket = cache.begin_fetch();
            self.frontend.fetch = Some(Fetch { ticket, at_least, version: None });
        }
    }

    fn fetched(&mut self) {
        let Some(Fetch { ticket, at_least, version: Some(version) }) = self.frontend.fetch.take()
        else {
            return;
        };
        self.frontend.cache.0.store(ticket, TOY, version, version);
        self.saw(version, at_least);
    }

    fn restart(&mut self) {
        self.restarts += 1;
        // What waits in a connection to the process dies with it; the call at hand may be sent again.
        let at_hand = self.at_hand();
        self.calls.retain(|call| Some(*call) == at_hand);
        let Catalog { durable, .. } = self.catalog;
        let leases = Leases::new(self.now);
        self.catalog = Catalog { version: durable, durable, leases, waiting: None };
        if let Some(fetch) = &mut self.frontend.fetch {
            fetch.version = fetch.version.filter(|version| *version <= durable);
        }
    }

    fn is_covered(&self) -> bool {
        let covered =
            |change| self.catalog.leases.clone().coverage(change, self.now) == Coverage::Covered;
        self.catalog.version == self.catalog.durable && self.catalog.waiting.is_some_and(covered)
    }
}

impl Model for Bounds {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let leases = Leases::new(Moment::ZERO);
        // A lease after the catalog's start, so that nothing is left of the time before.
        let now = STEP * 5;
        let frontend = Frontend {
            cache: Cached(Cache::new(1)),
            subscription: 1,
            acknowledged: None,
            asked: None,
            fetch: None,
        };
        vec![State {
            now,
            catalog: Catalog { version: 1, durable: 1, leases, waiting: None },
            frontend,
            calls: BTreeSet::new(),
            answers: BTreeSet::new(),
            acknowledged: 0,
            queries: 0,
            restarts: 0,
            seen: Seen::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let State { catalog, frontend, .. } = state;
        if state.now < STEP * (5 + self.steps) {
            actions.push(Action::Step);
        }
        if frontend.asked.is_none() {
            actions.push(Action::Ask);
        } else if frontend.subscription < self.subscriptions {
            actions.push(Action::Subscribe);
        }
        actions.extend(state.calls.iter().copied().map(Action::Arrive));
        actions.extend(state.answers.iter().copied().map(Action::Answered));
        if catalog.waiting.is_none() && catalog.version <= self.purchases {
            actions.push(Action::Sell);
        }
        if catalog.waiting.is_none() && catalog.version > state.acknowledged.max(1) {
            actions.push(Action::SellAgain);
        }
        if catalog.durable < catalog.version {
            actions.push(Action::Sync);
        }
        if state.is_covered() {
            actions.push(Action::Acknowledge(Telling::Version));
            actions.push(Action::Acknowledge(Telling::NumberOnly));
        }
        match &frontend.fetch {
            None if state.queries < self.queries => actions.push(Action::Query),
            Some(Fetch { version: None, .. }) => actions.push(Action::Read),
            Some(Fetch { version: Some(version), .. }) if *version <= catalog.durable => {
                actions.push(Action::Fetched);
            }
            _ => {}
        }
        if state.restarts < self.restarts {
            actions.push(Action::Restart);
        }
    }

    fn next_state(&self, old: &State, action: Action) -> Option<State> {
        let mut state = old.clone();
        match action {
            Action::Step => state.now += STEP,
            Action::Ask => state.ask(),
            Action::Arrive(call) => state.arrive(call)?,
            Action::Answered(reply) => state.answered(reply),
            Action::Subscribe => state.subscribe(),
            Action::Sell => {
                state.catalog.version += 1;
                let version = state.catalog.version;
                state.catalog.waiting = Some(state.catalog.leases.publish(TOY, version));
            }
            Action::SellAgain => state.catalog.waiting = Some(state.catalog.leases.last()),
            Action::Sync => state.catalog.durable = state.catalog.version,
            Action::Acknowledge(telling) => {
                state.acknowledged = state.catalog.durable;
                state.catalog.waiting = None;
                if telling == Telling::Version {
                    state.frontend.cache.0.invalidate(TOY, state.acknowledged);
                }
            }
            Action::Query => state.query(),
            Action::Read => {
                let version = state.catalog.version;
                state.frontend.fetch.as_mut()?.version = Some(version);
            }
            Action::Fetched => state.fetched(),
            Action::Restart => state.restart(),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Bounds>> {
        vec![
            Property::always(
                "6: a query reflects every order acknowledged before",
                |_, state: &State| !state.seen.stale,
            ),
            Property::always("7: nothing is shown that is not on disk", |_, state: &State| {
                !state.seen.unsynced
            }),
            Property::sometimes("the cache is used", |_, state: &State| state.seen.hits > 0),
            Property::sometimes("the cache is used after a purchase", |_, state: &State| {
                state.seen.hit_after_purchase
            }),
        ]
    }
}
