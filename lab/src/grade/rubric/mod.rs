//! The rubric: which checks, in which order, for how many points. Two are built in; others are TOML files.

use super::checks::{self, Check};
use serde::Deserialize;
use std::path::Path;
use toml::Spanned;
use toystore::error::{Error, Result};
use toystore::text;

/// The rubrics that are built in.
const BUILT_IN: [(&str, &str); 2] =
    [("lab2", include_str!("lab2.toml")), ("lab3", include_str!("lab3.toml"))];

/// A rubric.
#[derive(Debug)]
pub struct Rubric {
    /// Its name.
    pub name: String,
    /// Its checks, in order.
    pub items: Vec<Item>,
}

/// A check and its points.
#[derive(Debug)]
pub struct Item {
    /// The check.
    pub check: &'static Check,
    /// The name of its group.
    pub group: &'static str,
    /// Its points.
    pub points: f64,
    /// Whether they are beyond the full marks.
    pub is_extra: bool,
    /// Who sees it in Gradescope.
    pub visibility: Visibility,
}

/// Who sees the result of a check in Gradescope, in its words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// The student, at once.
    #[default]
    Visible,
    /// Staff only.
    Hidden,
    /// The student, after the due date.
    AfterDueDate,
    /// The student, when grades are published.
    AfterPublished,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    check: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    points: f64,
    #[serde(default)]
    extra: bool,
    #[serde(default)]
    visibility: Visibility,
}

impl Rubric {
    /// The rubric of this name, or in this file.
    pub fn read(name: &str) -> Result<Rubric> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
            return Rubric::parse(text, name);
        }
        let path = Path::new(name);
        let text = text::read(path)
            .map_err(|e| Error::storage(path, "cannot read it (built in are lab2 and lab3)", e))?;
        Rubric::parse(&text, name)
    }

    fn parse(text: &str, file: &str) -> Result<Rubric> {
        let error = |at: usize, why: String| {
            let line = text::line_at(text.as_bytes(), at);
            Error::Config { place: format!("{file}, line {line}"), why }
        };
        let File { name, check } = toml::from_str(text).map_err(|e| {
            let why = e.message().lines().collect::<Vec<_>>().join(" ");
            error(e.span().map_or(0, |span| span.start), why)
        })?;
        let mut items: Vec<Item> = Vec::new();
        for entry in check {
            let at = entry.span().start;
            let Entry { name, points, extra, visibility } = entry.into_inner();
            let Some((group, check)) = checks::named(&name) else {
                let known = checks::GROUPS.iter().flat_map(|(_, checks)| *checks);
                let known: Vec<_> = known.map(|check| check.name).collect();
                let known = known.join(", ");
                return Err(error(at, format!("there is no check {name:?}; there are {known}")));
            };
            if !(0.0..=1e6).contains(&points) {
                return Err(error(
                    at,
                    format!("{name} has {points} points, expected 0 to 1000000"),
                ));
            }
            if items.iter().any(|item| item.check.name == name) {
                return Err(error(at, format!("{name} comes twice")));
            }
            items.push(Item { check, group, points, is_extra: extra, visibility });
        }
        Ok(Rubric { name, items })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rubrics_that_are_built_in_are_whole() {
        let all = checks::GROUPS.iter().flat_map(|(_, checks)| *checks).count();
        let lab3 = Rubric::read("lab3").expect("a rubric");
        assert_eq!(lab3.items.len(), all, "lab3 has every check");
        for name in ["lab2", "lab3"] {
            let rubric = Rubric::read(name).expect("a rubric");
            let full: f64 = rubric.items.iter().filter(|i| !i.is_extra).map(|i| i.points).sum();
            assert!((full - 100.0).abs() < 1e-9, "{name} has {full} points, without extra credit");
        }
    }

    #[test]
    fn a_mistake_in_a_rubric_is_named_with_its_line() {
        let check = |text: &str| format!("name = \"x\"\n[[check]]\n{text}\n");
        for (text, said) in [
            (check("name = \"buy\"\npoints = -1"), "r.toml, line 2: buy has -1 points"),
            (
                check("name = \"bye\"\npoints = 1"),
                "r.toml, line 2: there is no check \"bye\"; there are known-toy",
            ),
            (check("name = \"buy\"\npoint = 1"), "r.toml, line 4: unknown field `point`"),
            ("check = 1".to_owned(), "r.toml, line 1: "),
        ] {
            let error = Rubric::parse(&text, "r.toml").expect_err("a mistake").to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
