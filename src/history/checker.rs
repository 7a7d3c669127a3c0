//! Decides whether a history is possible for a store that keeps its promises. Pure.
//!
//! *Safety* must hold after all faults. Each function below checks one promise.
//!
//! - A purchase is all requests with one key: it may have happened after the start of the first request, and has
//!   certainly happened before the end of the first one that was answered with a number.
//! - There is no restock in these runs, so stock only falls.

use super::{Operation, Outcome, Request};
use crate::model::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::{self, Display};

/// What a store promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// One key has one answer.
    OneAnswer,
    /// Order numbers have no gaps.
    NoGaps,
    /// The log has every acknowledged order, and each order once, as it was requested.
    Recorded,
    /// A purchase that began after another was acknowledged has a higher number.
    InOrder,
    /// A look-up shows what is in the log.
    LookUp,
    /// A query shows what was bought before.
    Fresh,
    /// Only what cannot be done is refused.
    Refusal,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which.
    pub promise: Promise,
    /// The counterexample.
    pub what: String,
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// The problems that were found so far.
#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn push(&mut self, promise: Promise, what: String) {
        self.0.push(Problem { promise, what });
    }
}

/// All requests with one key.
struct Purchase<'a> {
    toy: &'a str,
    quantity: u64,
    /// The start of the first request.
    start_us: u64,
    /// The number of its first answer, and when.
    acknowledged: Option<(u64, u64)>,
    /// When it was refused.
    refused_us: Option<u64>,
}

type Purchases<'a> = BTreeMap<&'a str, Purchase<'a>>;

/// A function of time: all points up to a time, folded.
struct Timeline(Vec<(u64, u64)>);

impl Timeline {
    fn new(points: impl Iterator<Item = (u64, u64)>, fold: fn(u64, u64) -> u64) -> Timeline {
        let mut points: Vec<_> = points.collect();
        points.sort_unstable();
        for i in 1..points.len() {
            points[i].1 = fold(points[i - 1].1, points[i].1);
        }
        Timeline(points)
    }

    /// All points before `time`, folded; `None` if there is none.
    fn before(&self, time: u64) -> Option<u64> {
        let count = self.0.partition_point(|(at, _)| *at < time);
        Some(self.0[count.checked_sub(1)?].1)
    }
}

fn sum(a: u64, b: u64) -> u64 {
    a + b
}

/// All broken promises in the history, the toys at the start and the log at the end.
pub fn safety(
    requests: &[Request],
    initial: &BTreeMap<String, u64>,
    log: &[Entry],
) -> Vec<Problem> {
    let mut problems = Problems::default();
    let purchases = purchases(requests, &mut problems);
    check_log(&purchases, log, &mut problems);
    check_real_time(&purchases, &mut problems);
    check_look_ups(requests, &purchases, log, &mut problems);
    for (toy, initial) in initial {
        let queries = queries(requests, toy);
        check_freshness(&queries, (toy, *initial), &purchases, &mut problems);
        check_stock_refusals((toy, *initial), &purchases, &mut problems);
    }
    check_refusals(requests, &mut problems);
    problems.0
}

/// A line for each order number that two purchases received.
pub fn given_twice(numbers: impl Iterator<Item = u64>) -> Vec<String> {
    let mut given = HashSet::new();
    let twice = numbers.filter(|number| !given.insert(*number));
    twice.map(|number| format!("order number {number} was given to two purchases")).collect()
}

/// One key has one answer.
fn purchases<'a>(requests: &'a [Request], problems: &mut Problems) -> Purchases<'a> {
    let mut purchases: Purchases<'a> = BTreeMap::new();
    for request in requests {
        let Operation::Buy { key, toy, quantity } = &request.operation else { continue };
        let (start_us, end_us) = (request.start_us, request.end_us);
        let purchase = purchases.entry(key).or_insert(Purchase {
            toy,
            quantity: *quantity,
            start_us,
            acknowledged: None,
            refused_us: None,
        });
        purchase.start_us = purchase.start_us.min(start_us);
        match (&request.outcome, purchase.acknowledged) {
            (Outcome::Number(number), None) => purchase.acknowledged = Some((*number, end_us)),
            (Outcome::Number(number), Some((first, _))) if *number != first => {
                problems.push(
                    Promise::OneAnswer,
                    format!("key {key} was given the numbers {first} and {number}"),
                );
            }
            (Outcome::Number(number), Some((_, first_us))) => {
                purchase.acknowledged = Some((*number, first_us.min(end_us)));
            }
            (Outcome::Refused(_), _) => purchase.refused_us = Some(end_us),
            _ => {}
        }
        if let Purchase { acknowledged: Some((number, _)), refused_us: Some(_), .. } = purchase {
            problems
                .push(Promise::OneAnswer, format!("key {key} has number {number} and was refused"));
        }
    }
    purchases
}

