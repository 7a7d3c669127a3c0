//! The stock: the shelves, the open sales, and which epoch may sell. Pure: the
//! [`service`](super::service) holds the lock, journals the [`Record`]s, and answers after the sync.
//!
//! Every change is a record, and only [`apply`](Stock::apply) changes the stock: decisions make
//! records, and a restart replays them through the same function.
//!
//! - initial + restocked − sold − withdrawn = quantity, for each toy.
//! - One key, at most one decrement: an *open* sale (not known to be in the order log) is answered
//!   as before. A *settled* one is remembered until its caller has finished the purchase, so that a late
//!   duplicate of it is recognised, and so is a refusal ([`Refusals`]).
//! - Only the epoch that took office last may sell: an older leader is fenced.

use super::record::Record;
use crate::error::{Error, Result};
use crate::model::{Epoch, Item, Key, Price, PurchaseId, Toy, ToyName};
use crate::protocol::catalog::{Book, Books, Open, Put, Sold, check_count};
use crate::protocol::purchase::{Caller, Purchase, Refusals, late_duplicate};
use std::collections::BTreeMap;

/// The stock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Stock {
    shelves: Vec<Shelf>,
    places: BTreeMap<ToyName, usize>,
    /// The number of all records applied so far: the position of the last one.
    position: u64,
    /// The epoch in office.
    fence: Epoch,
    sales: BTreeMap<Key, Sale>,
    /// The purchases of `sales` that are not finished, in order.
    unfinished: BTreeMap<PurchaseId, Key>,
    /// Which purchases of each caller are finished, as in the journal.
    callers: BTreeMap<u32, Caller>,
    refusals: Refusals,
}

/// A toy and its books.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shelf {
    /// The toy.
    pub toy: Toy,
    /// The first quantity.
    pub initial: u64,
    /// Added by restocking.
    pub restocked: i64,
    /// Taken by orders.
    pub sold: u64,
    /// Taken by hand at the catalog, outside any order.
    pub withdrawn: u64,
    /// The position of the last record that changed it.
    pub changed_at: u64,
}

/// A sale that is open, or settled but may be asked for again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sale {
    position: u64,
    epoch: Epoch,
    id: PurchaseId,
    item: Item,
    version: u64,
    settled: bool,
}

/// Which toys a restock fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restocked {
    /// Those that are sold out.
    SoldOut,
    /// All that have fewer than the target.
    All,
    /// All that do not have exactly the target.
    Reset,
}

impl Stock {
    /// The stock with these shelves at `position`.
    pub fn new(shelves: Vec<Shelf>, position: u64) -> Stock {
        let places = shelves.iter().enumerate().map(|(i, s)| (s.toy.name.clone(), i)).collect();
        Stock { shelves, places, position, ..Stock::default() }
    }

    /// The shelves, in the order of the database.
    pub fn shelves(&self) -> &[Shelf] {
        &self.shelves
    }

    /// The shelves that follow the one of this toy, in the order of the database; without one, all.
    pub fn shelves_after(&self, name: Option<&ToyName>) -> Result<&[Shelf]> {
        let place = match name {
            None => 0,
            Some(name) => self.places.get(name).ok_or(Error::UnknownToy)? + 1,
        };
        Ok(&self.shelves[place..])
    }

    /// The position of the last record.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// One toy and its books.
    pub fn look_up(&self, name: &str) -> Result<&Shelf> {
        self.places.get(name).map(|place| &self.shelves[*place]).ok_or(Error::UnknownToy)
    }

