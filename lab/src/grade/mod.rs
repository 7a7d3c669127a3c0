//! Grades any toy store: starts a submission's processes, tries what a rubric asks, and reports the points with their
//! evidence. Called by the program `grade`.
//!
//! ```text
//! submission.toml ─▶ grading ─ a fresh store for each check that needs one ─▶ Grade ─▶ report
//!                      │
//!                      ▼ check: fn(&mut Trial) -> Finding
//!                    trial ─▶ session     a customer: requests of the API (caller), recorded in the history
//!                      │    ▶ customers   many of them: a load
//!                      │    ▶ books       orders by look-up and logs of replicas, judged by the history (orders)
//!                      ▼
//!                    store ─▶ process     launcher with limits, output, signals
//!                           ▶ network     links that can be cut
//!                    watch                time, number of processes, Ctrl-C
//!                    guard                the parent of all, for the case that grade is killed
//! ```
//!
//! * [`submission`]: the file that says how a store differs from others; [`rubric`]: which checks, for how many points.
//! * [`checks`]: a file for each group of checks; [`finding`]: what a check returns.
//! * [`grading`]: one submission; [`report`]: the files; [`explain`]: `--check`.
//!
//! - A submission is a strange program: it runs with limits, in a copy of its directory, and everything it started is
//!   killed at the end, whatever ends the grading.
//! - A loss of points names its evidence. What cannot be decided is "not graded", with the reason.

pub mod submission;
pub mod rubric;
pub mod checks;
pub mod finding;
pub mod grading;
pub mod report;
pub mod explain;
pub mod trial;
pub mod caller;
pub mod session;
pub mod customers;
pub mod orders;
pub mod books;
mod written;
pub mod store;
pub mod process;
pub mod output;
pub mod guard;
pub mod launch;
pub mod descendants;
pub mod network;
pub mod watch;
mod arguments;

pub use arguments::{command, run};
