//! Shows a [`Summary`]: as text for people, as JSON and CSV for programs, with the same numbers.

use super::summary::{Counts, Summary};
use clap::ArgMatches;
use serde_json::{Map, Value, json};
use std::fmt::{self, Display};
use std::fs;
use std::path::Path;
use std::time::Duration;
use toystore::client::measurements::Kind;
use toystore::client::report::{exact, in_words};
use toystore::error::{Error, Result};
use toystore::output;

/// The percentiles that are shown, with their names.
pub const QUANTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
/// The longest bar of the histogram, in characters.
const BAR_CHARS: usize = 40;

/// Shows the numbers in the requested forms.
pub fn show(summary: &Summary, arguments: &ArgMatches) -> Result<()> {
    let file = |name| arguments.get_one::<String>(name).map(String::as_str);
    let json = file("json").map(|file| (file, format!("{:#}\n", summary.to_json())));
    let csv = file("csv").map(|file| (file, summary.to_csv()));
    let (printed, saved): (Vec<_>, Vec<_>) =
        json.into_iter().chain(csv).partition(|(file, _)| *file == "-");
    // The files come first, because standard output may fail.
    for (file, text) in saved {
        fs::write(file, text)
            .map_err(|error| Error::storage(Path::new(file), "cannot write it", error))?;
    }
    // With numbers on standard output, nothing else is printed there.
    if printed.is_empty() {
        output::print(summary)?;
    }
    printed.into_iter().try_for_each(|(_, text)| output::print(text))
}

impl Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:6} {:>9} {:>9} {:>9}", "", "requests", "per s", "mean")?;
        for (name, _) in QUANTILES {
            write!(f, " {name:>9}")?;
        }
        writeln!(f, " {:>9}", "max")?;
        for (kind, counts) in self.asked() {
            let rate = counts.rate(self.elapsed);
            write!(f, "{kind:6} {:>9} {rate:>9.0}", counts.requests())?;
            if counts.succeeded() > 0 {
                for time in times(counts).map(|(_, time)| micros(time)) {
                    write!(f, " {:>9}", in_words(time))?;
                }
            }
            writeln!(f)?;
        }
        for (kind, counts) in self.asked() {
            write_histogram(f, kind, counts)?;
        }
        writeln!(f)?;
        for (kind, counts) in self.asked() {
            write_outcomes(f, kind, counts)?;
        }
        if self.unsent > 0 {
            writeln!(f, "{} more were due but never sent: the store did not keep up", self.unsent)?;
        }
        writeln!(
            f,
            "{} requests, {} errors, in {:.2} s: {:.0} answers/s; seed {}",
            self.requests(),
            self.errors(),
            self.elapsed.as_secs_f64(),
            self.rate(),
            self.seed
        )
    }
}

/// `buy: 90 × 200, 8 × 409 (sold out), 2 × timed out`.
fn write_outcomes(f: &mut fmt::Formatter<'_>, kind: Kind, counts: &Counts) -> fmt::Result {
    let statuses = counts.statuses.iter().map(|(status, count)| match status {
        409 => format!("{count} × 409 (sold out)"),
        status => format!("{count} × {status}"),
    });
    let failures = counts.failures.iter().map(|(failure, count)| format!("{count} × {failure}"));
    let all: Vec<_> = statuses.chain(failures).collect();
    writeln!(f, "{kind}: {}", all.join(", "))
}

/// A bar for each range of latencies, from the shortest to the longest.
fn write_histogram(f: &mut fmt::Formatter<'_>, kind: Kind, counts: &Counts) -> fmt::Result {
    let ranges = ranges(counts);
    let Some(most) = ranges.iter().map(|(_, count)| *count).max() else { return Ok(()) };
    writeln!(f, "\n{kind}")?;
    for (bound, count) in ranges {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 40")]
        let bar = (exact(count) / exact(most) * exact(BAR_CHARS as u64)).ceil() as usize;
        let (bound, gap) = (in_words(exact(bound) / 1e3), BAR_CHARS - bar);
        let share = 100.0 * exact(count) / exact(counts.succeeded());
        writeln!(f, "≤ {bound:>7} {:█<bar$}{:gap$} {share:>5.1} %", "", "")?;
    }
    Ok(())
}

