//! The messages of the catalog.

use super::answers::Answer;
use super::purchase::Purchase;
use crate::error::{Error, Result};
use crate::model::{Epoch, Item, Key, Price, ToyName};
use serde::{Deserialize, Serialize};

/// The most toys of a store. Every program is tested with this number (C7, `tests/many_toys.rs`).
pub const TOYS_MAX: usize = 100_000;

/// The most toys of a page for a customer, and of the status and metrics of a service.
pub const PAGE_TOYS_MAX: usize = 1_000;

/// The most toys in one answer here. With the longest names they take less than half of a frame.
pub const ANSWER_TOYS_MAX: usize = 10_000;

/// On the request address, where customers' traffic goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method_name", rename_all = "snake_case")]
pub enum Request {
    /// Is the catalog up? Answer: `null`.
    HealthCheck,
    /// One toy. Sent by the front-end on a cache miss. Answer: [`Toy`](crate::model::Toy).
    Query {
        /// Its name.
        name: ToyName,
    },
    /// The toys, in the order of the database. Answer: a list of [`Toy`](crate::model::Toy); `UnknownToy` if there is no toy `after`.
    List {
        /// Those that follow this one; `None` for the first.
        #[serde(default)]
        after: Option<ToyName>,
        /// At most so many; never more than [`ANSWER_TOYS_MAX`].
        #[serde(default)]
        limit: Option<usize>,
    },
    /// The books of each toy, [`ANSWER_TOYS_MAX`] at a time. Sent by the audit. Answer: [`Books`].
    Books {
        /// As in `List`.
        #[serde(default)]
        after: Option<ToyName>,
    },
    /// Sell, each independently. Sent by the leader, and sent again with the same keys until there is an
    /// answer. The catalog's sync of a sale decides: from then on the sale is rolled forward into the order
    /// log, never back. Answer: [`Sales`].
    Purchase {
        /// All that waited when the call was made.
        purchases: Vec<Purchase>,
    },
}

/// A change of a toy by the operator: `PUT /products/<name>` at the request address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// Adds a toy with a new name.
    Add {
        /// Its price.
        price: Price,
        /// Its quantity, at most [`STOCK_MAX`].
        quantity: u64,
    },
    /// Sets the given values.
    Change {
        /// Its price.
        price: Option<Price>,
        /// Its quantity, at most [`STOCK_MAX`].
        restock: Option<u64>,
    },
}

/// An error if this is too many toys for a store.
pub fn check_count(toys: usize) -> Result<()> {
    if toys > TOYS_MAX {
        return Err(Error::invalid(format!("a store has at most {TOYS_MAX} toys")));
    }
    Ok(())
}

/// The highest quantity of a toy when it is added or restocked.
pub const STOCK_MAX: u64 = 1_000_000_000;

/// An error if a toy may not be restocked to this quantity.
pub fn check_stock(quantity: u64) -> Result<u64> {
    if quantity > STOCK_MAX {
        let why = format!("quantity is {quantity}, expected a whole number from 0 to {STOCK_MAX}");
        return Err(Error::invalid(why));
    }
    Ok(quantity)
}

/// A sale that was made and synced, and whose change is out of every front-end's cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sold {
    /// Price × quantity.
    pub cost: Price,
    /// The toy's version after the sale.
    pub version: u64,
}

/// The answer to [`Request::Purchase`]: the outcome of each, in order.
pub type Sales = Vec<Answer<Sold>>;

/// On the peer address, which never waits behind customers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method_name", rename_all = "snake_case")]
pub enum Peer {
    /// Is the catalog up? Answer: `null`.
    HealthCheck,
    /// A new leader takes office: the catalog refuses every older epoch from now on. Answer: [`Office`], once that is
    /// on disk and the changes of the open purchases are out of every cache. May be repeated in the same epoch.
    TakeOffice {
        /// The leader's epoch.
        epoch: Epoch,
    },
    /// These purchases are committed orders now, so the catalog need not keep them open.
    Settle {
        /// The leader's epoch.
        epoch: Epoch,
        /// Their keys.
        keys: Vec<Key>,
    },
    /// What changed? The call also acknowledges all changes before and renews the front-end's lease. The answer is
    /// held back until something changes, at most [`CHANGES_HELD_MS`]. Answer: [`Changes`], or `Unavailable` if the
    /// subscription is unknown.
    Changes {
        /// One subscription of one front-end, a random number; a new one starts with an empty cache.
        subscription: u64,
        /// Every change up to this one is out of the cache. `None` begins the subscription; repeated,
        /// it changes nothing.
        acknowledged: Option<u64>,
    },
}

/// How long the catalog holds back an answer to [`Peer::Changes`] when nothing changes.
pub const CHANGES_HELD_MS: u64 = 100;

/// Purchases that are synced but not known to be in the order log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Office {
    /// In the order they were made.
    pub open: Vec<Open>,
    /// The total quantity sold for orders. The leader's log has the same total once the open sales are rolled
    /// forward, unless one of the two files lost complete rows at its end.
    #[serde(default)]
    pub sold: Option<u64>,
}

/// One open purchase.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Open {
    /// Its key.
    pub key: Key,
    /// What was bought.
    pub item: Item,
}

/// The books of all toys, or of a part of them, for an audit; all at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Books {
    /// The number of all changes so far. Two parts are of one moment if it is the same in both.
    pub position: u64,
    /// Each toy.
    pub toys: Vec<Book>,
    /// Purchases that are counted as sold, and may not be in the order log yet.
    pub open: Vec<Open>,
}

/// The books of one toy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// The toy.
    pub name: ToyName,
    /// The quantity in stock.
    pub quantity: u64,
    /// The first quantity.
    pub initial: u64,
    /// Added by restocking; negative if a reset took some away.
    pub restocked: i64,
    /// Taken by orders.
    pub sold: u64,
    /// Taken by hand, outside any order.
    pub withdrawn: u64,
}

impl Book {
    /// Whether initial + restocked − sold − withdrawn = quantity.
    pub fn balances(&self) -> bool {
        let sum = |n: u64| i128::from(n);
        sum(self.initial) + i128::from(self.restocked) - sum(self.sold) - sum(self.withdrawn)
            == sum(self.quantity)
    }
}

/// Toys that a cache must drop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// To be acknowledged with the next call.
    pub up_to: u64,
    /// The changed toys, with the oldest version that is still valid.
    pub invalidate: Vec<Change>,
}

/// One changed toy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Change {
    /// The toy.
    pub name: ToyName,
    /// Its version now.
    pub version: u64,
}
