//! The whole store on a clock, a network and disks made of random numbers: what must hold, always
//! (replication.md) is looked at after every step, and at the end, when nothing is broken any more,
//! the store has to serve and every log, sale and book to agree.
//!
//! The protocol is the very code that runs: `order::replica`, `catalog::stock`, `catalog::leases`,
//! `frontend::cache` and `frontend::controller`. The files [`order`], [`catalog`] and [`frontend`]
//! here are to these what the threads are in `src`, step by step; whoever changes one of the two
//! changes the other.
//!
//! ```text
//!  nemesis ── kills, pauses, cuts, wipes ──▶ world: one queue of events, one seed
//!                                              │ one input at a time
//!  client ── buy, query ──▶ frontend ──▶ order ×3 ──▶ catalog
//!                                              │ after each
//!                                            judge
//! ```
//!
//! A seed that fails is played again with a trace. `SIM_SEED=n` plays one seed, `SIM_SEEDS=n` as
//! many as that.

#![expect(clippy::unwrap_used, reason = "a panic fails the seed")]

mod catalog;
mod client;
mod frontend;
mod judge;
mod nemesis;
mod order;
mod wire;
mod world;

use judge::Judge;
use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use world::{Trace, World, ms};

/// How many seeds are played.
const SEEDS: u64 = 2_000;
/// How long the store may take to come to rest when everything is whole again.
const RECOVERY: Duration = ms(20_000);
/// Of a trace, so many of the last lines are shown.
const LINES_SHOWN: usize = 300;

/// Plays a seed to its end.
fn play(world: &mut World) -> Result<(), String> {
    let until = world.nemesis().until;
    while world.now < until {
        world.step()?;
    }
    world.trace.add(world.now, || "EVERYTHING IS WHOLE AGAIN".into());
    world.heal();
    let deadline = world.now + RECOVERY;
    let mut unrest = "nothing was looked at".to_owned();
    let mut has_bought = false;
    while world.now < deadline {
        let next = world.now + ms(100);
        while world.now < next {
            world.step()?;
        }
        if !world.judge.has_intact_member(&world.replicas, None) {
            // A disk was lost, and before the controller knew, all the others were silent for too
            // long: it counts on the lost one alone. To stand still is right then, and all there is
            // to see.
            return Ok(());
        }
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

/// Plays a seed; the trace comes back too.
fn attempt(seed: u64, trace: Trace) -> (Result<(), String>, World) {
    let mut world = World::new(seed, trace);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| play(&mut world)));
    let outcome = outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).into())).unwrap_or_default())
    });
    (outcome, world)
}

/// Fails with the story of a seed.
fn tell(seed: u64) {
    let (outcome, world) = attempt(seed, Trace::kept());
    let lines = world.trace.lines();
    let from = lines.len().saturating_sub(LINES_SHOWN);
    println!("{}", lines[from..].join("\n"));
    if let Err(why) = outcome {
        panic!(
            "seed {seed} at {:?}: {why}\nreplay: SIM_SEED={seed} cargo test --test simulation",
            world.now
        );
    }
}

#[test]
fn nothing_is_lost_whatever_breaks() {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    if let Some(seed) = number("SIM_SEED") {
        tell(seed);
        return;
    }
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS);
    let play_some = || {
        while failed.load(Ordering::Relaxed) == u64::MAX {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            if attempt(seed, Trace::default()).0.is_err() {
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
        tell(failed);
        panic!("seed {failed} failed, but not when it was played again");
    }
}
