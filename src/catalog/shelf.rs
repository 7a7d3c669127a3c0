//! A shelf: one toy and its books. Pure; a part of [`Stock`](super::stock::Stock), which changes it.

use crate::model::{Price, Toy, ToyName};
use crate::protocol::catalog::Book;

/// A toy and its books.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shelf {
    /// The toy.
    pub toy: Toy,
    /// The first quantity.
    pub initial: u64,
    /// Added by restocking.
    pub restocked: i64,
    /// Taken by orders.
    pub sold: u64,
    /// Taken by hand at the catalog, outside any order.
    pub withdrawn: u64,
    /// The position of the last record that changed it.
    pub changed_at: u64,
    /// The part of the quantity that was added by restocks which may not be synced.
    pub added: u64,
    /// The position of the last of these restocks.
    pub added_at: u64,
}

impl Shelf {
    /// A toy with new books.
    pub fn new(name: ToyName, price: Price, quantity: u64) -> Shelf {
        let toy = Toy { name, price, quantity, version: 1 };
        Shelf {
            toy,
            initial: quantity,
            restocked: 0,
            sold: 0,
            withdrawn: 0,
            changed_at: 0,
            added: 0,
            added_at: 0,
        }
    }

    /// Sets the quantity, with the record at `position`.
    pub(super) fn restock(&mut self, quantity: u64, position: u64, synced: u64) {
        let kept = self.sellable(synced).min(quantity);
        self.restocked += quantity.cast_signed() - self.toy.quantity.cast_signed();
        self.toy.quantity = quantity;
        self.added = quantity - kept;
        if self.added > 0 {
            self.added_at = position;
        }
    }

    /// How many may be sold: without what was added by restocks after the position `synced`.
    pub(super) fn sellable(&self, synced: u64) -> u64 {
        let added = if self.added_at > synced { self.added } else { 0 };
        self.toy.quantity.saturating_sub(added)
    }

    /// Whether initial + restocked − sold − withdrawn = quantity.
    pub fn balances(&self) -> bool {
        self.book().balances()
    }

    /// Its books.
    pub fn book(&self) -> Book {
        Book {
            name: self.toy.name.clone(),
            quantity: self.toy.quantity,
            initial: self.initial,
            restocked: self.restocked,
            sold: self.sold,
            withdrawn: self.withdrawn,
        }
    }
}
