//! Memory and open files of this process, read from `/proc`; `None` on systems without it.

use std::fs;

/// The memory that it uses.
pub(super) fn memory_bytes() -> Option<u64> {
    resident_bytes(&fs::read_to_string("/proc/self/status").ok()?)
}

/// The files and connections that it has open.
pub(super) fn open_files() -> Option<u64> {
    let files = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    // One of them is the directory that is read here.
    Some(files.saturating_sub(1))
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes = line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tcatalog\nVmHWM:\t    9000 kB\nVmRSS:\t    4312 kB\nThreads:\t24\n";
        assert_eq!(resident_bytes(status), Some(4312 * 1024));
        assert_eq!(resident_bytes("VmRSS:\t4312 MB\n"), None, "another unit is no number of ours");
        assert_eq!(resident_bytes(""), None);
    }
}
