//! The orders in a database, which all replicas share: the table `orders`, and in `leaders` who led when. Used by
//! [`durable`](super::durable), and by [`shared`](super::shared), with which a leader takes the log.
//!
//! - One replica writes at a time: who takes the log fences the writer before it ([`TableLog`]).
//! - A leadership is in `leaders` before it takes the log. So no epoch is led twice, and none after a newer one.
//! - Whatever is in `orders` stands: it is never cut, and a new leader has the sale made again if the catalog lost it.

use super::log::{KEYS_MAX, Log, Past};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{
    Entry, Epoch, Identity, Item, Key, Member, OrderNumber, Quantity, ReplicaId, View,
};
use crate::stop::Stop;
use crate::storage::database::{
    Database, Definition, FromRow, Schema, TableLog, add_list, literal,
};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// The tables of the order service.
pub const SCHEMA: Schema = Schema {
    service: "orders",
    version: 2,
    tables: &[
        Definition {
            name: "orders",
            columns: "
    number BIGINT NOT NULL PRIMARY KEY,
    toy VARCHAR(100) NOT NULL,
    quantity BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    order_key VARCHAR(100) NOT NULL,
    ordered BIGINT NOT NULL COMMENT 'toys in this order and all before it'",
        },
        Definition {
            name: "leaders",
            columns: "
    epoch BIGINT NOT NULL PRIMARY KEY,
    replica INT NOT NULL,
    began TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP",
        },
    ],
};

/// The log's name in the table `logs`.
const LOG: &str = "orders";
/// How many rows are read at once.
const ROWS_MAX: usize = 10_000;
/// For what a leader reads and writes when it takes the log.
const TAKE_TIME_MAX: Duration = Duration::from_secs(5);
/// For a customer's question.
const LOOK_UP_TIME_MAX: Duration = Duration::from_secs(2);

/// The tables, and the leadership that writes.
pub struct OrderTable {
    database: Database,
    writer: Mutex<Option<Writer>>,
}

/// What the leader of one epoch writes with.
struct Writer {
    epoch: Epoch,
    log: Arc<TableLog<Row>>,
    /// The toys in all orders that were appended.
    ordered: u64,
}

/// A log that was taken for a leadership.
pub struct TakenLog {
    /// The recent orders, and all after those that are settled.
    pub log: Log,
    /// The leader's epoch.
    epoch: Epoch,
    table: TableLog<Row>,
}

/// A row of `orders`.
struct Row {
    entry: Entry,
    ordered: u64,
}

impl OrderTable {
    /// Opens the database, as soon as it is there.
    pub fn open(config: &Config, stop: &Stop) -> Result<OrderTable> {
        Database::open(&config.database, &SCHEMA, stop).map(OrderTable::of)
    }

    /// The tables of a database that was opened.
    pub fn of(database: Database) -> OrderTable {
        OrderTable { database, writer: Mutex::new(None) }
    }

    /// The identity of the store whose orders these are.
    pub fn identity(&self) -> Identity {
        self.database.identity().clone()
    }

    /// Its name and nodes, for messages.
    pub fn place(&self) -> String {
        self.database.place()
    }

    /// The last view in which a leader took the log.
    pub fn last_view(&self) -> Result<Option<View>> {
        let last = self.ask(TAKE_TIME_MAX, "", LAST_LEADER)?.pop();
        Ok(last.map(|(epoch, id): (u64, u32)| {
            let leader = Member { id: ReplicaId(id), identity: self.identity() };
            View { epoch: Epoch(epoch), leader: leader.id, in_sync: vec![leader] }
        }))
    }

    /// Takes the log as replica `id`, which leads in `epoch`. Returns it from `settled` on, or from earlier.
    /// [`Error::Stale`]: somebody has led in this epoch or a newer one.
    pub fn take(
        &self,
        epoch: Epoch,
        id: ReplicaId,
        settled: Option<OrderNumber>,
    ) -> Result<TakenLog> {
        self.begin(epoch, id)?;
        let (table, last) = TableLog::take(&self.database, LOG, encode)?;
        let recent = last.saturating_sub(KEYS_MAX);
        let first = settled.map_or(recent, |settled| settled.0.min(recent));
        let log = self.load(OrderNumber(first), OrderNumber(last))?;
        Ok(TakenLog { log, epoch, table })
    }

    /// Notes that this replica leads in this epoch. It may be noted already, when the answer was lost.
    fn begin(&self, epoch: Epoch, id: ReplicaId) -> Result<()> {
        let store = literal(&self.identity().0);
        let begin = format!(
            "INSERT INTO leaders (epoch, replica) SELECT {epoch}, {id} FROM store \
             WHERE identity = {store} AND NOT EXISTS (SELECT 1 FROM leaders WHERE epoch >= {epoch})"
        );
        match self.ask(TAKE_TIME_MAX, &begin, LAST_LEADER)?.pop() {
            Some((last, replica)) if (last, replica) == (epoch.0, id.0) => Ok(()),
            Some((last, _)) => Err(Error::Stale { epoch: last }),
            None => Err(self.damaged("it has become the database of another store")),
        }
    }

    /// Reads the orders after `first`, which end at `last`.
    fn load(&self, first: OrderNumber, last: OrderNumber) -> Result<Log> {
        let mut log = Log::after(self.past(first)?);
        while log.last() < last {
            let entries = self.entries(log.last(), ROWS_MAX, TAKE_TIME_MAX)?;
            if entries.is_empty() {
                return Err(self.damaged(&format!("orders after {} are missing", log.last())));
            }
            for entry in entries {
                log.restore(entry).map_err(|error| self.damaged(&error.to_string()))?;
            }
        }
        log.restore_keys();
        Ok(log)
    }

