//! The result of an experiment: figures with their data, a table, and findings.

use super::plot::Picture;
use serde::Serialize;
use toystore::error::{Error, Result};

/// An experiment, done.
#[derive(Debug)]
pub struct Chapter {
    /// Its name in links.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What was done, in a sentence or two.
    pub setup: String,
    /// What is seen, computed from the data; a paragraph each.
    pub findings: Vec<String>,
    /// What was found otherwise than it should be; usually nothing.
    pub surprises: Vec<String>,
    /// The pictures.
    pub figures: Vec<Figure>,
    /// The numbers, for people.
    pub table: Table,
}

/// A picture, with the data that it shows.
#[derive(Debug)]
pub struct Figure {
    /// The names of its files, without their endings.
    pub name: &'static str,
    /// What it shows, for who does not see it.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The drawing.
    pub picture: Picture,
    /// The rows behind it, as CSV.
    pub csv: String,
}

/// Text in rows and columns.
#[derive(Debug, Default)]
pub struct Table {
    /// The names of the columns.
    pub head: Vec<&'static str>,
    /// What is in them.
    pub rows: Vec<Vec<String>>,
}

/// Rows as CSV, under the names of their fields.
pub fn csv<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let wrong = |why: String| Error::invalid(format!("cannot write the data as CSV: {why}"));
    for row in rows {
        writer.serialize(row).map_err(|e| wrong(e.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|e| wrong(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| wrong(e.to_string()))
}
