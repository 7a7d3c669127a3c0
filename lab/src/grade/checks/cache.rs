//! The cache of the front-end: it answers without the catalog, and never with what is over.

use super::check::Check;
use crate::grade::books::look_all_up;
use crate::grade::caller::Reply;
use crate::grade::customers::shop_to_the_end;
use crate::grade::finding::{Finding, NoPoints, lost, not_graded};
use crate::grade::orders::judge;
use crate::grade::submission::{Restocked, Role};
use crate::grade::trial::Trial;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use toystore::history::checker::Promise;

/// How long to wait for an answer that needs the paused catalog: it should not come.
const NO_ANSWER: Duration = Duration::from_millis(700);

/// How often a toy is bought and then queried, and how many queries follow each time.
const ROUNDS: usize = 20;
const LATER: usize = 4;

/// So many times faster is an answer from a cache at least.
const FASTER: f64 = 1.5;

/// The customers that look for a stale read, and the steps of all of them.
const CUSTOMERS: u64 = 4;
const STEPS: u64 = 80;

/// The checks of this group.
pub const CHECKS: [Check; 3] = [
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
    Check {
        name: "eviction",
        asks: "The cache holds as many toys as it should, and evicts the least recently used.",
        is_fresh: true,
        run: eviction,
    },
];

/// Runs a body while the catalog is paused.
fn without_catalog<'a, T>(
    trial: &mut Trial<'a>,
    body: impl FnOnce(&mut Trial<'a>) -> Result<T, NoPoints>,
) -> Result<T, NoPoints> {
    let Some(catalog) = trial.store.named(Role::Catalog) else {
        return not_graded("no process has the role catalog");
    };
    trial.store.pause(&catalog)?;
    trial.note(format!("{catalog} is paused (SIGSTOP)"));
    let outcome = body(trial);
    trial.store.resume(&catalog)?;
    outcome
}

fn cached(trial: &mut Trial<'_>) -> Finding {
    if !trial.store.can_pause(Role::Catalog) {
        return cached_by_latency(trial);
    }
    let toy = trial.submission.toy(0);
    for _ in 0..2 {
        trial.query(toy)?.value(&format!("a query of {toy}"))?;
    }
    without_catalog(trial, |trial| {
        trial.query(toy)?.value(&format!("a query of {toy} while the catalog was paused"))
    })?;
    Ok(format!("{toy} was answered while the catalog was paused"))
}

/// Whether a cache shows without a fault: the first query after a purchase takes longer than those after it. That they take
/// as long proves nothing.
fn cached_by_latency(trial: &mut Trial<'_>) -> Finding {
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let toy = trial.submission.toy(round % 4);
        if !matches!(trial.buy(toy, 1)?, Reply::Is(_)) {
            // It is sold out.
            continue;
        }
        let mut session = trial.session()?;
        session.keeps_connection = true;
        // Makes the connection.
        let other = session.query(trial.submission.toy((round + 1) % 4));
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
        times.sort();
        times[times.len() / 2].as_secs_f64()
    });
    let seen = format!(
        "the first query of a toy that was bought took {:.2} ms, the next ones {:.2} ms (medians)",
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

fn eviction(trial: &mut Trial<'_>) -> Finding {
    let Some(capacity) = trial.submission.cache.capacity else {
        return not_graded("the submission gives no capacity of a cache");
    };
    let toys: Vec<&String> = trial.submission.toys().keys().take(capacity + 1).collect();
    for toy in &toys {
        trial.query(toy)?.value(&format!("a query of {toy}"))?;
    }
    let (evicted, kept) = (toys[0], &toys[1..]);
    without_catalog(trial, |trial| {
        for toy in kept {
            let what = format!(
                "a query of {toy}, one of the last {capacity}, while the catalog was paused"
            );
            trial.query(toy)?.value(&what)?;
        }
        let exchange = trial.caller_within(NO_ANSWER)?.query(evicted);
        match trial.noted(exchange)? {
            Reply::Is(_) => lost(format!(
                "{evicted} was answered while the catalog was paused, although {capacity} others were queried later"
            )),
            _ => Ok(format!(
                "the last {capacity} toys were answered without the catalog, {evicted} was not"
            )),
        }
    })
}

fn fresh_after_purchase(trial: &mut Trial<'_>) -> Finding {
    let toys = [trial.submission.toy(0), trial.submission.toy(1)];
    let steps = toys.iter().map(|toy| trial.submission.toys()[*toy]).min().unwrap_or(0).min(STEPS);
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
    let all = trial.submission.restock.is_some_and(|restock| restock.toys == Restocked::All);
    if all && trial.restocks_max() > 0 {
        return not_graded(
            "a restock of all toys was due meanwhile, so a higher stock means nothing",
        );
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
