//! Requests for the tests of the two judges.

use super::{Operation, Outcome, Request};

pub(super) fn request(
    operation: Operation,
    (start_us, end_us): (u64, u64),
    outcome: Outcome,
) -> Request {
    Request { session: 0, operation, start_us, end_us, outcome }
}

pub(super) fn buy(key: &str, quantity: u64, during: (u64, u64), outcome: Outcome) -> Request {
    let (key, toy) = (key.to_owned(), "Tux".to_owned());
    request(Operation::Buy { key, toy, quantity }, during, outcome)
}

pub(super) fn query(during: (u64, u64), outcome: Outcome) -> Request {
    request(Operation::Query { toy: "Tux".to_owned() }, during, outcome)
}

pub(super) fn look_up(number: u64, during: (u64, u64), outcome: Outcome) -> Request {
    request(Operation::LookUp { number }, during, outcome)
}

pub(super) fn unknown() -> Outcome {
    Outcome::Unknown("no answer".to_owned())
}
