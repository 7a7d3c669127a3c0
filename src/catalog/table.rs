//! The stock in a database, with `engine = "database"`. The tables have what is true now, not the records: the toys with
//! their books, the open sales, the fence and the number of settled orders. Used by [`service`](super::service).
//!
//! - A batch of records is one transaction, so the tables always show the stock after some record, as on the disk.
//! - One catalog is active: it has the lease of the log. Another that is started waits for it. One that loses the log cannot
//!   write any more, and ends.
//! - A new store has no row in `standing` until all its toys are there.

use super::initial;
use super::journal::Journal;
use super::record::Record;
use super::shelf::Shelf;
use super::stock::Stock;
use super::subscribers::{Notes, Subscribers};
use crate::error::{Error, Result};
use crate::model::{Epoch, Item, Key, OrderNumber, Price, Toy};
use crate::stop::Stop;
use crate::storage::database::{
    Candidate, Connection, Database, Definition, Refusal, Schema, TableLog, add_list, literal,
};
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The tables of the catalog.
pub const SCHEMA: Schema =
    Schema { service: "catalog", version: 2, tables: &[TOYS, SALES, STANDING, SUBSCRIPTIONS] };

const TOYS: Definition = Definition {
    name: "toys",
    columns: "
    id INT NOT NULL PRIMARY KEY,
    name VARCHAR(100) NOT NULL,
    price DECIMAL(12, 2) NOT NULL,
    quantity BIGINT NOT NULL,
    version BIGINT NOT NULL,
    initial BIGINT NOT NULL,
    restocked BIGINT NOT NULL,
    sold BIGINT NOT NULL,
    withdrawn BIGINT NOT NULL,
    CHECK (quantity = initial + restocked - sold - withdrawn)",
};

const SALES: Definition = Definition {
    name: "sales",
    columns: "
    sale_key VARCHAR(100) NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    toy VARCHAR(100) NOT NULL,
    quantity BIGINT NOT NULL,
    version BIGINT NOT NULL",
};

const STANDING: Definition = Definition {
    name: "standing",
    columns: "
    id TINYINT NOT NULL PRIMARY KEY CHECK (id = 1),
    fence BIGINT NOT NULL,
    settled BIGINT NOT NULL",
};

/// A row for each catalog that was active: the newest has the front-ends that may be subscribed. A late write of an older list
/// changes nothing.
const SUBSCRIPTIONS: Definition = Definition {
    name: "subscriptions",
    columns: "
    term BIGINT NOT NULL PRIMARY KEY COMMENT 'in which the catalog took the log stock',
    version BIGINT NOT NULL,
    list VARCHAR(4000) NOT NULL",
};

/// Longer than this for reading all tables counts as no answer.
const LOAD_TIME_MAX: Duration = Duration::from_secs(30);

/// Longer than this for a front-end's subscription counts as no answer.
const SUBSCRIBE_TIME_MAX: Duration = Duration::from_secs(2);

/// The log's name in the table `logs`.
const LOG: &str = "stock";

/// So many toys of a new store are written in one transaction.
const NEW_TOYS: usize = 5_000;

/// The journal of a running catalog.
pub struct TableJournal {
    log: TableLog<Change>,
    database: Database,
}

/// The row of `subscriptions` of a running catalog.
struct TableNotes {
    database: Database,
    term: u64,
    /// Of the list that was written last.
    version: AtomicU64,
}

/// One record, and what it leaves.
struct Change {
    record: Record,
    position: u64,
    /// The toy that it changed, and the toy's place in the stock.
    shelf: Option<(usize, Shelf)>,
}

