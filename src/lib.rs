//! The toy store.

pub mod error;
pub mod model;
pub mod config;
pub mod storage;
pub mod net;
pub mod http;
