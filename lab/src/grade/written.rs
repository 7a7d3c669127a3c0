//! Reads a file that a store wrote in its copy. It may be anything there: a pipe, a device, a link to elsewhere. Used for
//! the logs of replicas.

use rustix::fs::{CWD, Mode, OFlags, openat};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use toystore::error::{Error, Result};

/// The bytes of a file in a copy; nothing if it does not exist. It must be a regular file in the copy, and no longer than
/// this.
pub fn read(copy: &Path, file: &Path, mb_max: u64) -> Result<Option<Vec<u8>>> {
    let bytes_max = mb_max.saturating_mul(1024 * 1024);
    match open(copy, file).and_then(|file| all_of(&file, bytes_max)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::storage(file, "cannot read it", error)),
    }
}

/// Opens it without waiting for a writer. Links in the copy are followed first; then each part of the path must not be a
/// link, so that a process cannot put one there in the meantime.
fn open(copy: &Path, file: &Path) -> io::Result<File> {
    let (Some(parent), Some(name)) = (copy.parent(), copy.file_name()) else {
        return Err(io::Error::other("the copy has no name"));
    };
    let copy = parent.canonicalize()?.join(name);
    let path = copy.join(file).canonicalize()?;
    let inside = path.strip_prefix(&copy);
    let inside = inside.map_err(|_| io::Error::other("it is not in the copy of the submission"))?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut found: OwnedFd = openat(CWD, &copy, flags | OFlags::DIRECTORY, Mode::empty())?;
    for part in inside {
        found = openat(&found, part, flags | OFlags::NOCTTY, Mode::empty())?;
    }
    Ok(File::from(found))
}

fn all_of(file: &File, bytes_max: u64) -> io::Result<Vec<u8>> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other("it is longer than limits.file_mb"));
    }
    Ok(bytes)
}