/// Waits until no other catalog has the stock of `database`, and takes it, or makes a new one from the `initial` toys. The third
/// result knows who was subscribed at the catalogs before. `None` if the process is asked to end before.
pub fn load(
    database: &Database,
    initial: Option<&Path>,
    stop: &Stop,
) -> Result<Option<(Stock, TableJournal, Subscribers)>> {
    let Some((log, position)) = await_log(database, stop)? else { return Ok(None) };
    let journal = TableJournal { log, database: database.clone() };
    let stored = database.read(LOAD_TIME_MAX, read_all)?;
    let is_complete = stored.standing.is_some();
    let earlier = stored.subscriptions.clone();
    let mut stock = decode(stored, position).map_err(|error| unusable(database, error))?;
    if !is_complete {
        let shelves = initial.map_or_else(|| Ok(initial::default_toys()), initial::read)?;
        journal.fill(&mut stock, shelves)?;
    }
    let notes = TableNotes {
        database: database.clone(),
        term: journal.log.taken_in(),
        version: AtomicU64::new(0),
    };
    Ok(Some((stock, journal, Subscribers::after(earlier, Box::new(notes)))))
}

fn await_log(database: &Database, stop: &Stop) -> Result<Option<(TableLog<Change>, u64)>> {
    let mut is_standby = false;
    Candidate::new(database, LOG).wait(encode, |pause| {
        if !mem::replace(&mut is_standby, true) {
            tracing::info!("standby: another catalog has the lease");
        }
        stop.wait(pause)
    })
}

/// The stock as it is in the tables at one moment, for a program that only reads.
pub fn read(database: &Database) -> Result<Stock> {
    let (stored, position) = database.read(LOAD_TIME_MAX, |connection| {
        connection.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
        connection.run("START TRANSACTION WITH CONSISTENT SNAPSHOT")?;
        let stored = read_all(connection)?;
        let position = connection.first("SELECT position FROM logs")?;
        connection.run("COMMIT")?;
        Ok((stored, position.unwrap_or(0)))
    })?;
    decode(stored, position).map_err(|error| unusable(database, error))
}

/// Puts a stock into the tables of a database that was claimed.
pub fn fill(database: &Database, stock: &Stock) -> Result<()> {
    let toys = stock.shelves().iter().enumerate().map(|(place, shelf)| toy_row(place, shelf));
    for rows in toys.collect::<Vec<_>>().chunks(NEW_TOYS) {
        let mut sql = String::new();
        add_list(&mut sql, REPLACE_TOYS, rows.iter().cloned(), "");
        database.repeat(LOAD_TIME_MAX, &sql)?;
    }
    let carried = stock.carried().into_iter();
    let changes = carried.map(|(position, record)| Change { record, position, shelf: None });
    for changes in changes.collect::<Vec<_>>().chunks(NEW_TOYS) {
        database.repeat(LOAD_TIME_MAX, &encode(changes))?;
    }
    let (log, position) = (literal(LOG), stock.position());
    database.repeat(
        LOAD_TIME_MAX,
        &format!(
            "REPLACE INTO logs (name, term, writer, position, beat) VALUES ({log}, 0, '', {position}, 0);"
        ),
    )
}

/// The error of rows that the catalog never wrote.
fn unusable(database: &Database, error: Error) -> Error {
    match error {
        Error::Invalid { why } => database.error(why),
        other => other,
    }
}

impl TableJournal {
    /// Adds the toys of a new store, and then what marks it as complete.
    fn fill(&self, stock: &mut Stock, shelves: Vec<Shelf>) -> Result<()> {
        let is_missing = |shelf: &Shelf| stock.place(&shelf.toy.name).is_err();
        let missing: Vec<Toy> =
            shelves.into_iter().filter(is_missing).map(|shelf| shelf.toy).collect();
        for toys in missing.chunks(NEW_TOYS) {
            let put = |toy: &Toy| {
                let Toy { name, price, quantity, version } = toy.clone();
                Record::Put { name, price, quantity, version }
            };
            self.apply(stock, &toys.iter().map(put).collect::<Vec<_>>())?;
        }
        self.apply(stock, &[Record::Settle { through: Some(OrderNumber(0)), keys: vec![] }])
    }

