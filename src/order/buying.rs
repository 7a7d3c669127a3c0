//! The purchases of one call on their way through the leader. Pure: asked, it says what to do next; told what came
//! back, it remembers it. Driven by [`purchase`](super::purchase), whose threads wait and call, and by the
//! simulation.
//!
//! - Each purchase has an outcome of its own, whatever becomes of the others.
//! - An error is *definite* only as long as nobody has asked the catalog for this key. From then on a purchase ends
//!   as an order, as the catalog's own refusal, or as [`Error::Unanswered`]: even if this replica does not lead any
//!   more, the sale may be made, and then the next leader makes it an order.

use super::leadership::Begin;
use super::replica::Replica;
use crate::error::{Error, Result};
use crate::model::{Epoch, Item, Key, OrderNumber, PurchaseId};
use crate::protocol::catalog::Sold;
use crate::protocol::order::Bought;
use crate::protocol::purchase::Purchase;

/// Purchases that came together.
#[derive(Debug)]
pub struct Buying(Vec<(Purchase, Stage)>);

#[derive(Debug)]
enum Stage {
    /// Nobody has asked the catalog on its behalf.
    New,
    /// Another request with the same key is at the catalog.
    Joined,
    /// The catalog is to be asked, or is being asked.
    Asked,
    /// It is an order. The version is known to the request that asked the catalog.
    Logged { number: OrderNumber, version: Option<u64> },
    /// This is the answer.
    Over(Result<Bought>),
}

/// What the purchases need next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A change of the replica's state.
    Wait,
    /// The catalog's answers for these, to be given to [`Buying::told`].
    Ask(Vec<Purchase>),
    /// Nothing: these are the answers, in order.
    Over(Vec<Result<Bought>>),
}

impl Buying {
    /// Purchases that have just come.
    pub fn new(purchases: Vec<Purchase>) -> Buying {
        Buying(purchases.into_iter().map(|purchase| (purchase, Stage::New)).collect())
    }

    /// What to do now. After [`Next::Ask`] the catalog's answers have to be told first.
    pub fn next(&mut self, replica: &mut Replica) -> Next {
        let mut asked = Vec::new();
        let mut over = Vec::with_capacity(self.0.len());
        for (purchase, stage) in &mut self.0 {
            stage.advance(purchase, replica);
            match stage {
                Stage::Asked => asked.push(purchase.clone()),
                Stage::Over(outcome) => over.push(outcome.clone()),
                Stage::New | Stage::Joined | Stage::Logged { .. } => {}
            }
        }
        if !asked.is_empty() {
            Next::Ask(asked)
        } else if over.len() < self.0.len() {
            Next::Wait
        } else {
            Next::Over(over)
        }
    }

    /// What the catalog answered to the last call. Sales go into the replica's log, whose new entries are to be
    /// written. `false` if the call failed and is to be made again, after a pause: there is time for that, unless
    /// `is_late`, and this replica still leads.
    pub fn told(
        &mut self,
        replica: &mut Replica,
        answers: Result<Vec<Result<Sold>>>,
        is_late: bool,
    ) -> bool {
        let asked = self.0.iter_mut().filter(|(_, stage)| matches!(stage, Stage::Asked));
        let mut answers = answers.map(Vec::into_iter);
        for (purchase, stage) in asked {
            let answer = match &mut answers {
                Ok(answers) => {
                    answers.next().unwrap_or_else(|| Err(Error::unanswered("malformed answer")))
                }
                // All came in the same view.
                Err(_) if !is_late && replica.leads() == Some(purchase.epoch) => return false,
                Err(error) => {
                    Err(Error::unanswered(format!("the catalog did not answer: {error}")))
                }
            };
            *stage = answered(replica, purchase, answer);
        }
        true
    }

    /// The answers when it took too long.
    pub fn late(&self) -> Vec<Result<Bought>> {
        let answer = |(purchase, stage): &(Purchase, Stage)| {
            if let Stage::Over(outcome) = stage {
                return outcome.clone();
            }
            let name = &purchase.item.name;
            Err(Error::unanswered(format!("order of {name} did not finish in time")))
        };
        self.0.iter().map(answer).collect()
    }
}

/// A purchase by hand at this replica, which has to lead. `sequence` is its number since the replica started. It is
/// counted within the epoch: a replica that starts again leads in a newer one.
pub fn by_hand(replica: &Replica, sequence: u64, key: Option<Key>, item: Item) -> Result<Purchase> {
    let epoch = replica.epoch();
    if replica.leads() != Some(epoch) {
        return Err(Error::NotLeader { epoch: epoch.0 });
    }
    let id = PurchaseId { caller: replica.id().0, incarnation: epoch, sequence };
    let key = key.unwrap_or_else(|| Key::made(id));
    // There are at most a thousand threads, each with one of these: what was before is finished.
    let ack_below = sequence.saturating_sub(1_000);
    Ok(Purchase { epoch, id, ack_below, key, item })
}

impl Stage {
    /// Goes as far as the replica's state lets it.
    fn advance(&mut self, purchase: &Purchase, replica: &mut Replica) {
        if matches!(self, Stage::New | Stage::Joined) {
            match replica.begin(purchase) {
                Ok(Begin::Logged(number)) => *self = Stage::Logged { number, version: None },
                Ok(Begin::Ask) => *self = Stage::Asked,
                Ok(Begin::Join) => *self = Stage::Joined,
                Ok(Begin::Wait) => {}
                Err(error) if error.is_transient() && matches!(self, Stage::Joined) => {
                    *self = Stage::Over(Err(unknown(&error)));
                }
                Err(error) => *self = Stage::Over(Err(error)),
            }
        }
        if let Stage::Logged { number, version } = *self {
            match replica.outcome(number, &purchase.key) {
                Ok(None) => {}
                Ok(Some(bought)) => *self = Stage::Over(Ok(Bought { version, ..bought })),
                Err(error) => *self = Stage::Over(Err(error)),
            }
        }
    }
}

/// The catalog answered this for `purchase`.
fn answered(replica: &mut Replica, purchase: &Purchase, answer: Result<Sold>) -> Stage {
    let error = match answer {
        Ok(Sold { version, .. }) => match replica.sold(purchase) {
            Ok(number) => return Stage::Logged { number, version: Some(version) },
            Err(error) => error,
        },
        Err(error) if error.is_transient() => {
            if let Error::Stale { epoch } = error {
                replica.step_down(Epoch(epoch));
            }
            unknown(&error)
        }
        Err(refusal) => {
            replica.refused(purchase, &refusal);
            refusal
        }
    };
    if !error.is_definite() {
        replica.sale_is_indefinite(purchase);
    }
    Stage::Over(Err(error))
}

/// A failure after the catalog was asked: an earlier attempt may have sold.
fn unknown(error: &Error) -> Error {
    Error::unanswered(format!("the sale could not be finished: {error}"))
}
