//! What a store has, wherever it keeps it. Pure. Used by [`migration`](super), which reads it from one place, writes it to
//! another, and compares.

use crate::audit::check::{Evidence, check, reference};
use crate::catalog::stock::Stock;
use crate::error::{Error, Result};
use crate::model::{Entry, Epoch, ReplicaId, Toy};
use crate::protocol::catalog::Book;
use std::fmt::{self, Display};

/// What a closed store has.
pub struct Contents {
    /// The toys with their books, the open sales, the fence and the number of settled orders.
    pub stock: Stock,
    /// All orders, from 1.
    pub orders: Vec<Entry>,
    /// Every epoch that was used is at most this; 0 if there was none.
    pub epoch: Epoch,
    /// A replica that has all orders.
    pub replica: ReplicaId,
}

impl Contents {
    /// What was read at `place`. Refuses books that do not balance.
    pub fn of(place: &str, stock: Stock, mut evidence: Evidence) -> Result<Contents> {
        let refuse = |why: String| Err(Error::Storage { path: place.to_owned(), why });
        if let Some(problem) = check(&evidence).problems.first() {
            return refuse(format!("the books do not balance: {problem}; `audit` says more"));
        }
        if stock.standing().settled.is_none() {
            let why = "an earlier version wrote it; open the store once and close it again";
            return refuse(why.to_owned());
        }
        let Some((replica, last)) = reference(&evidence.logs).map(|log| (log.id, log.last_epoch()))
        else {
            return refuse("there is no replica".to_owned());
        };
        let epoch = evidence.epoch.max(last);
        evidence.logs.retain(|log| log.id == replica);
        let orders = evidence.logs.pop().map(|log| log.entries).unwrap_or_default();
        Ok(Contents { stock, orders, epoch, replica })
    }

    /// An error that says in what the copy at `place` differs, if it does.
    pub fn compare(&self, copy: &Contents, place: &str) -> Result<()> {
        let difference = self.differing_toy(copy).or_else(|| self.differing_order(copy));
        let difference = difference.or_else(|| {
            let [ours, theirs] = [self, copy].map(|one| (one.stock.position(), one.epoch));
            let rest = "open sales, fence, settled orders, position or epoch".to_owned();
            (self.stock.carried() != copy.stock.carried() || ours != theirs).then_some(rest)
        });
        let Some(what) = difference else { return Ok(()) };
        let why = format!("it differs from what was read: {what}; do not use it");
        Err(Error::Storage { path: place.to_owned(), why })
    }

    fn differing_toy(&self, copy: &Contents) -> Option<String> {
        let all = |contents: &Contents| -> Vec<(Toy, Book)> {
            let shelves = contents.stock.shelves().iter();
            shelves.map(|shelf| (shelf.toy.clone(), shelf.book())).collect()
        };
        let (ours, theirs) = (all(self), all(copy));
        first_difference(&ours, &theirs).map(|place| match ours.get(place) {
            Some((toy, _)) => format!("toy {}", toy.name),
            None => format!("{} toys instead of {}", theirs.len(), ours.len()),
        })
    }

    fn differing_order(&self, copy: &Contents) -> Option<String> {
        let place = first_difference(&self.orders, &copy.orders)?;
        Some(format!("order {}", place + 1))
    }
}

/// The sums.
impl Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shelves = self.stock.shelves();
        let sum =
            |of: fn(&Book) -> i128| -> i128 { shelves.iter().map(|shelf| of(&shelf.book())).sum() };
        writeln!(
            f,
            "toys {}: initial {} + restocked {} - sold {} - withdrawn {} = now {}",
            shelves.len(),
            sum(|book| book.initial.into()),
            sum(|book| book.restocked.into()),
            sum(|book| book.sold.into()),
            sum(|book| book.withdrawn.into()),
            sum(|book| book.quantity.into())
        )?;
        let ordered: u64 = self.orders.iter().map(|entry| entry.item.quantity.get()).sum();
        let settled = self.stock.standing().settled.unwrap_or_default();
        let (orders, open) = (self.orders.len(), self.stock.open_count());
        writeln!(
            f,
            "orders {orders}, for {ordered} toys, settled up to {settled}; open sales {open}"
        )
    }
}

/// The first place at which two lists differ.
fn first_difference<T: PartialEq>(ours: &[T], theirs: &[T]) -> Option<usize> {
    let common = ours.iter().zip(theirs).take_while(|(our, their)| our == their).count();
    (common < ours.len().max(theirs.len())).then_some(common)
}
