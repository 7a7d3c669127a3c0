//! A span: something that a service did for one request, from when to when. Pure.

use super::context::{SpanId, TraceId};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// For which request.
    pub trace: TraceId,
    /// Its own id.
    pub id: SpanId,
    /// As a part of what; none for the first span of a trace.
    pub parent: Option<SpanId>,
    /// What it is.
    pub name: Cow<'static, str>,
    /// What kind of work it is.
    pub kind: Kind,
    /// When it began, in nanoseconds since 1970 by the clock of its process.
    pub start: u64,
    /// When it ended, by the same clock.
    pub end: u64,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What else is known of it, such as the number of the order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

/// A name and a value.
pub type Note = (Cow<'static, str>, String);

/// The kinds of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A request is answered: HTTP of a customer, or a frame.
    Request,
    /// Another service is asked.
    Call,
    /// A part of the work.
    Step,
    /// Nothing is done until another thread has done something.
    Wait,
    /// A file is synced.
    Disk,
    /// What no request asks for: an election, taking office, catching up.
    Background,
}

/// The note with the number of the order that was bought.
pub const ORDER_NUMBER: &str = "order.number";

impl Span {
    /// How long it took, in nanoseconds.
    pub fn took(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// The value of a note.
    pub fn note(&self, name: &str) -> Option<&str> {
        let note = self.notes.iter().find(|(known, _)| known == name);
        note.map(|(_, value)| value.as_str())
    }

    /// Whether some of it was between these moments.
    pub fn overlaps(&self, from: u64, to: u64) -> bool {
        self.start < to && self.end > from
    }
}
