//! Restocks: in time, and seen by the next query.

use super::check::Check;
use crate::grade::caller::Reply;
use crate::grade::finding::{Finding, NoPoints, lost, not_graded};
use crate::grade::trial::Trial;
use std::thread;
use std::time::{Duration, Instant};

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// The checks of this group.
pub const CHECKS: [Check; 2] = [
    Check {
        name: "restock",
        asks: "A toy that is sold out can be bought again after a restock.",
        is_fresh: true,
        run: restock,
    },
    Check {
        name: "fresh-after-restock",
        asks: "A query after a restock shows it, also if the toy was in the cache.",
        is_fresh: true,
        run: fresh_after_restock,
    },
];

/// Buys a toy until there is none, one purchase after the other: what many buyers do at once is another check's.
fn sell_out(trial: &mut Trial<'_>, toy: &str) -> Result<(), NoPoints> {
    for quantity in [10, 1] {
        // A store that sells without an end is another check's, too.
        for _ in 0..=2 * trial.stock_max(toy) / quantity {
            if !matches!(trial.buy(toy, quantity)?, Reply::Is(_)) {
                break;
            }
        }
    }
    Ok(())
}

/// The longest time until a restock is seen.
fn within(trial: &Trial<'_>) -> Option<Duration> {
    let restock = trial.submission.restock?;
    Some(Duration::from_millis(restock.every_ms) + trial.submission.deadlines.restock())
}

fn restock(trial: &mut Trial<'_>) -> Finding {
    let Some(within) = within(trial) else {
        return not_graded("the submission gives no restock rule");
    };
    let toy = trial.toy(0)?;
    sell_out(trial, toy)?;
    let begun = Instant::now();
    let restocked = trial.wait_for(within, |trial| {
        thread::sleep(PAUSE);
        Ok(matches!(trial.buy(toy, 1)?, Reply::Is(_)))
    })?;
    let waited = begun.elapsed().as_secs_f64();
    if !restocked {
        return lost(format!("{toy} was sold out, and could not be bought for {waited:.1} s"));
    }
    Ok(format!("{toy} could be bought again {waited:.1} s after it was sold out"))
}

fn fresh_after_restock(trial: &mut Trial<'_>) -> Finding {
    let Some(within) = within(trial) else {
        return not_graded("the submission gives no restock rule");
    };
    let toy = trial.toy(0)?;
    trial.query(toy)?.value(&format!("a query of {toy}"))?;
    sell_out(trial, toy)?;
    let begun = Instant::now();
    let mut shown = 0;
    let seen = trial.wait_for(within, |trial| {
        thread::sleep(PAUSE);
        // Nothing is bought before, so the toy stays in the cache.
        shown = trial.query(toy)?.value(&format!("a query of {toy}"))?;
        Ok(shown > 0)
    })?;
    let waited = begun.elapsed().as_secs_f64();
    if seen {
        return Ok(format!("{toy} was shown with {shown}, {waited:.1} s after it was sold out"));
    }
    match trial.buy(toy, 1)? {
        Reply::Is(number) => lost(format!(
            "order {number} bought 1 {toy}, but the query before it still showed {shown}, {waited:.1} s after it was sold out"
        )),
        _ => not_graded(format!("{toy} was not restocked within {waited:.1} s")),
    }
}