    /// What is known of the orders up to `last`.
    fn past(&self, last: OrderNumber) -> Result<Past> {
        if last == OrderNumber(0) {
            return Ok(Past::default());
        }
        let query = format!("SELECT epoch, ordered FROM orders WHERE number = {last}");
        let (epoch, ordered) = self
            .ask(TAKE_TIME_MAX, "", &query)?
            .pop()
            .ok_or_else(|| self.damaged(&format!("order {last} is missing")))?;
        Ok(Past { last, epoch: Epoch(epoch), ordered })
    }

    /// At most `count` orders after `number`, for another process.
    pub fn after(&self, number: OrderNumber, count: usize) -> Result<Vec<Entry>> {
        self.entries(number, count, LOOK_UP_TIME_MAX)
    }

    /// Order `number`, if there is one.
    pub fn find(&self, number: OrderNumber) -> Result<Option<Entry>> {
        let Some(before) = number.0.checked_sub(1) else { return Ok(None) };
        Ok(self.after(OrderNumber(before), 1)?.pop().filter(|entry| entry.number == number))
    }

    fn entries(&self, after: OrderNumber, count: usize, longest: Duration) -> Result<Vec<Entry>> {
        let query = format!(
            "SELECT number, toy, quantity, epoch, order_key FROM orders WHERE number > {after} ORDER BY number LIMIT {count}"
        );
        let rows: Vec<(u64, String, u64, u64, String)> = self.ask(longest, "", &query)?;
        let entry = |(number, toy, quantity, epoch, key): (u64, String, u64, u64, String)| {
            let (name, quantity) = (toy.parse()?, Quantity::try_from(quantity)?);
            let item = Item { name, quantity };
            let (number, epoch, key) = (OrderNumber(number), Epoch(epoch), Key::try_from(key)?);
            Ok(Entry { number, epoch, key, item })
        };
        let entries: Result<Vec<Entry>> = rows.into_iter().map(entry).collect();
        entries.map_err(|error| self.damaged(&error.to_string()))
    }

    /// Whether the database answers now.
    pub fn is_reachable(&self) -> bool {
        self.ask::<(u64,)>(LOOK_UP_TIME_MAX, "", "SELECT 1").is_ok()
    }

    /// Runs a statement, if there is one, and a query. Both may be run again after a fault.
    fn ask<T: FromRow>(&self, longest: Duration, statement: &str, query: &str) -> Result<Vec<T>> {
        self.database.read(longest, |connection| {
            if !statement.is_empty() {
                connection.run(statement)?;
            }
            connection.rows(query)
        })
    }

    fn damaged(&self, why: &str) -> Error {
        self.database.error(format!("{why}; restore the database from a backup"))
    }
}

/// As the table of a leader. A leadership that has lost the log is told so by [`sync`](OrderTable::sync) only.
impl OrderTable {
    /// From now on, what is appended is of this leadership. Called under the lock of the replica whose log this is.
    pub fn write_with(&self, TakenLog { log, epoch, table }: TakenLog) -> Log {
        let writer = Writer { epoch, log: Arc::new(table), ordered: log.ordered() };
        *self.writer.lock() = Some(writer);
        log
    }

    /// Appends orders, in memory.
    pub fn append(&self, entries: &[Entry]) -> Result<()> {
        let mut writer = self.writer.lock();
        let Some(writer) = writer.as_mut() else { return Ok(()) };
        let ordered = &mut writer.ordered;
        let rows = entries.iter().map(|entry| {
            *ordered += entry.item.quantity.get();
            Row { entry: entry.clone(), ordered: *ordered }
        });
        let appended = writer.log.append(rows.collect::<Vec<_>>());
        match (appended, entries.last()) {
            (Ok(position), Some(last)) if position != last.number.0 => {
                Err(self.damaged(&format!("order {} was written to row {position}", last.number)))
            }
            (Ok(_) | Err(Error::Stale { .. }), _) => Ok(()),
            (Err(error), _) => Err(error),
        }
    }

    /// Returns when every order up to this one is in the database. [`Error::Stale`]: the leadership of this epoch has
    /// lost the log.
    pub fn sync(&self, number: OrderNumber) -> Result<()> {
        let Some((epoch, log)) = self.current() else { return Ok(()) };
        log.sync(number.0).map_err(|error| match error {
            Error::Stale { .. } => Error::Stale { epoch: epoch.0 },
            other => other,
        })
    }

    /// Every order up to this one is in the database, as far as this leadership knows.
    pub fn durable(&self) -> OrderNumber {
        OrderNumber(self.current().map_or(0, |(_, log)| log.durable()))
    }

    fn current(&self) -> Option<(Epoch, Arc<TableLog<Row>>)> {
        self.writer.lock().as_ref().map(|writer| (writer.epoch, writer.log.clone()))
    }
}

const LAST_LEADER: &str = "SELECT epoch, replica FROM leaders ORDER BY epoch DESC LIMIT 1";

/// The statement that inserts these rows.
fn encode(rows: &[Row]) -> String {
    let row = |Row { entry: Entry { number, epoch, key, item }, ordered }: &Row| {
        let (toy, key, quantity) = (literal(&item.name), literal(key.as_str()), item.quantity);
        format!("({number},{toy},{},{epoch},{key},{ordered})", quantity.get())
    };
    let begin = "INSERT INTO orders (number, toy, quantity, epoch, order_key, ordered) VALUES";
    let mut sql = String::new();
    add_list(&mut sql, begin, rows.iter().map(row), "");
    sql
}
