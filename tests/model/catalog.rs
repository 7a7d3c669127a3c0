//! The catalog as a process with a disk: it handles one message in one step, as `catalog::service` does, and its sync is a
//! step of its own. Called by [`steps`](crate::steps); [`properties`](crate::properties) looks at its journal.

use crate::store::item;
use std::collections::BTreeSet;
use std::sync::Arc;
use toystore::catalog::record::Record;
use toystore::catalog::shelf::Shelf;
use toystore::catalog::stock::{Restocked, Stock};
use toystore::error::{Error, Result};
use toystore::model::{Epoch, Key, OrderNumber, Price};
use toystore::protocol::catalog::{Incarnation, Reconcile, Reconciled, Settle, Sold};
use toystore::protocol::purchase::Purchase;

/// The stock, and its journal from the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Catalog {
    pub stock: Stock,
    pub records: Arc<Vec<Record>>,
    /// The records up to this position are on disk.
    pub synced: u64,
    /// Reconciles that wait until the journal is synced up to a position.
    pub opening: Vec<(u64, Reconcile)>,
    /// How far the journal of each dead incarnation was synced.
    dead: Vec<u64>,
    /// The first quantity of the toy.
    pub initial: u64,
    /// The orders that were sold again because their sale was lost.
    pub sold_again: BTreeSet<Key>,
}

impl Catalog {
    /// A new catalog.
    pub fn new(initial: u64) -> Catalog {
        Catalog {
            stock: start(initial, &[], Incarnation(1)),
            records: Arc::default(),
            synced: 0,
            opening: vec![],
            dead: vec![],
            initial,
            sold_again: BTreeSet::new(),
        }
    }

    pub fn incarnation(&self) -> Incarnation {
        self.stock.standing().incarnation
    }

    /// A purchase arrives. Returns the outcome, and the position on which it rests.
    pub fn purchase(
        &mut self,
        logged: OrderNumber,
        purchase: Purchase,
    ) -> Result<(Result<Sold>, u64)> {
        let (mut reserved, records) =
            self.stock.purchase(purchase.epoch, logged, vec![purchase])?;
        self.write(records);
        let outcome = reserved.outcomes.pop().ok_or_else(|| Error::invalid("no outcome"))?;
        Ok((outcome.into(), reserved.position))
    }

    /// A leader's question arrives; [`open`](Catalog::open) follows when its records are synced.
    pub fn reconcile(&mut self, asked: &Reconcile) -> Result<()> {
        let records = self.stock.reconcile(asked)?;
        let again = records.iter().filter_map(sale).cloned();
        self.sold_again.extend(again);
        self.write(records);
        if self.opening.iter().all(|(_, waiting)| waiting != asked) {
            self.opening.push((self.stock.position(), asked.clone()));
        }
        Ok(())
    }

    /// A question that waited for the sync is answered.
    pub fn open(&mut self, at: usize) -> (Reconcile, Result<Reconciled>) {
        let (position, asked) = self.opening.remove(at);
        let answer = self.stock.open(&asked, position);
        (asked, answer)
    }

    pub fn settle(&mut self, asked: Settle) -> Result<()> {
        let record = self.stock.settle(asked)?;
        self.write(record);
        Ok(())
    }

    /// `None` if the shelf is full.
    pub fn restock(&mut self) -> Option<()> {
        let records = self.stock.restock(Restocked::All, self.initial);
        (!records.is_empty()).then(|| self.write(records))
    }

    /// `None` if that is refused.
    pub fn withdraw(&mut self) -> Option<()> {
        let (_, record) = self.stock.withdraw(item()).ok()?;
        self.write([record]);
        Some(())
    }

    /// The journal is synced.
    pub fn sync(&mut self) {
        self.synced = self.records.len() as u64;
        self.stock.synced(self.synced);
    }

    /// How far the journal of this incarnation is synced, or was when it died.
    pub fn durable(&self, incarnation: Incarnation) -> u64 {
        let at = usize::try_from(incarnation.0 - 1).expect("a small number");
        self.dead.get(at).copied().unwrap_or(self.synced)
    }

    /// It is killed, keeps this many records, and starts.
    pub fn restart(&mut self, kept: u64) {
        self.dead.push(self.synced);
        let kept_len = usize::try_from(kept).expect("a small number");
        Arc::make_mut(&mut self.records).truncate(kept_len);
        self.synced = kept;
        self.opening.clear();
        self.stock = start(self.initial, &self.records, Incarnation(self.incarnation().0 + 1));
    }

    /// The records that are on disk.
    pub fn durable_records(&self) -> &[Record] {
        &self.records[..usize::try_from(self.synced).expect("a small number")]
    }

    /// Whether it sells for this epoch.
    pub fn sells_for(&self, epoch: Epoch) -> bool {
        self.stock.clone().purchase(epoch, OrderNumber(u64::MAX), vec![]).is_ok()
    }

    fn write(&mut self, records: impl IntoIterator<Item = Record>) {
        Arc::make_mut(&mut self.records).extend(records);
    }
}

/// It starts with this journal, which it replaces by a snapshot and a short journal.
fn start(initial: u64, records: &[Record], incarnation: Incarnation) -> Stock {
    let mut old = Stock::new(vec![Shelf::new(item().name, Price(1), initial)], 0);
    for (position, record) in (1..).zip(records) {
        old.replay(position, record).expect("a journal has no gap");
    }
    let mut stock = Stock::new(old.shelves().to_vec(), old.position());
    for (position, record) in old.carried() {
        stock.replay(position, &record).expect("a journal has no gap");
    }
    stock.begin(incarnation);
    stock
}

/// The key of a sale for an order.
pub fn sale(record: &Record) -> Option<&Key> {
    match record {
        Record::Sale { key, .. } => Some(key),
        _ => None,
    }
}

/// The highest epoch for which these records have a fence.
pub fn fence(records: &[Record]) -> Epoch {
    let epoch = |record: &Record| match record {
        Record::Office(epoch) => Some(*epoch),
        _ => None,
    };
    records.iter().filter_map(epoch).max().unwrap_or(Epoch(0))
}

/// The orders up to this one are settled by these records.
pub fn settled(records: &[Record]) -> OrderNumber {
    let through = |record: &Record| match record {
        Record::Settle { through, .. } => *through,
        _ => None,
    };
    records.iter().filter_map(through).max().unwrap_or(OrderNumber(0))
}
