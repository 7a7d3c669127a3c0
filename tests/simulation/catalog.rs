//! The catalog, as `src/catalog/{service,subscribers,file,restock}.rs` run it.

use crate::context::Context;
use crate::wire::{Answer, CustomerRequest, Input, Question, Reply, Tag, Timer, sync_time};
use crate::world::{between, ms};
use fastrand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use toystore::catalog::leases::{Coverage, Leases};
use toystore::catalog::record::Record;
use toystore::catalog::shelf::Shelf;
use toystore::catalog::stock::{Restocked, Stock};
use toystore::error::{Error, Result};
use toystore::model::{Epoch, Key, Moment, OrderNumber, Price, PurchaseId, ToyName};
use toystore::protocol::catalog::{
    CHANGES_HELD_MS, Incarnation, Peer, Reconcile, Request, Reserved,
};
use toystore::protocol::purchase::Purchase;

/// The toys of the simulation: few, so that customers compete for them.
pub const TOYS: [&str; 2] = ["Tux", "Lego"];
/// The quantity after a restock.
const RESTOCK_TO: u64 = 6;

/// The catalog's disk.
#[derive(Debug, Clone)]
pub struct Disk {
    /// `toys.csv`: the shelves, and the position up to which they are complete.
    shelves: Vec<Shelf>,
    position: u64,
    /// `journal.csv`.
    journal: Vec<(u64, Record)>,
    /// Everything up to this position is synced.
    pub durable: u64,
    starts: u64,
    subscriptions: Option<BTreeSet<u64>>,
    /// All records ever written and not lost, for the judge.
    pub history: Vec<(u64, Record)>,
    /// The shelves at the beginning, for the judge.
    pub initial: Vec<Shelf>,
    /// The purchases for which the sales were made, for the judge.
    pub sold_to: BTreeMap<Key, PurchaseId>,
}

impl Disk {
    pub fn new(rng: &mut Rng) -> Disk {
        let shelf = |name: &&str| Shelf::new(name.parse().unwrap(), Price(100), rng.u64(3..30));
        let shelves: Vec<Shelf> = TOYS.iter().map(shelf).collect();
        Disk {
            initial: shelves.clone(),
            shelves,
            position: 0,
            journal: Vec::new(),
            durable: 0,
            starts: 0,
            subscriptions: None,
            history: Vec::new(),
            sold_to: BTreeMap::new(),
        }
    }

    /// After a crash: synced records are there; of the others some prefix may be.
    pub fn after_crash(&self, rng: &mut Rng) -> Disk {
        let mut disk = self.clone();
        let last = self.history.last().map_or(0, |(position, _)| *position);
        let kept = rng.u64(self.durable..=last.max(self.durable));
        disk.journal.retain(|(position, _)| *position <= kept);
        disk.history.retain(|(position, _)| *position <= kept);
        disk.durable = kept;
        disk
    }

    /// `file::load`, up to the new snapshot.
    pub fn load(&mut self) -> Stock {
        let mut stock = Stock::new(self.shelves.clone(), self.position);
        for (position, record) in &self.journal {
            stock.replay(*position, record).unwrap();
        }
        self.shelves = stock.shelves().to_vec();
        self.position = stock.position();
        stock
    }

    /// `file::renew`.
    pub fn renew(&mut self, stock: &Stock) {
        self.journal = stock.carried();
        self.durable = stock.position();
        self.starts += 1;
    }

    /// The versions of all toys at this position.
    fn versions(&self, position: u64) -> Vec<(ToyName, u64)> {
        let until = self.history.iter().take_while(|(at, _)| *at <= position);
        let changed = until.filter_map(|(_, record)| record.changed());
        let versions: BTreeMap<&ToyName, u64> = changed.collect();
        versions.into_iter().map(|(name, version)| (name.clone(), version)).collect()
    }

    fn append(&mut self, records: &[Record], position: u64) {
        let before = position - records.len() as u64;
        let rows = (before + 1..).zip(records.iter().cloned());
        self.journal.extend(rows.clone());
        self.history.extend(rows);
    }
}

