//! Replicas have the same orders.

use super::check::Check;
use crate::grade::books::await_agreement;
use crate::grade::finding::Finding;
use crate::grade::trial::Trial;

/// The orders that are compared.
const ORDERS: usize = 40;

/// The checks of this group.
pub const CHECKS: [Check; 1] = [Check {
    name: "replicas-agree",
    asks: "All replicas have all orders, and the same ones.",
    is_fresh: true,
    run: replicas_agree,
}];

fn replicas_agree(trial: &mut Trial<'_>) -> Finding {
    let toys = trial.toys()?;
    for number in 0..ORDERS {
        trial.buy_one(toys[number % 4])?;
    }
    await_agreement(trial)?;
    Ok(format!("the logs have the same {ORDERS} orders"))
}
