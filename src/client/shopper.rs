//! One session (K1, K3): query a random toy, maybe buy of it, again and again; before leaving, fetch
//! every order back and compare.
//!
//! A request that failed after all retries ends the shopping, because the next would wait as long
//! in vain; the orders are still checked. Nothing here ends the process.

use super::api::Shop;
use super::choices::Choices;
use crate::error::{Error, Result};
use crate::model::Item;
use crate::protocol::web::ShownOrder;
use indicatif::ProgressBar;

/// A customer in the store.
pub struct Shopper<'a> {
    choices: Choices,
    shop: Shop<'a>,
    orders: Vec<ShownOrder>,
}

/// What came of a session.
#[derive(Debug, Default)]
pub struct Visit {
    /// The orders it was given.
    pub orders: Vec<ShownOrder>,
    /// Whether it saw the store from inside at all.
    pub entered: bool,
    /// What went wrong.
    pub findings: Vec<String>,
}

impl Visit {
    /// A session that never was, or of which nothing is known any more.
    pub fn failed(why: impl Into<String>) -> Visit {
        Visit { findings: vec![why.into()], ..Visit::default() }
    }
}

impl<'a> Shopper<'a> {
    /// A customer who chooses like this, and shops there.
    pub fn new(choices: Choices, shop: Shop<'a>) -> Shopper<'a> {
        Shopper { choices, shop, orders: Vec::new() }
    }

    /// The whole session.
    pub fn visit(mut self, progress: &ProgressBar) -> Visit {
        let names = match self.shop.names() {
            Ok(names) if names.is_empty() => return Visit::failed("the store has no toys"),
            Ok(names) => names,
            Err(error) => return Visit::failed(format!("cannot ask for the toys: {error}")),
        };
        let mut findings = Vec::new();
        findings.extend(self.shop(&names, progress).err().map(|error| error.to_string()));
        self.check_orders(&mut findings);
        Visit { orders: self.orders, entered: true, findings }
    }

    fn shop(&mut self, names: &[String], progress: &ProgressBar) -> Result<()> {
        while let Some(step) = self.choices.next(names.len()) {
            progress.inc(1);
            let name = &names[step.toy];
            let available = match self.shop.query(name) {
                Ok(toy) => toy.quantity > 0,
                Err(Error::UnknownToy) => false,
                Err(error) => return Err(error),
            };
            let Some(quantity) = step.buy.filter(|_| available) else { continue };
            let item = Item { name: name.clone(), quantity };
            match self.shop.buy(&item) {
                Ok(number) => self.orders.push(ShownOrder { number, item }),
                Err(Error::NotEnoughStock | Error::UnknownToy) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fetches every order back. Stops when the store does not answer any more.
    fn check_orders(&mut self, findings: &mut Vec<String>) {
        for (place, ours) in self.orders.iter().enumerate() {
            match self.shop.order(ours.number) {
                Ok(theirs) if theirs == *ours => {}
                Ok(theirs) => findings.push(format!(
                    "order {} was for {}, but the store says order {} is for {}",
                    ours.number,
                    in_words(&ours.item),
                    theirs.number,
                    in_words(&theirs.item)
                )),
                Err(error) if error.is_passing() => {
                    let left = self.orders.len() - place;
                    findings.push(format!("{left} orders could not be checked: {error}"));
                    return;
                }
                Err(error) => findings.push(format!("order {}: {error}", ours.number)),
            }
        }
    }
}

fn in_words(item: &Item) -> String {
    format!("{} {}", item.quantity.get(), item.name)
}
