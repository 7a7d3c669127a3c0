//! Rewrites a file as a whole: after a crash it has its old contents or its new ones, never a mix.
//!
//! The new contents go to `<name>.new`, are synced, and take the name by a rename, which is atomic.
//! The directory is synced too, because the rename changes the directory.

use crate::blocking::Blocking;
use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Makes `contents` the contents of the file, durably. The file need not exist yet.
pub fn replace(path: &Path, contents: &[u8]) -> Result<()> {
    let _waiting = Blocking::new();
    let aside = aside(path);
    write_synced(&aside, contents).map_err(|e| Error::storage(&aside, "cannot write it", e))?;
    fs::rename(&aside, path).map_err(|e| Error::storage(path, "cannot replace it", e))?;
    sync_parent(path)
}

/// Makes durable that a file or directory was created in, or renamed within, its parent.
pub(super) fn sync_parent(path: &Path) -> Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(|e| Error::storage(parent, "cannot sync it", e))
}

/// The temporary name of the new contents. A crash may leave this file; the next replacement overwrites it.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

fn write_synced(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(contents)?;
    file.sync_all()
}