/// Numbers are 1..N. Each order was requested, and is in the log once. Each acknowledged order is there; no refused
/// one is.
fn check_log(purchases: &Purchases<'_>, log: &[Entry], problems: &mut Problems) {
    let mut numbers: HashMap<&str, u64> = HashMap::new();
    for (expected, entry) in (1..).zip(log) {
        let (number, key) = (entry.number.0, entry.key.as_str());
        if number != expected {
            problems.push(
                Promise::NoGaps,
                format!("order {number} stands where order {expected} belongs"),
            );
        }
        if let Some(twin) = numbers.insert(key, number) {
            problems.push(
                Promise::Recorded,
                format!("orders {twin} and {number} have the same key {key}"),
            );
        }
        match purchases.get(key) {
            None => problems
                .push(Promise::Recorded, format!("nobody asked for order {number} (key {key})")),
            Some(Purchase { toy, quantity, .. }) => {
                if (*toy, *quantity) != (&entry.item.name, entry.item.quantity.get()) {
                    let item = &entry.item;
                    problems.push(
                        Promise::Recorded,
                        format!("order {number} is {item:?}, not {quantity} {toy}"),
                    );
                }
            }
        }
    }
    for (key, purchase) in purchases {
        let found = numbers.get(key);
        if let Some((number, _)) = purchase.acknowledged
            && found != Some(&number)
        {
            problems.push(
                Promise::Recorded,
                format!("order {number} (key {key}) is lost; its key has {found:?}"),
            );
        }
        if purchase.refused_us.is_some() && found.is_some() {
            problems
                .push(Promise::Recorded, format!("key {key} was refused and has number {found:?}"));
        }
    }
}

/// A purchase that began after another was acknowledged has a higher number.
fn check_real_time(purchases: &Purchases<'_>, problems: &mut Problems) {
    let acknowledged = || purchases.values().filter_map(|p| Some((p.start_us, p.acknowledged?)));
    let highest = Timeline::new(acknowledged().map(|(_, (number, end))| (end, number)), u64::max);
    for (start_us, (number, _)) in acknowledged() {
        if let Some(before) = highest.before(start_us)
            && before >= number
        {
            problems.push(Promise::InOrder, format!(
                "order {number} was begun at {start_us} us, when {before} was acknowledged already"
            ));
        }
    }
}

/// A look-up of an order has the content of the log at the end. An order is never unknown once it, or a
/// later one, was acknowledged.
fn check_look_ups(
    requests: &[Request],
    purchases: &Purchases<'_>,
    log: &[Entry],
    problems: &mut Problems,
) {
    let acknowledged = purchases.values().filter_map(|purchase| purchase.acknowledged);
    let highest = Timeline::new(acknowledged.map(|(number, end)| (end, number)), u64::max);
    for request in requests {
        let Operation::LookUp { number } = request.operation else { continue };
        let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let entry = at.and_then(|at| log.get(at));
        match &request.outcome {
            Outcome::Order(toy, quantity) => {
                let same =
                    |e: &Entry| (&*e.item.name, e.item.quantity.get()) == (&**toy, *quantity);
                if !entry.is_some_and(same) {
                    problems.push(
                        Promise::LookUp,
                        format!("order {number} was shown as {quantity} {toy}: {entry:?}"),
                    );
                }
            }
            Outcome::Refused(404) => {
                if let Some(before) = highest.before(request.start_us)
                    && before >= number
                {
                    problems.push(
                        Promise::LookUp,
                        format!(
                            "order {number} was unknown at {} us, when {before} was acknowledged",
                            request.start_us
                        ),
                    );
                }
            }
            _ => {}
        }
    }
}

/// The answered queries of one toy, with the quantity that they showed.
fn queries<'a>(requests: &'a [Request], toy: &str) -> Vec<(&'a Request, u64)> {
    let answered =
        requests.iter().filter_map(|request| match (&request.operation, &request.outcome) {
            (Operation::Query { toy: of }, Outcome::Left(left)) if of == toy => {
                Some((request, *left))
            }
            _ => None,
        });
    answered.collect()
}

