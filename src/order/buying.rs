//! The purchases of one call on their way through the leader. Pure: asked, it says what to do next; told what came
//! back, it remembers it. Driven by [`purchase`](super::purchase), whose threads wait and call, and by the
//! simulation.
//!
//! - Each purchase has an outcome of its own, whatever becomes of the others.
//! - What the catalog answers is valid only in its incarnation, and a refusal only once the rows that it rests on are
//!   durable. If the catalog has started again, the purchase is asked for again, with the same key.
//! - An error is *definite* only as long as no call for this key may have sold. From then on a purchase ends
//!   as an order, as the catalog's own refusal, or as [`Error::Unanswered`]: even if this replica does not lead any
//!   more, the sale may be made, and then the next leader makes it an order.

use super::leadership::Begin;
use super::replica::Replica;
use crate::error::{Error, Result};
use crate::model::{Epoch, Item, Key, OrderNumber, PurchaseId};
use crate::protocol::catalog::{Incarnation, Reserved, Sold};
use crate::protocol::order::Bought;
use crate::protocol::purchase::Purchase;

/// Purchases that came together.
#[derive(Debug)]
pub struct Buying(Vec<Buy>);

#[derive(Debug)]
struct Buy {
    purchase: Purchase,
    stage: Stage,
    /// A call to the catalog may have sold it.
    may_be_sold: bool,
}

#[derive(Debug)]
enum Stage {
    /// Nobody has asked the catalog on its behalf.
    New,
    /// Another request with the same key is at the catalog.
    Joined,
    /// The catalog is to be asked, or is being asked.
    Asked,
    /// The catalog refused it.
    Refused { refusal: Error, incarnation: Incarnation, position: u64 },
    /// It is an order. The version is known to the request that asked the catalog, and valid in the incarnation.
    Logged { number: OrderNumber, version: Option<(u64, Incarnation)> },
    /// This is the answer.
    Over(Result<Bought>),
}

/// What the purchases need next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A change of the replica's state.
    Wait,
    /// The catalog's answer for these, to be given to [`Buying::told`].
    Ask {
        /// The leader's epoch.
        epoch: Epoch,
        /// The last number of the log, in which they are not.
        logged: OrderNumber,
        /// The purchases.
        purchases: Vec<Purchase>,
    },
    /// Nothing: these are the answers, in order.
    Over(Vec<Result<Bought>>),
}

impl Buying {
    /// Purchases that have just come.
    pub fn new(purchases: Vec<Purchase>) -> Buying {
        let buy = |purchase| Buy { purchase, stage: Stage::New, may_be_sold: false };
        Buying(purchases.into_iter().map(buy).collect())
    }

    /// What to do now. After [`Next::Ask`] the catalog's answer has to be told first.
    pub fn next(&mut self, replica: &mut Replica) -> Next {
        let mut purchases = Vec::new();
        let mut is_over = true;
        for buy in &mut self.0 {
            if buy.advance(replica) {
                purchases.push(buy.purchase.clone());
            }
            is_over &= matches!(buy.stage, Stage::Over(_));
        }
        if let Some(epoch) = purchases.first().map(|purchase| purchase.epoch) {
            Next::Ask { epoch, logged: replica.log().last(), purchases }
        } else if is_over {
            Next::Over(self.outcomes())
        } else {
            Next::Wait
        }
    }

    /// The outcomes of all, which are over.
    fn outcomes(&self) -> Vec<Result<Bought>> {
        let outcome = |buy: &Buy| match &buy.stage {
            Stage::Over(outcome) => Some(outcome.clone()),
            _ => None,
        };
        self.0.iter().filter_map(outcome).collect()
    }

    /// What the catalog answered to the last call. Sales go into the replica's log, whose new entries are to be
    /// written. `false` if the call failed and is to be made again, after a pause: there is time for that, unless
    /// `is_late`, and this replica still leads.
    pub fn told(&mut self, replica: &mut Replica, answer: Result<Reserved>, is_late: bool) -> bool {
        let asked = self.0.iter_mut().filter(|buy| matches!(buy.stage, Stage::Asked));
        match answer {
            Ok(Reserved { incarnation, position, outcomes }) => {
                let mut outcomes = outcomes.into_iter().map(Result::from);
                for buy in asked {
                    let outcome = outcomes.next();
                    buy.answered(replica, outcome, (incarnation, position));
                }
                true
            }
            Err(error) => {
                let mut is_again = false;
                for buy in asked {
                    buy.may_be_sold |= !error.is_definite();
                    match replica.leading(buy.purchase.epoch).filter(|_| !is_late) {
                        Some(leadership) => {
                            leadership.must_reconcile();
                            is_again = true;
                        }
                        None => buy.give_up(replica, error.clone()),
                    }
                }
                !is_again
            }
        }
    }

