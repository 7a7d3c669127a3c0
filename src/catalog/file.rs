//! The stock on disk: `toys.csv`, a snapshot of the shelves up to a position, and `journal.csv`, the
//! records since then. Used by [`service`](super::service).
//!
//! A start replays the journal over the snapshot, writes a new snapshot, and then a new journal that
//! holds only what is still needed: the fence, the number of settled orders, and the open sales. A crash
//! between the two writes leaves a journal with records that the snapshot already contains. Their positions
//! show this, and they are not applied to the shelves again.

use super::initial;
use super::journal::Journal;
use super::record::Record;
use super::shelf::Shelf;
use super::stock::Stock;
use crate::error::{Error, Result};
use crate::model::{Epoch, Item, Key, OrderNumber, Price, Toy, ToyName};
use crate::protocol::catalog::{TOYS_MAX, check_count};
use crate::storage::{
    Chain, CsvLog, Directory, Table, TornTail, field, read_log, read_rows, replace,
};
use csv::StringRecord;
use std::fmt::Display;
use std::path::Path;

const TOYS: Table = Table {
    columns: &[
        "name",
        "price",
        "quantity",
        "version",
        "initial",
        "restocked",
        "sold",
        "withdrawn",
        "position",
    ],
    remedy: "restore toys.csv and journal.csv together from a backup",
};

const JOURNAL: Table = Table {
    columns: &[
        "position", "kind", "epoch", "name", "quantity", "version", "key", "price", "settled",
    ],
    remedy: "restore toys.csv and journal.csv together from a backup",
};

/// The journals of earlier versions, newest first. They have the calls of purchases, which are not needed any more, and
/// not the number of settled orders.
const EARLIER_JOURNALS: [Table; 2] = [
    Table { columns: &EARLIER_COLUMNS, ..JOURNAL },
    Table { columns: EARLIER_COLUMNS.split_at(11).0, ..JOURNAL },
];

const EARLIER_COLUMNS: [&str; 12] = [
    "position",
    "kind",
    "epoch",
    "name",
    "quantity",
    "version",
    "key",
    "caller",
    "incarnation",
    "sequence",
    "ack_below",
    "price",
];

/// The format of an existing journal.
fn table_of(journal: &Path) -> Result<&'static Table> {
    for earlier in &EARLIER_JOURNALS {
        if earlier.is_of(journal)? {
            return Ok(earlier);
        }
    }
    Ok(&JOURNAL)
}

/// The stock of the snapshot, and the format of the journal that follows it.
fn read_snapshot(toys: &Path, journal: &Path) -> Result<(Stock, &'static Table)> {
    let (mut stock, table) = (read_toys(toys)?, table_of(journal)?);
    if table.columns != JOURNAL.columns {
        stock.is_of_an_earlier_version();
    }
    Ok((stock, table))
}

/// Replays a row of the journal.
fn replay(stock: &mut Stock, table: &Table, row: &StringRecord) -> Result<()> {
    match decode(table, row)? {
        (position, Some(record)) => stock.replay(position, &record),
        (_, None) => Ok(()),
    }
}

/// The journal of a running catalog.
pub struct FileJournal {
    log: CsvLog,
    /// The position that the stock had when the log was opened.
    start_position: u64,
    /// The rows that the log had then. There may be more rows than positions, because the first rows of a journal
    /// repeat what is still needed and have no new position.
    start_rows: u64,
}

impl Journal for FileJournal {
    fn append(&self, records: &[Record], stock: &Stock) -> Result<()> {
        let before = stock.position() - records.len() as u64;
        for (position, record) in (before + 1..).zip(records) {
            append(&self.log, position, record)?;
        }
        Ok(())
    }

    fn sync(&self, position: u64) -> Result<()> {
        // Records before the start are on disk, and so are the first rows of this journal.
        let new_records = position.saturating_sub(self.start_position);
        self.log.sync(self.start_rows + new_records)
    }

    fn durable(&self) -> u64 {
        self.start_position + self.log.durable().saturating_sub(self.start_rows)
    }

    /// The directory has a lock.
    fn has_lease(&self) -> bool {
        true
    }
}

