//! The order log in memory: a window of entries that ends with the last one. A log in a file begins with order 1. Of one
//! in a database the old entries are in the database only, and here is what is known of them all: the [`Past`]. Pure.
//! Used by [`Replica`](super::replica::Replica), and made by those who read a log.
//!
//! Invariants, asserted where entries come in:
//! - Numbers are 1, 2, 3 … without gap; the window begins after the past.
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

/// Old entries are forgotten when there are this many, so that each is moved in memory a few times only.
const FORGOTTEN_AT_ONCE: usize = KEYS_KEPT / 10;

/// What is known of the orders before a window: orders 1 to `last`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Past {
    /// The last of them; 0 if there is none.
    pub last: OrderNumber,
    /// Its epoch; 0 if there is none.
    pub epoch: Epoch,
    /// How many toys they are for, together.
    pub ordered: u64,
}

/// The entries after `past`, found by number and, the recent ones, by key.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Log {
    past: Past,
    entries: Vec<Entry>,
    keys: HashMap<Key, OrderNumber>,
    /// For each epoch of the entries, ascending, the last number of it.
    epochs: Vec<(Epoch, OrderNumber)>,
    /// How many toys all orders are for, those of the past included.
    ordered: u64,
}

/// Only what the tables are made from is compared.
impl Hash for Log {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.past.hash(state);
        self.entries.hash(state);
    }
}

impl Log {
    /// A log of which no entry after the past is known yet.
    pub fn after(past: Past) -> Log {
        Log { past, ordered: past.ordered, ..Log::default() }
    }

    /// What is before the entries.
    pub fn past(&self) -> &Past {
        &self.past
    }

    /// How many toys all orders are for.
    pub fn ordered(&self) -> u64 {
        self.ordered
    }

    /// The last number; 0 if empty.
    pub fn last(&self) -> OrderNumber {
        OrderNumber(self.past.last.0 + self.entries.len() as u64)
    }

    /// The epoch of the last entry; 0 if empty.
    pub fn last_epoch(&self) -> Epoch {
        self.entries.last().map_or(self.past.epoch, |entry| entry.epoch)
    }

    /// Entry `number`.
    pub fn get(&self, number: OrderNumber) -> Option<&Entry> {
        number
            .0
            .checked_sub(1)
            .and_then(|before| self.entries.get(self.place(OrderNumber(before))?))
    }

    /// The epoch of entry `number`, if it is an entry or the last of the past. Without a past, that is number 0, which every
    /// log has.
    pub fn epoch_of(&self, number: OrderNumber) -> Option<Epoch> {
        if number == self.past.last {
            Some(self.past.epoch)
        } else {
            self.get(number).map(|entry| entry.epoch)
        }
    }

    /// At most `limit` entries after `number`, up to and including `through`. What is past is left out.
    pub fn between(&self, number: OrderNumber, through: OrderNumber, limit: usize) -> &[Entry] {
        let end = self.place(through).unwrap_or(0).min(self.entries.len());
        let start = self.place(number).unwrap_or(0).min(end);
        &self.entries[start..end.min(start.saturating_add(limit))]
    }

    /// How many entries there are up to this number; none for one of the past.
    fn place(&self, number: OrderNumber) -> Option<usize> {
        let entries = number.0.checked_sub(self.past.last.0)?;
        Some(usize::try_from(entries).unwrap_or(usize::MAX))
    }

    /// The order of a purchase, if it is among the last [`KEYS_MAX`].
    pub fn find(&self, key: &Key) -> Option<&Entry> {
        self.keys.get(key).and_then(|number| self.get(*number))
    }

    /// For each epoch of the entries, ascending, the last number of it.
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
        self.ordered += entry.item.quantity.get();
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
        let kept = self.place(number).unwrap_or(0).min(self.entries.len());
        self.ordered -= toys(&self.entries[kept..]);
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

    /// Makes the entries up to `number` past, but none that is found by key, and not before there are many of them.
    pub fn forget(&mut self, number: OrderNumber) {
        let old = self.entries.len().saturating_sub(KEYS_KEPT);
        let count = self.place(number).unwrap_or(0).min(old);
        if count < FORGOTTEN_AT_ONCE {
            return;
        }
        let Entry { number: last, epoch, .. } = self.entries[count - 1];
        let ordered = self.past.ordered + toys(&self.entries[..count]);
        self.past = Past { last, epoch, ordered };
        self.entries.drain(..count);
        self.epochs.retain(|(_, end)| *end > last);
    }
}

/// How many toys these orders are for.
fn toys(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| entry.item.quantity.get()).sum()
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
