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
    for number in 0..ORDERS {
        let toy = trial.submission.toy(number % 4);
        trial.buy_one(toy)?;
    }
    await_agreement(trial)?;
    Ok(format!("the logs have the same {ORDERS} orders"))
}