/// A query shows every purchase that was acknowledged before it began, and none that began after it
/// ended, and never a higher quantity than an earlier query.
fn check_freshness(
    queries: &[(&Request, u64)],
    (toy, initial): (&str, u64),
    purchases: &Purchases<'_>,
    problems: &mut Problems,
) {
    let of_toy = || purchases.values().filter(|purchase| purchase.toy == toy);
    let acknowledged = of_toy().filter_map(|p| Some((p.acknowledged?.1, p.quantity)));
    let acknowledged = Timeline::new(acknowledged, sum);
    let attempted = of_toy().filter(|p| p.refused_us.is_none()).map(|p| (p.start_us, p.quantity));
    let attempted = Timeline::new(attempted, sum);
    let seen = queries.iter().map(|(request, left)| (request.end_us, *left));
    let seen = Timeline::new(seen, u64::min);
    for (request, left) in queries {
        let Request { start_us, end_us, .. } = request;
        let sold_at_least = acknowledged.before(*start_us).unwrap_or(0);
        let sold_at_most = attempted.before(*end_us).unwrap_or(0);
        if left + sold_at_least > initial {
            problems.push(
                Promise::Fresh,
                format!(
                    "{toy} at {start_us}..{end_us} us: {left} left is stale, {sold_at_least} of \
                 {initial} had been bought"
                ),
            );
        }
        if left + sold_at_most < initial {
            problems.push(Promise::Fresh, format!(
                "{toy} at {start_us}..{end_us} us: {left} left is too few, at most {sold_at_most} \
                 of {initial} were bought"
            ));
        }
        if let Some(before) = seen.before(*start_us)
            && before < *left
        {
            problems.push(
                Promise::Fresh,
                format!(
                    "{toy} at {start_us}..{end_us} us: {left} left, but {before} were seen before"
                ),
            );
        }
    }
}

/// If a purchase is refused for lack of stock, enough purchases had been requested by then.
fn check_stock_refusals(
    (toy, initial): (&str, u64),
    purchases: &Purchases<'_>,
    problems: &mut Problems,
) {
    let of_toy = || purchases.iter().filter(|(_, purchase)| purchase.toy == toy);
    let attempted = of_toy().filter(|(_, p)| p.refused_us.is_none());
    let attempted = Timeline::new(attempted.map(|(_, p)| (p.start_us, p.quantity)), sum);
    for (key, purchase) in of_toy() {
        let Some(refused_us) = purchase.refused_us else { continue };
        let sold_at_most = attempted.before(refused_us).unwrap_or(0);
        if sold_at_most + purchase.quantity <= initial {
            problems.push(Promise::Refusal, format!(
                "key {key} was refused {} {toy}, with at most {sold_at_most} of {initial} bought",
                purchase.quantity
            ));
        }
    }
}

