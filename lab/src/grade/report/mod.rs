//! The grade as files and as text.
//!
//! * [`summary`]: for the terminal.
//! * [`page`]: `report.html`, with the evidence.
//! * [`gradescope`]: `results.json`, as Gradescope reads it.
//!
//! `report.json` is the [`Grade`] itself, and `grades.csv` has a row for each submission.

pub mod summary;
pub mod page;
pub mod gradescope;

use super::finding::Verdict;
use super::grading::Grade;
use std::fs;
use std::path::Path;
use toystore::error::{Error, Result};

/// Writes the reports of one submission into a directory.
pub fn write(directory: &Path, grade: &Grade) -> Result<()> {
    fs::create_dir_all(directory).map_err(|e| Error::storage(directory, "cannot create it", e))?;
    let save = |name: &str, bytes: &[u8]| {
        let path = directory.join(name);
        fs::write(&path, bytes).map_err(|e| Error::storage(&path, "cannot write it", e))
    };
    let json = |value: serde_json::Result<Vec<u8>>| value.expect("it has string keys");
    save("report.html", page::page(grade).as_bytes())?;
    save("report.json", &json(serde_json::to_vec_pretty(grade)))?;
    save("results.json", &json(serde_json::to_vec_pretty(&gradescope::results(grade))))
}

/// Writes a row for each submission: its points for each check, or nothing for what is not graded.
pub fn write_csv(path: &Path, grades: &[Grade]) -> Result<()> {
    let failed = |e: csv::Error| Error::storage(path, "cannot write it", e);
    let mut writer = csv::Writer::from_path(path).map_err(failed)?;
    let names = grades.iter().find(|grade| !grade.results.is_empty());
    let names: Vec<&str> =
        names.map_or_else(Vec::new, |g| g.results.iter().map(|r| r.name).collect());
    let mut head = vec!["submission", "score", "max_score", "failure"];
    head.extend(&names);
    writer.write_record(head).map_err(failed)?;
    for grade in grades {
        let mut row = vec![
            grade.submission.clone(),
            grade.score.to_string(),
            grade.max_score.to_string(),
            grade.failure.clone().unwrap_or_default(),
        ];
        row.extend(names.iter().map(|name| {
            let mut decided = grade.results.iter().filter(|r| r.verdict != Verdict::NotGraded);
            let result = decided.find(|result| result.name == *name);
            result.map_or_else(String::new, |result| result.score.to_string())
        }));
        writer.write_record(row).map_err(failed)?;
    }
    writer.flush().map_err(|e| Error::storage(path, "cannot write it", e))
}
