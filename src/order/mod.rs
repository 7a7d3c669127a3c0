//! order
pub mod log;
pub mod replica;
pub mod leadership;
