//! The purchases in flight, and which of them are sent to the leader together. Pure: driven by
//! [`orders`](super::orders), whose threads ask and whose connections wait, and by the simulation.
//!
//! One call is under way at a time. A purchase that finds none is sent at once, and all that wait with it. The
//! others wait, without a thread. When the call is over, those whose outcome it brought are woken at once, and of those
//! that wait the first, which sends the next call. If that asks for one of them again, it first makes a pause.
//!
//! - Each purchase keeps its own key, deadline, attempts and outcome, whatever it was sent with.
//! - A call never outlasts the deadline of the purchase whose thread makes it, because that thread can answer its
//!   customer only after the call. The others keep their own deadlines: what the call leaves undecided waits again.
//! - A customer who went away keeps its place until the outcome or the deadline: a client that only closed its sending
//!   side, as `nc` does, looks the same and waits for its answer.
//! - A sequence is unfinished, and so not told to the leader as finished, for as long as anybody may send it.

use super::asking::{Asking, Then};
use crate::config::Instance;
use crate::error::{Error, Result};
use crate::model::{Epoch, FrontendId, Item, Key, Moment, PurchaseId};
use crate::protocol::order::Bought;
use crate::protocol::purchase::{PURCHASES_MAX, Purchase};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The pause before the same leader is asked again.
pub const PAUSE: Duration = Duration::from_millis(10);

/// The purchases in flight. `W` wakes one.
#[derive(Debug)]
pub struct PurchasesInFlight<W> {
    /// This front-end's number among the callers of purchases.
    caller: u32,
    last: u64,
    in_flight: BTreeMap<u64, InFlight<W>>,
    /// Those that are to be sent.
    waiting: VecDeque<u64>,
    /// A call is under way, with a batch of purchases.
    is_asking: bool,
}

#[derive(Debug)]
struct InFlight<W> {
    key: Option<Key>,
    item: Item,
    deadline: Moment,
    waker: W,
    asking: Asking,
    stage: Stage,
    /// It is not sent before this.
    not_before: Moment,
}

#[derive(Debug)]
enum Stage {
    /// It is to be sent.
    Waiting,
    /// The call with it is under way.
    Asked {
        /// Whether its leader was known, so that it was put into the message.
        is_sent: bool,
    },
    /// This is the answer.
    Over(Result<Bought>),
}

/// What a purchase needs next.
#[derive(Debug)]
pub enum Next {
    /// Nothing: this is the answer.
    Over(Result<Bought>),
    /// To be woken.
    Wait,
    /// To be sent by whoever asked, with others, not before this moment.
    Ask(Batch, Moment),
}

/// The purchases of one call, which wait for what is [`told`](PurchasesInFlight::told) of it.
#[derive(Debug)]
pub struct Batch(Vec<u64>);

impl Batch {
    /// The sequences of its purchases.
    pub fn sequences(&self) -> &[u64] {
        &self.0
    }
}

impl<W: Clone> PurchasesInFlight<W> {
    /// No purchase at the front-end `me`.
    pub fn new(me: FrontendId) -> PurchasesInFlight<W> {
        // The callers before are the replicas, for purchases that are made there by hand.
        let caller = Instance::ID_MAX + me.0;
        let (in_flight, waiting) = (BTreeMap::new(), VecDeque::new());
        PurchasesInFlight { caller, last: 0, in_flight, waiting, is_asking: false }
    }

    /// A purchase that has just come. Returns its sequence.
    pub fn begin(
        &mut self,
        key: Option<Key>,
        item: Item,
        deadline: Moment,
        waker: W,
    ) -> Result<u64> {
        if self.in_flight.len() >= PURCHASES_MAX {
            return Err(Error::unavailable(format!("{PURCHASES_MAX} purchases are in flight")));
        }
        self.last += 1;
        let (asking, stage, not_before) = (Asking::default(), Stage::Waiting, Moment::START);
        let purchase = InFlight { key, item, deadline, waker, asking, stage, not_before };
        self.in_flight.insert(self.last, purchase);
        self.waiting.push_back(self.last);
        Ok(self.last)
    }

