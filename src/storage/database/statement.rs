//! The text of statements. Pure. Used by the rest of this directory, and by the services that encode their records.

use std::fmt::Write;

/// A text as SQL has it, in the mode of our connections.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Adds a statement with a list, if there is anything in it.
pub fn add_list(sql: &mut String, begin: &str, list: impl Iterator<Item = String>, end: &str) {
    let list = list.collect::<Vec<_>>().join(",");
    if !list.is_empty() {
        write!(sql, "{begin} {list}{end};").expect("a string has room");
    }
}
