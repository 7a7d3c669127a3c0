//! A replica on disk: `orders.csv`, the same bytes on every replica; `view.json`, the last view it
//! accepted; `committed`, a hint of how far the log was committed. Used by [`node`](super::node)
//! and [`recovery`](super::recovery).
//!
//! A damaged log is set aside, and the directory gets a new identity: for the others its disk was
//! wiped, so it returns as an outsider and the leader sends it all orders.

use super::log::Log;
use crate::config::{Failure, FailureKind};
use crate::error::{Error, Result};
use crate::model::{Entry, Epoch, Identity, Item, Key, OrderNumber, Quantity, View};
use crate::storage::{CsvLog, Directory, Table, TornTail, field, read_log, replace};
use csv::StringRecord;
use rustix::process::{Signal, getpid, kill_process};
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

/// The table of `orders.csv`.
pub const ORDERS: Table = Table {
    columns: &["number", "name", "quantity", "epoch", "key"],
    remedy: "remove the data directory and the leader will refill it",
};

/// What a replica finds on its disk.
pub struct Loaded {
    /// The orders.
    pub log: Log,
    /// The last view accepted.
    pub view: Option<View>,
    /// Everything up to here was committed once.
    pub committed: OrderNumber,
    /// To go on writing.
    pub file: OrderFile,
}

/// The open files of a running replica.
pub struct OrderFile {
    orders: CsvLog,
    directory: Directory,
    fail: Option<Failure>,
}

impl OrderFile {
    /// Opens the directory and checks the whole log: checksums, numbers, epochs.
    pub fn load(path: &Path, fail: Option<Failure>) -> Result<Loaded> {
        let mut directory = Directory::open(path)?;
        let orders = directory.file("orders.csv");
        let mut committed = read_hint(&directory.file("committed"));
        let (log, csv) = match open(&orders, committed) {
            Err(damage @ Error::Damaged { .. }) => {
                // This comes first: with the old identity, the empty log would be taken for the old log.
                directory.renew_identity()?;
                let aside = set_aside(&orders)?;
                tracing::error!(
                    "{damage}. It is now {}; this replica begins with an empty log, as an outsider",
                    aside.display()
                );
                for stale in ["view.json", "committed"] {
                    remove(&directory.file(stale))?;
                }
                committed = OrderNumber(0);
                open(&orders, committed)?
            }
            opened => opened?,
        };
        if let Some(Failure { how: FailureKind::FailWrite, at }) = fail {
            csv.fail_at(at.0);
        }
        let view = read_view(&directory.file("view.json"))?;
        Ok(Loaded { log, view, committed, file: OrderFile { orders: csv, directory, fail } })
    }

