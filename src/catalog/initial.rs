//! The toys of a new store (C1), from the file that the setting `catalog.initial` names: CSV with the columns name,
//! price, quantity in any order, or a JSON list of objects with these fields. The file is written by hand, so every
//! error names the line. Used by [`file`](super::file).

use super::shelf::Shelf;
use crate::error::{Error, Result};
use crate::model::{Price, ToyName};
use crate::protocol::catalog::{check_count, check_stock};
use crate::text;
use csv::{DeserializeErrorKind, ErrorKind, ReaderBuilder, StringRecord, Trim};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt::{self, Display};
use std::path::Path;

const COLUMNS: [&str; 3] = ["name", "price", "quantity"];

/// One toy of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: ToyName,
    price: Price,
    quantity: u64,
}

/// The toys read so far, each name once.
#[derive(Default)]
struct Toys {
    shelves: Vec<Shelf>,
    names: HashSet<ToyName>,
}

/// What is wrong with a line.
struct Fault {
    line: u64,
    why: String,
}

/// Reads the file, which has at least one toy.
pub fn read(path: &Path) -> Result<Vec<Shelf>> {
    let text = text::read(path)
        .map_err(|e| Error::storage(path, "cannot read the initial database", e))?;
    let is_json = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
    let toys = if is_json { from_json(&text) } else { from_csv(&text) };
    match toys {
        Ok(toys) if toys.shelves.is_empty() => Err(Fault::new(1, "it has no toy")),
        Ok(toys) => Ok(toys.shelves),
        Err(fault) => Err(fault),
    }
    .map_err(|Fault { line, why }| Error::Damaged {
        file: path.display().to_string(),
        line,
        why,
        remedy: "expected name,price,quantity as CSV with a header, or a JSON list of objects"
            .into(),
    })
}

impl Toys {
    fn add(&mut self, Row { name, price, quantity }: Row) -> Result<(), String> {
        check_count(self.shelves.len() + 1)
            .and_then(|()| check_stock(quantity))
            .map_err(|e| e.to_string())?;
        if !self.names.insert(name.clone()) {
            return Err(format!("{name:?} is there twice"));
        }
        self.shelves.push(Shelf::new(name, price, quantity));
        Ok(())
    }
}

impl Fault {
    fn new(line: u64, why: impl Display) -> Fault {
        Fault { line, why: why.to_string() }
    }
}

fn from_csv(text: &str) -> Result<Toys, Fault> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| Fault::new(1, e))?.clone();
    let mut toys = Toys::default();
    if header.is_empty() {
        return Ok(toys);
    }
    check_header(&header).map_err(|why| Fault::new(line_of(text, header.position()), why))?;
    for record in reader.records() {
        let record =
            record.map_err(|e| Fault::new(line_of(text, e.position()), own_words(&e, &header)))?;
        let row = record.deserialize(Some(&header)).map_err(|e| own_words(&e, &header));
        row.and_then(|row| toys.add(row))
            .map_err(|why| Fault::new(line_of(text, record.position()), why))?;
    }
    Ok(toys)
}

/// Refuses a header with other columns, and says so if the columns seem to be separated by something else.
fn check_header(header: &StringRecord) -> Result<(), String> {
    let mut columns: Vec<&str> = header.iter().collect();
    columns.sort_unstable();
    if columns == COLUMNS {
        return Ok(());
    }
    let found = header.iter().collect::<Vec<_>>().join(",");
    let separator = [';', '\t', '|'].into_iter().find(|separator| found.contains(*separator));
    Err(match separator {
        Some(separator) => format!("the columns are separated by {separator:?}, expected ','"),
        None => format!("the header is {found:?}"),
    })
}

/// The line of a record. The reader counts lines too, but reports another line for a record after empty lines (the
/// first of them).
fn line_of(text: &str, position: Option<&csv::Position>) -> u64 {
    let start = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0);
    let rest = text.as_bytes().get(start..).unwrap_or_default();
    let empty = rest.iter().take_while(|byte| **byte == b'\n').count();
    text::line_at(text.as_bytes(), start + empty)
}

/// The reader's error, without its line number.
fn own_words(error: &csv::Error, header: &StringRecord) -> String {
    match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {len} fields, expected {expected_len}")
        }
        ErrorKind::Deserialize { err, .. } => {
            let column = err.field().and_then(|field| header.get(usize::try_from(field).ok()?));
            match (err.kind(), column) {
                (DeserializeErrorKind::Message(why), _) => why.clone(),
                (kind, Some(column)) => format!("{column}: {kind}"),
                (kind, None) => kind.to_string(),
            }
        }
        _ => error.to_string(),
    }
}

fn from_json(text: &str) -> Result<Toys, Fault> {
    serde_json::from_str(text).map_err(|e| Fault::new(e.line() as u64, e))
}

/// Row by row, so that the reader knows the line of a refused row.
impl<'de> Deserialize<'de> for Toys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Toys, D::Error> {
        deserializer.deserialize_seq(ListOfToys)
    }
}

struct ListOfToys;

impl<'de> Visitor<'de> for ListOfToys {
    type Value = Toys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of toys")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Toys, A::Error> {
        let mut toys = Toys::default();
        while let Some(row) = list.next_element()? {
            toys.add(row).map_err(de::Error::custom)?;
        }
        Ok(toys)
    }
}

/// The toys that a new store has: a hundred of each.
pub fn default_toys() -> Vec<Shelf> {
    let toys = [
        ("Tux", 1990),
        ("Whale", 2490),
        ("Elephant", 2950),
        ("Fox", 1450),
        ("Python", 1799),
        ("Dolphin", 2275),
        ("Lego", 4999),
        ("Barbie", 2699),
        ("Monopoly", 3495),
        ("Frisbee", 899),
    ];
    let shelf = |(name, cents): &(&str, u64)| {
        let name = name.parse().expect("these are names of toys");
        Shelf::new(name, Price(*cents), 100)
    };
    toys.iter().map(shelf).collect()
}
