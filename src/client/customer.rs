//! One session (K1, K3): in each step it queries a random toy and may buy it. At the end it looks up
//! every order and compares it with the purchase.
//!
//! If a request fails after all retries, the remaining steps are skipped, because they would probably
//! fail in the same way. The orders are still checked. Nothing here ends the process.

use super::api::Api;
use super::choices::Choices;
use crate::error::{Error, Result};
use crate::model::{Item, ToyName};
use crate::protocol::web::ShownOrder;
use indicatif::ProgressBar;
use parking_lot::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// A simulated customer.
pub struct Customer<'a> {
    choices: Choices,
    api: Api<'a>,
    result: &'a Mutex<SessionResult>,
}

/// The result of a session.
#[derive(Debug, Default)]
pub struct SessionResult {
    /// Its orders.
    pub orders: Vec<ShownOrder>,
    /// Whether it received the list of toys.
    pub has_list: bool,
    /// Errors and differences.
    pub findings: Vec<String>,
}

impl<'a> Customer<'a> {
    /// A customer with these choices and calls. Each result is stored in `result` as soon as it is known.
    pub fn new(choices: Choices, api: Api<'a>, result: &'a Mutex<SessionResult>) -> Customer<'a> {
        Customer { choices, api, result }
    }

    /// Runs the whole session. If `is_over` becomes true, it ends after the current request.
    pub fn run(mut self, progress: &ProgressBar, is_over: &AtomicBool) {
        let names = match self.api.names() {
            Ok(names) if names.is_empty() => return self.find("the store has no toys"),
            Ok(names) => names,
            Err(error) => return self.find(format!("cannot get the list of toys: {error}")),
        };
        self.result.lock().has_list = true;
        if let Err(error) = self.run_steps(&names, progress, is_over) {
            self.find(error.to_string());
        }
        self.check_orders(is_over);
    }

    fn find(&self, what: impl Into<String>) {
        self.result.lock().findings.push(what.into());
    }

    fn run_steps(
        &mut self,
        names: &[ToyName],
        progress: &ProgressBar,
        is_over: &AtomicBool,
    ) -> Result<()> {
        while !is_over.load(Relaxed)
            && let Some(step) = self.choices.next(names.len())
        {
            progress.inc(1);
            match self.api.step(names, &step) {
                Ok(order) => self.result.lock().orders.extend(order),
                Err(Error::NotEnoughStock | Error::UnknownToy) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Looks up every order. Stops when the store does not answer any more.
    fn check_orders(&mut self, is_over: &AtomicBool) {
        let orders = self.result.lock().orders.clone();
        for (place, ours) in orders.iter().enumerate() {
            if is_over.load(Relaxed) {
                return;
            }
            match self.api.order(ours.number) {
                Ok(theirs) if theirs == *ours => {}
                Ok(theirs) => self.find(format!(
                    "order {} was for {}, but the store returned order {} for {}",
                    ours.number,
                    in_words(&ours.item),
                    theirs.number,
                    in_words(&theirs.item)
                )),
                Err(error) if error.is_transient() => {
                    let left = orders.len() - place;
                    return self.find(format!("{left} orders could not be checked: {error}"));
                }
                Err(error) => self.find(format!("order {}: {error}", ours.number)),
            }
        }
    }
}

fn in_words(item: &Item) -> String {
    format!("{} {}", item.quantity.get(), item.name)
}
