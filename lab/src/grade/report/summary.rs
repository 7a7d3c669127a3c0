//! The grade as text for the terminal.

use crate::grade::finding::Verdict;
use crate::grade::grading::{Grade, Graded};

/// A line for a check.
pub fn line(graded: &Graded) -> String {
    let Graded { name, score, max_score, seen, verdict, is_extra, .. } = graded;
    let extra = if *is_extra { "extra" } else { "" };
    let label = match verdict {
        Verdict::Passed => "",
        Verdict::Lost => "LOST: ",
        Verdict::NotGraded => "not graded: ",
    };
    format!("{score:>4} /{max_score:>3} {extra:5} {name:21} {label}{seen}")
}

/// The sum.
pub fn sum(grade: &Grade) -> String {
    let Grade { submission, rubric, score, max_score, seconds, failure, .. } = grade;
    match failure {
        Some(why) => format!("{submission}: could not be graded: {why}\n"),
        None => {
            format!("{submission}: {score} of {max_score} points ({rubric}, {seconds:.0} s)\n")
        }
    }
}
