//! What a running catalog needs of its journal, whatever keeps it. Implemented by [`file`](super::file) and
//! [`table`](super::table); used by [`service`](super::service).

use super::record::Record;
use super::stock::Stock;
use crate::error::Result;

/// Records, in the order of their positions in the stock. They are appended in memory and become durable by a sync.
pub trait Journal: Send + Sync {
    /// Appends records that were just applied: the last one has the stock's position.
    fn append(&self, records: &[Record], stock: &Stock) -> Result<()>;

    /// Returns when every record up to `position` is durable.
    fn sync(&self, position: u64) -> Result<()>;

    /// The position up to which every record is durable.
    fn durable(&self) -> u64;

    /// Whether certainly no other catalog is active: what was read from the stock before is true.
    fn has_lease(&self) -> bool;
}
