//! One purchase at the leader, step by step. Pure: asked, it says what to do next; told what came back, it
//! remembers it. Driven by [`purchase`](super::purchase), whose threads wait and call, and by the simulation.
//!
//! - An error is *definite* only as long as nobody has asked the catalog for this key. From then on a purchase ends
//!   as an order, as the catalog's own refusal, or as [`Error::Unanswered`]: even if this replica does not lead any
//!   more, the sale may be made, and then the next leader makes it an order.

use super::leadership::Begin;
use super::replica::Replica;
use crate::error::{Error, Result};
use crate::model::{Epoch, OrderNumber};
use crate::protocol::catalog::Sold;
use crate::protocol::order::Bought;
use crate::protocol::purchase::Purchase;

/// A purchase on its way through the leader.
#[derive(Debug)]
pub struct Buying {
    purchase: Purchase,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nobody has asked the catalog on its behalf.
    New,
    /// Another request with the same key is at the catalog.
    Joined,
    /// The catalog is asked.
    Asked,
    /// It is an order. The version is known to the request that asked the catalog.
    Logged { number: OrderNumber, version: Option<u64> },
    /// There is no order for it, or nobody knows.
    Failed(Error),
}

/// What a purchase needs next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A change of the replica's state.
    Wait,
    /// The catalog's answer, to be given to [`Buying::told`].
    Ask,
    /// Nothing: this is the answer.
    Over(Result<Bought>),
}

/// A sale that was made, and is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logged {
    /// The order's number.
    pub number: OrderNumber,
    /// The toy's version after the sale.
    pub version: u64,
}

impl Buying {
    /// A purchase that has just come.
    pub fn new(purchase: Purchase) -> Buying {
        Buying { purchase, stage: Stage::New }
    }

    /// What to do now. After [`Next::Ask`] the catalog's answer has to be told first.
    pub fn next(&mut self, replica: &mut Replica) -> Next {
        if matches!(self.stage, Stage::New | Stage::Joined) {
            match replica.begin(&self.purchase) {
                Ok(Begin::Logged(number)) => self.stage = Stage::Logged { number, version: None },
                Ok(Begin::Ask) => self.stage = Stage::Asked,
                Ok(Begin::Join) => {
                    self.stage = Stage::Joined;
                    return Next::Wait;
                }
                Ok(Begin::Wait) => return Next::Wait,
                Err(error) if error.is_passing() && matches!(self.stage, Stage::Joined) => {
                    self.stage = Stage::Failed(unknown(&error));
                }
                Err(error) => self.stage = Stage::Failed(error),
            }
        }
        match &self.stage {
            Stage::New | Stage::Joined | Stage::Asked => Next::Ask,
            Stage::Failed(error) => Next::Over(Err(error.clone())),
            Stage::Logged { number, version } => {
                match replica.outcome(*number, &self.purchase.key) {
                    Ok(None) => Next::Wait,
                    Ok(Some(bought)) => Next::Over(Ok(Bought { version: *version, ..bought })),
                    Err(error) => Next::Over(Err(error)),
                }
            }
        }
    }

    /// How the sale ended.
    pub fn told(&mut self, replica: &mut Replica, outcome: Result<Logged>) {
        self.stage = match outcome {
            Ok(Logged { number, version }) => Stage::Logged { number, version: Some(version) },
            Err(error) => {
                if !error.is_definite() {
                    replica.in_doubt(&self.purchase);
                }
                Stage::Failed(error)
            }
        };
    }

    /// The answer when it took too long.
    pub fn late(&self) -> Error {
        Error::unanswered(format!("order of {} did not finish in time", self.purchase.item.name))
    }
}

/// Takes what the catalog answered to the last call for `purchase`. A sale goes into the replica's log, whose new
/// entries are to be written.
pub fn answered(
    replica: &mut Replica,
    purchase: &Purchase,
    answer: Result<Sold>,
) -> Result<Logged> {
    match answer {
        Ok(Sold { version, .. }) => Ok(Logged { number: replica.sold(purchase)?, version }),
        Err(error) if error.is_passing() => {
            if let Error::Stale { epoch } = error {
                replica.step_down(Epoch(epoch));
            }
            Err(unknown(&error))
        }
        Err(refusal) => {
            replica.refused(purchase, &refusal);
            Err(refusal)
        }
    }
}

/// A failure after the catalog was asked: an earlier call may have sold.
fn unknown(error: &Error) -> Error {
    Error::unanswered(format!("the sale could not be finished: {error}"))
}