    fn apply(&self, stock: &mut Stock, records: &[Record]) -> Result<()> {
        for record in records {
            stock.apply(record);
        }
        self.append(records, stock)?;
        self.sync(stock.position())
    }

    /// Says who has fenced it.
    fn plain(&self, error: Error) -> Error {
        match error {
            Error::Stale { .. } => self.database.error("another catalog has taken it since"),
            other => other,
        }
    }
}

impl Journal for TableJournal {
    fn append(&self, records: &[Record], stock: &Stock) -> Result<()> {
        let before = stock.position() - records.len() as u64;
        let left_by = |(position, record): (u64, &Record)| {
            let name = record.changed().map(|(name, _)| name);
            let place = name.and_then(|name| stock.place(name).ok());
            let left = |place: usize| (place, stock.shelves()[place].clone());
            Change { record: record.clone(), position, shelf: place.map(left) }
        };
        let changes = (before + 1..).zip(records).map(left_by);
        self.log.append(changes).map(drop).map_err(|error| self.plain(error))
    }

    fn sync(&self, position: u64) -> Result<()> {
        self.log.sync(position).map_err(|error| self.plain(error))
    }

    fn durable(&self) -> u64 {
        self.log.durable()
    }

    fn has_lease(&self) -> bool {
        self.log.has_lease()
    }
}

impl Notes for TableNotes {
    /// The own row is there before those of the catalogs before are removed, and has what is still needed of them.
    fn replace(&self, subscriptions: &BTreeSet<u64>) -> Result<()> {
        let (term, version) = (self.term, self.version.fetch_add(1, Ordering::Relaxed) + 1);
        let list: Vec<String> = subscriptions.iter().map(u64::to_string).collect();
        let write = format!(
            "INSERT INTO subscriptions (term, version, list) VALUES ({term}, {version}, {}) ON DUPLICATE KEY UPDATE \
             list = IF(version < VALUES(version), VALUES(list), list), version = GREATEST(version, VALUES(version))",
            literal(&list.join(","))
        );
        let clear = format!("DELETE FROM subscriptions WHERE term < {term}");
        self.database.repeat(SUBSCRIBE_TIME_MAX, &format!("{write}; {clear};"))
    }
}

/// The statements that bring the tables from before these changes to after them.
fn encode(changes: &[Change]) -> String {
    let mut toys = BTreeMap::new();
    let mut sales: BTreeMap<&Key, Option<&Change>> = BTreeMap::new();
    let (mut fence, mut settled) = (None, None);
    for change in changes {
        toys.extend(change.shelf.iter().map(|(place, shelf)| (*place, shelf)));
        match &change.record {
            Record::Sale { key, .. } => drop(sales.insert(key, Some(change))),
            Record::Settle { keys, through } => {
                sales.extend(keys.iter().map(|key| (key, None)));
                settled = through.or(settled);
            }
            Record::Office(epoch) => fence = Some(epoch),
            Record::Restock { .. } | Record::Put { .. } | Record::Withdraw { .. } => {}
        }
    }
    let mut sql = String::new();
    let toys = toys.into_iter().map(|(place, shelf)| toy_row(place, shelf));
    add_list(&mut sql, REPLACE_TOYS, toys, "");
    let ended = sales.iter().filter(|(_, sale)| sale.is_none());
    let ended = ended.map(|(key, _)| literal(key.as_str()));
    add_list(&mut sql, "DELETE FROM sales WHERE sale_key IN (", ended, ")");
    let open = sales.into_values().flatten().filter_map(sale_row);
    let columns = "sale_key, position, epoch, toy, quantity, version";
    add_list(&mut sql, &format!("REPLACE INTO sales ({columns}) VALUES"), open, "");
    let settled = settled.map(|number| format!("(1, 0, {number})"));
    let begin = "INSERT INTO standing (id, fence, settled) VALUES";
    add_list(
        &mut sql,
        begin,
        settled.into_iter(),
        " ON DUPLICATE KEY UPDATE settled = VALUES(settled)",
    );
    let fence = fence.map(Epoch::to_string);
    add_list(&mut sql, "UPDATE standing SET fence =", fence.into_iter(), "");
    sql
}

