//! The toy store.

pub mod error;
pub mod model;
pub mod config;
pub mod trace;
pub mod stop;
pub mod supervisor;
