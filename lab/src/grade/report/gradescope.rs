//! `results.json` for Gradescope: <https://gradescope-autograders.readthedocs.io/en/latest/specs/>, "Output format".

use crate::grade::finding::Verdict;
use crate::grade::grading::{Grade, Graded};
use crate::grade::rubric::Visibility;
use serde::Serialize;

/// The longest output of a test. Gradescope shows all of it.
const EVIDENCE_MAX: usize = 12;

/// What Gradescope reads.
#[derive(Debug, Serialize)]
pub struct Results {
    /// Of the whole submission.
    score: f64,
    /// Seconds.
    execution_time: f64,
    output: String,
    visibility: Visibility,
    /// What grade prints is for staff.
    stdout_visibility: Visibility,
    tests: Vec<Test>,
}

#[derive(Debug, Serialize)]
struct Test {
    name: String,
    score: f64,
    max_score: f64,
    status: &'static str,
    output: String,
    output_format: &'static str,
    tags: Vec<&'static str>,
    visibility: Visibility,
}

/// The results of a grade. Students see the text at their top, so it has no total if they may not see each check.
pub fn results(grade: &Grade) -> Results {
    let all_visible = grade.results.iter().all(|graded| graded.visibility == Visibility::Visible);
    let output = match &grade.failure {
        Some(why) => format!("It could not be graded: {why}"),
        None if !all_visible => format!("Graded with the rubric {}", grade.rubric),
        None => format!("{} of {} points (rubric {})", grade.score, grade.max_score, grade.rubric),
    };
    Results {
        score: grade.score,
        execution_time: grade.seconds.round(),
        output,
        visibility: Visibility::Visible,
        stdout_visibility: Visibility::Hidden,
        tests: grade.results.iter().map(test).collect(),
    }
}

fn test(graded: &Graded) -> Test {
    let mut output = vec![format!("Asked: {}", graded.asks)];
    let label = if graded.verdict == Verdict::NotGraded { "Not graded" } else { "Seen" };
    output.push(format!("{label}: {}", graded.seen));
    if graded.verdict != Verdict::Passed {
        let skipped = graded.evidence.len().saturating_sub(EVIDENCE_MAX);
        output.extend(graded.evidence.iter().skip(skipped).cloned());
    }
    Test {
        name: graded.name.to_owned(),
        score: graded.score,
        // Gradescope adds what is scored, so extra credit is a test with no points to reach.
        max_score: if graded.is_extra { 0.0 } else { graded.max_score },
        status: if graded.verdict == Verdict::Passed { "passed" } else { "failed" },
        output: output.join("\n"),
        output_format: "text",
        tags: vec![graded.group],
        visibility: graded.visibility,
    }
}