    /// What to do for a purchase now.
    pub fn next(&mut self, sequence: u64, now: Moment) -> Next {
        let Some(purchase) = self.in_flight.get_mut(&sequence) else {
            return Next::Over(Err(Error::unanswered("this purchase is over")));
        };
        let is_unsent = matches!(purchase.stage, Stage::Waiting | Stage::Asked { is_sent: false });
        if now >= purchase.deadline && is_unsent {
            let error = Error::unavailable("the order service could not be asked in time");
            purchase.stage = Stage::Over(Err(purchase.asking.give_up(error)));
            self.waiting.retain(|other| *other != sequence);
        }
        match &purchase.stage {
            Stage::Over(outcome) => Next::Over(outcome.clone()),
            Stage::Asked { .. } if now >= purchase.deadline => {
                Next::Over(Err(Error::unanswered("the order service did not answer in time")))
            }
            Stage::Waiting if !self.is_asking => {
                self.is_asking = true;
                let batch = Vec::from(std::mem::take(&mut self.waiting));
                let mut from = now;
                for sequence in &batch {
                    if let Some(purchase) = self.in_flight.get_mut(sequence) {
                        purchase.stage = Stage::Asked { is_sent: false };
                        from = from.max(purchase.not_before);
                    }
                }
                Next::Ask(Batch(batch), from)
            }
            Stage::Waiting | Stage::Asked { .. } => Next::Wait,
        }
    }

    /// What is sent to the leader of `epoch` in a call. `incarnation` is the caller's, the same in every call. Purchases
    /// that are over meanwhile are taken from the batch: their customers were told that nothing was bought.
    pub fn to_send(
        &mut self,
        batch: &mut Batch,
        epoch: Epoch,
        incarnation: Epoch,
    ) -> Vec<Purchase> {
        let ack_below = self.in_flight.keys().next().copied().unwrap_or(self.last + 1);
        let mut purchases = Vec::with_capacity(batch.0.len());
        batch.0.retain(|sequence| {
            let purchase = self.in_flight.get_mut(sequence);
            let purchase =
                purchase.filter(|purchase| matches!(purchase.stage, Stage::Asked { .. }));
            let Some(purchase) = purchase else { return false };
            purchase.stage = Stage::Asked { is_sent: true };
            let id = PurchaseId { caller: self.caller, incarnation, sequence: *sequence };
            let key = purchase.key.clone().unwrap_or_else(|| Key::made(id));
            purchases.push(Purchase { epoch, id, ack_below, key, item: purchase.item.clone() });
            true
        });
        purchases
    }

    /// The call with these purchases is over. It brought these answers. Returns who is to be woken: those whose outcome
    /// is there, and the first of those that are to be sent.
    pub fn told(
        &mut self,
        batch: &Batch,
        answers: Result<Vec<Result<Bought>>>,
        now: Moment,
    ) -> Vec<W> {
        let Batch(batch) = batch;
        let answers = match answers {
            Ok(answers) if answers.len() == batch.len() => answers,
            Ok(_) => vec![Err(Error::unanswered("the leader's answer is malformed")); batch.len()],
            Err(error) => vec![Err(error); batch.len()],
        };
        let (mut wakers, mut again) = (Vec::with_capacity(batch.len() + 1), VecDeque::new());
        for (sequence, answer) in batch.iter().zip(answers) {
            let purchase = self.in_flight.get_mut(sequence);
            let purchase =
                purchase.filter(|purchase| matches!(purchase.stage, Stage::Asked { .. }));
            let Some(purchase) = purchase else { continue };
            match purchase.asking.told(answer, now + PAUSE >= purchase.deadline) {
                Then::Over(outcome) => {
                    purchase.stage = Stage::Over(outcome);
                    wakers.push(purchase.waker.clone());
                }
                Then::Again => {
                    purchase.stage = Stage::Waiting;
                    purchase.not_before = now + PAUSE;
                    again.push_back(*sequence);
                }
            }
        }
        again.append(&mut self.waiting);
        self.waiting = again;
        self.is_asking = false;
        wakers.extend(self.first_waiting());
        wakers
    }

    /// Nobody waits for this purchase any more. Returns who is to be woken in its place, if it was to send a call.
    pub fn end(&mut self, sequence: u64) -> Option<W> {
        let InFlight { stage, .. } = self.in_flight.remove(&sequence)?;
        self.waiting.retain(|other| *other != sequence);
        if matches!(stage, Stage::Over(Ok(_))) { None } else { self.first_waiting() }
    }

    /// Whether a purchase is to be sent.
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn first_waiting(&self) -> Option<W> {
        let first = self.waiting.front().filter(|_| !self.is_asking)?;
        self.in_flight.get(first).map(|purchase| purchase.waker.clone())
    }
}
