//! The stock: the shelves, the open sales, and which epoch may sell. Pure: the [`service`](super::service) holds the
//! lock, journals the [`Record`]s, and says what is synced.
//!
//! Every change is a record, and only [`apply`](Stock::apply) changes the stock: decisions make records, and a restart
//! replays them through the same function. A record counts at once, and may be lost in a crash until it is synced.
//!
//! - initial + restocked − sold − withdrawn = quantity, for each toy.
//! - One key, at most one decrement. An *open* sale (not known to be a committed order) is answered as before. The keys
//!   of *settled* orders are forgotten: a leader says how long its log was when it did not find a key there, and is
//!   refused if more orders are settled than that. A refusal is remembered until its purchase is finished ([`Refusals`]).
//! - Only the leader of the newest epoch may sell, after it has *reconciled*: it sent the orders that are not settled,
//!   those whose sale was lost were sold again, and it received the open sales that its log lacks. Until then the
//!   catalog is closed: nothing is sold or withdrawn, so the orders that are sold again fit into the stock.
//! - What a restock added is sold only when the restock is synced, for the same reason.

use super::record::Record;
use super::shelf::Shelf;
use crate::error::{Error, Result};
use crate::model::{Epoch, Item, Key, OrderNumber, Price, Toy, ToyName};
use crate::protocol::catalog::{
    Books, Incarnation, Open, Put, Reconcile, Reconciled, Reserved, Settle, Sold, Standing,
    check_count,
};
use crate::protocol::purchase::{Purchase, Refusals};
use std::collections::{BTreeMap, HashSet};

