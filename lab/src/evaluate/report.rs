//! Writes the report: a page with everything in it, and each figure as CSV, SVG and PNG.

use super::chapter::{Chapter, Figure, Table};
use super::machine::Facts;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use toystore::error::{Error, Result};

/// The name of the page.
pub const PAGE: &str = "report.html";

const TEMPLATE: &str = include_str!("report.html");

/// Writes `report.html` and the files of the figures into a directory. Each chapter comes with the number
/// of its experiment.
pub fn write(directory: &Path, facts: &Facts, chapters: &[(u8, Chapter)]) -> Result<()> {
    let save = |name: String, bytes: &[u8]| {
        let path = directory.join(name);
        fs::write(&path, bytes).map_err(|e| Error::storage(&path, "cannot write it", e))
    };
    for Figure { name, picture, csv, .. } in
        chapters.iter().flat_map(|(_, chapter)| &chapter.figures)
    {
        save(format!("{name}.csv"), csv.as_bytes())?;
        save(format!("{name}.svg"), picture.svg.as_bytes())?;
        save(format!("{name}.png"), &picture.png)?;
    }
    save(PAGE.to_owned(), page(facts, chapters).as_bytes())
}

/// Writing into a `String` cannot fail, here and below.
fn page(facts: &Facts, chapters: &[(u8, Chapter)]) -> String {
    let mut rows = String::new();
    for (name, value) in facts {
        let _ = write!(rows, "<dt>{name}</dt><dd>{}</dd>", escaped(value));
    }
    let (mut links, mut sections) = (String::new(), String::new());
    for (number, chapter) in chapters {
        let _ = write!(
            links,
            "<li value=\"{number}\"><a href=\"#{}\">{}</a></li>",
            chapter.id, chapter.title
        );
        sections += &section(*number, chapter);
    }
    TEMPLATE
        .replace("{{facts}}", &rows)
        .replace("{{links}}", &links)
        .replace("{{sections}}", &sections)
}

fn section(number: u8, chapter: &Chapter) -> String {
    let Chapter { id, title, setup, findings, surprises, figures, table } = chapter;
    let mut out = format!(
        "<section id=\"{id}\">\n<h2>{number}. {title}</h2>\n<p class=\"setup\">{}</p>\n",
        escaped(setup)
    );
    for Figure { name, title, caption, picture, .. } in figures {
        let _ = write!(
            out,
            "<figure>\n<div role=\"img\" aria-label=\"{}\">{}</div><figcaption>{} <span class=\"files\">{name}.csv, .svg, .png</span></figcaption>\n\
             </figure>\n",
            escaped(title),
            picture.svg,
            escaped(caption)
        );
    }
    // The findings of an experiment form one paragraph.
    let _ = writeln!(out, "<p class=\"findings\">{}</p>", escaped(&findings.join(" ")));
    if !surprises.is_empty() {
        out += "<div class=\"surprises\"><strong>Unexpected</strong><ul>";
        for surprise in surprises {
            let _ = write!(out, "<li>{}</li>", escaped(surprise));
        }
        out += "</ul></div>\n";
    }
    out + &table_in_html(table) + "</section>\n"
}

fn table_in_html(table: &Table) -> String {
    let mut out =
        "<details><summary>The numbers</summary><div class=\"wide\"><table>\n<tr>".to_owned();
    for head in &table.head {
        let _ = write!(out, "<th>{head}</th>");
    }
    out += "</tr>\n";
    for row in &table.rows {
        out += "<tr>";
        for cell in row {
            let _ = write!(out, "<td>{}</td>", escaped(cell));
        }
        out += "</tr>\n";
    }
    out + "</table></div></details>\n"
}

/// A text with its markup characters escaped.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
