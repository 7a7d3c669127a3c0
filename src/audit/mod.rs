//! Audits a store: checks that each toy sold is in exactly one order, and that all replicas have the same
//! orders. Called by the program `audit`.
//!
//! ```text
//! disk     data directories ─▶ Evidence ┐
//! running  the services     ─▶ Evidence ┴▶ check ─▶ Verdict: the table, notes, problems
//! ```
//!
//! * [`check`] (pure): the rules, and what breaks them.
//! * [`disk`]: reads the data directories of a store, which should be closed.
//! * [`running`]: asks the services of an open one, which may still be busy.
//! * [`verdict`]: how the outcome reads.
//!
//! - Nothing is repaired, created or changed.

pub mod disk;
pub mod running;
pub mod check;
pub mod verdict;

pub use verdict::Verdict;