/// The stock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stock {
    shelves: Vec<Shelf>,
    places: BTreeMap<ToyName, usize>,
    /// The number of all records applied so far: the position of the last one.
    position: u64,
    /// The records up to this position are known to be synced.
    synced: u64,
    /// Older epochs are refused.
    fence: Epoch,
    /// See [`Standing`].
    settled: Option<OrderNumber>,
    /// The open sales.
    sales: BTreeMap<Key, Sale>,
    refusals: Refusals,
    incarnation: Incarnation,
    /// The epoch for which it sells; `None` while it is closed.
    sells_for: Option<Epoch>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sale {
    position: u64,
    epoch: Epoch,
    item: Item,
    version: u64,
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
    /// The stock with these shelves at `position`, closed.
    pub fn new(shelves: Vec<Shelf>, position: u64) -> Stock {
        let places = shelves.iter().enumerate().map(|(i, s)| (s.toy.name.clone(), i)).collect();
        Stock {
            shelves,
            places,
            position,
            synced: position,
            fence: Epoch(0),
            settled: Some(OrderNumber(0)),
            sales: BTreeMap::new(),
            refusals: Refusals::default(),
            incarnation: Incarnation::default(),
            sells_for: None,
        }
    }

    /// A new incarnation of the catalog begins with this stock, which is all on disk.
    pub fn begin(&mut self, incarnation: Incarnation) {
        self.incarnation = incarnation;
        self.synced(self.position);
    }

    /// Every record up to this position is on disk.
    pub fn synced(&mut self, position: u64) {
        self.synced = self.synced.max(position);
    }

    /// The shelves, in the order of the database.
    pub fn shelves(&self) -> &[Shelf] {
        &self.shelves
    }

    /// The shelves that follow the one of this toy, in the order of the database; without one, all.
    pub fn shelves_after(&self, name: Option<&ToyName>) -> Result<&[Shelf]> {
        let first = name.map_or(Ok(0), |name| self.place(name).map(|place| place + 1))?;
        Ok(&self.shelves[first..])
    }

    /// The position of the last record.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The place of a toy among the shelves.
    pub fn place(&self, name: &str) -> Result<usize> {
        self.places.get(name).copied().ok_or(Error::UnknownToy)
    }

    /// One toy and its books.
    pub fn look_up(&self, name: &str) -> Result<&Shelf> {
        self.place(name).map(|place| &self.shelves[place])
    }

    /// Sells for orders, each for itself, at the request of the leader of `epoch`, whose log had none of the keys up to
    /// `logged`.
    pub fn purchase(
        &mut self,
        epoch: Epoch,
        logged: OrderNumber,
        purchases: Vec<Purchase>,
    ) -> Result<(Reserved, Vec<Record>)> {
        self.check_epoch(epoch)?;
        if self.sells_for != Some(epoch) {
            return Err(closed());
        }
        if let Some(settled) = self.settled.filter(|settled| logged < *settled) {
            return Err(Error::unavailable(format!(
                "the orders up to {settled} are settled, and the keys were looked for up to {logged}"
            )));
        }
        let mut records = Vec::with_capacity(purchases.len());
        let mut sell_one = |purchase: Purchase| self.sell(epoch, purchase, &mut records).into();
        let outcomes = purchases.into_iter().map(&mut sell_one).collect();
        let (incarnation, position) = (self.incarnation, self.position);
        Ok((Reserved { incarnation, position, outcomes }, records))
    }

    /// Whether `durable` can be answered once the records up to this position are synced: an error if another incarnation
    /// had them, which may have lost them.
    pub fn check_durable(&self, incarnation: Incarnation, position: u64) -> Result<()> {
        if incarnation != self.incarnation || position > self.position {
            return Err(Error::unavailable("the catalog has started again"));
        }
        Ok(())
    }

    fn sell(
        &mut self,
        epoch: Epoch,
        purchase: Purchase,
        records: &mut Vec<Record>,
    ) -> Result<Sold> {
        if let Some(sale) = self.sales.get(&purchase.key) {
            if sale.item != purchase.item {
                return Err(Error::KeyReused);
            }
            return Ok(Sold { cost: self.cost(&sale.item)?, version: sale.version });
        }
        self.refusals.check(&purchase)?;
        let version = self
            .check_stock(&purchase.item)
            .inspect_err(|refusal| self.refusals.note(purchase.id, refusal))?;
        let cost = self.cost(&purchase.item)?;
        let Purchase { key, item, .. } = purchase;
        let record = Record::Sale { epoch, key, item, version };
        self.apply(&record);
        records.push(record);
        Ok(Sold { cost, version })
    }

    /// Sells by hand, outside any order.
    pub fn withdraw(&mut self, item: Item) -> Result<(Sold, Record)> {
        if self.may_lack_sales() {
            return Err(closed());
        }
        let version = self.check_stock(&item)?;
        let cost = self.cost(&item)?;
        let record = Record::Withdraw { item, version };
        self.apply(&record);
        Ok((Sold { cost, version }, record))
    }

    /// Which incarnation this is, and which orders are settled.
    pub fn standing(&self) -> Standing {
        Standing { incarnation: self.incarnation, settled: self.settled }
    }

    /// A leader compares its log with the open sales. Orders that are neither settled nor open lost their sale with the
    /// end of a journal: they are sold again. When the records are synced and their changes out of every cache,
    /// [`open`](Stock::open) follows.
    pub fn reconcile(&mut self, asked: &Reconcile) -> Result<Vec<Record>> {
        let Reconcile { epoch, incarnation, after, ref entries } = *asked;
        self.check_epoch(epoch)?;
        if incarnation != self.incarnation {
            return Err(Error::unavailable("the catalog has started again"));
        }
        let logged = OrderNumber(after.0 + entries.len() as u64);
        // An unclean election has lost orders. With an epoch that is known it may be an old copy of the question.
        let has_lost = epoch > self.fence && self.settled.is_some_and(|settled| logged < settled);
        let settled = if has_lost { logged } else { self.settled.unwrap_or(after) };
        if after > settled {
            return Err(Error::unavailable(format!(
                "the orders from {settled} on are not settled"
            )));
        }
        let numbered = (after.0 + 1..).zip(entries);
        let lacking = |(number, entry): &(u64, &Open)| {
            *number > settled.0 && !self.sales.contains_key(&entry.key)
        };
        let lost: Vec<Open> = numbered.filter(lacking).map(|(_, entry)| entry.clone()).collect();
        self.check_fit(&lost)?;
        // A repetition does not interrupt the sales.
        if self.sells_for != Some(epoch) || !lost.is_empty() {
            self.sells_for = None;
        }
        let settle = |through| Record::Settle { through, keys: vec![] };
        let mut records = Vec::new();
        records.extend(has_lost.then(|| settle(None)));
        records.extend((epoch > self.fence).then_some(Record::Office(epoch)));
        records.extend((has_lost || self.settled.is_none()).then(|| settle(Some(settled))));
        self.apply_all(&records);
        for Open { key, item } in lost {
            let version = self.look_up(&item.name)?.toy.version + 1;
            let record = Record::Sale { epoch, key, item, version };
            self.apply(&record);
            records.push(record);
        }
        Ok(records)
    }

    /// The records up to `position` are synced, and with them everything that `asked` brought: sales for its epoch begin,
    /// unless a newer leader came meanwhile.
    pub fn open(&mut self, asked: &Reconcile, position: u64) -> Result<Reconciled> {
        self.check_epoch(asked.epoch)?;
        self.synced(position);
        self.sells_for = Some(asked.epoch);
        let sent: HashSet<&Key> = asked.entries.iter().map(|entry| &entry.key).collect();
        let lacking =
            |(key, sale): &(&Key, &Sale)| sale.position <= position && !sent.contains(key);
        Ok(Reconciled { open: self.sales_where(lacking), position, sold: Some(self.sold()) })
    }

    /// From now on nothing is sold. Returns the position of the last open sale, whose leader still waits for the disk.
    pub fn close(&mut self) -> u64 {
        self.sells_for = None;
        self.sales.values().map(|sale| sale.position).max().unwrap_or(0)
    }

    /// These orders are committed: their keys are forgotten. The record is `None` for a repetition.
    pub fn settle(&mut self, asked: Settle) -> Result<Option<Record>> {
        let Settle { after, through, mut keys } = asked;
        let settled = self.settled.filter(|settled| after <= *settled).ok_or_else(|| {
            Error::unavailable(format!("the orders up to {after} are not settled yet"))
        })?;
        keys.retain(|key| self.sales.contains_key(key));
        if through <= settled && keys.is_empty() {
            return Ok(None);
        }
        let record = Record::Settle { through: Some(through.max(settled)), keys };
        self.apply(&record);
        Ok(Some(record))
    }

    /// The books of these shelves, and the open sales, for the audit.
    pub fn books(&self, shelves: &[Shelf]) -> Books {
        let toys = shelves.iter().map(Shelf::book).collect();
        Books {
            position: self.position,
            toys,
            open: self.sales_where(|_| true),
            settled: self.settled,
        }
    }

    /// Some of the open sales, in the order they were made.
    fn sales_where(&self, wanted: impl FnMut(&(&Key, &Sale)) -> bool) -> Vec<Open> {
        let mut sales: Vec<_> = self.sales.iter().filter(wanted).collect();
        sales.sort_by_key(|(_, sale)| sale.position);
        let open = |(key, sale): (&Key, &Sale)| Open { key: key.clone(), item: sale.item.clone() };
        sales.into_iter().map(open).collect()
    }

    /// Restocks up to `target`.
    pub fn restock(&mut self, which: Restocked, target: u64) -> Vec<Record> {
        let may_lower = !self.may_lack_sales();
        let wanting = |shelf: &&Shelf| match which {
            Restocked::SoldOut => shelf.toy.quantity == 0 && target > 0,
            Restocked::Reset if may_lower => shelf.toy.quantity != target,
            Restocked::All | Restocked::Reset => shelf.toy.quantity < target,
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
        let may_lack_sales = self.may_lack_sales();
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
                if quantity < toy.quantity && may_lack_sales {
                    return Err(closed());
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
        let (position, synced) = (self.position, self.synced);
        match record {
            Record::Sale { item, version, .. } => {
                self.change(&item.name, *version, |shelf| {
                    shelf.toy.quantity = shelf.toy.quantity.saturating_sub(item.quantity.get());
                    shelf.sold += item.quantity.get();
                });
                self.note(position, record);
            }
            Record::Withdraw { item, version } => self.change(&item.name, *version, |shelf| {
                shelf.toy.quantity = shelf.toy.quantity.saturating_sub(item.quantity.get());
                shelf.withdrawn += item.quantity.get();
            }),
            Record::Restock { name, quantity, version } => {
                self.change(name, *version, |shelf| shelf.restock(*quantity, position, synced));
            }
            Record::Put { name, price, quantity, version } => {
                if !self.places.contains_key(name) {
                    self.places.insert(name.clone(), self.shelves.len());
                    self.shelves.push(Shelf::new(name.clone(), *price, *quantity));
                    self.change(name, *version, |shelf| {
                        (shelf.added, shelf.added_at) = (*quantity, position);
                    });
                }
                self.change(name, *version, |shelf| {
                    shelf.restock(*quantity, position, synced);
                    shelf.toy.price = *price;
                });
            }
            Record::Office(_) | Record::Settle { .. } => self.note(position, record),
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
        } else {
            self.note(position, record);
        }
        Ok(())
    }

    /// The journal was written by an earlier version of the store: see [`Standing`].
    pub fn is_of_an_earlier_version(&mut self) {
        self.settled = None;
    }

    /// The records, with their positions, with which a journal that follows the current shelves must
    /// begin: the fence, the number of settled orders, and the open sales.
    pub fn carried(&self) -> Vec<(u64, Record)> {
        let settled = Record::Settle { through: self.settled, keys: vec![] };
        let mut records = vec![(0, Record::Office(self.fence)), (0, settled)];
        let mut sales: Vec<_> = self.sales.iter().collect();
        sales.sort_by_key(|(_, sale)| sale.position);
        for (key, Sale { position, epoch, item, version }) in sales {
            let (epoch, version) = (*epoch, *version);
            let record = Record::Sale { epoch, key: key.clone(), item: item.clone(), version };
            records.push((*position, record));
        }
        records
    }

    /// The total quantity sold for orders.
    pub fn sold(&self) -> u64 {
        self.shelves.iter().map(|shelf| shelf.sold).sum()
    }

    /// The number of open sales.
    pub fn open_count(&self) -> usize {
        self.sales.len()
    }

    fn check_epoch(&self, epoch: Epoch) -> Result<()> {
        if epoch < self.fence { Err(Error::Stale { epoch: self.fence.0 }) } else { Ok(()) }
    }

    /// Whether a leader's log may have orders whose sale was lost, so that the stock must not become less. Not before
    /// the first leader has taken office.
    fn may_lack_sales(&self) -> bool {
        self.sells_for.is_none() && self.fence > Epoch(0)
    }

    /// Whether there is enough; the toy's version after the sale.
    fn check_stock(&self, item: &Item) -> Result<u64> {
        let found = self.look_up(&item.name)?;
        if found.sellable(self.synced) < item.quantity.get() {
            return Err(Error::NotEnoughStock);
        }
        Ok(found.toy.version + 1)
    }

    /// An error if these orders cannot all be sold again. They were sold before, so then the journal lost rows that were
    /// synced.
    fn check_fit(&self, lost: &[Open]) -> Result<()> {
        let mut wanted: BTreeMap<&ToyName, u64> = BTreeMap::new();
        for Open { item, .. } in lost {
            *wanted.entry(&item.name).or_default() += item.quantity.get();
        }
        for (name, quantity) in wanted {
            let left = self.look_up(name).map_or(0, |shelf| shelf.sellable(self.synced));
            if left < quantity {
                return Err(Error::invalid(format!(
                    "the orders have {quantity} {name} that the journal has not, and {left} are left: the journal lost rows \
                     at its end; restore what the catalog keeps from a backup, or restock {name}"
                )));
            }
        }
        Ok(())
    }

    fn cost(&self, item: &Item) -> Result<Price> {
        let unit = self.look_up(&item.name)?.toy.price.0;
        Ok(Price(unit.saturating_mul(item.quantity.get())))
    }

    fn change(&mut self, name: &str, version: u64, change: impl FnOnce(&mut Shelf)) {
        if let Ok(place) = self.place(name) {
            let changed = &mut self.shelves[place];
            change(changed);
            changed.toy.version = version;
            changed.changed_at = self.position;
        }
    }

    /// What a record changes besides the shelves.
    fn note(&mut self, position: u64, record: &Record) {
        match record {
            Record::Office(epoch) => self.fence = self.fence.max(*epoch),
            Record::Settle { through, keys } => {
                self.settled = through.map(|number| self.settled.map_or(number, |n| n.max(number)));
                for key in keys {
                    self.sales.remove(key);
                }
            }
            Record::Sale { epoch, key, item, version } => {
                let (epoch, item, version) = (*epoch, item.clone(), *version);
                self.sales.insert(key.clone(), Sale { position, epoch, item, version });
            }
            Record::Withdraw { .. } | Record::Restock { .. } | Record::Put { .. } => {}
        }
    }
}

fn closed() -> Error {
    Error::unavailable("the catalog is closed until a leader has compared its log with the journal")
}
