//! The catalog: the stock, and the front-ends that must drop a toy from their cache when it changes.
//!
//! ```text
//!  front-end ── query ──▶ service ── read lock ──▶ stock
//!  leader ── purchase ──▶ service ── write lock ─▶ stock ──▶ file (journal in memory), answered at once
//!  leader ── durable ───▶ service ── one sync for all who wait ─▶ file
//!                            └── before it answers ──▶ subscribers ── changes ──▶ front-end's cache
//!  leader ── reconcile ─▶ service ── write lock ─▶ stock: what its log and the journal lack of each other
//!  operator ── PUT ─────▶ service ── write lock ─▶ stock, then sync and subscribers
//!  restock, every ten seconds ─────── write lock ─▶ stock
//! ```
//!
//! * [`stock`] (pure): toys, open sales, the epoch fence; what may be sold and how that is recorded.
//! * [`shelf`] (pure): one toy and its books.
//! * [`record`] (pure): what changes the stock.
//! * [`leases`] (pure): which front-ends cache, and whether a change is out of every cache.
//! * [`journal`]: what the service needs of its journal, whatever keeps it.
//! * [`file`]: `toys.csv` and `journal.csv`.
//! * [`table`]: the tables of a database, with `engine = "database"`.
//! * [`initial`]: the toys of a new store, from a file.
//! * [`service`]: threads and locks, frames and HTTP.
//! * [`subscribers`]: the threads that wait around `leases`.
//! * [`restock`]: the thread that restocks.
//! * [`slowness`]: the artificial delay of a slow database, and the signals that change it.

pub mod service;
pub mod stock;
pub mod shelf;
pub mod record;
pub mod leases;
pub mod journal;
pub mod file;
pub mod table;
pub mod initial;
pub mod subscribers;
pub mod restock;
pub mod slowness;

pub use service::run;
