//! A record: one change of the stock. Pure: [`stock`](super::stock) makes records and applies them,
//! [`file`](super::file) stores them.

use crate::model::{Epoch, Item, Key, OrderNumber, Price, ToyName};

/// One change, as in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Record {
    /// A sale for an order.
    Sale {
        /// The epoch of the leader that asked for it.
        epoch: Epoch,
        /// The key of the purchase.
        key: Key,
        /// What was sold.
        item: Item,
        /// The toy's version after it.
        version: u64,
    },
    /// The orders up to `through` are committed, and these keys belong to them. One record for both: half of it would
    /// sell an order twice.
    Settle {
        /// The number; `None` in the journal of an earlier version, which did not record it.
        through: Option<OrderNumber>,
        /// The keys of sales that are not open any more.
        keys: Vec<Key>,
    },
    /// Leaders of older epochs are refused.
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
}

impl Record {
    /// The toy that it changes, and the toy's version after it.
    pub fn changed(&self) -> Option<(&ToyName, u64)> {
        match self {
            Record::Sale { item, version, .. } | Record::Withdraw { item, version } => {
                Some((&item.name, *version))
            }
            Record::Restock { name, version, .. } | Record::Put { name, version, .. } => {
                Some((name, *version))
            }
            Record::Settle { .. } | Record::Office(_) => None,
        }
    }
}
