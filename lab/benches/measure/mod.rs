//! What the measuring programs share: words and numbers they are asked with, medians, the load, and other
//! people's servers.
//!
//! Absolute numbers are this machine's and this minute's. What compares is measured in turns within one
//! run, the order changing with each round, and reported as the median of the ratios of the rounds.
//! The store, each other server and the load run in sessions of their own, because Linux shares the cores
//! out between sessions before it does so between threads.

#![allow(dead_code, reason = "each measuring program uses its part")]

pub mod etcd;
pub mod load;
pub mod other;
pub mod postgres;

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

/// Rounds in turns.
pub const ROUNDS: usize = 7;
/// The time of one round of a load.
pub const ROUND: Duration = Duration::from_secs(3);

/// One round of durable writes.
pub struct Writes {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
}

/// What the program was asked for, after `--`; `None` for `cargo test --all-targets`, which builds and
/// starts benchmarks but has nothing measured.
pub fn wanted() -> Option<Vec<String>> {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    let bench = wanted.iter().position(|word| word == "--bench")?;
    wanted.remove(bench);
    Some(wanted)
}

/// The numbers among the words, such as of connections; else these.
pub fn numbers<const N: usize>(words: &[String], otherwise: [usize; N]) -> Vec<usize> {
    let given: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    if given.is_empty() { otherwise.to_vec() } else { given }
}

/// What several rounds brought.
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Spread {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Spread { median: values[values.len() / 2], min: values[0], max: values[values.len() - 1] }
    }

    /// Of the ratios, round by round.
    pub fn of_ratios(values: &[f64], to: &[f64]) -> Spread {
        Spread::of(values.iter().zip(to).map(|(value, to)| value / to))
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2} to {:.2})", self.median, self.min, self.max)
    }
}

/// Says how a number compares with what the issue asks for.
pub fn judge(what: &str, found: &Spread, wanted: Wanted) {
    let (is_met, sign, target) = match wanted {
        Wanted::AtLeast(target) => (found.median >= target, "≥", target),
        Wanted::AtMost(target) => (found.median <= target, "≤", target),
        Wanted::Above(target) => (found.median > target, ">", target),
    };
    let verdict = if is_met { "met" } else { "MISSED" };
    println!("  {what:<34} {found:<22} wanted {sign} {target:<5} {verdict}");
}

/// A target.
#[derive(Clone, Copy)]
pub enum Wanted {
    AtLeast(f64),
    AtMost(f64),
    Above(f64),
}

/// Resident kB and threads of a process.
pub fn status(pid: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    (field("VmRSS:"), field("Threads:"))
}

/// Processor time of a process, user and system.
pub fn processor_seconds(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.split_whitespace().skip(13).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    // Linux counts in hundredths of a second here, on every platform.
    float(ticks) / 100.0
}

/// Context switches of all threads that a process has now.
pub fn context_switches(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let texts = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    let of = |text: String| -> u64 {
        let lines = text.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
    };
    texts.map(of).sum()
}

/// Microseconds since then.
pub fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// As a float, of numbers that are not astronomic.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub fn float(number: u64) -> f64 {
    number as f64
}
