//! The toy store.

pub mod error;
pub mod model;
pub mod net;
