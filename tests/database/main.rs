//! The store on a database of three Galera nodes. `make test-database` runs these tests; they need MariaDB.

#[path = "../support/mod.rs"]
mod support;

mod log;
mod catalog;
mod store;
