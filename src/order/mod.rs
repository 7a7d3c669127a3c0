//! The order service: a replicated log of orders.
//!
//! ```text
//!  front-end ── buy ──▶ service ──▶ purchase ── purchase ──▶ catalog
//!                                     │
//!                                  replica ── append ──▶ log, file ∥ replication ── append ──▶ followers
//!                                     │                                                  their service ──▶
//!                                  committed, when all of the commit set have synced it   replica, log, file
//! ```
//!
//! * [`log`] (pure): entries 1, 2, 3 …, found by number and key.
//! * [`replica`] (pure): view, role, what is accepted, acknowledged and answered.
//! * [`leadership`] (pure): what a leader keeps in one view.
//! * [`file`]: `orders.csv`, the view, and how far it is committed.
//! * [`service`]: threads and locks, frames and HTTP.
//! * [`purchase`]: the leader's path of one purchase.
//! * [`buying`] (pure): what comes after what in a purchase, and which errors are definite.
//! * [`sales`]: the queue to the catalog: those that wait are sold with one call.
//! * [`replication`]: the leader's sending side, a thread per follower.
//! * [`office`]: what the leader owes the catalog, on a thread of its own.
//! * [`recovery`]: on start, what was missed.

pub mod service;
pub mod purchase;
pub mod buying;
pub mod sales;
pub mod replica;
pub mod leadership;
pub mod log;
pub mod file;
pub mod replication;
pub mod office;
pub mod recovery;

pub use service::run;