/// A running catalog.
pub struct Catalog {
    pub disk: Disk,
    pub stock: Stock,
    leases: Leases,
    syncing: bool,
    waiting: Vec<Waiting>,
    held: Vec<Held>,
}

/// A thread that waits for a sync, and then for the acknowledgements of the caches.
struct Waiting {
    tag: Tag,
    then: Then,
    position: u64,
    change: Option<u64>,
    /// Whether every query must show the versions at the position, or newer ones, after the answer.
    shows: bool,
}

enum Then {
    Answer(Reply),
    Open(Reconcile),
}

/// A thread that holds back the answer to `changes`.
struct Held {
    tag: Tag,
    question: Peer,
    until: Moment,
}

impl Catalog {
    pub fn new(disk: Disk, mut stock: Stock, now: Moment) -> Catalog {
        stock.begin(Incarnation(disk.starts));
        let leases = Leases::new(now, disk.subscriptions.clone());
        Catalog { disk, stock, leases, syncing: false, waiting: Vec::new(), held: Vec::new() }
    }

    pub fn handle(&mut self, input: Input, context: &mut Context<'_>) {
        match input {
            Input::Question(tag, question) => {
                if let Err(error) = self.question(tag, question, context) {
                    context.answer(tag, Err(error));
                }
            }
            Input::Timer(Timer::Synced { upto, .. }) => {
                self.syncing = false;
                self.disk.durable = upto;
            }
            Input::Timer(Timer::Restock) => {
                self.stock.synced(self.disk.durable);
                let records = self.stock.restock(Restocked::SoldOut, RESTOCK_TO);
                self.write(&records, context);
                let wait = between(context.rng, &(ms(100)..ms(1_500)));
                context.after(wait, Timer::Restock);
            }
            // The first input.
            Input::Timer(Timer::Tick) => context.after(ms(300), Timer::Restock),
            Input::Timer(Timer::Wake) | Input::Reply(..) => {}
        }
        self.go_on(context);
    }

    fn question(&mut self, tag: Tag, question: Question, context: &mut Context<'_>) -> Result<()> {
        match question {
            Question::Catalog(Request::Query { name }) => {
                let Shelf { toy, changed_at: position, .. } = self.stock.look_up(&name)?.clone();
                let then = Then::Answer(Ok(Answer::Toy(toy)));
                self.waiting.push(Waiting { tag, then, position, change: None, shows: false });
            }
            Question::Catalog(Request::Purchase { epoch, logged, purchases }) => {
                let reserved = self.purchase(epoch, logged, purchases, context)?;
                context.answer(tag, Ok(Answer::Reserved(reserved)));
            }
            Question::Catalog(Request::Durable { incarnation, position }) => {
                self.stock.check_durable(incarnation, position)?;
                let then = Then::Answer(Ok(Answer::Done));
                self.wait(tag, then, position);
            }
            Question::Customer(CustomerRequest::Withdraw { item }) => {
                self.stock.synced(self.disk.durable);
                let (sold, record) = self.stock.withdraw(item)?;
                self.write(&[record], context);
                let then = Then::Answer(Ok(Answer::Withdrawn(sold)));
                self.wait(tag, then, self.stock.position());
            }
            Question::CatalogPeer(Peer::Standing) => {
                context.answer(tag, Ok(Answer::Standing(self.stock.standing())));
            }
            Question::CatalogPeer(Peer::Reconcile(asked)) => {
                self.stock.synced(self.disk.durable);
                let records = self.stock.reconcile(&asked)?;
                self.write(&records, context);
                let is_settled = asked.entries.is_empty() && self.stock.open_count() == 0;
                let position = self.stock.position();
                let change = (!is_settled).then(|| self.leases.last());
                let (then, shows) = (Then::Open(asked), !is_settled);
                self.waiting.push(Waiting { tag, then, position, change, shows });
            }
            Question::CatalogPeer(Peer::Settle(asked)) => {
                let record = self.stock.settle(asked)?;
                self.write(record.as_slice(), context);
                context.answer(tag, Ok(Answer::Done));
            }
            Question::CatalogPeer(changes @ Peer::Changes { .. }) => {
                self.begin_changes(tag, changes, context)?;
            }
            Question::CatalogPeer(Peer::HealthCheck) => context.answer(tag, Ok(Answer::Done)),
            other => return Err(Error::invalid(format!("{other:?}"))),
        }
        Ok(())
    }

