//! catalog
pub mod stock;
pub mod leases;
