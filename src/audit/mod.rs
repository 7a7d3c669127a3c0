//! Audits a store: checks that each toy sold is in exactly one order, and that all replicas have the same
//! orders. Called by the program `audit`.
//!
//! ```text
//! disk     data directories ─▶ Evidence ┐
//! tables   the database     ─▶ Evidence ┤
//! running  the services     ─▶ Evidence ┴▶ check ─▶ Verdict: the table, notes, problems
//! ```
//!
//! * [`check`] (pure): the rules.
//! * [`disk`]: reads the data directories of a closed store.
//! * [`tables`]: reads the tables of a store on a database.
//! * [`running`]: reads from the services of an open store, which may be busy.
//! * [`verdict`]: the outcome and its text.
//!
//! - Nothing is repaired, created or changed.

pub mod disk;
pub mod tables;
pub mod running;
pub mod check;
pub mod verdict;

pub use verdict::Verdict;