    fn purchase(
        &mut self,
        epoch: Epoch,
        logged: OrderNumber,
        purchases: Vec<Purchase>,
        context: &mut Context<'_>,
    ) -> Result<Reserved> {
        self.stock.synced(self.disk.durable);
        let ids: BTreeMap<Key, PurchaseId> =
            purchases.iter().map(|purchase| (purchase.key.clone(), purchase.id)).collect();
        let (reserved, records) = self.stock.purchase(epoch, logged, purchases)?;
        for record in &records {
            if let Record::Sale { key, .. } = record {
                self.disk.sold_to.insert(key.clone(), ids[key]);
            }
        }
        self.write(&records, context);
        Ok(reserved)
    }

    /// `Catalog::write`.
    fn write(&mut self, records: &[Record], context: &mut Context<'_>) {
        self.disk.append(records, self.stock.position());
        for record in records {
            context.note(|| format!("{record:?}"));
            if let Some((name, version)) = record.changed() {
                self.leases.publish(name, version);
            }
        }
    }

    fn wait(&mut self, tag: Tag, then: Then, position: u64) {
        let change = Some(self.leases.last());
        self.waiting.push(Waiting { tag, then, position, change, shows: true });
    }

    /// The beginning of `Subscribers::changes`.
    fn begin_changes(&mut self, tag: Tag, question: Peer, context: &mut Context<'_>) -> Result<()> {
        let Peer::Changes { subscription, acknowledged, replaces } = &question else {
            return Ok(());
        };
        if let Some(replaced) = replaces {
            self.leases.end(*replaced);
        }
        self.leases.call(*subscription, *acknowledged, context.now)?;
        self.disk.subscriptions = self.leases.subscriptions(context.now);
        let held = if acknowledged.is_none() { ms(0) } else { ms(CHANGES_HELD_MS) };
        let until = context.now + held;
        if !held.is_zero() {
            context.after(held, Timer::Wake);
        }
        self.held.push(Held { tag, question, until });
        Ok(())
    }

    fn go_on(&mut self, context: &mut Context<'_>) {
        let (leases, durable, now) = (&mut self.leases, self.disk.durable, context.now);
        self.held.retain(|Held { tag, question, until }| {
            let Peer::Changes { subscription, .. } = question else { return false };
            let changes = leases.changes(*subscription);
            if changes.as_ref().is_ok_and(|c| c.invalidate.is_empty()) && now < *until {
                return true;
            }
            context.answer(*tag, changes.map(Answer::Changes));
            false
        });
        let mut wake = Duration::MAX;
        let (stock, disk) = (&mut self.stock, &self.disk);
        self.waiting.retain(|waiting| {
            if waiting.position > durable {
                return true;
            }
            let coverage = waiting.change.map_or(Coverage::Covered, |c| leases.coverage(c, now));
            if let Coverage::Until(moment) = coverage {
                wake = wake.min(moment - now);
                return true;
            }
            let reply = match &waiting.then {
                Then::Answer(reply) => reply.clone(),
                Then::Open(asked) => stock.open(asked, waiting.position).map(Answer::Reconciled),
            };
            if waiting.shows && reply.is_ok() {
                context.shows(&disk.versions(waiting.position));
            }
            context.answer(waiting.tag, reply);
            false
        });
        if wake < Duration::MAX {
            context.after(wake, Timer::Wake);
        }
        let position = self.stock.position();
        // No thread waits for the sync of a settlement; the next sync includes it.
        let is_wanted = self.waiting.iter().any(|waiting| waiting.position > durable);
        if is_wanted && !self.syncing {
            self.syncing = true;
            let wait = sync_time(context.rng);
            context.after(wait, Timer::Synced { generation: 0, upto: position });
        }
    }
}
