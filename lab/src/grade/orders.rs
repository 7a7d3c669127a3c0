//! Orders, judged: by the history checker, and against the logs of replicas. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use toystore::history::checker::{Problem, Promise, safety};
use toystore::history::{Operation, Outcome, Request};
use toystore::model::{Entry, Epoch, Item, Key, OrderNumber};

/// An order: the toy and how many.
pub type Order = (String, u64);

/// Orders by their numbers, counted from 1.
pub type Orders = BTreeMap<u64, Order>;

/// What customers were told.
#[derive(Debug, Default)]
pub struct Told {
    /// The orders.
    pub orders: Orders,
    /// A number that two purchases were told. One of them is lost.
    pub twice: Option<u64>,
    /// Whether other purchases may have happened.
    pub in_doubt: bool,
}

/// What customers were told.
pub fn told(requests: &[Request]) -> Told {
    let (mut told, mut keys) = (Told::default(), BTreeMap::new());
    for request in requests {
        let Operation::Buy { key, toy, quantity } = &request.operation else { continue };
        match &request.outcome {
            Outcome::Number(number) => {
                let is_twice = keys.insert(*number, key).is_some_and(|other| other != key);
                told.twice = told.twice.or(is_twice.then_some(*number));
                told.orders.insert(*number, (toy.clone(), *quantity));
            }
            Outcome::Refused(_) | Outcome::Unavailable(_) => {}
            _ => told.in_doubt = true,
        }
    }
    told
}

/// How many of a toy customers were told they bought, and how many more they may have bought.
pub fn sold(requests: &[Request], of: &str) -> (u64, u64) {
    let (mut sold, mut in_doubt) = (0, 0);
    for request in requests {
        let Operation::Buy { toy, quantity, .. } = &request.operation else { continue };
        match request.outcome {
            _ if toy != of => {}
            Outcome::Number(_) => sold += quantity,
            Outcome::Refused(_) | Outcome::Unavailable(_) => {}
            _ => in_doubt += quantity,
        }
    }
    (sold, in_doubt)
}

/// What is wrong with these orders, after this history. Gaps between numbers are not asked of a store, and what is
/// told of look-ups assumes that there are none.
pub fn judge(
    requests: &[Request],
    orders: &Orders,
    initial: &BTreeMap<String, u64>,
) -> Vec<Problem> {
    let (mut log, mut problems) = (Vec::new(), Vec::new());
    let keys = keys(requests, orders);
    for (number, (toy, quantity)) in orders {
        let item = serde_json::from_value::<Item>(
            serde_json::json!({ "name": toy, "quantity": quantity }),
        );
        let key = keys.get(number).cloned().unwrap_or_else(|| format!("nobody-{number}"));
        match (item, Key::from_customer(&key)) {
            (Ok(item), Ok(key)) => {
                log.push(Entry { number: OrderNumber(*number), epoch: Epoch(1), key, item });
            }
            (Err(error), _) => problems.push(Problem {
                promise: Promise::Recorded,
                what: format!("order {number} is shown as {quantity} {toy:?}: {error}"),
            }),
            (_, Err(error)) => {
                problems.push(Problem { promise: Promise::Recorded, what: error.to_string() });
            }
        }
    }
    problems.extend(safety(requests, initial, &log));
    problems.retain(|problem| !matches!(problem.promise, Promise::NoGaps | Promise::LookUp));
    problems
}

/// Which purchase each order belongs to: the one that was told its number; else one that may have happened, and was
/// for the same.
fn keys(requests: &[Request], orders: &Orders) -> HashMap<u64, String> {
    let (mut keys, mut told, mut in_doubt) = (HashMap::new(), BTreeSet::new(), BTreeMap::new());
    for request in requests {
        let Operation::Buy { key, toy, quantity } = &request.operation else { continue };
        match request.outcome {
            Outcome::Number(number) => {
                keys.insert(number, key.clone());
                told.insert(key);
            }
            Outcome::Refused(_) => {}
            _ => drop(in_doubt.insert(key, (toy.clone(), *quantity))),
        }
    }
    in_doubt.retain(|key, _| !told.contains(key));
    for (number, order) in orders {
        if keys.contains_key(number) {
            continue;
        }
        let same = in_doubt.iter().find(|(_, bought)| *bought == order).map(|(key, _)| *key);
        if let Some(key) = same {
            in_doubt.remove(key);
            keys.insert(*number, key.clone());
        }
    }
    keys
}

/// How the log of a replica differs from what customers were told, or nothing.
pub fn difference(replica: &str, log: &Orders, told: &Told) -> Option<String> {
    for (number, (toy, quantity)) in &told.orders {
        match log.get(number) {
            None => {
                return Some(format!(
                    "order {number} ({quantity} {toy}) is not in the log of {replica}"
                ));
            }
            Some((name, count)) if (name, count) != (toy, quantity) => {
                return Some(format!(
                    "order {number} is {quantity} {toy}, but {count} {name} in the log of {replica}"
                ));
            }
            Some(_) => {}
        }
    }
    let extra = log.keys().find(|number| !told.orders.contains_key(number))?;
    (!told.in_doubt)
        .then(|| format!("order {extra} is in the log of {replica}, and nobody was told of it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second purchase with a number would hide that the first one is lost.
    #[test]
    fn a_number_that_two_purchases_were_told_is_found() {
        let bought = |key: &str, number| Request {
            session: 0,
            operation: Operation::Buy { key: key.into(), toy: "Tux".into(), quantity: 1 },
            start_us: 0,
            end_us: 1,
            outcome: Outcome::Number(number),
        };
        for (requests, twice) in [
            (vec![bought("a", 1), bought("b", 2)], None),
            (vec![bought("a", 1), bought("a", 1)], None),
            (vec![bought("a", 1), bought("b", 2), bought("c", 2)], Some(2)),
        ] {
            assert_eq!(told(&requests).twice, twice, "{requests:?}");
        }
    }
}
