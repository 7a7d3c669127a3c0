//! Where a replica's orders are durable: in files of its own, or in the table that all replicas share. Used by
//! [`node`](super::node).

use super::file::OrderFile;
use super::table::OrderTable;
use crate::error::Result;
use crate::model::{Entry, Epoch, OrderNumber, View};

/// The durable part of a running replica.
#[expect(clippy::large_enum_variant, reason = "a process has one of them")]
pub enum Durable {
    /// Its own files.
    File(OrderFile),
    /// The shared table. Its leader puts the view there when it takes the log; nothing is ever cut from it.
    Table(OrderTable),
}

impl Durable {
    /// Its place, for messages.
    pub fn place(&self) -> String {
        match self {
            Durable::File(file) => file.path().display().to_string(),
            Durable::Table(table) => table.place(),
        }
    }

    /// Puts entries behind those before them, in memory or in the file.
    pub fn append(&self, entries: &[Entry]) -> Result<()> {
        match self {
            Durable::File(file) => file.append(entries),
            Durable::Table(table) => table.append(entries),
        }
    }

    /// Returns when every order up to this one is durable. With a table, see [`OrderTable::sync`].
    pub fn sync(&self, number: OrderNumber) -> Result<()> {
        match self {
            Durable::File(file) => file.sync(number),
            Durable::Table(table) => table.sync(number),
        }
    }

    /// Every order up to this one is durable.
    pub fn durable(&self) -> OrderNumber {
        match self {
            Durable::File(file) => file.durable(),
            Durable::Table(table) => table.durable(),
        }
    }

    /// Takes the orders after `number` out of the file, because the leader of `epoch` has others there.
    pub fn cut_after(&self, number: OrderNumber, epoch: Epoch) -> Result<()> {
        match self {
            Durable::File(file) => file.cut_after(number, epoch),
            Durable::Table(_) => Ok(()),
        }
    }

    /// Puts a view on disk.
    pub fn write_view(&self, view: &View) -> Result<()> {
        match self {
            Durable::File(file) => file.write_view(view),
            Durable::Table(_) => Ok(()),
        }
    }

    /// Notes how far the log is committed, if that is not known otherwise.
    pub fn hint_committed(&self, number: OrderNumber) -> Result<()> {
        match self {
            Durable::File(file) => file.hint_committed(number),
            Durable::Table(_) => Ok(()),
        }
    }
}
