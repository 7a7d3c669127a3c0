//! The catalog: the stock, and the front-ends that must drop a toy from their cache when it changes.
//!
//! ```text
//!  front-end ── query ──▶ service ── read lock ──▶ stock
//!  leader ── purchase ──▶ service ── write lock ─▶ stock ──▶ file (journal, one sync for all who wait)
//!                            └── before it answers ──▶ subscribers ── changes ──▶ front-end's cache
//!  operator ── PUT ─────▶ service ── write lock ─▶ stock, then like a purchase
//!  restock, every ten seconds ─────── write lock ─▶ stock
//! ```
//!
//! * [`stock`] (pure): toys, open sales, the epoch fence; what may be sold and how that is recorded.
//! * [`record`] (pure): what changes the stock.
//! * [`leases`] (pure): which front-ends cache, and whether a change is out of every cache.
//! * [`file`]: `toys.csv` and `journal.csv`.
//! * [`initial`]: the toys of a new store, from a file.
//! * [`service`]: threads and locks, frames and HTTP.
//! * [`subscribers`]: the threads that wait around `leases`.
//! * [`restock`]: the thread that restocks.
//! * [`slowness`]: the artificial delay of a slow database, and the signals that change it.

pub mod service;
pub mod stock;
pub mod record;
pub mod leases;
pub mod file;
pub mod initial;
pub mod subscribers;
pub mod restock;
pub mod slowness;

pub use service::run;