/// Only two requests are refused: a purchase of too many, and a look-up of an order that does not exist.
fn check_refusals(requests: &[Request], problems: &mut Problems) {
    for request in requests {
        let Outcome::Refused(status) = request.outcome else { continue };
        let may_be = match request.operation {
            Operation::Query { .. } => false,
            Operation::Buy { .. } => status == 409,
            Operation::LookUp { .. } => status == 404,
        };
        if !may_be {
            problems
                .push(Promise::Refusal, format!("refused with {status}: {:?}", request.operation));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::requests::{buy, look_up, query, unknown};
    use crate::model::{Epoch, Key, OrderNumber};
    use serde_json::json;

    const INITIAL: u64 = 10;

    fn entry(number: u64, key: &str, quantity: u64) -> Entry {
        Entry {
            number: OrderNumber(number),
            epoch: Epoch(1),
            key: Key::from_customer(key).unwrap(),
            item: serde_json::from_value(json!({ "name": "Tux", "quantity": quantity })).unwrap(),
        }
    }

    fn check(requests: &[Request], log: &[Entry]) -> Vec<String> {
        let found = safety(requests, &BTreeMap::from([("Tux".to_owned(), INITIAL)]), log);
        found.into_iter().map(|problem| problem.what).collect()
    }

    #[test]
    fn a_history_that_may_be_is_good() {
        use Outcome::{Left, Number, Order, Refused};
        let requests = [
            query((0, 1), Left(10)),
            // Begun at once, ended in any order.
            buy("a", 1, (2, 9), Number(2)),
            buy("b", 2, (3, 8), Number(1)),
            // Both answers are possible while the purchases are in flight.
            query((4, 6), Left(7)),
            query((5, 7), Left(10)),
            query((10, 11), Left(7)),
            // Sent again; the first request succeeded.
            buy("c", 3, (12, 20), unknown()),
            query((13, 14), Left(4)),
            buy("c", 3, (21, 22), Number(3)),
            buy("c", 3, (23, 24), Number(3)),
            buy("d", 5, (25, 26), Refused(409)),
            // Never answered but done; and never answered and not done.
            buy("e", 4, (27, 28), unknown()),
            buy("f", 1, (27, 28), unknown()),
            look_up(2, (10, 11), Order("Tux".to_owned(), 1)),
            look_up(3, (12, 21), Refused(404)),
            look_up(3, (12, 21), Order("Tux".to_owned(), 3)),
            look_up(9, (50, 51), Refused(404)),
            query((52, 53), unknown()),
        ];
        let log = [entry(1, "b", 2), entry(2, "a", 1), entry(3, "c", 3), entry(4, "e", 4)];
        assert_eq!(check(&requests, &log), [""; 0]);
    }

    #[test]
    fn each_broken_promise_is_seen() {
        use Outcome::{Left, Number, Order, Refused};
        let a = || buy("a", 1, (1, 2), Number(1));
        let b = || buy("b", 2, (3, 4), Number(2));
        let log = || vec![entry(1, "a", 1), entry(2, "b", 2)];
        let tux = |quantity| Order("Tux".to_owned(), quantity);
        #[rustfmt::skip]
        let cases: [(&str, Vec<Request>, Vec<Entry>); 21] = [
            ("is lost", vec![a(), b()], vec![entry(1, "a", 1)]),
            ("is lost", vec![a(), b()], vec![entry(1, "b", 2)]),
            ("order 1 is", vec![a(), b()], vec![entry(1, "a", 3), entry(2, "b", 2)]),
            ("the same key", vec![a()], vec![entry(1, "a", 1), entry(2, "a", 1)]),
            ("stands where", vec![a(), b()], vec![entry(1, "a", 1), entry(3, "b", 2)]),
            ("nobody asked", vec![a()], log()),
            ("the numbers 1 and 2", vec![a(), buy("a", 1, (5, 6), Number(2)), b()], log()),
            ("and was refused", vec![a(), b(), buy("b", 2, (5, 6), Refused(409))], log()),
            ("has number Some(2)", vec![a(), buy("b", 10, (3, 4), Refused(409))], vec![entry(1, "a", 1), entry(2, "b", 10)]),
            ("acknowledged already", vec![buy("a", 1, (5, 6), Number(1)), b()], log()),
            ("was shown as", vec![a(), b(), look_up(1, (5, 6), tux(2))], log()),
            ("was shown as", vec![a(), b(), look_up(3, (5, 6), tux(2))], log()),
            ("was unknown", vec![a(), b(), look_up(2, (5, 6), Refused(404))], log()),
            ("was unknown", vec![buy("a", 1, (1, 9), Number(1)), b(), look_up(1, (5, 6), Refused(404))], log()),
            ("is stale", vec![a(), query((3, 4), Left(10))], vec![entry(1, "a", 1)]),
            ("is too few", vec![a(), query((3, 4), Left(8))], vec![entry(1, "a", 1)]),
            ("is too few", vec![query((0, 1), Left(9)), a()], vec![entry(1, "a", 1)]),
            ("were seen before", vec![query((2, 3), Left(9)), query((4, 5), Left(10)), buy("a", 1, (1, 9), Number(1))], vec![entry(1, "a", 1)]),
            ("was refused 9 Tux", vec![a(), buy("c", 9, (3, 4), Refused(409))], vec![entry(1, "a", 1)]),
            ("refused with 404", vec![query((1, 2), Refused(404))], vec![]),
            ("refused with 422", vec![buy("a", 11, (1, 2), Refused(422))], vec![]),
        ];
        for (problem, requests, log) in cases {
            let found = check(&requests, &log);
            let is_seen = found.iter().any(|found| found.contains(problem));
            assert!(is_seen, "{problem}: {found:?} in {requests:?}");
        }
    }
}
