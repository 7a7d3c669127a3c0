//! The messages between the services: one frame is a request, one frame is its answer.
//!
//! A request is a JSON object with a `method_name`; an answer is
//! `{"data": …}` or `{"error": {"kind": …}}`, where the error is an [`Error`].
//!
//! | message | from → to | address | answer |
//! |---|---|---|---|
//! | `query`, `list` | front-end → catalog | request | [`Toy`](crate::model::Toy), a list of them |
//! | `books` | audit → catalog | request | [`catalog::Books`] |
//! | `purchase`, `durable` | leader → catalog | request | [`catalog::Reserved`], `null` |
//! | `standing`, `reconcile`, `settle` | leader → catalog | peer | [`catalog::Standing`], [`catalog::Reconciled`], `null` |
//! | `changes` | front-end → catalog | peer | [`catalog::Changes`], held back until there are some |
//! | `buy` | front-end → leader | request | [`order::Bought`] or an error, for each |
//! | `order_details` | front-end → leader | request | [`Entry`](crate::model::Entry) |
//! | `health_check`, `update_leader` | front-end → replica | peer | [`order::Health`] |
//! | `append` | leader → follower | peer | [`order::Appended`] |
//! | `missed_orders` | starting replica, audit → replica | peer | [`order::Missed`] |
//! | `health_check` | anybody → catalog | both | `null` |
//! | `health_check` | operator → front-end | peer | `null` |
//! | `join` | front-end → the one that makes the views | peer | [`View`](crate::model::View) |
//!
//! Every message may be repeated: a repetition changes nothing and gets the same answer (of `join` a newer view). So
//! [`Rpc`] may send one again on a new connection, and a caller may send one again after any failure.
//!
//! A request that is done for sampled requests carries their contexts (`traced.rs`).

pub mod catalog;
pub mod order;
pub mod frontend;
pub mod purchase;
pub mod web;
mod answers;
mod traced;

pub use answers::Answer;
pub use traced::answering;

use crate::error::{Error, Result};
use crate::net::rpc::{Call, Rpc};
use crate::trace::scope::{self, Step};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Appends the payload of an answer to `output`. Returns its HTTP status, to be counted.
pub fn answer<T: Serialize>(outcome: Result<T>, output: &mut Vec<u8>) -> u16 {
    let status = outcome.as_ref().err().map_or(200, web::status);
    let answer = Answer::from(outcome);
    serde_json::to_writer(&mut *output, &answer)
        .expect("a Vec takes every write, an answer has no maps");
    if let Some(took) = scope::answering() {
        traced::add_took(output, took);
    }
    status
}

/// Reads the request in a frame's payload.
pub fn question<'a, Q: Deserialize<'a>>(payload: &'a [u8]) -> Result<Q> {
    serde_json::from_slice(payload).map_err(|e| Error::invalid(format!("unknown request: {e}")))
}

/// Asks `peer` and waits for its answer until `deadline`, or until `abandoned` says that it is no longer
/// needed.
pub fn ask<Q: Serialize, T: DeserializeOwned>(
    peer: &Rpc,
    question: &Q,
    deadline: Instant,
    abandoned: &dyn Fn() -> bool,
) -> Result<T> {
    call(peer, question, deadline, abandoned).map(|(answer, _)| answer)
}

/// The same for a request with many parts, each with its own answer.
pub fn ask_each<Q: Serialize, T: DeserializeOwned>(
    peer: &Rpc,
    question: &Q,
    deadline: Instant,
    abandoned: &dyn Fn() -> bool,
) -> Result<Vec<Result<T>>> {
    let (answers, is_repeated): (Vec<Answer<T>>, _) = call(peer, question, deadline, abandoned)?;
    let answers = answers.into_iter().map(Result::from);
    Ok(answers.map(|answer| if is_repeated { of_repeated(answer) } else { answer }).collect())
}

/// Asks once. Returns the answer, and whether the request was sent twice for it: then every part of it needs
/// [`of_repeated`].
fn call<Q: Serialize, T: DeserializeOwned>(
    peer: &Rpc,
    question: &Q,
    deadline: Instant,
    abandoned: &dyn Fn() -> bool,
) -> Result<(T, bool)> {
    begin(peer, question, deadline, abandoned).both()
}

/// Sends a question. The caller does something else, and takes the answer then.
pub fn begin<'a, Q: Serialize>(
    peer: &'a Rpc,
    question: &Q,
    deadline: Instant,
    abandoned: &'a dyn Fn() -> bool,
) -> Begun<'a> {
    let payload = serde_json::to_vec(question).expect("questions have string keys");
    let mut step = scope::call(|| traced::method(&payload));
    step.note("server.address", peer.address());
    let payload = traced::with_contexts(payload, step.contexts());
    Begun { call: peer.begin(payload, deadline, abandoned), peer, step }
}

/// A question that was sent, and whose answer is still to be received.
pub struct Begun<'a> {
    call: Call<'a>,
    peer: &'a Rpc,
    step: Step,
}

impl Begun<'_> {
    /// Waits for the answer.
    pub fn finish<T: DeserializeOwned>(self) -> Result<T> {
        self.both().map(|(answer, _)| answer)
    }

    fn both<T: DeserializeOwned>(mut self) -> Result<(T, bool)> {
        let reply = self.call.finish();
        self.step.outcome(&reply);
        let mut reply = reply?;
        if let Some(took) = traced::take_took(&mut reply.payload, &self.step) {
            scope::add_took(took);
        }
        let answer: Answer<T> = serde_json::from_slice(&reply.payload).map_err(|error| {
            Error::unanswered(format!("{}: malformed answer: {error}", self.peer.address()))
        })?;
        let answer = Result::from(answer);
        self.step.outcome(&answer);
        let answer = if reply.is_repeated { of_repeated(answer) } else { answer };
        Ok((answer?, reply.is_repeated))
    }
}

/// The answer to a request that was sent twice. The first may have been done and its answer lost with the
/// connection, so a refusal of the second does not prove that nothing was done.
pub fn of_repeated<T>(answer: Result<T>) -> Result<T> {
    answer.map_err(
        |error| {
            if error.is_transient() { Error::unanswered(error.to_string()) } else { error }
        },
    )
}

/// For calls that nobody abandons.
pub fn wanted() -> bool {
    false
}
