//! Many buyers at the same time.

use super::check::Check;
use crate::grade::books::look_all_up;
use crate::grade::caller::Reply;
use crate::grade::customers::shop_to_the_end;
use crate::grade::finding::{Finding, NoPoints, lost};
use crate::grade::orders::{judge, sold};
use crate::grade::trial::Trial;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use toystore::history::Outcome;
use toystore::history::checker::{Promise, given_twice};

const BUYERS: u64 = 20;

/// The purchases of all buyers whose numbers are compared.
const PURCHASES: usize = 80;

/// The checks of this group.
pub const CHECKS: [Check; 3] = [
    Check {
        name: "no-oversell",
        asks: "20 buyers at the same time get as many of a toy as there are, and no more.",
        is_fresh: true,
        run: no_oversell,
    },
    Check {
        name: "order-numbers",
        asks: "Order numbers are unique, and increase.",
        is_fresh: true,
        run: order_numbers,
    },
    Check {
        name: "stock-conserved",
        asks: "After 20 buyers the stock is what it was, less what was sold.",
        is_fresh: true,
        run: stock_conserved,
    },
];

/// Lets buyers buy 1 of a toy until it is sold out for each of them.
fn sell_out(trial: &mut Trial<'_>, toy: &str) -> Result<(), NoPoints> {
    let tried = AtomicU64::new(0);
    // A store that sells without an end is seen too.
    let tries_max = 4 * trial.stock_max(toy) + 10 * BUYERS;
    shop_to_the_end(trial, BUYERS, |session| {
        let is_sold = matches!(session.buy(toy, 1), (_, Reply::Is(_)));
        is_sold && tried.fetch_add(1, Ordering::Relaxed) < tries_max
    })
}

/// How many of a toy were sold, and may have been, since these numbers.
fn sold_since(trial: &Trial<'_>, toy: &str, before: (u64, u64)) -> (u64, u64) {
    let after = sold(&trial.history.requests(), toy);
    (after.0 - before.0, after.1 - before.1)
}

fn no_oversell(trial: &mut Trial<'_>) -> Finding {
    let toy = trial.toy(2)?;
    let (stock, most) = trial.left(toy)?;
    let before = sold(&trial.history.requests(), toy);
    sell_out(trial, toy)?;
    let (sold, in_doubt) = sold_since(trial, toy, before);
    let restocks = trial.restocks_max();
    let most = most + restocks * trial.stock_max(toy);
    let seen = format!("{BUYERS} buyers were sold {sold} of {stock} {toy}");
    let doubt = format!("{in_doubt} purchases had no answer, {restocks} restocks were due");
    if sold > most {
        return lost(format!("{seen}; {doubt}"));
    }
    if sold + in_doubt < stock {
        return lost(format!("{seen} until all were refused; {doubt}"));
    }
    Ok(seen)
}

fn order_numbers(trial: &mut Trial<'_>) -> Finding {
    let toys = trial.toys()?;
    let made = AtomicUsize::new(0);
    shop_to_the_end(trial, BUYERS, |session| {
        let number = made.fetch_add(1, Ordering::Relaxed);
        let is_due = number < PURCHASES;
        if is_due {
            session.buy(toys[number % 4], 1);
        }
        is_due
    })?;
    let requests = trial.history.requests();
    let numbers = requests.iter().filter_map(|request| match request.outcome {
        Outcome::Number(number) => Some(number),
        _ => None,
    });
    let count = numbers.clone().count();
    if count == 0 {
        return lost("no purchase succeeded");
    }
    let mut problems = given_twice(numbers);
    let orders = look_all_up(trial, &requests)?;
    let found = judge(&requests, &orders, &BTreeMap::new()).into_iter();
    problems.extend(
        found.filter(|problem| problem.promise == Promise::InOrder).map(|problem| problem.what),
    );
    for problem in &problems {
        trial.note(problem);
    }
    match problems.first() {
        Some(first) => lost(format!("{first} ({} problems)", problems.len())),
        None => Ok(format!("{count} orders, all numbers unique and increasing")),
    }
}

fn stock_conserved(trial: &mut Trial<'_>) -> Finding {
    let toy = trial.toy(3)?;
    let (stock, _) = trial.left(toy)?;
    let (before, wanted) = (sold(&trial.history.requests(), toy), stock / 2);
    let made = AtomicU64::new(0);
    shop_to_the_end(trial, BUYERS, |session| {
        let is_due = made.fetch_add(1, Ordering::Relaxed) < wanted;
        if is_due {
            session.buy(toy, 1);
        }
        is_due
    })?;
    let (sold, in_doubt) = sold_since(trial, toy, before);
    if in_doubt > 0 {
        return lost(format!("{in_doubt} of {wanted} purchases had no answer"));
    }
    let rest = expect_rest(trial, toy)?;
    Ok(format!("{sold} of {stock} {toy} were sold, {rest} were left"))
}

/// Buys one more than can be left of a toy after all that was sold, which must fail, and then what must be left, which
/// must succeed. No query is needed, so a cache does not matter. Returns what must be left.
pub fn expect_rest(trial: &mut Trial<'_>, toy: &str) -> Result<u64, NoPoints> {
    let (least, most) = trial.left(toy)?;
    let code = trial.submission.api().codes.not_enough;
    let what = |count: u64| {
        format!("a purchase of {count} {toy}, of which {least} to {most} must be left,")
    };
    trial.buy(toy, most + 1)?.failure(&what(most + 1), code)?;
    if least > 0 {
        trial.buy(toy, least)?.value(&what(least))?;
    }
    Ok(least)
}
