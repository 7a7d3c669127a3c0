//! The sample with planted faults: each loses the points of its checks, and no others.

use super::{grade, report, turn};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

/// How many faults are graded at the same time: each grading has its own ports and directories, and mostly waits.
const SIDE_BY_SIDE: usize = 2;

/// The sample with planted faults, and which checks lose points with each: `submissions/student/faults.toml`.
fn sample() -> (PathBuf, BTreeMap<String, BTreeSet<String>>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("submissions/student");
    let text = fs::read_to_string(directory.join("faults.toml")).expect("the table of faults");
    let table: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> =
        toml::from_str(&text).expect("a table");
    (directory.join("student.toml"), table["faults"].clone())
}

/// The checks that did not pass, with what was seen.
fn lost_with(submission: &Path, fault: &str) -> BTreeMap<String, String> {
    let out = tempfile::tempdir().expect("a directory");
    let mut command = grade();
    command.arg(submission).arg("--out").arg(out.path());
    command.arg("--environment").arg(format!("STORE_FAULT={fault}"));
    command.output().expect("a process");
    let report = report(out.path());
    let results = report["results"].as_array().expect("results");
    let not_passed = results.iter().filter(|result| result["verdict"] != "passed");
    not_passed
        .map(|result| {
            let name = result["name"].as_str().expect("a name").to_owned();
            (name, format!("{}: {}", result["verdict"], result["seen"]))
        })
        .collect()
}

#[test]
#[ignore = "takes minutes: make grade-faults"]
fn each_planted_fault_loses_its_points_and_no_others() {
    let _turn = turn();
    let (submission, faults) = sample();
    assert!(faults.len() >= 12, "{} faults", faults.len());
    let none = (String::new(), BTreeSet::new());
    let rows: Vec<_> = std::iter::once(none).chain(faults).collect();
    let rows = (1..=rounds()).flat_map(|round| rows.iter().map(move |row| (round, row)));
    let (rows, wrong) = (Mutex::new(rows), Mutex::new(Vec::new()));
    let next = || rows.lock().expect("no panic").next();
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some((round, (fault, expected))) = next() {
                    let begun = Instant::now();
                    let lost = lost_with(&submission, fault);
                    let row = row(round, fault, expected, &lost);
                    // Each row as it comes, with the time that it took.
                    println!("{row} ({:.0} s)", begun.elapsed().as_secs_f64());
                    if lost.keys().ne(expected) {
                        wrong.lock().expect("no panic").push(row);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A row of the matrix: the checks that lost points, and what differs from the table.
fn row(
    round: usize,
    fault: &str,
    expected: &BTreeSet<String>,
    lost: &BTreeMap<String, String>,
) -> String {
    let names: Vec<&str> = lost.keys().map(String::as_str).collect();
    let mut lines = vec![format!("round {round}: {fault:?} loses {names:?}")];
    let others = lost.iter().filter(|(name, _)| !expected.contains(*name));
    lines.extend(others.map(|(name, seen)| format!("    NOT EXPECTED {name} {seen}")));
    let missing = expected.iter().filter(|name| !lost.contains_key(*name));
    lines.extend(missing.map(|name| format!("    MISSING {name}")));
    lines.join("\n")
}

/// How often the matrix is repeated (`GRADE_ROUNDS`).
fn rounds() -> usize {
    std::env::var("GRADE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}
