//! The sample with planted faults: each loses the points of its checks, and no others.

use super::{grade, report, turn};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The sample with planted faults, and which checks lose points with each: `submissions/student/faults.toml`.
fn sample() -> (PathBuf, BTreeMap<String, BTreeSet<String>>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("submissions/student");
    let text = fs::read_to_string(directory.join("faults.toml")).expect("the table of faults");
    let table: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> =
        toml::from_str(&text).expect("a table");
    (directory.join("student.toml"), table["faults"].clone())
}

/// The checks that lost points.
fn lost_with(submission: &Path, fault: &str) -> BTreeSet<String> {
    let out = tempfile::tempdir().expect("a directory");
    let mut command = grade();
    command.arg(submission).arg("--out").arg(out.path());
    command.arg("--environment").arg(format!("STORE_FAULT={fault}"));
    command.output().expect("a process");
    let report = report(out.path());
    let results = report["results"].as_array().expect("results");
    let not_passed = results.iter().filter(|result| result["verdict"] != "passed");
    for result in not_passed.clone() {
        println!("{fault}: {} {}: {}", result["name"], result["verdict"], result["seen"]);
    }
    not_passed.map(|result| result["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
#[ignore = "takes minutes: make grade-faults"]
fn each_planted_fault_loses_its_points_and_no_others() {
    let _turn = turn();
    let (submission, faults) = sample();
    assert!(faults.len() >= 12, "{} faults", faults.len());
    let mut wrong = Vec::new();
    for round in 1..=rounds() {
        let none = (String::new(), BTreeSet::new());
        for (fault, expected) in std::iter::once(none).chain(faults.clone()) {
            let lost = lost_with(&submission, &fault);
            if lost != expected {
                wrong.push(format!(
                    "round {round}, {fault:?}: lost {lost:?}, expected {expected:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// How often the matrix is repeated (`GRADE_ROUNDS`).
fn rounds() -> usize {
    std::env::var("GRADE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}
