//! A record: one change of the stock. Pure: [`stock`](super::stock) makes records and applies them,
//! [`file`](super::file) stores them.

use crate::model::{Epoch, Item, Key, Price, ToyName};
use crate::protocol::purchase::{Caller, Purchase};

/// One change, as in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A sale for an order.
    Purchase {
        /// The purchase.
        purchase: Purchase,
        /// The toy's version after it.
        version: u64,
    },
    /// The purchase is a committed order.
    Settle(Key),
    /// An epoch took office.
    Office(Epoch),
    /// A toy was restocked.
    Restock {
        /// The toy.
        name: ToyName,
        /// Its quantity after it.
        quantity: u64,
        /// Its version after it.
        version: u64,
    },
    /// The operator added the toy, if it was not there, or changed it.
    Put {
        /// The toy.
        name: ToyName,
        /// Its price after it.
        price: Price,
        /// Its quantity after it.
        quantity: u64,
        /// Its version after it.
        version: u64,
    },
    /// A sale by hand.
    Withdraw {
        /// The toy and the quantity.
        item: Item,
        /// The toy's version after it.
        version: u64,
    },
    /// Which purchases of a caller are finished; only written at the start of a new journal.
    Caller {
        /// The caller.
        caller: u32,
        /// All its purchases before this are finished.
        progress: Caller,
    },
}

impl Record {
    /// The toy that it changes, and the toy's version after it.
    pub fn changed(&self) -> Option<(&ToyName, u64)> {
        match self {
            Record::Purchase { purchase, version } => Some((&purchase.item.name, *version)),
            Record::Withdraw { item, version } => Some((&item.name, *version)),
            Record::Restock { name, version, .. } | Record::Put { name, version, .. } => {
                Some((name, *version))
            }
            Record::Settle(_) | Record::Office(_) | Record::Caller { .. } => None,
        }
    }
}