    /// Sells for an order. The record is `None` if this answers a repetition.
    pub fn purchase(&mut self, purchase: Purchase) -> Result<(Sold, Option<Record>)> {
        self.check_epoch(purchase.epoch)?;
        if purchase.epoch > self.fence {
            return Err(Error::unavailable(format!(
                "epoch {} has not taken office, epoch {} has",
                purchase.epoch, self.fence
            )));
        }
        if let Some(sale) = self.sales.get(&purchase.key) {
            if sale.item != purchase.item {
                return Err(Error::KeyReused);
            }
            let cost = self.cost(&sale.item)?;
            return Ok((Sold { cost, version: sale.version }, None));
        }
        if self.has_finished(purchase.id) {
            return Err(late_duplicate());
        }
        self.refusals.check(&purchase)?;
        let version = self
            .check_stock(&purchase.item)
            .inspect_err(|refusal| self.refusals.note(purchase.id, refusal))?;
        let cost = self.cost(&purchase.item)?;
        let record = Record::Purchase { purchase, version };
        self.apply(&record);
        Ok((Sold { cost, version }, Some(record)))
    }

    /// Sells by hand, outside any order.
    pub fn withdraw(&mut self, item: Item) -> Result<(Sold, Record)> {
        let version = self.check_stock(&item)?;
        let cost = self.cost(&item)?;
        let record = Record::Withdraw { item, version };
        self.apply(&record);
        Ok((Sold { cost, version }, record))
    }

    /// These purchases are committed orders. Keys that are not open are ignored.
    pub fn settle(&mut self, epoch: Epoch, keys: Vec<Key>) -> Result<Vec<Record>> {
        self.check_epoch(epoch)?;
        let is_open = |key: &Key| self.sales.get(key).is_some_and(|sale| !sale.settled);
        let open: Vec<Key> = keys.into_iter().filter(is_open).collect();
        let records: Vec<Record> = open.into_iter().map(Record::Settle).collect();
        self.apply_all(&records);
        Ok(records)
    }

    /// From now on every epoch before this one is refused. The record is `None` for a repetition.
    pub fn take_office(&mut self, epoch: Epoch) -> Result<(Vec<Open>, Option<Record>)> {
        self.check_epoch(epoch)?;
        let record = (epoch > self.fence).then_some(Record::Office(epoch));
        self.apply_all(record.as_slice());
        Ok((self.open(), record))
    }

    /// The books of these shelves, and the open sales, for the audit.
    pub fn books(&self, shelves: &[Shelf]) -> Books {
        let toys = shelves.iter().map(Shelf::book).collect();
        Books { position: self.position, toys, open: self.open() }
    }

    /// The open sales, in the order they were made.
    fn open(&self) -> Vec<Open> {
        let mut open: Vec<_> = self.sales.iter().filter(|(_, sale)| !sale.settled).collect();
        open.sort_by_key(|(_, sale)| sale.position);
        let sales = open.into_iter();
        sales.map(|(key, sale)| Open { key: key.clone(), item: sale.item.clone() }).collect()
    }

    /// Restocks up to `target`.
    pub fn restock(&mut self, which: Restocked, target: u64) -> Vec<Record> {
        let wanting = |shelf: &&Shelf| match which {
            Restocked::SoldOut => shelf.toy.quantity == 0 && target > 0,
            Restocked::All => shelf.toy.quantity < target,
            Restocked::Reset => shelf.toy.quantity != target,
        };
        let restock = |shelf: &Shelf| Record::Restock {
            name: shelf.toy.name.clone(),
            quantity: target,
            version: shelf.toy.version + 1,
        };
        let records: Vec<Record> = self.shelves.iter().filter(wanting).map(restock).collect();
        self.apply_all(&records);
        records
    }

    /// Adds a toy or changes one. The record is `None` if nothing changes.
    pub fn put(&mut self, name: &ToyName, put: Put) -> Result<(Toy, Option<Record>)> {
        let (price, quantity, version) = match (put, self.look_up(name)) {
            (Put::Add { .. }, Ok(_)) => return Err(Error::ToyExists),
            (Put::Add { price, quantity }, Err(_)) => {
                check_count(self.shelves.len() + 1)?;
                (price, quantity, 1)
            }
            (Put::Change { price, restock }, known) => {
                let toy = &known?.toy;
                let (price, quantity) =
                    (price.unwrap_or(toy.price), restock.unwrap_or(toy.quantity));
                if (price, quantity) == (toy.price, toy.quantity) {
                    return Ok((toy.clone(), None));
                }
                (price, quantity, toy.version + 1)
            }
        };
        let record = Record::Put { name: name.clone(), price, quantity, version };
        self.apply(&record);
        Ok((Toy { name: name.clone(), price, quantity, version }, Some(record)))
    }