    /// The identity of its directory.
    pub fn identity(&self) -> Identity {
        self.directory.identity().clone()
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Puts entries behind those before them. Row n is order n; anything else is a bug.
    pub fn append(&self, entries: &[Entry]) -> Result<()> {
        for Entry { number, epoch, key, item } in entries {
            let fields: [&dyn Display; 5] = [number, &item.name, &item.quantity.get(), epoch, key];
            let row = self.orders.append(&fields)?;
            if row != number.0 {
                let why = format!("order {number} was written to row {row}");
                return Err(Error::storage(&self.directory.file("orders.csv"), "not written", why));
            }
            self.play_failure(*number);
        }
        Ok(())
    }

    /// Returns when every order up to this one is on disk.
    pub fn sync(&self, number: OrderNumber) -> Result<()> {
        self.orders.sync(number.0)
    }

    /// Every order up to this one is on disk.
    pub fn durable(&self) -> OrderNumber {
        OrderNumber(self.orders.durable())
    }

    /// Moves the orders after `number` to a file of their own, because the leader of `epoch` has
    /// others there.
    pub fn cut_after(&self, number: OrderNumber, epoch: Epoch) -> Result<()> {
        let aside = self.directory.file(&format!("divergent-{epoch}.csv"));
        self.orders.cut_after(number.0, &aside)
    }

    /// Puts a view on disk.
    pub fn write_view(&self, view: &View) -> Result<()> {
        let contents = serde_json::to_vec_pretty(view).expect("a view has string keys");
        replace(&self.directory.file("view.json"), &contents)
    }

    /// Notes how far the log is committed and on disk. Not synced: after a loss of power it may be older. It is never
    /// newer than the log, so a log that ends before it has lost orders.
    pub fn hint_committed(&self, number: OrderNumber) -> Result<()> {
        let path = self.directory.file("committed");
        fs::write(&path, format!("{number}\n"))
            .map_err(|e| Error::storage(&path, "cannot write", e))
    }

    /// Simulates the failure that the operator configured, at its order (O8).
    fn play_failure(&self, number: OrderNumber) {
        let how = self.fail.filter(|failure| failure.at == number).map(|failure| failure.how);
        let signal = match how {
            Some(FailureKind::Crash) => Signal::KILL,
            Some(FailureKind::Hang) => Signal::STOP,
            Some(FailureKind::FailWrite) | None => return,
        };
        if let Err(error) = kill_process(getpid(), signal) {
            tracing::error!("cannot simulate the failure at order {number}: {error}");
        }
    }
}

/// Opens a log that once had the orders up to `committed`, on disk.
fn open(path: &Path, committed: OrderNumber) -> Result<(Log, CsvLog)> {
    let mut log = Log::default();
    let (csv, torn) = CsvLog::open(path, &ORDERS, |row| log.restore(decode(row)?))?;
    log.restore_keys();
    if log.last() < committed {
        return Err(Error::Damaged {
            file: path.display().to_string(),
            line: log.last().0 + 2,
            why: format!(
                "the orders up to {committed} were here, those after {} are missing",
                log.last()
            ),
            remedy: ORDERS.remedy.into(),
        });
    }
    if let Some(torn) = torn {
        tracing::warn!("{}: {torn}", path.display());
    }
    Ok((log, csv))
}

/// Reads an order back from its row.
pub fn decode(row: &StringRecord) -> Result<Entry> {
    Ok(Entry {
        number: OrderNumber(field(row, 0)?),
        epoch: Epoch(field(row, 3)?),
        key: Key::try_from(row[4].to_owned())?,
        item: Item { name: row[1].parse()?, quantity: Quantity::try_from(field::<u64>(row, 2)?)? },
    })
}

/// How far the log was committed; 0 when nothing is known.
fn read_hint(path: &Path) -> OrderNumber {
    let hint = fs::read_to_string(path).unwrap_or_default();
    OrderNumber(hint.trim().parse().unwrap_or(0))
}

fn read_view(path: &Path) -> Result<Option<View>> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = fs::read(path).map_err(|e| Error::storage(path, "cannot read it", e))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|e| Error::Damaged {
        file: path.display().to_string(),
        line: e.line() as u64,
        why: format!("no view: {e}"),
        remedy: ORDERS.remedy.into(),
    })
}

/// What is on a replica's disk.
#[derive(Debug, Default)]
pub struct Contents {
    /// The orders, whatever their numbers.
    pub entries: Vec<Entry>,
    /// Orders that were cut from the log.
    pub cut_aside: Vec<Entry>,
    /// The last view accepted.
    pub view: Option<View>,
    /// Everything up to here was committed once.
    pub committed: OrderNumber,
    /// The identity of the directory.
    pub identity: Option<Identity>,
    /// What a crash, or a write going on just now, left at the end of which file.
    pub torn: Vec<(PathBuf, TornTail)>,
}

/// Reads a replica's directory without changing it: nothing is repaired or written. What is
/// missing is empty.
pub fn read(directory: &Path) -> Result<Contents> {
    let mut contents = Contents {
        view: read_view(&directory.join("view.json"))?,
        committed: read_hint(&directory.join("committed")),
        identity: Directory::identity_of(directory)?,
        ..Contents::default()
    };
    if !directory.exists() {
        return Ok(contents);
    }
    let cannot_list = |e| Error::storage(directory, "cannot list it", e);
    for file in fs::read_dir(directory).map_err(cannot_list)? {
        let path = file.map_err(cannot_list)?.path();
        let entries = match path.file_name().and_then(|name| name.to_str()) {
            Some("orders.csv") => &mut contents.entries,
            Some(name) if name.starts_with("divergent-") => &mut contents.cut_aside,
            _ => continue,
        };
        let torn = read_log(&path, &ORDERS, |row| {
            entries.push(decode(row)?);
            Ok(())
        })?;
        contents.torn.extend(torn.map(|torn| (path, torn)));
    }
    Ok(contents)
}

/// Renames the damaged log to the first free name.
fn set_aside(path: &Path) -> Result<PathBuf> {
    let free = (1..=u32::MAX)
        .map(|n| path.with_file_name(format!("damaged-{n}.csv")))
        .find(|aside| !aside.exists())
        .expect("some name is free");
    fs::rename(path, &free).map_err(|e| Error::storage(path, "cannot set it aside", e))?;
    Ok(free)
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::storage(path, "cannot remove it", e))
        }
        _ => Ok(()),
    }
}