/// Loads the stock from `directory`, or makes a new one from the `initial` database.
pub fn load(directory: &Directory, initial: Option<&Path>) -> Result<(Stock, FileJournal)> {
    let (toys, journal) = (directory.file("toys.csv"), directory.file("journal.csv"));
    if !toys.exists() {
        let old = count_rows(&journal)?;
        if old > 0 {
            let why = format!("missing, but journal.csv has {old} records that need it");
            return Err(Error::Damaged {
                file: toys.display().to_string(),
                line: 1,
                why,
                remedy: "restore it from a backup, or remove journal.csv too for a new store"
                    .into(),
            });
        }
        let shelves = initial.map_or_else(|| Ok(initial::default_toys()), initial::read)?;
        drop(CsvLog::open(&journal, &JOURNAL, |_| Ok(()))?);
        write_toys(&toys, &Stock::new(shelves, 0))?;
    } else if !journal.exists() {
        return Err(Error::Damaged {
            file: journal.display().to_string(),
            line: 1,
            why: "missing, though toys.csv is there: sales since it was written are lost".into(),
            remedy: "restore it from a backup, or remove toys.csv too for a new store".into(),
        });
    }
    let (mut stock, table) = read_snapshot(&toys, &journal)?;
    let (log, torn) = CsvLog::open(&journal, table, |row| replay(&mut stock, table, row))?;
    if let Some(torn) = torn {
        tracing::warn!("{}: {torn}", journal.display());
    }
    drop(log);
    check_books(&toys, &stock)?;
    write_toys(&toys, &stock)?;
    let log = write_journal(&journal, &stock)?;
    let (start_position, start_rows) = (stock.position(), log.appended());
    Ok((stock, FileJournal { log, start_position, start_rows }))
}

/// Replaces the journal by one that begins with what is still needed. Without `toys.csv` no catalog takes it.
pub fn write_journal(path: &Path, stock: &Stock) -> Result<CsvLog> {
    let (mut chain, mut contents) = (Chain::default(), JOURNAL.header().into_bytes());
    for (position, record) in stock.carried() {
        encode(position, &record, |fields| chain.encode(fields, &mut contents))?;
    }
    replace(path, &contents)?;
    Ok(CsvLog::open(path, &JOURNAL, |_| Ok(()))?.0)
}

fn count_rows(journal: &Path) -> Result<u64> {
    let mut count = 0;
    if journal.exists() {
        CsvLog::open(journal, table_of(journal)?, |_| {
            count += 1;
            Ok(())
        })?;
    }
    Ok(count)
}

fn check_books(path: &Path, stock: &Stock) -> Result<()> {
    match stock.shelves().iter().position(|shelf| !shelf.balances()) {
        None => Ok(()),
        Some(place) => Err(Error::Damaged {
            file: path.display().to_string(),
            line: place as u64 + 2,
            why: format!("the books of {} do not balance", stock.shelves()[place].toy.name),
            remedy: TOYS.remedy.into(),
        }),
    }
}

/// Writes the shelves to `toys.csv`.
pub fn write_toys(path: &Path, stock: &Stock) -> Result<()> {
    let (mut chain, mut contents) = (Chain::default(), TOYS.header().into_bytes());
    for shelf in stock.shelves() {
        let Toy { name, price, quantity, version } = &shelf.toy;
        let Shelf { initial, restocked, sold, withdrawn, .. } = shelf;
        let (price, position) = (f64::from(*price), stock.position());
        let fields: [&dyn Display; 9] =
            [name, &price, quantity, version, initial, restocked, sold, withdrawn, &position];
        chain.encode(&fields, &mut contents)?;
    }
    replace(path, &contents)
}

/// The shelves of `toys.csv`.
pub fn read_toys(path: &Path) -> Result<Stock> {
    let (mut shelves, mut at) = (Vec::new(), 0);
    read_rows(path, &TOYS, |row| {
        let toy = Toy {
            name: row[0].parse()?,
            price: Price::try_from(field::<f64>(row, 1)?)?,
            quantity: field(row, 2)?,
            version: field(row, 3)?,
        };
        at = field(row, 8)?;
        shelves.push(Shelf {
            toy,
            initial: field(row, 4)?,
            restocked: field(row, 5)?,
            sold: field(row, 6)?,
            withdrawn: field(row, 7)?,
            changed_at: 0,
            added: 0,
            added_at: 0,
        });
        Ok(())
    })?;
    check_count(shelves.len()).map_err(|error| Error::Damaged {
        file: path.display().to_string(),
        line: TOYS_MAX as u64 + 2,
        why: format!("{error}, this file has {}", shelves.len()),
        remedy: "start a new store with fewer toys".into(),
    })?;
    Ok(Stock::new(shelves, at))
}