    /// Makes a change.
    pub fn apply(&mut self, record: &Record) {
        self.position += 1;
        let position = self.position;
        match record {
            Record::Purchase { purchase, version } => {
                let quantity = purchase.item.quantity;
                self.change(&purchase.item.name, *version, |shelf| {
                    shelf.toy.quantity = shelf.toy.quantity.saturating_sub(quantity.get());
                    shelf.sold += quantity.get();
                });
                self.remember(purchase, *version, position);
            }
            Record::Withdraw { item, version } => self.change(&item.name, *version, |shelf| {
                shelf.toy.quantity = shelf.toy.quantity.saturating_sub(item.quantity.get());
                shelf.withdrawn += item.quantity.get();
            }),
            Record::Restock { name, quantity, version } => {
                self.change(name, *version, |shelf| shelf.restock(*quantity));
            }
            Record::Put { name, price, quantity, version } => {
                if !self.places.contains_key(name) {
                    self.places.insert(name.clone(), self.shelves.len());
                    self.shelves.push(Shelf::new(name.clone(), *price, *quantity));
                }
                self.change(name, *version, |shelf| {
                    shelf.restock(*quantity);
                    shelf.toy.price = *price;
                });
            }
            _ => self.note(record),
        }
    }

    fn apply_all(&mut self, records: &[Record]) {
        for record in records {
            self.apply(record);
        }
    }

    /// Replays a record of the journal. If the shelves were written after it, they already contain it,
    /// and it changes only the sales and the fence. Positions have no gap: a gap would mean
    /// missing records.
    pub fn replay(&mut self, position: u64, record: &Record) -> Result<()> {
        if position > self.position + 1 {
            return Err(Error::invalid(format!(
                "position {position} cannot follow position {}: records are missing",
                self.position
            )));
        }
        if position > self.position {
            self.apply(record);
        } else if let Record::Purchase { purchase, version } = record {
            self.remember(purchase, *version, position);
        } else {
            self.note(record);
        }
        Ok(())
    }

    /// The records, with their positions, with which a journal that follows the current shelves must
    /// begin: the fence, the callers, and the remembered sales.
    pub fn carried(&self) -> Vec<(u64, Record)> {
        let mut records = vec![(0, Record::Office(self.fence))];
        for (caller, progress) in &self.callers {
            records.push((0, Record::Caller { caller: *caller, progress: *progress }));
        }
        let mut sales: Vec<_> = self.sales.iter().collect();
        sales.sort_by_key(|(_, sale)| sale.position);
        for (key, sale) in sales {
            let purchase = Purchase {
                epoch: sale.epoch,
                id: sale.id,
                ack_below: 0,
                key: key.clone(),
                item: sale.item.clone(),
            };
            records.push((sale.position, Record::Purchase { purchase, version: sale.version }));
            if sale.settled {
                records.push((sale.position, Record::Settle(key.clone())));
            }
        }
        records
    }

    /// The total quantity sold for orders.
    pub fn sold(&self) -> u64 {
        self.shelves.iter().map(|shelf| shelf.sold).sum()
    }

    /// The number of open sales.
    pub fn open_count(&self) -> usize {
        self.sales.values().filter(|sale| !sale.settled).count()
    }

    fn check_epoch(&self, epoch: Epoch) -> Result<()> {
        if epoch < self.fence { Err(Error::Stale { epoch: self.fence.0 }) } else { Ok(()) }
    }

    /// Whether there is enough; the toy's version after the sale.
    fn check_stock(&self, item: &Item) -> Result<u64> {
        let toy = &self.look_up(&item.name)?.toy;
        if toy.quantity < item.quantity.get() {
            return Err(Error::NotEnoughStock);
        }
        Ok(toy.version + 1)
    }

