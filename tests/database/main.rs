//! The store on a database of three Galera nodes. `make test-database` runs these tests; they need MariaDB.

#[path = "../support/mod.rs"]
mod support;
#[path = "../torture/history.rs"]
mod history;
#[path = "../torture/load.rs"]
mod load;

mod log;
mod catalog;
mod store;
mod standby;
mod front_ends;
mod migration;
mod page;

use history::History;
use toystore::history::Outcome;

/// The longest time without an answered purchase since then, in milliseconds.
fn gap(history: &History, since_us: u64) -> u64 {
    let requests = history.requests();
    let answered = requests.iter().filter(|request| matches!(request.outcome, Outcome::Number(_)));
    let mut ends: Vec<u64> = answered.map(|request| request.end_us).collect();
    ends.retain(|end| *end >= since_us);
    ends.push(since_us);
    ends.sort_unstable();
    let gaps = ends.windows(2).map(|pair| pair[1] - pair[0]);
    gaps.max().expect("there are answers") / 1_000
}
