//! Writes many orders, some at a time, and says how far it is. Used by [`files`](super::files) and
//! [`tables`](super::tables).

use crate::error::Result;
use crate::model::Entry;
use crate::output::print;

/// So many orders are written at once.
const ORDERS_MAX: usize = 10_000;

/// After so many orders there is a line of progress.
const TOLD_EVERY: usize = 100_000;

/// Gives the orders to `write`, some at a time. `place` is where it writes them to.
pub(super) fn write_orders(
    orders: &[Entry],
    place: &str,
    mut write: impl FnMut(&[Entry]) -> Result<()>,
) -> Result<()> {
    let mut done = 0;
    for part in orders.chunks(ORDERS_MAX) {
        write(part)?;
        done += part.len();
        if done.is_multiple_of(TOLD_EVERY) || done == orders.len() {
            print(format!("{place}: {done} of {} orders\n", orders.len()))?;
        }
    }
    Ok(())
}
