//! Reads the data directories of a store. The store should be closed: while services write, the files
//! are read at different moments and may not match. After a crash they can be read without a restart.

use super::check::{Evidence, ReplicaLog, check};
use super::verdict::Verdict;
use crate::catalog;
use crate::catalog::stock::Stock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Epoch, ReplicaId, View};
use crate::order::file::{self as orders, Contents};
use crate::storage::TornTail;
use std::fs;
use std::path::Path;

/// Audits the directories that the configuration names.
pub fn audit(config: &Config) -> Result<Verdict> {
    read(config).map(|(_, evidence)| check(&evidence))
}

/// The stock, and everything that is compared with it.
pub fn read(config: &Config) -> Result<(Stock, Evidence)> {
    let mut notes = Vec::new();
    let catalog = &config.catalog.first.data;
    let (stock, torn) = catalog::file::read(catalog)?;
    notes.extend(torn.map(|torn| unfinished(&catalog.join("journal.csv"), torn)));
    let mut disks = Vec::new();
    for (id, replica) in &config.order.replicas {
        let file = replica.data.join("orders.csv");
        if !file.exists() {
            notes.push(format!("replica {id}: there is no {}", file.display()));
        }
        let disk = orders::read(&replica.data)?;
        notes.extend(disk.torn.iter().map(|(file, torn)| unfinished(file, *torn)));
        disks.push((*id, disk));
    }
    let problems = unequal_bytes(config, &disks)?;
    let books = stock.books(stock.shelves());
    let (logs, epoch) = replica_logs(disks);
    Ok((stock, Evidence { books, logs, epoch, notes, problems }))
}

fn unfinished(file: &Path, torn: TornTail) -> String {
    let TornTail { line, bytes } = torn;
    format!("{}, line {line}: {bytes} bytes of an unfinished write were ignored", file.display())
}

/// The newest view that a replica accepted says which replicas are in sync. (The front-end may have
/// made a later view that no replica has received. It has no effect yet.)
fn replica_logs(disks: Vec<(ReplicaId, Contents)>) -> (Vec<ReplicaLog>, Epoch) {
    let views = disks.iter().filter_map(|(_, disk)| disk.view.as_ref());
    let view: Option<View> = views.max_by_key(|view| view.epoch).cloned();
    let is_in_sync = |id: ReplicaId, disk: &Contents| match (&view, &disk.identity) {
        (Some(view), Some(identity)) => view.has(id, identity),
        (Some(_), None) => false,
        (None, _) => true,
    };
    let log = |(id, disk): (ReplicaId, Contents)| ReplicaLog {
        id,
        in_sync: is_in_sync(id, &disk),
        entries: disk.entries,
        committed: disk.committed,
        cut_aside: disk.cut_aside,
    };
    let logs = disks.into_iter().map(log).collect();
    (logs, view.map_or(Epoch(0), |view| view.epoch))
}

/// Finds replicas whose logs have the same orders, but not the same bytes.
fn unequal_bytes(config: &Config, disks: &[(ReplicaId, Contents)]) -> Result<Vec<String>> {
    let read = |id: &ReplicaId| {
        let path = config.order.replicas[id].data.join("orders.csv");
        fs::read(&path).map_err(|e| Error::storage(&path, "cannot read it", e))
    };
    let mut unequal = Vec::new();
    let whole = disks.iter().filter(|(_, disk)| disk.torn.is_empty() && !disk.entries.is_empty());
    let whole: Vec<_> = whole.collect();
    for pair in whole.windows(2) {
        let [(one, ones), (other, others)] = pair else { continue };
        if ones.entries == others.entries && read(one)? != read(other)? {
            unequal.push(format!(
                "replicas {one} and {other} have the same orders, but their files differ"
            ));
        }
    }
    Ok(unequal)
}