/// The stock as it is on disk, and the torn tail of its journal, for the audit, which only reads: nothing is
/// repaired or written.
pub fn read(directory: &Path) -> Result<(Stock, Option<TornTail>)> {
    let journal = directory.join("journal.csv");
    let (mut stock, table) = read_snapshot(&directory.join("toys.csv"), &journal)?;
    let torn = read_log(&journal, table, |row| replay(&mut stock, table, row))?;
    Ok((stock, torn))
}

fn append(log: &CsvLog, position: u64, record: &Record) -> Result<()> {
    encode(position, record, |fields| log.append(fields).map(drop))
}

/// Encodes a record in the columns of the journal and gives it to `write`.
fn encode(
    position: u64,
    record: &Record,
    write: impl FnOnce(&[&dyn Display]) -> Result<()>,
) -> Result<()> {
    let no: &dyn Display = &"";
    match record {
        Record::Sale { epoch, key, item: Item { name, quantity }, version } => {
            let quantity = quantity.get();
            write(&[&position, &"purchase", epoch, name, &quantity, version, key, no, no])
        }
        Record::Settle { through, keys } => {
            let keys: Vec<&str> = keys.iter().map(Key::as_str).collect();
            let (keys, number) = (keys.join(" "), through.map_or(String::new(), |n| n.to_string()));
            write(&[&position, &"settle", no, no, no, no, &keys, no, &number])
        }
        Record::Office(epoch) => write(&[&position, &"office", epoch, no, no, no, no, no, no]),
        Record::Restock { name, quantity, version } => {
            write(&[&position, &"restock", no, name, quantity, version, no, no, no])
        }
        Record::Withdraw { item: Item { name, quantity }, version } => {
            let quantity = quantity.get();
            write(&[&position, &"withdraw", no, name, &quantity, version, no, no, no])
        }
        Record::Put { name, price, quantity, version } => {
            let price = f64::from(*price);
            write(&[&position, &"put", no, name, quantity, version, no, &price, no])
        }
    }
}

/// Decodes a record from its row; `None` for one that only earlier versions need.
fn decode(table: &Table, row: &StringRecord) -> Result<(u64, Option<Record>)> {
    let place = |column: &str| table.columns.iter().position(|other| *other == column);
    let text = |column: &str| place(column).and_then(|place| row.get(place)).unwrap_or_default();
    let number = |column: &str| -> Result<u64> {
        let place = place(column).ok_or_else(|| Error::invalid(format!("there is no {column}")))?;
        field(row, place)
    };
    let name = || text("name").parse::<ToyName>();
    let item =
        || Ok::<Item, Error>(Item { name: name()?, quantity: number("quantity")?.try_into()? });
    let record = match text("kind") {
        "purchase" => Record::Sale {
            epoch: Epoch(number("epoch")?),
            key: Key::try_from(text("key").to_owned())?,
            item: item()?,
            version: number("version")?,
        },
        "settle" => {
            let keys = text("key").split_whitespace().map(|key| Key::try_from(key.to_owned()));
            let through = match text("settled") {
                "" => None,
                _ => Some(OrderNumber(number("settled")?)),
            };
            Record::Settle { through, keys: keys.collect::<Result<_>>()? }
        }
        "office" => Record::Office(Epoch(number("epoch")?)),
        "restock" => Record::Restock {
            name: name()?,
            quantity: number("quantity")?,
            version: number("version")?,
        },
        "put" => {
            let price = text("price");
            let price: f64 =
                price.parse().map_err(|_| Error::invalid(format!("{price:?} is no price")))?;
            Record::Put {
                name: name()?,
                price: Price::try_from(price)?,
                quantity: number("quantity")?,
                version: number("version")?,
            }
        }
        "withdraw" => Record::Withdraw { item: item()?, version: number("version")? },
        "caller" if place("caller").is_some() => return Ok((number("position")?, None)),
        other => return Err(Error::invalid(format!("unknown kind of record {other:?}"))),
    };
    Ok((number("position")?, Some(record)))
}
