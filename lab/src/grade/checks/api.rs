//! The requests of the API: each gets an answer, and the answer that it should.

use super::check::Check;
use crate::grade::caller::Amount;
use crate::grade::finding::{Finding, lost};
use crate::grade::trial::Trial;

/// The checks of this group.
pub const CHECKS: [Check; 10] = [
    Check {
        name: "known-toy",
        asks: "A query of a toy shows its stock.",
        is_fresh: true,
        run: known_toy,
    },
    Check {
        name: "unknown-toy",
        asks: "A query of a toy that does not exist is a failure, and the store goes on.",
        is_fresh: false,
        run: unknown_toy,
    },
    Check {
        name: "buy",
        asks: "A purchase gets an order number; the next one a higher number.",
        is_fresh: false,
        run: buy,
    },
    Check {
        name: "look-up",
        asks: "An order can be looked up by its number.",
        is_fresh: false,
        run: look_up,
    },
    Check {
        name: "too-many",
        asks: "A purchase of more than there is fails, and takes nothing.",
        is_fresh: false,
        run: too_many,
    },
    Check {
        name: "zero",
        asks: "A purchase of 0 is a failure.",
        is_fresh: false,
        run: |trial| nonsense(trial, Amount::Number(0)),
    },
    Check {
        name: "negative",
        asks: "A purchase of -1 is a failure.",
        is_fresh: false,
        run: |trial| nonsense(trial, Amount::Number(-1)),
    },
    Check {
        name: "no-number",
        asks: "A purchase whose quantity is no number is a failure.",
        is_fresh: false,
        run: |trial| nonsense(trial, Amount::Text("three")),
    },
    Check {
        name: "unknown-order",
        asks: "A look-up of an order that does not exist is a failure.",
        is_fresh: false,
        run: unknown_order,
    },
    Check {
        name: "malformed-body",
        asks: "A body that ends in its middle gets an answer, which is a failure, and the store goes on.",
        is_fresh: false,
        run: malformed_body,
    },
];

fn known_toy(trial: &mut Trial<'_>) -> Finding {
    let toy = trial.toy(0)?;
    let (least, most) = trial.left(toy)?;
    let shown = trial.query(toy)?.value(&format!("a query of {toy}"))?;
    if !(least..=most).contains(&shown) {
        return lost(format!("{toy} is shown with {shown}, expected {most}"));
    }
    Ok(format!("{toy} has {shown}"))
}

fn unknown_toy(trial: &mut Trial<'_>) -> Finding {
    let code = trial.submission.api().codes.unknown_toy;
    let failed = trial.query("No Such Toy")?.failure("a query of an unknown toy", code)?;
    let toy = trial.toy(0)?;
    trial.query(toy)?.value(&format!("a query of {toy} after that"))?;
    Ok(format!("it failed with {failed}"))
}

fn buy(trial: &mut Trial<'_>) -> Finding {
    let toy = trial.toy(0)?;
    let (first, second) = (trial.buy_one(toy)?, trial.buy_one(toy)?);
    if second <= first {
        return lost(format!("the second purchase got number {second}, the first {first}"));
    }
    Ok(format!("the second order is {} after the first", second - first))
}

fn look_up(trial: &mut Trial<'_>) -> Finding {
    let toy = trial.toy(1)?;
    let number = trial.buy(toy, 2)?.value(&format!("a purchase of 2 {toy}"))?;
    let (name, quantity) = trial.look_up(number)?.value("the look-up of its order")?;
    if (name.as_str(), quantity) != (toy, 2) {
        return lost(format!("the order of 2 {toy} is shown as {quantity} {name}"));
    }
    Ok(format!("it shows {quantity} {name}"))
}

fn too_many(trial: &mut Trial<'_>) -> Finding {
    let toy = trial.toy(0)?;
    let count = trial.stock_max(toy) + 1;
    let code = trial.submission.api().codes.not_enough;
    let failed = trial.buy(toy, count)?.failure(&format!("a purchase of {count} {toy}"), code)?;
    trial.buy_one(toy)?;
    Ok(format!("{count} {toy} failed with {failed}, then 1 was sold"))
}

fn nonsense(trial: &mut Trial<'_>, amount: Amount<'_>) -> Finding {
    let toy = trial.toy(0)?;
    let code = trial.submission.api().codes.malformed;
    let what = format!("a purchase of {amount} {toy}");
    let failed = trial.buy_nonsense(toy, amount)?.failure(&what, code)?;
    Ok(format!("it failed with {failed}"))
}

fn unknown_order(trial: &mut Trial<'_>) -> Finding {
    let code = trial.submission.api().codes.unknown_order;
    let failed = trial.look_up(999_999)?.failure("the look-up of an unknown order", code)?;
    Ok(format!("it failed with {failed}"))
}

fn malformed_body(trial: &mut Trial<'_>) -> Finding {
    let toy = trial.toy(0)?;
    let code = trial.submission.api().codes.malformed;
    let exchange = trial.caller()?.buy_malformed(toy);
    let failed = trial.noted(exchange)?.failure("half a purchase", code)?;
    trial.buy_one(toy)?;
    Ok(format!("it failed with {failed}, then 1 {toy} was sold"))
}
