//! The databases of a closed store. Used by [`migration`](super).

use super::contents::Contents;
use super::progress::write_orders;
use crate::audit;
use crate::catalog::table as catalog;
use crate::config::Config;
use crate::error::Result;
use crate::frontend::views;
use crate::order::table::{self as order, OrderTable};
use crate::storage::database::Database;

/// The databases of catalog and order service.
pub struct Tables {
    stock: Database,
    orders: Database,
    log: OrderTable,
}

impl Tables {
    /// Empty databases, which no service opens before [`release`](Tables::release).
    pub fn claim(config: &Config) -> Result<Tables> {
        // The view is not carried, but an old one there would be believed.
        Database::claim(&config.database, &views::SCHEMA)?.release(&views::SCHEMA)?;
        let orders = Database::claim(&config.database, &order::SCHEMA)?;
        Ok(Tables::of(Database::claim(&config.database, &catalog::SCHEMA)?, orders))
    }

    /// The databases of a store.
    pub fn existing(config: &Config) -> Result<Tables> {
        let orders = Database::existing(&config.database, &order::SCHEMA)?;
        Ok(Tables::of(Database::existing(&config.database, &catalog::SCHEMA)?, orders))
    }

    fn of(stock: Database, orders: Database) -> Tables {
        Tables { stock, log: OrderTable::of(orders.clone()), orders }
    }

    /// What the tables have.
    pub fn read(&self) -> Result<Contents> {
        let (stock, evidence) = audit::tables::read(&self.log, &self.stock)?;
        Contents::of(&self.orders.place(), stock, evidence)
    }

    /// Puts a store into empty tables.
    pub fn write(&self, store: &Contents) -> Result<()> {
        if store.epoch.0 > 0 {
            let taken = self.log.take(store.epoch, store.replica, None)?;
            self.log.write_with(taken);
            write_orders(&store.orders, &self.orders.place(), |part| {
                self.log.append(part)?;
                part.last().map_or(Ok(()), |last| self.log.sync(last.number))
            })?;
        }
        catalog::fill(&self.stock, &store.stock)
    }

    /// From now on the services open them.
    pub fn release(&self) -> Result<()> {
        self.orders.release(&order::SCHEMA)?;
        self.stock.release(&catalog::SCHEMA)
    }
}
