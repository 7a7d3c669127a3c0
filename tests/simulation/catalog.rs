//! The catalog, as `src/catalog/{service,subscribers,file,restock}.rs` run it.

use crate::context::Context;
use crate::wire::{Answer, CustomerRequest, Input, Question, Reply, SYNC, Tag, Timer};
use crate::world::{between, ms};
use fastrand::Rng;
use std::time::Duration;
use toystore::catalog::leases::{Coverage, Leases};
use toystore::catalog::record::Record;
use toystore::catalog::stock::{Restocked, Shelf, Stock};
use toystore::error::{Error, Result};
use toystore::model::{Moment, Price, ToyName};
use toystore::protocol::catalog::{CHANGES_HELD_MS, Office, Open, Peer, Request};
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
    /// All records ever written, for the judge.
    pub history: Vec<(u64, Record)>,
}

impl Disk {
    pub fn new(rng: &mut Rng) -> Disk {
        let shelf = |name: &&str| Shelf::new(name.parse().unwrap(), Price(100), rng.u64(3..30));
        Disk {
            shelves: TOYS.iter().map(shelf).collect(),
            position: 0,
            journal: Vec::new(),
            durable: 0,
            history: Vec::new(),
        }
    }

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
    }

    /// The versions of these sales.
    fn versions(&self, sales: &[Open]) -> Vec<(ToyName, u64)> {
        let version = |sale: &Open| {
            self.history.iter().find_map(|(_, record)| match record {
                Record::Purchase { purchase, version } if purchase.key == sale.key => {
                    Some((sale.item.name.clone(), *version))
                }
                _ => None,
            })
        };
        sales.iter().filter_map(version).collect()
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
    reply: Reply,
    position: u64,
    change: Option<u64>,
    /// The versions, or newer ones, that every query must show after the answer.
    shown: Vec<(ToyName, u64)>,
}

/// A thread that holds back the answer to `changes`.
struct Held {
    tag: Tag,
    question: Peer,
    until: Moment,
}

impl Catalog {
    pub fn new(disk: Disk, stock: Stock, now: Moment) -> Catalog {
        Catalog {
            disk,
            stock,
            leases: Leases::new(now),
            syncing: false,
            waiting: Vec::new(),
            held: Vec::new(),
        }
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
                let records = self.stock.restock(Restocked::SoldOut, RESTOCK_TO);
                self.disk.append(&records, self.stock.position());
                for record in &records {
                    if let Record::Restock { name, version, .. } = record {
                        self.leases.publish(name, *version);
                        context.note(|| format!("restocks {name}, version {version}"));
                    }
                }
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
                let reply = Ok(Answer::Toy(toy));
                let (change, shown) = (None, vec![]);
                self.waiting.push(Waiting { tag, reply, position, change, shown });
            }
            Question::Catalog(Request::Purchase { purchases }) => {
                self.purchase(tag, purchases, context);
            }
            Question::Customer(CustomerRequest::Withdraw { item }) => {
                let name = item.name.clone();
                let (sold, record) = self.stock.withdraw(item)?;
                let position = self.stock.position();
                self.disk.append(&[record], position);
                let change = Some(self.leases.publish(&name, sold.version));
                let shown = vec![(name, sold.version)];
                let reply = Ok(Answer::Withdrawn(sold));
                self.waiting.push(Waiting { tag, reply, position, change, shown });
            }
            Question::CatalogPeer(Peer::TakeOffice { epoch }) => {
                let (open, record) = self.stock.take_office(epoch)?;
                let position = self.stock.position();
                self.disk.append(record.as_slice(), position);
                let change = (!open.is_empty()).then(|| self.leases.last());
                let shown = self.disk.versions(&open);
                let reply = Ok(Answer::Office(Office { open, sold: Some(self.stock.sold()) }));
                self.waiting.push(Waiting { tag, reply, position, change, shown });
            }
            Question::CatalogPeer(Peer::Settle { epoch, keys }) => {
                let records = self.stock.settle(epoch, keys)?;
                self.disk.append(&records, self.stock.position());
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

    fn purchase(&mut self, tag: Tag, purchases: Vec<Purchase>, context: &mut Context<'_>) {
        let mut shown = Vec::new();
        let mut sell_one = |purchase: Purchase| {
            let (name, key) = (purchase.item.name.clone(), purchase.key.clone());
            let (sold, record) = self.stock.purchase(purchase)?;
            self.disk.append(record.as_slice(), self.stock.position());
            for (name, version) in record.iter().filter_map(Record::changed) {
                let change = self.leases.publish(name, version);
                context.note(|| format!("sells {key}: {name} version {version}, change {change}"));
            }
            shown.push((name, sold.version));
            Ok(sold)
        };
        let sales: Vec<Result<_>> = purchases.into_iter().map(&mut sell_one).collect();
        let reply = Ok(Answer::Sales(sales));
        if shown.is_empty() {
            return context.answer(tag, reply);
        }
        let (position, change) = (self.stock.position(), Some(self.leases.last()));
        self.waiting.push(Waiting { tag, reply, position, change, shown });
    }

    /// The beginning of `Subscribers::changes`.
    fn begin_changes(&mut self, tag: Tag, question: Peer, context: &mut Context<'_>) -> Result<()> {
        let Peer::Changes { subscription, acknowledged } = &question else {
            return Ok(());
        };
        self.leases.call(*subscription, *acknowledged, context.now)?;
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
        self.waiting.retain(|waiting| {
            if waiting.position > durable {
                return true;
            }
            let coverage = waiting.change.map_or(Coverage::Covered, |c| leases.coverage(c, now));
            if let Coverage::Until(moment) = coverage {
                wake = wake.min(moment - now);
                return true;
            }
            context.shows(&waiting.shown);
            context.answer(waiting.tag, waiting.reply.clone());
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
            let wait = between(context.rng, &SYNC);
            context.after(wait, Timer::Synced { generation: 0, upto: position });
        }
    }
}
