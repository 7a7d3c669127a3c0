//! temporary



#[path = "../support/mod.rs"]
mod support;

mod store;
