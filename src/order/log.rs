//! The order log in memory. Pure. Used by [`Replica`](super::replica::Replica) only.
//!
//! Invariants, asserted where entries come in:
//! - Entry n is at place n: numbers are 1, 2, 3 … without gap.
//! - Epochs never fall.
//! - No key stands twice among the last [`KEYS_MAX`] entries.
//! - Two logs that have the same (number, epoch) somewhere are equal up to there, because one
//!   epoch has one leader, who appends in one order.

use crate::error::{Error, Result};
use crate::model::{Entry, Epoch, Key, OrderNumber};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};

/// How many of the last orders are found by key.
pub const KEYS_MAX: u64 = 100_000;

/// Entries 1 to `last`, found by number and, the recent ones, by key.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Log {
    entries: Vec<Entry>,
    keys: HashMap<Key, OrderNumber>,
    /// For each epoch in the log, ascending, the last number of it.
    epochs: Vec<(Epoch, OrderNumber)>,
}

/// The entries say it all: the tables are made from them.
impl Hash for Log {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.entries.hash(state);
    }
}

impl Log {
    /// The last number; 0 if empty.
    pub fn last(&self) -> OrderNumber {
        OrderNumber(self.entries.len() as u64)
    }

    /// The epoch of the last entry; 0 if empty.
    pub fn last_epoch(&self) -> Epoch {
        self.entries.last().map_or(Epoch(0), |entry| entry.epoch)
    }

    /// Entry `number`.
    pub fn get(&self, number: OrderNumber) -> Option<&Entry> {
        self.entries.get(usize::try_from(number.0.checked_sub(1)?).ok()?)
    }

    /// The epoch of entry `number`; epoch 0 for number 0, which every log has.
    pub fn epoch_of(&self, number: OrderNumber) -> Option<Epoch> {
        if number.0 == 0 { Some(Epoch(0)) } else { self.get(number).map(|entry| entry.epoch) }
    }

    /// At most `limit` entries after `number`, up to and including `through`.
    pub fn between(&self, number: OrderNumber, through: OrderNumber, limit: usize) -> &[Entry] {
        let index = |n: OrderNumber| usize::try_from(n.0).map_or(usize::MAX, |i| i);
        let end = index(through).min(self.entries.len());
        let start = index(number).min(end);
        &self.entries[start..end.min(start.saturating_add(limit))]
    }

    /// The order of a purchase, if it is among the last [`KEYS_MAX`].
    pub fn find(&self, key: &Key) -> Option<&Entry> {
        self.keys.get(key).and_then(|number| self.get(*number))
    }

    /// For each epoch in the log, ascending, the last number of it.
    pub fn epochs(&self) -> &[(Epoch, OrderNumber)] {
        &self.epochs
    }

    /// The last entry that this log and one with this table of epochs have in common (KIP-101).
    ///
    /// Entries of one epoch begin at the same number in every log, so in the newest epoch that both
    /// have, everything up to the smaller last number is common.
    pub fn last_common(&self, theirs: &[(Epoch, OrderNumber)]) -> OrderNumber {
        for (epoch, their_last) in theirs.iter().rev() {
            if let Ok(at) = self.epochs.binary_search_by_key(epoch, |(epoch, _)| *epoch) {
                return self.epochs[at].1.min(*their_last);
            }
        }
        OrderNumber(0)
    }

    /// Appends the next entry. Refuses one that would break an invariant, which only a damaged file
    /// or a faulty sender can ask for.
    pub fn push(&mut self, entry: Entry) -> Result<()> {
        let (number, epoch) = (self.last().next(), self.last_epoch());
        if entry.number != number || entry.epoch < epoch {
            return Err(Error::invalid(format!(
                "order {} of epoch {} cannot follow order {} of epoch {epoch}",
                entry.number,
                entry.epoch,
                self.last(),
            )));
        }
        if let Some(twin) = self.keys.get(&entry.key) {
            return Err(Error::invalid(format!(
                "order {number} has the key of order {twin}: {}",
                entry.key
            )));
        }
        match self.epochs.last_mut() {
            Some((last, end)) if *last == entry.epoch => *end = number,
            _ => self.epochs.push((entry.epoch, number)),
        }
        self.keys.insert(entry.key.clone(), number);
        self.entries.push(entry);
        if let Some(forgotten) = number.0.checked_sub(KEYS_MAX).map(OrderNumber)
            && let Some(entry) = self.get(forgotten)
        {
            let key = entry.key.clone();
            self.keys.remove(&key);
        }
        Ok(())
    }

    /// Takes away every entry after `number`.
    pub fn cut_after(&mut self, number: OrderNumber) {
        let kept = usize::try_from(number.0).map_or(usize::MAX, |n| n);
        let oldest_before = self.last().0.saturating_sub(KEYS_MAX);
        for entry in self.entries.drain(kept.min(self.entries.len())..) {
            self.keys.remove(&entry.key);
        }
        let oldest_now = self.last().0.saturating_sub(KEYS_MAX);
        for number in oldest_now + 1..=oldest_before.min(self.last().0) {
            let key = self.get(OrderNumber(number)).map(|entry| entry.key.clone());
            self.keys.extend(key.map(|key| (key, OrderNumber(number))));
        }
        self.epochs.clear();
        for entry in &self.entries {
            match self.epochs.last_mut() {
                Some((epoch, end)) if *epoch == entry.epoch => *end = entry.number,
                _ => self.epochs.push((entry.epoch, entry.number)),
            }
        }
    }
}