    /// The answers when it took too long.
    pub fn late(&mut self, replica: &mut Replica) -> Vec<Result<Bought>> {
        let mut answer = |buy: &mut Buy| {
            let why = format!("order of {} did not finish in time", buy.purchase.item.name);
            let is_logged = matches!(buy.stage, Stage::Logged { .. });
            buy.may_be_sold |= is_logged;
            buy.give_up(replica, Error::unavailable(why));
        };
        self.0.iter_mut().for_each(&mut answer);
        self.outcomes()
    }
}

/// A purchase by hand at this replica, which has to lead. `sequence` is its number since the replica started. It is
/// counted within the epoch: a replica that starts again leads in a newer one. That is certain only when the epoch is on
/// disk; of a shared log, when the log was taken.
pub fn by_hand(replica: &Replica, sequence: u64, key: Option<Key>, item: Item) -> Result<Purchase> {
    let epoch = replica.epoch();
    if replica.leads() != Some(epoch) || replica.is_loading(epoch) {
        return Err(Error::NotLeader { epoch: epoch.0 });
    }
    let id = PurchaseId { caller: replica.id().0, incarnation: epoch, sequence };
    let key = key.unwrap_or_else(|| Key::made(id));
    // There are at most a thousand threads, each with one of these: what was before is finished.
    let ack_below = sequence.saturating_sub(1_000);
    Ok(Purchase { epoch, id, ack_below, key, item })
}

impl Buy {
    /// Goes as far as the replica's state lets it. Whether the catalog is to be asked.
    fn advance(&mut self, replica: &mut Replica) -> bool {
        self.await_refusal(replica);
        let begun = match self.stage {
            Stage::New | Stage::Joined => replica.begin(&self.purchase),
            Stage::Asked => replica.ask(&self.purchase),
            _ => Ok(Begin::Wait),
        };
        let is_to_ask = begun == Ok(Begin::Ask);
        match begun {
            Ok(Begin::Logged(number)) => self.stage = Stage::Logged { number, version: None },
            Ok(Begin::Ask) => self.stage = Stage::Asked,
            Ok(Begin::Join) => {
                self.stage = Stage::Joined;
                self.may_be_sold = true;
            }
            Ok(Begin::Wait) => {}
            Err(error) => self.give_up(replica, error),
        }
        if let Stage::Logged { number, version } = self.stage {
            let known = replica.leading(self.purchase.epoch).and_then(|l| l.incarnation());
            let version = version.filter(|(_, of)| known == Some(*of)).map(|(version, _)| version);
            match replica.outcome(number, &self.purchase.key) {
                Ok(None) => {}
                Ok(Some(bought)) => self.stage = Stage::Over(Ok(Bought { version, ..bought })),
                Err(error) => self.stage = Stage::Over(Err(error)),
            }
        }
        is_to_ask
    }

    /// The catalog's answer for it, which rests on the journal of this incarnation up to this position.
    fn answered(
        &mut self,
        replica: &mut Replica,
        outcome: Option<Result<Sold>>,
        (incarnation, position): (Incarnation, u64),
    ) {
        match outcome {
            Some(Ok(Sold { version, .. })) => {
                self.may_be_sold = true;
                match replica.reserved(&self.purchase, incarnation, position) {
                    Ok(Some(number)) => {
                        let version = Some((version, incarnation));
                        self.stage = Stage::Logged { number, version };
                    }
                    // To be asked again.
                    Ok(None) => {}
                    Err(error) => self.give_up(replica, error),
                }
            }
            Some(Err(refusal)) => self.stage = Stage::Refused { refusal, incarnation, position },
            None => {
                self.may_be_sold = true;
                self.give_up(replica, Error::unanswered("malformed answer"));
            }
        }
    }

    /// A refusal stands once the rows that it rests on are durable. If the catalog has started again, it is asked again.
    fn await_refusal(&mut self, replica: &mut Replica) {
        let Stage::Refused { refusal, incarnation, position } = &self.stage else { return };
        let epoch = replica.epoch();
        match replica.leading(self.purchase.epoch) {
            None => self.give_up(replica, Error::NotLeader { epoch: epoch.0 }),
            Some(leadership) if leadership.incarnation() != Some(*incarnation) => {
                self.stage = Stage::Asked;
            }
            Some(leadership) if leadership.is_durable(*position) => {
                leadership.refuse(&self.purchase, refusal);
                self.stage = Stage::Over(Err(refusal.clone()));
            }
            Some(_) => {}
        }
    }

    /// It ends with this error; one that can pass says nothing if the purchase may be sold.
    fn give_up(&mut self, replica: &mut Replica, error: Error) {
        if matches!(self.stage, Stage::Over(_)) {
            return;
        }
        if matches!(self.stage, Stage::Asked | Stage::Refused { .. })
            && let Some(leadership) = replica.leading(self.purchase.epoch)
        {
            leadership.give_up(&self.purchase.key);
        }
        let is_unknown = self.may_be_sold && error.is_transient();
        self.stage = Stage::Over(Err(if is_unknown {
            Error::unanswered(format!("the sale could not be finished: {error}"))
        } else {
            error
        }));
    }
}