    fn cost(&self, item: &Item) -> Result<Price> {
        let unit = self.look_up(&item.name)?.toy.price.0;
        Ok(Price(unit.saturating_mul(item.quantity.get())))
    }

    fn change(&mut self, name: &str, version: u64, change: impl FnOnce(&mut Shelf)) {
        if let Some(place) = self.places.get(name) {
            let changed = &mut self.shelves[*place];
            change(changed);
            changed.toy.version = version;
            changed.changed_at = self.position;
        }
    }

    /// A record that changes no shelf.
    fn note(&mut self, record: &Record) {
        match record {
            Record::Office(epoch) => self.fence = self.fence.max(*epoch),
            Record::Caller { caller, progress } => self.note_progress(*caller, *progress),
            Record::Settle(key) => {
                let Some(sale) = self.sales.get_mut(key) else { return };
                sale.settled = true;
                let id = sale.id;
                if self.has_finished(id) {
                    self.sales.remove(key);
                }
            }
            Record::Purchase { .. }
            | Record::Withdraw { .. }
            | Record::Restock { .. }
            | Record::Put { .. } => {}
        }
    }

    fn remember(&mut self, purchase: &Purchase, version: u64, position: u64) {
        let Purchase { epoch, id, ref key, ref item, .. } = *purchase;
        let sale = Sale { position, epoch, id, item: item.clone(), version, settled: false };
        self.sales.insert(key.clone(), sale);
        self.unfinished.insert(id, key.clone());
        self.note_progress(id.caller, purchase.progress());
    }

    /// The purchases of a caller before this one are finished: their settled sales can be forgotten.
    fn note_progress(&mut self, caller: u32, progress: Caller) {
        let known = self.callers.entry(caller).or_default();
        if progress <= *known {
            return;
        }
        *known = progress;
        let ids_of = |incarnation, sequence| PurchaseId { caller, incarnation, sequence };
        let finished = ids_of(Epoch(0), 0)..ids_of(progress.incarnation, progress.ack_below);
        while let Some((id, key)) = self.unfinished.range(finished.clone()).next() {
            let (id, key) = (*id, key.clone());
            self.unfinished.remove(&id);
            if self.sales.get(&key).is_some_and(|sale| sale.settled) {
                self.sales.remove(&key);
            }
        }
    }

    fn has_finished(&self, id: PurchaseId) -> bool {
        self.callers.get(&id.caller).is_some_and(|caller| caller.has_finished(id))
    }
}

impl Shelf {
    /// A toy with new books.
    pub fn new(name: ToyName, price: Price, quantity: u64) -> Shelf {
        let toy = Toy { name, price, quantity, version: 1 };
        Shelf { toy, initial: quantity, restocked: 0, sold: 0, withdrawn: 0, changed_at: 0 }
    }

    /// Sets the quantity.
    fn restock(&mut self, quantity: u64) {
        self.restocked += quantity.cast_signed() - self.toy.quantity.cast_signed();
        self.toy.quantity = quantity;
    }

    /// Whether initial + restocked − sold − withdrawn = quantity.
    pub fn balances(&self) -> bool {
        self.book().balances()
    }

    /// Its books.
    pub fn book(&self) -> Book {
        Book {
            name: self.toy.name.clone(),
            quantity: self.toy.quantity,
            initial: self.initial,
            restocked: self.restocked,
            sold: self.sold,
            withdrawn: self.withdrawn,
        }
    }
}

/// The toys that a new store has: a hundred of each.
pub fn default_toys() -> Vec<Shelf> {
    let toys = [
        ("Tux", 1990),
        ("Whale", 2490),
        ("Elephant", 2950),
        ("Fox", 1450),
        ("Python", 1799),
        ("Dolphin", 2275),
        ("Lego", 4999),
        ("Barbie", 2699),
        ("Monopoly", 3495),
        ("Frisbee", 899),
    ];
    let shelf = |(name, cents): &(&str, u64)| {
        let name = name.parse().expect("these are names of toys");
        Shelf::new(name, Price(*cents), 100)
    };
    toys.iter().map(shelf).collect()
}
