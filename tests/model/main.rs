//! Every state that the protocol can reach, within bounds: a model checker (stateright) drives the
//! modules of production, and checks the properties in every state.
//!
//! Three models: the order side of the store ([`actions`]), over `order::replica`, `catalog::stock` and
//! `frontend::controller`; the caches with their leases ([`cache`]), over `frontend::cache` and
//! `catalog::leases`; and the lease of a log in a database ([`lease`]), over `storage::database::lease`. `cargo test` explores small bounds, `make model` larger ones; the numbers of
//! states, and what is left out, are in `docs/correctness.md`.

mod bounds;
mod actions;
mod steps;
mod store;
mod catalog;
mod server;
mod properties;
mod cache;
mod lease;
#[path = "../rules/candidates.rs"]
mod candidates;

use stateright::{Checker, CheckerBuilder, Expectation, HasDiscoveries, Model};
use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::thread;
use std::time::Instant;

/// Explores every state that can be reached. Fails if a property is broken, or if a state that must be
/// possible is never reached.
fn explore<M>(model: &M)
where
    M: Model + Clone + Display + Send + Sync + 'static,
    M::State: Hash + Debug + Clone + PartialEq + Send + Sync,
    M::Action: Debug + Clone + PartialEq + Send + Sync,
{
    let begun = Instant::now();
    // Depth first, because then few states wait.
    let checker = search(model).spawn_dfs().join();
    println!(
        "{model}: {} states, {} of them different, {} steps deep, {:.0} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        begun.elapsed().as_secs_f64(),
    );
    let found = checker.discoveries();
    for property in model.properties() {
        match (property.expectation, found.get(property.name)) {
            (Expectation::Always, Some(long)) => {
                let short = shortest_story(model, property.name);
                let story = short.unwrap_or_else(|| long.clone().into_actions());
                let lines: Vec<String> = story.iter().map(|a| format!("  {a:?}\n")).collect();
                panic!("{model}: broken: {}\n{}", property.name, lines.concat());
            }
            (Expectation::Sometimes, None) => panic!("{model}: never: {}", property.name),
            _ => {}
        }
    }
}

/// The shortest trace to a broken property, if it can be found among so many states.
fn shortest_story<M>(model: &M, property: &'static str) -> Option<Vec<M::Action>>
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Hash + Debug + Clone + PartialEq + Send + Sync,
    M::Action: Debug + Clone + PartialEq + Send + Sync,
{
    let checker = search(model).threads(1).target_state_count(1_000_000).spawn_bfs().join();
    checker.discovery(property).map(stateright::Path::into_actions)
}

fn search<M>(model: &M) -> CheckerBuilder<M>
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Hash + Send + Sync,
{
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    model.clone().checker().threads(threads).finish_when(HasDiscoveries::AnyFailures)
}

#[test]
fn nothing_is_lost() {
    bounds::SMALL.iter().for_each(explore);
}

#[test]
fn the_cache_is_never_stale() {
    cache::SMALL.iter().for_each(explore);
}

#[test]
fn one_at_a_time_has_the_lease_of_a_log() {
    lease::SMALL.iter().for_each(explore);
}

#[test]
#[ignore = "takes minutes: make model"]
fn nothing_is_lost_within_larger_bounds() {
    bounds::LARGE.iter().for_each(explore);
}

#[test]
#[ignore = "takes minutes: make model"]
fn the_cache_is_never_stale_within_larger_bounds() {
    cache::LARGE.iter().for_each(explore);
}

#[test]
#[ignore = "takes minutes: make model"]
fn one_at_a_time_has_the_lease_of_a_log_within_larger_bounds() {
    lease::LARGE.iter().for_each(explore);
}
