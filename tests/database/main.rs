//! The store on a database of three Galera nodes. `make test-database` runs these tests; they need MariaDB.

#[path = "../support/mod.rs"]
mod support;
#[path = "../torture/history.rs"]
mod history;
#[path = "../torture/load.rs"]
mod load;

mod log;
mod catalog;
mod store;
mod standby;
mod front_ends;
mod migration;
