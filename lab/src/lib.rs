//! What measures and judges a store: a load generator, and the experiments of the lab.
//!
//! It is a package of its own, because it needs more crates than the store does. It uses the store like
//! everybody else: by HTTP, and by opening a store with [`toystore::supervisor`].
//!
//! | module | |
//! |---|---|
//! | [`loadtest`] | puts a load on a running store and measures its answers |
//! | [`evaluate`] | opens stores with different settings, loads them, and writes a report with figures |

pub mod loadtest;
pub mod evaluate;
