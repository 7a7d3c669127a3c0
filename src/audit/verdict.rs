//! The outcome of an audit, and its text.

use crate::model::{OrderNumber, ReplicaId};
use crate::protocol::catalog::Book;
use std::fmt::{self, Display};

/// The most lines of one kind that are shown; further lines are only counted.
const LINES_MAX: usize = 20;

/// The outcome of an audit.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The books of each toy.
    pub toys: Vec<Book>,
    /// The last order of each replica.
    pub replicas: Vec<(ReplicaId, OrderNumber)>,
    /// Observations that are not errors.
    pub notes: Vec<String>,
    /// Violated rules.
    pub problems: Vec<String>,
}

impl Verdict {
    /// Whether the books balance.
    pub fn balances(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.toys.iter().map(|toy| toy.name.chars().count());
        let width = widths.max().unwrap_or(0).max("toy".len());
        writeln!(
            f,
            "{:width$} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "toy", "initial", "restocked", "sold", "withdrawn", "now"
        )?;
        for Book { name, quantity, initial, restocked, sold, withdrawn } in &self.toys {
            writeln!(
                f,
                "{name:width$} {initial:>9} {restocked:>9} {sold:>9} {withdrawn:>9} {quantity:>9}"
            )?;
        }
        for (id, last) in &self.replicas {
            writeln!(f, "replica {id}: {last} orders")?;
        }
        write_lines(f, "note: ", &self.notes)?;
        if self.balances() {
            return writeln!(f, "the books balance");
        }
        writeln!(f, "the books do not balance:")?;
        write_lines(f, "  ", &self.problems)
    }
}

fn write_lines(f: &mut fmt::Formatter<'_>, before: &str, lines: &[String]) -> fmt::Result {
    for line in lines.iter().take(LINES_MAX) {
        writeln!(f, "{before}{line}")?;
    }
    match lines.len().saturating_sub(LINES_MAX) {
        0 => Ok(()),
        more => writeln!(f, "{before}... and {more} more"),
    }
}
