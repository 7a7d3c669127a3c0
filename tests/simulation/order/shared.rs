//! The log in a database that all replicas share, as `src/order/{table,shared}.rs` and `src/storage/database` use it. A
//! commit may take effect when it is sent, or when its answer comes: a replica may die between the two.

use super::{Disk, Order};
use crate::context::Context;
use crate::wire::Timer;
use crate::world::{between, ms};
use std::cell::RefCell;
use std::rc::Rc;
use toystore::error::{Error, Result};
use toystore::model::{Entry, Epoch, Identity, Member, Moment, OrderNumber, ReplicaId, View};
use toystore::order::log::Log;

/// The tables, which are never lost.
#[derive(Debug, Clone, Default)]
pub struct Table(Rc<RefCell<Rows>>);

#[derive(Debug, Default)]
struct Rows {
    orders: Vec<Entry>,
    leaders: Vec<(Epoch, ReplicaId)>,
    term: u64,
}

/// A leadership that has taken the log.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    epoch: Epoch,
    term: u64,
}

fn identity() -> Identity {
    Identity("database".into())
}

/// A log that was taken, and is being read until this moment.
pub struct Loading {
    until: Moment,
    writer: Writer,
    orders: Vec<Entry>,
}

impl Table {
    pub fn orders(&self) -> Vec<Entry> {
        self.0.borrow().orders.clone()
    }

    pub fn has(&self, entry: &Entry) -> bool {
        self.find(entry.number).is_some_and(|found| found == *entry)
    }

    pub fn find(&self, number: OrderNumber) -> Option<Entry> {
        let place = usize::try_from(number.0.checked_sub(1)?).ok()?;
        self.0.borrow().orders.get(place).cloned()
    }

    /// `OrderTable::last_view`.
    pub fn last_view(&self) -> Option<View> {
        let (epoch, id) = *self.0.borrow().leaders.last()?;
        let leader = Member { id, identity: identity() };
        Some(View { epoch, leader: id, in_sync: vec![leader] })
    }

    /// `OrderTable::take`.
    fn take(&self, epoch: Epoch, id: ReplicaId) -> Result<Writer> {
        let mut rows = self.0.borrow_mut();
        match rows.leaders.last() {
            Some(last) if *last == (epoch, id) => {}
            Some((last, _)) if *last >= epoch => return Err(Error::Stale { epoch: last.0 }),
            _ => rows.leaders.push((epoch, id)),
        }
        rows.term += 1;
        Ok(Writer { epoch, term: rows.term })
    }

    /// Commits the orders after the first `after`, once. `false` if somebody else has taken the log.
    fn commit(&self, term: u64, after: usize, orders: &[Entry]) -> bool {
        let mut rows = self.0.borrow_mut();
        if rows.term != term {
            return false;
        }
        if rows.orders.len() == after {
            rows.orders.extend_from_slice(orders);
        }
        assert_eq!(rows.orders.len(), after + orders.len(), "there is one writer");
        true
    }
}

impl Order {
    /// `shared::load`, up to the reading.
    pub(super) fn take_log(&mut self, epoch: Epoch, context: &mut Context<'_>) {
        let Some(table) = &self.disk.table else { return };
        match table.take(epoch, self.replica.id()) {
            Ok(writer) => {
                context.note(|| format!("takes the log, {writer:?}"));
                let time = between(context.rng, &(ms(1)..ms(60)));
                self.office.paused_until = context.now + time;
                context.after(time, Timer::Wake);
                let (until, orders) = (context.now + time, table.orders());
                self.loading = Some(Loading { until, writer, orders });
            }
            Err(error) => {
                context.note(|| format!("does not lead: {error}"));
                self.replica.fenced(epoch);
            }
        }
    }

    /// The rest of it.
    pub(super) fn load_log(&mut self, context: &mut Context<'_>) {
        let read = self.loading.take_if(|loading| loading.until <= context.now);
        let Some(Loading { writer, orders, .. }) = read else { return };
        if !self.replica.is_loading(writer.epoch) {
            return;
        }
        self.disk.entries = orders;
        self.disk.durable = self.disk.entries.len();
        self.disk.generation += 1;
        self.disk.writer = Some(writer);
        self.replica.loaded(self.disk.log());
    }
}

impl Disk {
    /// Of a replica that keeps nothing of its own. Its entries are those that it has loaded or appended as a leader.
    pub fn sharing(id: ReplicaId, table: &Table) -> Disk {
        let (identity, view) = (identity(), table.last_view());
        Disk { identity, view, table: Some(table.clone()), ..Disk::new(id, 0) }
    }

    /// Whether a write to this disk takes effect. The leadership that has lost the log is returned once.
    pub(super) fn commit(&mut self, upto: usize) -> Result<(), Epoch> {
        let (Some(table), Some(Writer { epoch, term })) = (&self.table, self.writer) else {
            return Ok(());
        };
        let batch = self.entries.get(self.durable..upto).unwrap_or_default();
        if table.commit(term, self.durable, batch) {
            return Ok(());
        }
        self.writer = None;
        Err(epoch)
    }

    /// A commit takes effect, and its answer is still on its way.
    pub(super) fn commit_unanswered(&self, upto: usize) {
        if let (Some(table), Some(writer)) = (&self.table, self.writer) {
            table.commit(writer.term, self.durable, &self.entries[self.durable..upto]);
        }
    }

    /// A log of its entries.
    pub(super) fn log(&self) -> Log {
        let mut log = Log::default();
        for entry in &self.entries {
            log.push(entry.clone()).expect("a file holds what a log held");
        }
        log
    }
}
