//! The order service: a replicated log of orders.
//!
//! ```text
//!  front-end ── buy ──▶ service ──▶ purchase ── purchase ──▶ catalog
//!                                     │
//!                                   node: replica ── append ──▶ log, file ∥ replication ── append ──▶ followers
//!                                     │                                                        their service ──▶
//!                                  committed, when all of the commit set have synced it        node: replica, log, file
//! ```
//!
//! From top to bottom; each uses only those below it:
//!
//! * [`service`]: the two addresses, frames and HTTP, the start and the end.
//! * [`purchase`]: the leader's path of the purchases of one call.
//! * [`buying`] (pure): what comes after what in a purchase, and which errors are definite.
//! * [`lookup`]: one order, as any replica finds it.
//! * [`replication`]: the leader's sending side, a thread per follower.
//! * [`office`]: what the leader has to tell or ask the catalog, on a thread of its own.
//! * [`recovery`]: on start, what was missed.
//! * [`shared`]: the log in a database instead: taken by the leader, read by all. Nothing is replicated then.
//! * [`node`]: the running replica: [`replica`] behind its lock, and what it keeps.
//! * [`replica`] (pure): view, role, what is accepted, acknowledged and answered.
//! * [`leadership`] (pure): what a leader keeps in one view.
//! * [`durable`]: one of the next two.
//! * [`table`]: the table of orders, and who led when.
//! * [`file`]: `orders.csv`, the view, and how far it is committed.
//! * [`log`] (pure): the last entries, found by number and key.

pub mod service;
pub mod purchase;
pub mod buying;
pub mod lookup;
pub mod replication;
pub mod office;
pub mod recovery;
pub mod shared;
pub mod node;
pub mod replica;
pub mod leadership;
pub mod durable;
pub mod table;
pub mod file;
pub mod log;

pub use service::run;
