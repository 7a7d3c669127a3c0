//! A purchase on its way from the front-end to the leader and from there to the catalog, and what both
//! remember of purchases that may come twice. Pure.
//!
//! - A caller says with every call which of its earlier calls are finished (RIFL, SOSP 2015): these it
//!   never sends again, and whatever of them still comes is a late duplicate.
//! - A refusal is remembered until its call is finished: its late duplicate, arriving after a restock,
//!   must not sell what the customer was told is sold out.
//! - For refusals no disk is needed: a late duplicate waits in a connection to this process, and dies
//!   with it.

use crate::error::{Error, Result};
use crate::model::{CallId, Epoch, Item, Key};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One purchase. The leader passes it on as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Purchase {
    /// Of the view in which it was sent. Leader and catalog refuse an older one than they know.
    pub epoch: Epoch,
    /// The call for it.
    pub call: CallId,
    /// The lowest sequence that the caller still has in flight.
    pub ack_below: u64,
    /// The purchase's identity, the same in every call for it.
    pub key: Key,
    /// What is bought.
    pub item: Item,
}

impl Purchase {
    /// How far its caller says to have got.
    pub fn progress(&self) -> Caller {
        Caller { incarnation: self.call.incarnation, ack_below: self.ack_below }
    }
}

/// How far a caller has got: all its calls before this one are finished.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Caller {
    /// Since when its sequences count; all calls of earlier incarnations are finished.
    pub incarnation: Epoch,
    /// The lowest sequence that is not finished.
    pub ack_below: u64,
}

impl Caller {
    /// Whether this call of that caller is finished.
    pub fn has_finished(self, call: CallId) -> bool {
        (call.incarnation, call.sequence) < (self.incarnation, self.ack_below)
    }
}

/// What was refused to calls that are not finished.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Refusals {
    refused: BTreeMap<CallId, Error>,
    callers: BTreeMap<u32, Caller>,
}

impl Refusals {
    /// A call has come, and says which others are finished. An error if it is to be refused: as it was
    /// before, or because it is finished itself.
    pub fn check(&mut self, purchase: &Purchase) -> Result<()> {
        let (call, said) = (purchase.call, purchase.progress());
        let caller = self.callers.entry(call.caller).or_default();
        if said > *caller {
            *caller = said;
            self.refused
                .retain(|other, _| other.caller != call.caller || !said.has_finished(*other));
        }
        if caller.has_finished(call) {
            return Err(late_duplicate());
        }
        self.refused.get(&call).cloned().map_or(Ok(()), Err)
    }

    /// A call was refused.
    pub fn note(&mut self, call: CallId, refusal: &Error) {
        self.refused.insert(call, refusal.clone());
    }
}

/// The answer to a call that is finished, for which nobody waits.
pub fn late_duplicate() -> Error {
    Error::invalid("a late duplicate of a call that is finished")
}
