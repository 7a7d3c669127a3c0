//! The submission file: what differs between stores, and nothing else. Read by [`grade`](super), from TOML.
//!
//! * `file`: its entries; [`api`]: the requests as templates, and where the answers have their values; presets.
//! * [`template`]: placeholders such as `{port:order-2}`.
//! * `read`: reads it; `rules`: what must hold between its entries.
//!
//! `docs/grading.md` describes each key.

pub mod api;
pub mod template;
mod file;
mod rules;
mod read;

pub use file::{
    Faults, Leader, Limits, Port, Process, Ready, Restock, Restocked, Role, Submission,
};
pub use rules::STOCK_MIN;
