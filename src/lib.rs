//! The toy store.

pub mod error;
pub mod model;
pub mod config;
pub mod trace;
pub mod stop;
pub mod storage;
pub mod net;
pub mod http;
pub mod protocol;
pub mod client;
pub mod frontend;
pub mod order;
pub mod catalog;
pub mod supervisor;
pub mod audit;
