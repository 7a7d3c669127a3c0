//! The programs that measure a store: a load generator, and the experiments of the lab.
//!
//! It is a package of its own, because it needs more crates than the store. It uses the store
//! by HTTP, and starts stores with [`toystore::supervisor`].
//!
//! | module | |
//! |---|---|
//! | [`loadtest`] | sends a load to a running store and measures the answers |
//! | [`evaluate`] | opens stores with different settings, loads them, and writes a report with figures |
//! | [`grade`] | grades any toy store: what a lab asks, with evidence |

pub mod loadtest;
pub mod evaluate;
pub mod grade;
