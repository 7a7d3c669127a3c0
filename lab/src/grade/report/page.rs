//! `report.html`: the points, and the evidence of each check.

use crate::grade::finding::Verdict;
use crate::grade::grading::{Grade, Graded};
use std::fmt::Write;

const TEMPLATE: &str = include_str!("page.html");

/// The page. Writing into a `String` cannot fail, here and below.
pub fn page(grade: &Grade) -> String {
    let (mut rows, mut sections) = (String::new(), String::new());
    for graded in &grade.results {
        let _ = writeln!(
            rows,
            "<tr class=\"{}\"><td><a href=\"#{name}\">{name}</a></td><td>{}</td><td>{} / {}</td><td>{}</td></tr>",
            class(graded.verdict),
            graded.group,
            graded.score,
            graded.max_score,
            escaped(&graded.seen),
            name = graded.name,
        );
        sections += &section(graded);
    }
    let Grade { submission, rubric, score, max_score, seconds, failure, .. } = grade;
    let mut head = format!(
        "<p class=\"score\">{score} of {max_score} points</p><p>Rubric {}, {seconds:.0} s.</p>",
        escaped(rubric)
    );
    if let Some(why) = failure {
        let _ = write!(head, "<p class=\"lost\">It could not be graded: {}</p>", escaped(why));
    }
    let parts = [("{{name}}", escaped(submission)), ("{{head}}", head), ("{{rows}}", rows)];
    let page =
        parts.iter().fold(TEMPLATE.to_owned(), |page, (mark, text)| page.replace(mark, text));
    // Last, because evidence may contain anything.
    page.replace("{{sections}}", &sections)
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Lost => "lost",
        Verdict::NotGraded => "undecided",
    }
}

fn section(graded: &Graded) -> String {
    let Graded { name, asks, seen, verdict, score, max_score, is_extra, seconds, .. } = graded;
    let extra = if *is_extra { " (extra)" } else { "" };
    let label = match verdict {
        Verdict::Passed => "Seen",
        Verdict::Lost => "Points lost",
        Verdict::NotGraded => "Not graded",
    };
    let mut out = format!(
        "<section id=\"{name}\"><h2>{name} <small>{score} / {max_score}{extra}, {seconds:.1} s</small></h2>\n\
         <p>{}</p>\n<p class=\"{}\"><strong>{label}:</strong> {}</p>\n",
        escaped(asks),
        class(*verdict),
        escaped(seen)
    );
    if let Some(svg) = &graded.figure {
        let _ = writeln!(out, "<figure>{svg}</figure>");
    }
    for (title, lines) in [
        ("Requests, answers and faults", &graded.evidence),
        ("What the processes wrote", &graded.log),
    ] {
        if lines.is_empty() {
            continue;
        }
        let open = if *verdict == Verdict::Passed { "" } else { " open" };
        let lines: Vec<_> = lines.iter().map(|line| escaped(line)).collect();
        let _ = writeln!(
            out,
            "<details{open}><summary>{title}</summary><pre>{}</pre></details>",
            lines.join("\n")
        );
    }
    out + "</section>\n"
}

/// A text with its markup characters escaped. A submission writes what it likes, so braces are escaped too.
fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('{', "&#123;").replace('\'', "&#39;")
}
