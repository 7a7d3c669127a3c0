//! The messages of the catalog.

use super::answers::Answer;
use super::purchase::Purchase;
use crate::error::{Error, Result};
use crate::model::{Entry, Epoch, Item, Key, OrderNumber, Price, ToyName};
use crate::trace::context::Context;
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
    /// Sell, each independently. Sent by the leader, and sent again with the same keys until there is an answer, which
    /// does not wait for the disk. Answer: [`Reserved`]; `Unavailable` while the catalog is closed, or if the
    /// leader has to look for the keys in its log again.
    Purchase {
        /// The leader's epoch.
        epoch: Epoch,
        /// The last number of the log in which the leader did not find the keys.
        logged: OrderNumber,
        /// All that waited when the call was made.
        purchases: Vec<Purchase>,
    },
    /// Sync. Sent by the leader after [`Reserved`]. Answer: `null`, once every row up to the position is on disk and
    /// its change out of every cache; `Unavailable` if the catalog has started again since.
    Durable {
        /// Of the [`Reserved`].
        incarnation: Incarnation,
        /// Of the [`Reserved`].
        position: u64,
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

/// A sale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sold {
    /// Price × quantity.
    pub cost: Price,
    /// The toy's version after the sale.
    pub version: u64,
}

/// The time from one start of the catalog to the next. Rows that were not synced may be lost in between, so what one
/// incarnation has answered is valid in the next only if it was durable.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

/// The answer to [`Request::Purchase`]. It may be used as soon as the rows that it rests on are durable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reserved {
    /// The incarnation that answers.
    pub incarnation: Incarnation,
    /// The outcomes rest on rows of the journal up to this position.
    pub position: u64,
    /// The outcome of each purchase, in order: a sale, or the catalog's refusal.
    pub outcomes: Vec<Answer<Sold>>,
}

/// On the peer address, which never waits behind customers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method_name", rename_all = "snake_case")]
pub enum Peer {
    /// Is the catalog up? Answer: `null`.
    HealthCheck,
    /// Which incarnation is this, and which orders are settled? Answer: [`Standing`].
    Standing,
    /// A leader compares its log with the journal: on taking office, when the catalog has started again, and now and
    /// then. Answer: [`Reconciled`].
    Reconcile(Reconcile),
    /// These orders are committed, so the catalog can forget their keys. It needs no epoch: it states a fact. Answer:
    /// `null`; `Unavailable` if orders before them are not settled.
    Settle(Settle),
    /// What changed? The call also acknowledges all changes before and renews the front-end's lease. The answer is
    /// held back until something changes, at most [`CHANGES_HELD_MS`]. Answer: [`Changes`], or `Unavailable` if the
    /// subscription is unknown.
    Changes {
        /// One subscription of one front-end, a random number; a new one starts with an empty cache.
        subscription: u64,
        /// Every change up to this one is out of the cache. `None` begins the subscription; repeated,
        /// it changes nothing.
        acknowledged: Option<u64>,
        /// The caller's subscription before this one: its cache is empty. `None` if there was none.
        #[serde(default)]
        replaces: Option<u64>,
    },
}

/// How long the catalog holds back an answer to [`Peer::Changes`] when nothing changes.
pub const CHANGES_HELD_MS: u64 = 100;

/// The answer to [`Peer::Standing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Standing {
    /// The incarnation that answers.
    pub incarnation: Incarnation,
    /// The orders up to this one are settled. `None`: the journal was written by an earlier version of the store, which
    /// did not record the number. Then each order in a log has its sale on the catalog's disk.
    pub settled: Option<OrderNumber>,
}

/// A leader's log, as far as it is not settled. The catalog refuses every older epoch from now on, also after a
/// restart; it sells again the orders that it does not know; and it is closed until all of that is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reconcile {
    /// The leader's epoch.
    pub epoch: Epoch,
    /// As in [`Standing`]; another one is refused with `Unavailable`.
    pub incarnation: Incarnation,
    /// The number before the first entry.
    pub after: OrderNumber,
    /// The orders after it, in order, without gap.
    pub entries: Vec<Open>,
}

/// The answer to [`Reconcile`]: all of its entries and these open sales are on the catalog's disk and out of every
/// cache, and the catalog sells for the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reconciled {
    /// The sales that are open and not among the entries, in the order they were made.
    pub open: Vec<Open>,
    /// The journal is on disk up to this position.
    pub position: u64,
    /// The total quantity sold for orders. The leader's log has the same total once the open sales are in it,
    /// unless one of the two files lost synced rows at its end.
    #[serde(default)]
    pub sold: Option<u64>,
}

/// Committed orders, in a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Settle {
    /// The number before the first.
    pub after: OrderNumber,
    /// The number of the last.
    pub through: OrderNumber,
    /// Their keys; at most [`SETTLED_MAX`].
    pub keys: Vec<Key>,
}

/// The most keys in one [`Settle`]: with the longest keys they fit in a row of the journal.
pub const SETTLED_MAX: usize = 500;

/// A sale that is open: not known to be a committed order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Open {
    /// Its key.
    pub key: Key,
    /// What was bought.
    pub item: Item,
}

impl Open {
    /// The sale of an order.
    pub fn of(entry: &Entry) -> Open {
        Open { key: entry.key.clone(), item: entry.item.clone() }
    }
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
    /// As in [`Standing`]: a later order without an open sale lost its sale, and is sold again when the store starts.
    #[serde(default)]
    pub settled: Option<OrderNumber>,
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// To be acknowledged with the next call.
    pub up_to: u64,
    /// The changed toys, with the oldest version that is still valid.
    pub invalidate: Vec<Change>,
    /// The sampled purchases that changed them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<Context>,
}

/// One changed toy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Change {
    /// The toy.
    pub name: ToyName,
    /// Its version now.
    pub version: u64,
}