const REPLACE_TOYS: &str = "REPLACE INTO toys (id, name, price, quantity, version, initial, restocked, sold, withdrawn) VALUES";

fn toy_row(place: usize, shelf: &Shelf) -> String {
    let Shelf { toy, initial, restocked, sold, withdrawn, .. } = shelf;
    let Toy { name, price: Price(cents), quantity, version } = toy;
    let (name, units, cents) = (literal(name), cents / 100, cents % 100);
    format!(
        "({place},{name},{units}.{cents:02},{quantity},{version},{initial},{restocked},{sold},{withdrawn})"
    )
}

fn sale_row(change: &Change) -> Option<String> {
    let Record::Sale { epoch, key, item: Item { name, quantity }, version } = &change.record else {
        return None;
    };
    let (key, name, quantity) = (literal(key.as_str()), literal(name), quantity.get());
    Some(format!("({key},{},{epoch},{name},{quantity},{version})", change.position))
}

/// Name, price in cents, quantity, version, initial, restocked, sold, withdrawn.
type ToyRow = (String, u64, u64, u64, u64, i64, u64, u64);

/// Key, position, epoch, toy, quantity, version.
type SaleRow = (String, u64, u64, String, u64, u64);

/// The rows of all tables.
struct Stored {
    toys: Vec<ToyRow>,
    sales: Vec<SaleRow>,
    /// Fence and settled; `None` until all toys of a new store are there.
    standing: Option<(u64, u64)>,
    /// At all catalogs before, if they are known.
    subscriptions: Option<BTreeSet<u64>>,
}

fn read_all(connection: &mut Connection) -> Result<Stored, Refusal> {
    Ok(Stored {
        toys: connection.rows(
            "SELECT name, CAST(price * 100 AS UNSIGNED), quantity, version, initial, restocked, sold, withdrawn \
             FROM toys ORDER BY id",
        )?,
        sales: connection.rows(
            "SELECT sale_key, position, epoch, toy, quantity, version FROM sales ORDER BY position",
        )?,
        standing: connection.first("SELECT fence, settled FROM standing")?,
        subscriptions: subscriptions(&connection.rows("SELECT list FROM subscriptions")?),
    })
}

/// The numbers of these lists; `None` if the catalog never wrote one of them.
fn subscriptions(lists: &[String]) -> Option<BTreeSet<u64>> {
    let numbers = lists.iter().flat_map(|list| list.split(',')).filter(|text| !text.is_empty());
    numbers.map(|number| number.parse().ok()).collect()
}

/// The stock of these rows, at this position.
fn decode(stored: Stored, position: u64) -> Result<Stock> {
    let mut shelves = Vec::with_capacity(stored.toys.len());
    for (name, cents, quantity, version, initial, restocked, sold, withdrawn) in stored.toys {
        let shelf = Shelf::new(name.parse()?, Price(cents), quantity);
        let toy = Toy { version, ..shelf.toy };
        shelves.push(Shelf { toy, initial, restocked, sold, withdrawn, ..shelf });
    }
    let mut stock = Stock::new(shelves, position);
    if let Some((fence, settled)) = stored.standing {
        stock.replay(0, &Record::Office(Epoch(fence)))?;
        let through = Some(OrderNumber(settled));
        stock.replay(0, &Record::Settle { through, keys: vec![] })?;
    }
    for (key, position, epoch, toy, quantity, version) in stored.sales {
        let item = Item { name: toy.parse()?, quantity: quantity.try_into()? };
        let (key, epoch) = (Key::try_from(key)?, Epoch(epoch));
        stock.replay(position, &Record::Sale { epoch, key, item, version })?;
    }
    Ok(stock)
}
