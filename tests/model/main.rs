//! Every state that the protocol can reach, within bounds: a model checker (stateright) drives the
//! very modules that production runs, `order::replica`, `catalog::stock` and `frontend::controller`
//! ([`store`]), `catalog::leases` and `frontend::cache` ([`cache`]), and looks at what must hold.
//!
//! `cargo test` explores small bounds; `make model` larger ones, and prints what it saw. The numbers
//! are in `docs/model.md`.

mod bounds;
mod actions;
mod steps;
mod store;
mod server;
mod properties;
mod cache;

use bounds::{Bounds, Chooser, Faults};
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::fmt::Debug;
use std::hash::Hash;
use std::thread;
use std::time::{Duration, Instant};

/// Explores all there is, and prints it.
fn explore<M>(model: M) -> impl Checker<M>
where
    M: Model + Clone + Debug + Send + Sync + 'static,
    M::State: Hash + Debug + Clone + PartialEq + Send + Sync,
    M::Action: Debug + Clone + PartialEq + Send + Sync,
{
    let begun = Instant::now();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let text = format!("{model:?}");
    let checker = model
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .timeout(Duration::from_secs(std::env::var("T").map_or(3600, |t| t.parse().unwrap())))
        .spawn_dfs()
        .join();
    println!(
        "{text}\n  {} states, {} of them different, depth {}, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64(),
    );
    checker
}

/// Fails with the story of whatever does not hold.
fn verdict<M>(checker: &impl Checker<M>)
where
    M: Model,
    M::State: Hash + Debug + Clone + PartialEq,
    M::Action: Debug + Clone + PartialEq,
{
    let found = checker.discoveries();
    for property in checker.model().properties() {
        match (property.expectation, found.get(property.name)) {
            (Expectation::Always, Some(path)) => {
                for action in path.clone().into_actions() {
                    println!("    {action:?}");
                }
                println!("{:#?}", path.last_state());
                panic!("broken: {}", property.name);
            }
            (Expectation::Sometimes, None) => panic!("never: {}", property.name),
            _ => {}
        }
    }
}

fn small() -> Bounds {
    Bounds {
        name: "small",
        chooser: Chooser::Any,
        epochs: 2,
        orders: 1,
        stock: 9,
        faults: Faults::default(),
    }
}

#[test]
fn nothing_is_lost() {
    verdict(&explore(small()));
}

#[test]
fn the_cache_is_never_stale() {
    verdict(&explore(cache::Bounds {
        steps: 6,
        purchases: 1,
        queries: 2,
        subscriptions: 2,
        restarts: 0,
    }));
}

#[test]
#[ignore = "minutes; make model"]
fn large() {
    let v: Vec<u64> = std::env::var("B").unwrap().split(',').map(|x| x.parse().unwrap()).collect();
    let b = |i: usize| v[i] as u8;
    verdict(&explore(Bounds {
        name: "x",
        chooser: if v[0] == 0 { Chooser::Any } else { Chooser::Controller },
        epochs: v[1],
        orders: v[2] as usize,
        stock: v[3],
        faults: Faults {
            crashes: b(4),
            restarts: b(5),
            reloads: b(6),
            doubts: b(7),
            losses: b(8),
            delays: b(9),
            wipes: b(10),
        },
    }));
}
