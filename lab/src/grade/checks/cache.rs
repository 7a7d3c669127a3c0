//! The cache of the front-end: it answers without the catalog, and never with what is over.

use super::check::Check;
use crate::grade::books::look_all_up;
use crate::grade::caller::Reply;
use crate::grade::customers::shop_to_the_end;
use crate::grade::finding::{Finding, NoPoints, lost, not_graded};
use crate::grade::orders::judge;
use crate::grade::submission::Role;
use crate::grade::trial::Trial;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use toystore::history::checker::Promise;

/// How long to wait for an answer while the catalog is paused, which may not come: so many times as long as for the one
/// before, and longer by the patience.
pub const SLOWER_MAX: u32 = 4;

/// The patience at first.
pub const PATIENCE_MIN: Duration = Duration::from_millis(100);

/// The patience after some tries.
const PATIENCE_MAX: Duration = Duration::from_millis(800);

/// How often a toy is bought and then queried, and how many queries follow each time.
const ROUNDS: usize = 20;
const LATER: usize = 4;

/// So many times faster is an answer from a cache at least.
const FASTER: f64 = 1.5;

/// The customers that look for a stale read, and the steps of all of them.
const CUSTOMERS: u64 = 4;
const STEPS: u64 = 80;

/// The checks of this group.
pub const CHECKS: [Check; 2] = [
    Check {
        name: "cached",
        asks: "A toy that was queried is answered from the cache.",
        is_fresh: false,
        run: cached,
    },
    Check {
        name: "fresh-after-purchase",
        asks: "A query that begins after a purchase was answered shows it.",
        is_fresh: true,
        run: fresh_after_purchase,
    },
];

/// Waits until a toy that was queried is answered while the catalog is paused. Some stores do without a cache for a while
/// after the catalog was away, so each pause is short, and a longer one comes later.
pub fn await_answer_without_catalog(trial: &mut Trial<'_>, toy: &str) -> Result<bool, NoPoints> {
    let mut patience = PATIENCE_MIN;
    let within = trial.submission.deadlines.failover();
    trial.wait_for(within, |trial| {
        let is_answered = is_answered_without_catalog(trial, toy, patience)?;
        if !is_answered {
            thread::sleep(patience);
            patience = PATIENCE_MAX.min(2 * patience);
        }
        Ok(is_answered)
    })
}

/// Queries a toy, pauses the catalog and queries it again.
fn is_answered_without_catalog(
    trial: &mut Trial<'_>,
    toy: &str,
    patience: Duration,
) -> Result<bool, NoPoints> {
    let catalog = catalog(trial)?;
    let begun = Instant::now();
    trial.query(toy)?;
    let within = SLOWER_MAX * begun.elapsed() + patience;
    trial.store.pause(&catalog)?;
    trial.note(format!("{catalog} is paused (SIGSTOP)"));
    let exchange = trial.caller_within(within).map(|mut caller| caller.query(toy));
    trial.store.resume(&catalog)?;
    let reply = trial.noted(exchange?)?;
    trial.note(format!("{catalog} goes on (SIGCONT)"));
    Ok(matches!(reply, Reply::Is(_)))
}

/// The name of the catalog.
pub fn catalog(trial: &Trial<'_>) -> Result<String, NoPoints> {
    trial
        .store
        .named(Role::Catalog)
        .map_or_else(|| not_graded("no process has the role catalog"), Ok)
}

fn cached(trial: &mut Trial<'_>) -> Finding {
    if !trial.store.can_pause(Role::Catalog) {
        return cached_by_latency(trial);
    }
    let toy = trial.toy(0)?;
    for _ in 0..2 {
        trial.query(toy)?.value(&format!("a query of {toy}"))?;
    }
    if await_answer_without_catalog(trial, toy)? {
        Ok(format!("{toy} was answered while the catalog was paused"))
    } else {
        lost(format!("a query of {toy} was not answered while the catalog was paused"))
    }
}

/// Whether a cache shows without a fault: the first query after a purchase takes longer than those after it. That they take
/// as long proves nothing.
fn cached_by_latency(trial: &mut Trial<'_>) -> Finding {
    let toys = trial.toys()?;
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let toy = toys[round % 4];
        if !matches!(trial.buy(toy, 1)?, Reply::Is(_)) {
            // It is sold out.
            continue;
        }
        let mut session = trial.session()?;
        session.keeps_connection = true;
        // Makes the connection.
        let other = session.query(toys[(round + 1) % 4]);
        trial.noted(other)?;
        for query in 0..LATER {
            let (exchange, reply) = session.query(toy);
            if query == 0 { &mut first } else { &mut later }.push(exchange.took);
            trial.noted((exchange, reply))?.value(&format!("a query of {toy}"))?;
        }
    }
    if first.len() < ROUNDS / 4 {
        return not_graded("the catalog cannot be paused, and there is too little to be bought");
    }
    let [first, later] = [first, later].map(|mut times| {
        // A busy machine makes many of them longer, but hardly the fastest ones.
        times.sort();
        times[times.len() / 4].as_secs_f64()
    });
    let seen = format!(
        "the first query of a toy that was bought took {:.2} ms, the next ones {:.2} ms (lower quartiles)",
        first * 1e3,
        later * 1e3
    );
    if first < FASTER * later {
        return not_graded(format!(
            "the catalog cannot be paused, and latency shows no cache: {seen}"
        ));
    }
    Ok(seen)
}

fn fresh_after_purchase(trial: &mut Trial<'_>) -> Finding {
    let [one, other, ..] = trial.toys()?;
    let toys = [one, other];
    let steps = trial.left(toys[0])?.0.min(trial.left(toys[1])?.0).min(STEPS);
    let made = AtomicU64::new(0);
    // Half of the steps buy, each toy at most half of its stock: no toy is sold out, so none is restocked.
    shop_to_the_end(trial, CUSTOMERS, |session| {
        let step = made.fetch_add(1, Ordering::Relaxed);
        if step >= steps {
            return false;
        }
        let toy = if step % 4 < 2 { toys[0] } else { toys[1] };
        session.query(toy);
        if step.is_multiple_of(2) {
            session.buy(toy, 1);
        }
        session.query(toy);
        true
    })?;
    for toy in toys {
        // An error after a restock: a higher stock means nothing then.
        trial.left(toy)?;
    }
    let requests = trial.history.requests();
    let orders = look_all_up(trial, &requests)?;
    let initial: BTreeMap<String, u64> =
        toys.iter().map(|toy| ((*toy).to_owned(), trial.submission.toys()[*toy])).collect();
    let mut stale = judge(&requests, &orders, &initial);
    stale.retain(|problem| problem.promise == Promise::Fresh);
    stale.iter().take(20).for_each(|problem| trial.note(&problem.what));
    match stale.first() {
        Some(first) => lost(format!("{first} ({} stale or impossible reads)", stale.len())),
        None => Ok(format!("no stale read in {} requests", requests.len())),
    }
}
