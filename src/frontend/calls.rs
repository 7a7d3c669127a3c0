//! The purchases in flight, and which of them are sent to the leader together. Pure: driven by
//! [`orders`](super::orders), whose threads ask and whose connections wait, and by the simulation.
//!
//! A purchase that finds fewer than [`UNDER_WAY_MAX`] calls under way is sent at once, and all that wait with it. The
//! others wait, without a thread. When a call is over, those whose outcome it brought are woken, and of those that
//! wait the first, which sends the next call.
//!
//! - Each purchase keeps its own key, deadline, attempts and outcome, whatever it was sent with.
//! - A call never outlasts the deadline of the purchase whose thread makes it. What it leaves undecided waits again.
//! - A customer who went away keeps its place until the outcome or the deadline: a client that only closed its sending
//!   side, as `nc` does, looks the same and waits for its answer.
//! - A sequence is unfinished, and so not told to the leader as finished, for as long as anybody may send it.

use super::asking::{Asking, Then};
use crate::error::{Error, Result};
use crate::model::{CallId, Epoch, Item, Key, Moment};
use crate::protocol::order::Bought;
use crate::protocol::purchase::{PURCHASES_MAX, Purchase};
use std::collections::{BTreeMap, VecDeque};

/// The front-end's number among the callers of purchases.
const CALLER: u32 = 0;
/// The most calls to the leader at the same time. With one, the leader would have nothing to do while an answer is on
/// its way, and one slow call would hold up every purchase; with many, each would have few purchases.
pub const UNDER_WAY_MAX: usize = 2;

/// The purchases in flight. `W` wakes one.
#[derive(Debug)]
pub struct Calls<W> {
    last: u64,
    in_flight: BTreeMap<u64, Call<W>>,
    /// Those that are to be sent.
    waiting: VecDeque<u64>,
    /// How many calls are.
    under_way: usize,
    under_way_max: usize,
}

#[derive(Debug)]
struct Call<W> {
    key: Option<Key>,
    item: Item,
    deadline: Moment,
    waker: W,
    asking: Asking,
    stage: Stage,
    /// Nobody waits for it any more.
    is_left: bool,
}

#[derive(Debug)]
enum Stage {
    /// It is to be sent.
    Waiting,
    /// A call with it is under way.
    Asked,
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
    /// To be sent by whoever asked, with others.
    Ask(Batch),
}

/// The purchases of one call, which wait for what is [`told`](Calls::told) of it.
#[derive(Debug)]
pub struct Batch(Vec<u64>);

impl<W: Clone> Calls<W> {
    /// No purchase, and at most so many calls at the same time.
    pub fn new(under_way_max: usize) -> Calls<W> {
        let (in_flight, waiting) = (BTreeMap::new(), VecDeque::new());
        Calls { last: 0, in_flight, waiting, under_way: 0, under_way_max }
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
        let (asking, stage, is_left) = (Asking::default(), Stage::Waiting, false);
        let call = Call { key, item, deadline, waker, asking, stage, is_left };
        self.in_flight.insert(self.last, call);
        self.waiting.push_back(self.last);
        Ok(self.last)
    }

    /// What to do for a purchase now.
    pub fn next(&mut self, sequence: u64, now: Moment) -> Next {
        let Some(call) = self.in_flight.get(&sequence) else {
            return Next::Over(Err(Error::unanswered("this purchase is over")));
        };
        match &call.stage {
            Stage::Over(outcome) => Next::Over(outcome.clone()),
            Stage::Asked if now >= call.deadline => {
                Next::Over(Err(Error::unanswered("the order service did not answer in time")))
            }
            Stage::Waiting if now >= call.deadline => {
                let error = Error::unavailable("the order service could not be asked in time");
                Next::Over(Err(call.asking.give_up(error)))
            }
            Stage::Waiting if self.under_way < self.under_way_max => {
                self.under_way += 1;
                let batch = Vec::from(std::mem::take(&mut self.waiting));
                for sequence in &batch {
                    if let Some(call) = self.in_flight.get_mut(sequence) {
                        call.stage = Stage::Asked;
                    }
                }
                Next::Ask(Batch(batch))
            }
            Stage::Waiting | Stage::Asked => Next::Wait,
        }
    }

    /// What to ask the leader of `epoch` for. `incarnation` is the caller's, the same in every call.
    pub fn purchases(&self, batch: &Batch, epoch: Epoch, incarnation: Epoch) -> Vec<Purchase> {
        let ack_below = self.in_flight.keys().next().copied().unwrap_or(self.last + 1);
        let calls = batch.0.iter().filter_map(|sequence| self.in_flight.get_key_value(sequence));
        let purchase = |(sequence, call): (&u64, &Call<W>)| {
            let id = CallId { caller: CALLER, incarnation, sequence: *sequence };
            let key = call.key.clone().unwrap_or_else(|| Key::made(id));
            Purchase { epoch, call: id, ack_below, key, item: call.item.clone() }
        };
        calls.map(purchase).collect()
    }

    /// The call with these purchases is over, and so is the pause after it. It brought these answers. Returns who is to
    /// be woken: those whose outcome is there, and the first of those that are to be sent.
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
            let Some(call) = self.in_flight.get_mut(sequence) else { continue };
            match call.asking.told(answer, now >= call.deadline) {
                _ if call.is_left => drop(self.in_flight.remove(sequence)),
                Then::Over(outcome) => {
                    call.stage = Stage::Over(outcome);
                    wakers.push(call.waker.clone());
                }
                Then::Again => {
                    call.stage = Stage::Waiting;
                    again.push_back(*sequence);
                }
            }
        }
        again.append(&mut self.waiting);
        self.waiting = again;
        self.under_way -= 1;
        wakers.extend(self.first_waiting());
        wakers
    }

    /// Nobody waits for this purchase any more. Returns who is to be woken in its place, if it was to send a call.
    pub fn end(&mut self, sequence: u64) -> Option<W> {
        let call = self.in_flight.get_mut(&sequence)?;
        if matches!(call.stage, Stage::Asked) {
            call.is_left = true;
            return None;
        }
        let was_waiting = matches!(call.stage, Stage::Waiting);
        self.in_flight.remove(&sequence);
        if was_waiting {
            self.waiting.retain(|other| *other != sequence);
            return self.first_waiting();
        }
        None
    }

    fn first_waiting(&self) -> Option<W> {
        let first = self.waiting.front().filter(|_| self.under_way < self.under_way_max)?;
        self.in_flight.get(first).map(|call| call.waker.clone())
    }
}

/// Whether one of these is to be asked for again, after a pause.
pub fn any_is_transient(answers: &Result<Vec<Result<Bought>>>) -> bool {
    match answers {
        Ok(answers) => answers.iter().any(|answer| answer.as_ref().is_err_and(Error::is_transient)),
        Err(error) => error.is_transient(),
    }
}