/// The number of latencies up to 1, 2, 5, 10, 20, 50 … microseconds and above the bound before, from the first
/// to the last that is not 0; the bounds are in nanoseconds.
fn ranges(counts: &Counts) -> Vec<(u64, u64)> {
    let bounds = (3..13).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    let mut ranges: Vec<_> = bounds.map(|bound| (bound, 0)).collect();
    let latencies = counts.latencies();
    let place = |latency| ranges.partition_point(|(bound, _)| *bound < latency);
    let recorded = latencies.iter_recorded().map(|at| {
        (place(latencies.lowest_equivalent(at.value_iterated_to())), at.count_at_value())
    });
    for (place, count) in recorded.collect::<Vec<_>>() {
        ranges[place].1 += count;
    }
    let is_used = |range: &(u64, u64)| range.1 > 0;
    let first = ranges.iter().position(is_used).unwrap_or(ranges.len());
    let end = ranges.iter().rposition(is_used).map_or(first, |last| last + 1);
    ranges[first..end].to_vec()
}

/// The times that are shown for each kind, with their names.
fn times(counts: &Counts) -> impl Iterator<Item = (&'static str, Duration)> {
    let quantiles = QUANTILES.map(|(name, quantile)| (name, counts.quantile(quantile)));
    [("mean", counts.mean())].into_iter().chain(quantiles).chain([("max", counts.max())])
}

fn micros(time: Duration) -> f64 {
    exact(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)) / 1e3
}

impl Summary {
    /// The numbers as JSON; times in microseconds unless their name says otherwise.
    pub fn to_json(&self) -> Value {
        let kinds =
            self.asked().map(|(kind, counts)| (kind.to_string(), self.kind_to_json(counts)));
        json!({
            "seed": self.seed,
            "elapsed_s": self.elapsed.as_secs_f64(),
            "requests": self.requests(),
            "errors": self.errors(),
            "unsent": self.unsent,
            "rate_per_s": self.rate(),
            "kinds": kinds.collect::<Map<_, _>>(),
        })
    }

    fn kind_to_json(&self, counts: &Counts) -> Value {
        let statuses = counts.statuses.iter().map(|(key, count)| (key.to_string(), json!(count)));
        let failures = counts.failures.iter().map(|(key, count)| (key.to_string(), json!(count)));
        let times = times(counts).map(|(name, time)| (name.to_owned(), json!(micros(time))));
        json!({
            "requests": counts.requests(),
            "succeeded": counts.succeeded(),
            "sold_out": counts.sold_out(),
            "errors": counts.errors(),
            "rate_per_s": counts.rate(self.elapsed),
            "statuses": statuses.collect::<Map<_, _>>(),
            "failures": failures.collect::<Map<_, _>>(),
            "latency_us": times.collect::<Map<_, _>>(),
        })
    }

    /// The numbers as CSV, a row for each kind; times in microseconds.
    pub fn to_csv(&self) -> String {
        let mut text = "kind,requests,succeeded,sold_out,errors,rate_per_s".to_owned();
        let names = ["mean"].into_iter().chain(QUANTILES.map(|(name, _)| name)).chain(["max"]);
        text.extend(names.map(|name| format!(",{name}_us")));
        for (kind, counts) in self.asked() {
            let numbers =
                [counts.requests(), counts.succeeded(), counts.sold_out(), counts.errors()];
            text.extend(["\n".to_owned(), kind.to_string()]);
            text.extend(numbers.map(|number| format!(",{number}")));
            text.extend([format!(",{:.1}", counts.rate(self.elapsed))]);
            text.extend(times(counts).map(|(_, time)| format!(",{:.1}", micros(time))));
        }
        text + "\n"
    }
}
