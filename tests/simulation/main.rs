//! The whole store on a simulated clock, network and disks, driven by random numbers. The properties that must always
//! hold (replication.md) are checked after every step. At the end, when there are no more faults, the store must serve,
//! and all logs, sales and books must agree.
//!
//! The protocol is the production code: `order::{replica, buying}`, `catalog::{stock, leases}` and
//! `frontend::{controller, elected, purchases, asking, querying, cache}` decide the next step. The files [`order`],
//! [`catalog`] and [`frontend`] here do what the threads in `src` do, step by step: they wait, call and
//! write. Whoever changes one side must change the other. They decide only a little themselves: when a
//! health check, an append or a subscription is due again, and which replicas get the view with a health check.
//!
//! ```text
//!  nemesis ── kills, pauses, cuts, wipes ──▶ world: one queue of events, one seed
//!                                              │ one input at a time
//!  client ── buy, query ──▶ frontend ──▶ order ×3 ──▶ catalog
//!                                              │ after each
//!                                            judge
//! ```
//!
//! A seed that fails is replayed with a trace; `SIM_SEED=n` replays one by hand. `make soak` runs new seeds
//! for `SOAK_SECONDS`, or those from `SOAK_FROM` on.

#![expect(clippy::unwrap_used, reason = "a panic fails the seed")]

#[path = "../support/given.rs"]
mod given;

mod catalog;
mod client;
mod context;
mod frontend;
mod judge;
mod nemesis;
mod order;
mod wire;
mod world;

use context::Trace;
use given::given;
use judge::Judge;
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use toystore::config::Engine;
use world::{World, ms};

/// How many seeds `make test` runs.
const SEEDS: u64 = 2_000;
/// How often a soak reports its progress.
const REPORT_EVERY: Duration = ms(30_000);
/// After this time the controller knows the state of each replica from new reports only.
const KNOWN: Duration = ms(1_000);
/// How long the store may take to come to rest after the last fault.
const RECOVERY: Duration = ms(20_000);
/// How many of the last lines of a trace are shown.
const LINES_SHOWN: usize = 300;

/// Runs a seed to its end.
fn play(world: &mut World) -> Result<(), String> {
    let until = world.nemesis().until;
    world.run_until(until)?;
    world.trace.add(world.now, || "EVERYTHING IS WHOLE AGAIN".into());
    world.heal();
    world.run_until(world.now + KNOWN)?;
    if !world.judge.has_intact_member(&world.replicas, None) {
        // A disk was lost, and before the controller knew this, all others failed: the in-sync set is this replica
        // alone. Then the store must not serve, and there is nothing more to check.
        return Ok(());
    }
    let deadline = world.now + RECOVERY;
    let mut unrest = "nothing was looked at".to_owned();
    let mut has_bought = false;
    while world.now < deadline {
        world.run_until(world.now + ms(100))?;
        world.clients.iter_mut().for_each(|client| client.closing = true);
        if !world.clients.iter().all(client::Client::is_done) {
            unrest = "customers still wait".into();
            continue;
        }
        match Judge::at_rest(world) {
            Ok(()) if has_bought => return Ok(()),
            Ok(()) => {
                has_bought = true;
                let now = world.now;
                world.clients[0].buy_last(now);
            }
            Err(why) => unrest = why,
        }
    }
    Err(format!("not at rest {RECOVERY:?} after everything was whole: {unrest}"))
}

/// Runs a seed; also returns the trace.
fn attempt(seed: u64, engine: Engine, trace: Trace) -> (Result<(), String>, World) {
    let mut world = World::new(seed, engine, trace);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| play(&mut world)));
    let outcome = outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).into())).unwrap_or_default())
    });
    (outcome, world)
}

/// Fails with the trace of a seed.
fn tell(seed: u64, engine: Engine) {
    let (outcome, world) = attempt(seed, engine, Trace::kept());
    let lines = world.trace.lines();
    let from = lines.len().saturating_sub(LINES_SHOWN);
    println!("{}", lines[from..].join("\n"));
    if let Err(why) = outcome {
        panic!(
            "seed {seed} with {engine:?} at {:?}: {why}\nreplay: SIM_SEED={seed} cargo test --test simulation",
            world.now
        );
    }
}

/// Runs seeds on every processor until one fails, or the time is over. Returns how many were
/// run.
fn play_all(seeds: Range<u64>, engine: Engine, until: Option<Instant>) -> u64 {
    let (next, failed) = (AtomicU64::new(seeds.start), AtomicU64::new(u64::MAX));
    let in_time = || until.is_none_or(|until| Instant::now() < until);
    let play_some = || {
        while failed.load(Ordering::Relaxed) == u64::MAX && in_time() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                return;
            }
            if attempt(seed, engine, Trace::default()).0.is_err() {
                failed.fetch_min(seed, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(play_some);
        }
    });
    let failed = failed.into_inner();
    if failed < u64::MAX {
        tell(failed, engine);
        panic!("seed {failed} failed, but not when it was played again");
    }
    next.into_inner().min(seeds.end) - seeds.start
}

#[test]
fn nothing_is_lost_whatever_breaks() {
    play_each(Engine::Files);
}

/// The orders are in a database, which all replicas share.
#[test]
fn nothing_is_lost_whatever_breaks_when_the_replicas_share_a_log() {
    play_each(Engine::Database);
}

fn play_each(engine: Engine) {
    match given("SIM_SEED") {
        Some(seed) => tell(seed, engine),
        None => assert_eq!(play_all(0..SEEDS, engine, None), SEEDS),
    }
}

#[test]
#[ignore = "takes as long as one likes: make soak"]
fn soak() {
    let begun = Instant::now();
    let lasting = Duration::from_secs(given("SOAK_SECONDS").unwrap_or(300));
    // The first seeds of two seconds differ by a million, so no two soaks run the same seeds.
    let first = given("SOAK_FROM").unwrap_or_else(|| {
        let date = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        date.as_secs() * 1_000_000
    });
    let mut next = first;
    for engine in [Engine::Files, Engine::Database].into_iter().cycle() {
        if begun.elapsed() >= lasting {
            break;
        }
        let until = Instant::now() + REPORT_EVERY.min(lasting.saturating_sub(begun.elapsed()));
        next += play_all(next..u64::MAX, engine, Some(until));
        let seconds = begun.elapsed().as_secs();
        println!("{} seeds from {first} in {seconds} s: all is well", next - first);
    }
}
