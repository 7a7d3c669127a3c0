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
use std::time::{Duration, Instant};
use toystore::history::checker::Promise;

/// How much longer than for an answer before to wait for one while the catalog is paused: it may not come.
const NO_ANSWER: Duration = Duration::from_millis(700);

/// A toy is not in the cache if it was not answered so many times, although another one was.
const MISSES_MAX: usize = 2;

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

/// What is answered while the catalog is paused.
struct Look {
    /// The toy that was queried last, and so is in the cache: before the toy in question, and after it. A cache may
    /// hold for a short time only without the catalog, and on a busy machine that may be over.
    last: [bool; 2],
    /// The toy in question.
    toy: bool,
}

/// Pauses the catalog and queries a toy.
fn look(trial: &mut Trial<'_>, toy: &str, last: &str) -> Result<Look, NoPoints> {
    let Some(catalog) = trial.store.named(Role::Catalog) else {
        return not_graded("no process has the role catalog");
    };
    let begun = Instant::now();
    trial.query(last)?;
    let within = begun.elapsed() + NO_ANSWER;
    trial.store.pause(&catalog)?;
    trial.note(format!("{catalog} is paused (SIGSTOP)"));
    let mut is_answered = |toy: &str| -> Result<bool, NoPoints> {
        let exchange = trial.caller_within(within)?.query(toy);
        Ok(matches!(trial.noted(exchange)?, Reply::Is(_)))
    };
    let mut queries = || {
        if !is_answered(last)? {
            return Ok(Look { last: [false; 2], toy: false });
        }
        let toy = is_answered(toy)?;
        Ok(Look { last: [true, toy || is_answered(last)?], toy })
    };
    let seen = queries();
    trial.store.resume(&catalog)?;
    trial.note(format!("{catalog} goes on (SIGCONT)"));
    seen
}

/// Queries toys, so that the cache holds the last of them. False if it does not work: some stores do without a cache for
/// a while after the catalog was away.
fn fill(trial: &mut Trial<'_>, toys: &[&str]) -> Result<bool, NoPoints> {
    let last = toys[toys.len() - 1];
    let works = look(trial, last, last)?.toy;
    if works {
        toys.iter().try_for_each(|toy| trial.query(toy).map(drop))?;
    }
    Ok(works)
}

/// Waits until a toy is answered while the catalog is paused, after these were queried.
fn await_kept(trial: &mut Trial<'_>, toys: &[&str], toy: &str) -> Result<(), NoPoints> {
    let within = trial.submission.deadlines.failover();
    let missed = format!("a query of {toy} was not answered while the catalog was paused");
    let mut times = 0;
    let is_kept = trial.wait_for(within, |trial| {
        if !fill(trial, toys)? {
            return Ok(false);
        }
        let Look { last, toy } = look(trial, toy, toys[toys.len() - 1])?;
        if !toy && last == [true, true] {
            times += 1;
        }
        if times == MISSES_MAX { lost(missed.as_str()) } else { Ok(toy) }
    })?;
    if is_kept { Ok(()) } else { lost(missed) }
}

fn cached(trial: &mut Trial<'_>) -> Finding {
    if !trial.store.can_pause(Role::Catalog) {
        return cached_by_latency(trial);
    }
    let toy = trial.toy(0)?;
    for _ in 0..2 {
        trial.query(toy)?.value(&format!("a query of {toy}"))?;
    }
    await_kept(trial, &[toy], toy)?;
    Ok(format!("{toy} was answered while the catalog was paused"))
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

fn eviction(trial: &mut Trial<'_>) -> Finding {
    let Some(capacity) = trial.submission.cache.capacity else {
        return not_graded("the submission gives no capacity of a cache");
    };
    let toys: Vec<&str> =
        trial.submission.toys().keys().take(capacity + 1).map(String::as_str).collect();
    let (evicted, kept) = (toys[0], &toys[1..]);
    for toy in kept {
        await_kept(trial, &toys, toy)?;
    }
    let within = trial.submission.deadlines.failover();
    let is_evicted = trial.wait_for(within, |trial| {
        if !fill(trial, &toys)? {
            return Ok(false);
        }
        let Look { last: [is_sure, _], toy } = look(trial, evicted, toys[capacity])?;
        if toy {
            return lost(format!(
                "{evicted} was answered while the catalog was paused, although {capacity} others were queried later"
            ));
        }
        Ok(is_sure)
    })?;
    if !is_evicted {
        return not_graded("the cache did not answer while the catalog was paused");
    }
    Ok(format!("the last {capacity} toys were answered without the catalog, {evicted} was not"))
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
