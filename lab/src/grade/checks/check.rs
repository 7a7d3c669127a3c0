//! What a check is.

use crate::grade::finding::Finding;
use crate::grade::trial::Trial;

/// A check.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Its name in rubrics and reports.
    pub name: &'static str,
    /// What the lab asks, in a sentence.
    pub asks: &'static str,
    /// Whether it needs a store that has just been opened.
    pub is_fresh: bool,
    /// Tries it.
    pub run: fn(&mut Trial<'_>) -> Finding,
}
