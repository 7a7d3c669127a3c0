//! The result of an experiment: figures with their data, a table, and findings.

use super::plot::Picture;
use serde::Serialize;
use toystore::error::{Error, Result};

/// The result of one experiment.
#[derive(Debug)]
pub struct Chapter {
    /// Its id in links.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What was done, in one or two sentences.
    pub setup: String,
    /// What was found, computed from the data: one sentence or more each.
    pub findings: Vec<String>,
    /// What differs from what is expected; usually nothing.
    pub surprises: Vec<String>,
    /// The figures.
    pub figures: Vec<Figure>,
    /// The numbers, for readers.
    pub table: Table,
}

/// A figure, with the data that it shows.
#[derive(Debug)]
pub struct Figure {
    /// The names of its files, without their endings.
    pub name: &'static str,
    /// What it shows, as the text alternative.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The drawing.
    pub picture: Picture,
    /// The data, as CSV.
    pub csv: String,
}

/// Text in rows and columns.
#[derive(Debug, Default)]
pub struct Table {
    /// The names of the columns.
    pub head: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Vec<String>>,
}

/// Rows as CSV; the names of their fields are the header.
pub fn csv<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let wrong = |why: String| Error::invalid(format!("cannot write the data as CSV: {why}"));
    for row in rows {
        writer.serialize(row).map_err(|e| wrong(e.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|e| wrong(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| wrong(e.to_string()))
}
