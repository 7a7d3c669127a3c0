//! The files of a closed store. Used by [`migration`](super).

use super::contents::Contents;
use super::progress::write_orders;
use crate::audit::disk;
use crate::catalog::file::{write_journal, write_toys};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Member, OrderNumber, ReplicaId, View};
use crate::order::file::{self as orders, OrderFile};
use crate::storage::Directory;
use crate::storage::directory::Lock;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The directories of a store, locked.
pub struct Files<'a> {
    config: &'a Config,
    locks: BTreeMap<PathBuf, Lock>,
}

impl Files<'_> {
    /// Locks the directories of the catalog, of the replicas and of the front-end that makes the views, those that exist.
    pub fn lock(config: &Config) -> Result<Files<'_>> {
        let replicas = config.order.replicas.values().map(|replica| &replica.data);
        let frontend = &config.frontend.instance(config.frontend.controller)?.data;
        let all = [&config.catalog.first.data, frontend].into_iter().chain(replicas);
        let there = all.filter(|directory| directory.is_dir());
        let locks = there.map(|directory| Ok((directory.clone(), Lock::take(directory)?)));
        Ok(Files { config, locks: locks.collect::<Result<_>>()? })
    }

    /// What the files have.
    pub fn read(&self) -> Result<Contents> {
        let (stock, evidence) = disk::read(self.config)?;
        Contents::of("the files of the store", stock, evidence)
    }

    /// Takes away the view of the front-end that makes the views: it names replicas by the identity of their files, or of
    /// their database.
    pub fn forget_view(&mut self) -> Result<()> {
        let frontend = self.config.frontend.instance(self.config.frontend.controller)?;
        remove(&frontend.data.join("view.json"))
    }

    /// Refuses directories with data of a store.
    pub fn refuse_contents(&self) -> Result<()> {
        let refuse = |directory: &Path| {
            Error::Storage {
            path: directory.display().to_string(),
            why: "it has the data of a store, or of an export that did not finish; remove it, or choose another".to_owned(),
        }
        };
        let catalog = &self.config.catalog.first.data;
        if self.toys().exists() || self.journal().exists() {
            return Err(refuse(catalog));
        }
        for replica in self.config.order.replicas.values() {
            let contents = orders::read(&replica.data)?;
            let is_empty = contents.entries.is_empty() && contents.cut_aside.is_empty();
            if !is_empty || contents.view.is_some() {
                return Err(refuse(&replica.data));
            }
        }
        Ok(())
    }

    /// Puts a store into directories without data. Without `toys.csv`, which comes last, no catalog opens it.
    pub fn write(&mut self, store: &Contents) -> Result<()> {
        let catalog = &self.config.catalog.first.data;
        self.locks.remove(catalog);
        let _catalog = Directory::open(catalog)?;
        write_journal(&self.journal(), &store.stock)?;
        let mut files = Vec::new();
        for (id, replica) in &self.config.order.replicas {
            self.locks.remove(&replica.data);
            files.push((*id, OrderFile::load(&replica.data, None)?.file));
        }
        let view = view(store, &files);
        let last = OrderNumber(store.orders.len() as u64);
        // Those after it may lack their sale, and are committed when the store starts.
        let committed = store.stock.standing().settled.unwrap_or_default().min(last);
        for (_, file) in &files {
            write_orders(&store.orders, &file.path().display().to_string(), |part| {
                file.append(part)
            })?;
            file.sync(last)?;
            file.hint_committed(committed)?;
            view.iter().try_for_each(|view| file.write_view(view))?;
        }
        write_toys(&self.toys(), &store.stock)
    }

    /// Compares what was written with what was to be written. If they differ, no catalog opens the files.
    pub fn compare(&self, store: &Contents) -> Result<()> {
        let compared = self.read().and_then(|copy| store.compare(&copy, "the files of the store"));
        compared.or_else(|error| remove(&self.toys()).and(Err(error)))
    }

    fn toys(&self) -> PathBuf {
        self.config.catalog.first.data.join("toys.csv")
    }

    fn journal(&self) -> PathBuf {
        self.config.catalog.first.data.join("journal.csv")
    }
}

/// The view of these replicas, which have all orders; `None` for a store that never had one.
fn view(store: &Contents, files: &[(ReplicaId, OrderFile)]) -> Option<View> {
    let member =
        |(id, file): &(ReplicaId, OrderFile)| Member { id: *id, identity: file.identity() };
    let in_sync: Vec<Member> = files.iter().map(member).collect();
    let leader = in_sync.last()?.id;
    (store.epoch.0 > 0).then_some(View { epoch: store.epoch, leader, in_sync })
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(Error::storage(path, "cannot remove it", e))
        }
        _ => Ok(()),
    }
}
