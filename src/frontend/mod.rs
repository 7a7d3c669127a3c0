//! frontend
pub mod cache;
pub mod controller;
