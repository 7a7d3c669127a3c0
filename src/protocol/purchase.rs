//! A purchase in messages from the front-end to the leader and from the leader to the catalog, and what both
//! remember about purchases that may arrive twice. Pure.
//!
//! - A caller says with each purchase which of its earlier purchases are finished (RIFL, SOSP 2015). It never sends
//!   these again, so a message of a finished purchase is a late duplicate.
//! - A refusal is remembered until the purchase is finished: if its late duplicate arrives after a restock, it
//!   must not sell, because the customer was told that the toy is sold out.
//! - Refusals are not written to disk: a late duplicate waits in a connection to this process, and is lost
//!   when the process ends.

use crate::error::{Error, Result};
use crate::model::{Epoch, Item, Key, PurchaseId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most purchases in flight, at a front-end and at the leader. More are refused.
pub const PURCHASES_MAX: usize = 1_024;

/// One purchase. The leader passes it on unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Purchase {
    /// The epoch of the view in which it was sent. Leader and catalog refuse an epoch older than the one they know.
    pub epoch: Epoch,
    /// Its identity. It is the same in each attempt.
    pub id: PurchaseId,
    /// The lowest sequence that the caller still has in flight.
    pub ack_below: u64,
    /// The customer's key, or one made from `id`. A customer who repeats a purchase sends the same key.
    pub key: Key,
    /// What is bought.
    pub item: Item,
}

impl Purchase {
    /// Which purchases of its caller are finished, as the caller says.
    pub fn progress(&self) -> Caller {
        Caller { incarnation: self.id.incarnation, ack_below: self.ack_below }
    }
}

/// Which purchases of a caller are finished: all before this one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Caller {
    /// The caller's incarnation; all purchases of earlier incarnations are finished.
    pub incarnation: Epoch,
    /// The lowest sequence that is not finished.
    pub ack_below: u64,
}

impl Caller {
    /// Whether this purchase of that caller is finished.
    pub fn has_finished(self, id: PurchaseId) -> bool {
        (id.incarnation, id.sequence) < (self.incarnation, self.ack_below)
    }
}

/// The refusals of purchases that are not finished.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Refusals {
    refused: BTreeMap<PurchaseId, Error>,
    callers: BTreeMap<u32, Caller>,
}

impl Refusals {
    /// A purchase has arrived, and says which others are finished. An error if it must be refused: because it was refused
    /// before, or because it is finished itself.
    pub fn check(&mut self, purchase: &Purchase) -> Result<()> {
        let (id, said) = (purchase.id, purchase.progress());
        let caller = self.callers.entry(id.caller).or_default();
        if said > *caller {
            *caller = said;
            self.refused.retain(|other, _| other.caller != id.caller || !said.has_finished(*other));
        }
        if caller.has_finished(id) {
            return Err(late_duplicate());
        }
        self.refused.get(&id).cloned().map_or(Ok(()), Err)
    }

    /// A purchase was refused.
    pub fn note(&mut self, id: PurchaseId, refusal: &Error) {
        self.refused.insert(id, refusal.clone());
    }
}

/// The answer to a purchase that is finished; no caller waits for it.
pub fn late_duplicate() -> Error {
    Error::invalid("a late duplicate of a purchase that is finished")
}
