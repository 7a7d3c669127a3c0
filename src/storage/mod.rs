//! What is durable: the state of a service survives `kill -9` and power loss. Knows no toys.
//!
//! ```text
//! directory.rs     a data directory, locked, with an identity
//! rows.rs          checksummed CSV rows, the format of every file below
//! group_commit.rs  one write for all records that wait
//! csv_log.rs       a file that grows row by row: append, sync, answer
//! replace.rs       a file that is rewritten as a whole
//! database/        the same in tables of a database
//! ```
//!
//! - What was synced is there after a crash; what was not synced is there or not, as complete rows.
//! - A file whose content differs from what was written is detected when it is read.
//! - A write or sync that failed is never tried again: after a failed `fsync` the kernel may have
//!   dropped the pages and report the next one as a success (Rebello et al., USENIX ATC 2020).

pub mod directory;
pub mod rows;
pub mod group_commit;
pub mod csv_log;
pub mod replace;
pub mod database;

pub use csv_log::CsvLog;
pub use directory::Directory;
pub use replace::replace;
pub use rows::{Chain, Table, TornTail, field, read_log, read_rows};
