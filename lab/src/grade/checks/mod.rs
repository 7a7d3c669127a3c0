//! The checks, a file for each group. A rubric chooses among them and gives them points.
//!
//! A check is a small function: it gets a trial, and returns what it saw, or why there are no points. What it sends,
//! and what it is answered, becomes evidence by itself.

pub mod check;
pub mod api;
pub mod sessions;
pub mod concurrency;
pub mod cache;
pub mod eviction;
pub mod restock;
pub mod replication;
pub mod failover;
pub mod latency;
pub mod extra;

pub use check::Check;

/// All checks by group, in the order in which they are best run.
pub const GROUPS: [(&str, &[Check]); 10] = [
    ("api", &api::CHECKS),
    ("sessions", &sessions::CHECKS),
    ("concurrency", &concurrency::CHECKS),
    ("cache", &cache::CHECKS),
    ("cache", &eviction::CHECKS),
    ("restock", &restock::CHECKS),
    ("replication", &replication::CHECKS),
    ("failover", &failover::CHECKS),
    ("latency", &latency::CHECKS),
    ("extra", &extra::CHECKS),
];

/// A check and the name of its group.
pub fn named(name: &str) -> Option<(&'static str, &'static Check)> {
    let mut all =
        GROUPS.iter().flat_map(|(group, checks)| checks.iter().map(|check| (*group, check)));
    all.find(|(_, check)| check.name == name)
}
