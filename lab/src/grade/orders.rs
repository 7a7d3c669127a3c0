//! Orders, judged: by the history checker, and against the logs of replicas. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use toystore::history::checker::{Problem, Promise, safety};
use toystore::history::{Operation, Outcome, Request};
use toystore::model::{Entry, Epoch, Item, Key, OrderNumber};

/// An order: the toy and how many.
pub type Order = (String, u64);

/// Orders by their numbers, counted from 1.
pub type Orders = BTreeMap<u64, Order>;

/// The orders that customers were told, and whether other purchases may have happened.
pub fn acknowledged(requests: &[Request]) -> (Orders, bool) {
    let (mut orders, mut in_doubt) = (Orders::new(), false);
    for request in requests {
        let Operation::Buy { toy, quantity, .. } = &request.operation else { continue };
        match &request.outcome {
            Outcome::Number(number) => drop(orders.insert(*number, (toy.clone(), *quantity))),
            Outcome::Refused(_) | Outcome::Unavailable(_) => {}
            _ => in_doubt = true,
        }
    }
    (orders, in_doubt)
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
pub fn difference(replica: &str, log: &Orders, told: &Orders, in_doubt: bool) -> Option<String> {
    for (number, (toy, quantity)) in told {
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
    let extra = log.keys().find(|number| !told.contains_key(number))?;
    (!in_doubt)
        .then(|| format!("order {extra} is in the log of {replica}, and nobody was told of it"))
}
