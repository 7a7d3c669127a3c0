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
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};

/// How many of the last orders are found by key.
pub const KEYS_MAX: u64 = KEYS_KEPT as u64;
const KEYS_KEPT: usize = 100_000;

/// Entries 1 to `last`, found by number and, the recent ones, by key.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Log {
    entries: Vec<Entry>,
    keys: HashMap<Key, OrderNumber>,
    /// For each epoch in the log, ascending, the last number of it.
    epochs: Vec<(Epoch, OrderNumber)>,
}

/// Only the entries are compared: the tables are made from them.
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
        if self.keys.contains_key(&entry.key) {
            return Err(has_twin(&entry));
        }
        let key = entry.key.clone();
        self.restore(entry)?;
        self.keys.insert(key, self.last());
        if self.entries.len() > KEYS_KEPT {
            self.keys.remove(&self.entries[self.entries.len() - 1 - KEYS_KEPT].key);
        }
        Ok(())
    }

    /// Appends the next entry, as it was in a log before. It is found by key only after
    /// [`Log::restore_keys`], which needs to look at the last [`KEYS_MAX`] only.
    pub fn restore(&mut self, entry: Entry) -> Result<()> {
        let (number, epoch) = (self.last().next(), self.last_epoch());
        if entry.number != number || entry.epoch < epoch {
            return Err(follows_not(&entry, self.last(), epoch));
        }
        match self.epochs.last_mut() {
            Some((last, end)) if *last == entry.epoch => *end = number,
            _ => self.epochs.push((entry.epoch, number)),
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Has the last entries found by key.
    pub fn restore_keys(&mut self) {
        let recent = self.entries.iter().rev().take(KEYS_KEPT);
        self.keys = recent.map(|entry| (entry.key.clone(), entry.number)).collect();
    }

    /// Puts these entries in the place of all after `number`. If one of them would break an invariant, nothing
    /// is changed.
    pub fn replace_after(&mut self, number: OrderNumber, entries: Vec<Entry>) -> Result<()> {
        let (mut last, mut epoch) = (number, self.epoch_of(number).unwrap_or(Epoch(0)));
        let mut keys = HashSet::with_capacity(entries.len());
        for entry in &entries {
            if entry.number != last.next() || entry.epoch < epoch {
                return Err(follows_not(entry, last, epoch));
            }
            // `push` forgets an old key with each entry, so those before this one may have pushed the twin out.
            let is_known =
                |twin: &OrderNumber| *twin <= number && twin.0 + KEYS_MAX >= entry.number.0;
            if self.keys.get(&entry.key).is_some_and(is_known) || !keys.insert(&entry.key) {
                return Err(has_twin(entry));
            }
            (last, epoch) = (entry.number, entry.epoch);
        }
        drop(keys);
        if number < self.last() {
            self.cut_after(number);
        }
        entries.into_iter().try_for_each(|entry| self.push(entry))
    }

    /// Takes away every entry after `number`.
    pub fn cut_after(&mut self, number: OrderNumber) {
        let kept = usize::try_from(number.0).map_or(usize::MAX, |n| n);
        self.entries.truncate(kept);
        self.restore_keys();
        self.epochs.clear();
        for entry in &self.entries {
            match self.epochs.last_mut() {
                Some((epoch, end)) if *epoch == entry.epoch => *end = entry.number,
                _ => self.epochs.push((entry.epoch, entry.number)),
            }
        }
    }
}

fn follows_not(entry: &Entry, last: OrderNumber, epoch: Epoch) -> Error {
    Error::invalid(format!(
        "order {} of epoch {} cannot follow order {last} of epoch {epoch}",
        entry.number, entry.epoch
    ))
}

fn has_twin(entry: &Entry) -> Error {
    Error::invalid(format!("order {} has the key of another order: {}", entry.number, entry.key))
}
