//! What a service says of itself at `GET /status`, in JSON: for people, for pages, for experiments.

use crate::model::View;
use serde::{Deserialize, Serialize};

/// The front-end, on its peer address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontendStatus {
    /// Who leads, and who is in sync; none before the first election.
    pub view: Option<View>,
    /// The product cache.
    pub cache: CacheStatus,
}

/// The product cache, all of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheStatus {
    /// How many toys have room; 0 if it is switched off.
    pub capacity: usize,
    /// What is in it, most recently used first: the last is evicted next.
    pub toys: Vec<CachedToy>,
    /// Queries answered from it.
    pub hits: u64,
    /// Queries that had to ask the catalog.
    pub misses: u64,
    /// Toys that made room for others.
    pub evictions: u64,
    /// Toys dropped because they changed.
    pub invalidations: u64,
}

/// A toy in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedToy {
    /// Its name.
    pub name: String,
    /// The version that is cached.
    pub version: u64,
}
