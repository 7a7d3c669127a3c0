//! The circumstances of a measurement: machine, disk, version, seed.

use super::lab::Size;
use super::measured::micros;
use super::words;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Instant, SystemTime};
use time::OffsetDateTime;
use toystore::error::{Error, Result};

/// The circumstances of a run, each with its name, for the head of the report.
pub type Facts = Vec<(&'static str, String)>;

/// Finds them out. What the system does not provide is left out.
pub fn facts(directory: &Path, size: Size, seed: u64) -> Result<Facts> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut facts = vec![("Date", now())];
    facts.extend(processor().map(|name| ("Processor", format!("{name}, {cores} cores"))));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease");
    facts.extend(kernel.ok().map(|release| ("Kernel", release.trim().to_owned())));
    facts.push(("fdatasync of a row", words::time(sync_cost(directory)?)));
    facts.push(("Version", version()));
    facts.push(("Seed", seed.to_string()));
    let size = match size {
        Size::Full => "full",
        Size::Quick => "quick: short runs, as a test; the numbers are rough",
    };
    facts.push(("Size", size.to_owned()));
    let build = if cfg!(debug_assertions) { "unoptimized" } else { "optimized" };
    facts.push(("Build", build.to_owned()));
    Ok(facts)
}

/// `2026-11-21 08:21 UTC`
fn now() -> String {
    let now = OffsetDateTime::from(SystemTime::now());
    let (date, hour, minute) = (now.date(), now.hour(), now.minute());
    format!("{date} {hour:02}:{minute:02} UTC")
}

/// A name for the directory of a run: `20261121-082146`.
pub fn directory_name() -> String {
    let now = OffsetDateTime::from(SystemTime::now());
    let (year, month, day) = (now.year(), u8::from(now.month()), now.day());
    let (hour, minute, second) = (now.hour(), now.minute(), now.second());
    format!("{year}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(": ")?.1.trim().to_owned())
}

/// The version, and the commit if git provides it.
fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let git = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    match git {
        Ok(output) if output.status.success() => {
            format!("{version}, commit {}", String::from_utf8_lossy(&output.stdout).trim())
        }
        _ => version.to_owned(),
    }
}

/// The median time in microseconds to append a row to a file and sync it: no durable
/// answer takes less.
pub fn sync_cost(directory: &Path) -> Result<f64> {
    let path = directory.join("sync-cost");
    let measure = || -> std::io::Result<Vec<f64>> {
        let mut file = File::create(&path)?;
        let mut times = Vec::new();
        for _ in 0..100 {
            file.write_all(&[b'x'; 64])?;
            let begun = Instant::now();
            file.sync_data()?;
            times.push(micros(begun.elapsed()));
        }
        fs::remove_file(&path)?;
        Ok(times)
    };
    let mut times = measure().map_err(|e| Error::storage(&path, "cannot sync it", e))?;
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
