//! A data directory: one process uses it at a time, and its identity differs from every other.
//!
//! ```text
//! lock       locked while a process uses the directory; holds its pid, for the message to the next
//! identity   16 hex digits, drawn when the directory is made
//! ```
//!
//! - The operating system frees the lock when its process ends, for any reason.
//! - A wiped or replaced disk has another identity, so it is not mistaken for the old one.

use super::replace::{replace, sync_parent};
use crate::error::{Error, Result};
use crate::model::Identity;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;

/// A data directory that this process has locked.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    identity: Identity,
    _lock: Lock,
}

impl Directory {
    /// Locks the directory for this process; makes it, with an identity, if it is not there.
    pub fn open(path: &Path) -> Result<Directory> {
        create(path)?;
        let lock = Lock::take(path)?;
        let identity = match read_identity(&path.join(IDENTITY))? {
            Some(identity) => identity,
            None => draw_identity(path)?,
        };
        Ok(Directory { path: path.to_owned(), identity, _lock: lock })
    }

    /// The identity of a directory that another process may be using; `None` if it has none.
    pub fn identity_of(path: &Path) -> Result<Option<Identity>> {
        read_identity(&path.join(IDENTITY))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Its identity, different from every other directory's.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Gives it a new identity: what other processes know about its content is no longer true.
    pub fn renew_identity(&mut self) -> Result<()> {
        self.identity = draw_identity(&self.path)?;
        Ok(())
    }
}

const LOCK: &str = "lock";
const IDENTITY: &str = "identity";

/// Creates the directory and those above it, durably. Another process may be creating them too.
fn create(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create(parent)?;
    }
    match fs::create_dir(path) {
        Err(e) if !path.is_dir() => Err(Error::storage(path, "cannot create it", e)),
        _ => sync_parent(path),
    }
}

/// A directory is locked while this lives.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Locks the directory for this process; an error if another one uses it.
    pub fn take(directory: &Path) -> Result<Lock> {
        let path = directory.join(LOCK);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| Error::storage(&path, "cannot open it for writing", e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(directory, &path)),
            Err(TryLockError::Error(e)) => return Err(Error::storage(&path, "cannot lock it", e)),
        }
        write_pid(&mut file).map_err(|e| Error::storage(&path, "cannot write it", e))?;
        Ok(Lock(file))
    }
}

impl Drop for Lock {
    /// Closing the file does not free the lock at once while this process starts a child: the child
    /// has a copy of every open file until its `exec` (flock(2)).
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", process::id())
}

/// The error that names the process that uses the directory. The pid is missing between its lock and its write.
fn in_use(directory: &Path, lock: &Path) -> Error {
    let pid = fs::read_to_string(lock).unwrap_or_default();
    let who = match pid.trim() {
        "" => String::new(),
        pid => format!(" (pid {pid})"),
    };
    Error::Storage {
        path: directory.display().to_string(),
        why: format!("already in use by another process{who}; stop it or choose another directory"),
    }
}

/// The identity in the file; `None` if there is no such file.
fn read_identity(path: &Path) -> Result<Option<Identity>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::storage(path, "cannot read it", e)),
    };
    let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    match bytes.strip_suffix(b"\n") {
        Some(digits) if digits.len() == 16 && digits.iter().all(is_digit) => {
            Ok(Some(Identity(String::from_utf8_lossy(digits).into_owned())))
        }
        _ => Err(Error::Damaged {
            file: path.display().to_string(),
            line: 1,
            why: "expected 16 hex digits".to_owned(),
            remedy:
                "restore it from a backup, or remove it: the directory then counts as a new one"
                    .to_owned(),
        }),
    }
}

/// Makes a new random identity and writes it.
fn draw_identity(directory: &Path) -> Result<Identity> {
    let identity = drawn();
    replace(&directory.join(IDENTITY), format!("{}\n", identity.0).as_bytes())?;
    Ok(identity)
}

/// A new random identity. The standard library seeds `RandomState` from the operating system's entropy, and each one
/// of a process is different.
pub fn drawn() -> Identity {
    Identity(format!("{:016x}", RandomState::new().hash_one(process::id())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_is_being_started_does_not_keep_a_directory_locked() {
        let data = tempfile::tempdir().expect("a directory");
        let lock = Lock::take(data.path()).expect("free");
        let childs_copy = lock.0.try_clone().expect("a descriptor");
        drop(lock);
        Lock::take(data.path()).expect("free again");
        drop(childs_copy);
    }
}
