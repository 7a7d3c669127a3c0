//! `--fresh`: removes the files of a store, and no others.
//!
//! All directories are checked and locked before the first file is removed. If a directory is in use,
//! or has a file that is not a file of the store, nothing is removed: the setting may name a wrong
//! directory, such as a home directory.

use crate::config::{Config, Engine};
use crate::error::{Error, Result};
use crate::storage::directory::Lock;
use std::fs;
use std::path::{Path, PathBuf};

/// The names of the files that services write, up to the first dot or dash. Examples: `orders.csv`,
/// `orders.csv.new` while it is replaced, `divergent-7.csv`.
const OURS: [&str; 10] = [
    "lock",
    "identity",
    "view",
    "committed",
    "damaged",
    "orders",
    "toys",
    "journal",
    "subscriptions",
    "divergent",
];

/// Empties the data directories of all services.
pub(super) fn empty_directories(config: &Config) -> Result<()> {
    if config.storage.engine == Engine::Database {
        let why =
            "it empties directories, but the store is in a database; drop its databases by hand";
        return Err(Error::Config { place: "--fresh".to_owned(), why: why.to_owned() });
    }
    let replicas = config.order.replicas.values().map(|replica| &replica.data);
    let directories =
        [&config.frontend.first.data, &config.catalog.first.data].into_iter().chain(replicas);
    let mut locks = Vec::new();
    let mut files = Vec::new();
    for directory in directories.filter(|directory| directory.exists()) {
        if directory.join("lock").exists() {
            locks.push(Lock::take(directory)?);
        }
        files.extend(files_of_the_store(directory)?);
    }
    for file in files {
        fs::remove_file(&file).map_err(|e| Error::storage(&file, "cannot remove it", e))?;
    }
    Ok(())
}

/// The files of a directory; an error if one of them is not a file of the store.
fn files_of_the_store(directory: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error| Error::storage(directory, "cannot read it", error);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let named_ours = name
            .to_str()
            .and_then(|name| name.split(['.', '-']).next())
            .is_some_and(|stem| OURS.contains(&stem));
        if !named_ours || !entry.file_type().map_err(unreadable)?.is_file() {
            let why = format!("{} is not a file of the store", name.display());
            return Err(Error::storage(directory, "not removed", why));
        }
        files.push(entry.path());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with a catalog and a replica that have files, and a front-end that never ran.
    fn store() -> (tempfile::TempDir, Config) {
        let root = tempfile::tempdir().expect("a directory");
        let mut config = Config::default();
        config.frontend.first.data = root.path().join("frontend");
        config.catalog.first.data = root.path().join("catalog");
        for (id, replica) in &mut config.order.replicas {
            replica.data = root.path().join(format!("order-{id}"));
        }
        for file in ["catalog/lock", "catalog/toys.csv", "order-1/orders.csv", "order-1/lock"] {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().expect("has one")).expect("a directory");
            fs::write(file, "").expect("a file");
        }
        (root, config)
    }

    fn count(directory: &Path) -> usize {
        fs::read_dir(directory).expect("exists").count()
    }

    #[test]
    fn files_of_the_store_are_removed() {
        let (_root, config) = store();
        empty_directories(&config).expect("removed");
        assert_eq!(count(&config.catalog.first.data), 0);
        assert_eq!(count(&config.order.replicas.values().next().expect("three").data), 0);
    }

    #[test]
    fn nothing_is_removed_next_to_a_foreign_file() {
        let (root, config) = store();
        fs::write(root.path().join("order-1/thesis.txt"), "").expect("a file");
        let error = empty_directories(&config).expect_err("refused").to_string();
        assert!(error.ends_with("order-1: not removed: thesis.txt is not a file of the store"));
        assert_eq!(count(&config.catalog.first.data), 2, "not in the other directories either");
    }

    #[test]
    fn a_store_in_a_database_is_refused() {
        let (_root, mut config) = store();
        config.storage.engine = Engine::Database;
        let error = empty_directories(&config).expect_err("refused").to_string();
        assert!(error.contains("drop its databases by hand"), "{error}");
        assert_eq!(count(&config.catalog.first.data), 2, "nothing is removed");
    }

    #[test]
    fn nothing_is_removed_while_a_service_runs() {
        let (root, config) = store();
        let lock = Lock::take(&root.path().join("order-1")).expect("free");
        let error = empty_directories(&config).expect_err("refused").to_string();
        assert!(error.contains("order-1: already in use by another process (pid "), "{error}");
        assert_eq!(count(&config.catalog.first.data), 2, "not in the other directories either");
        drop(lock);
        empty_directories(&config).expect("removed");
    }
}
