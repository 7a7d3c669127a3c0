//! The last spans of a process. Pure. When it is full, a new span takes the place of the oldest, which is counted.

use super::context::TraceId;
use super::span::{Kind, Span};
use std::collections::VecDeque;

/// The spans that a process keeps; at most about 10 MB.
pub const SPANS_MAX: usize = 32_768;

/// The newest spans.
#[derive(Debug, Default)]
pub struct Ring {
    spans: VecDeque<Span>,
    dropped: u64,
}

impl Ring {
    /// Adds a span, which has ended.
    pub fn push(&mut self, span: Span) {
        if self.spans.len() == SPANS_MAX {
            self.spans.pop_front();
            self.dropped += 1;
        }
        self.spans.push_back(span);
    }

    /// How many spans had to make room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The newest `most` spans that are whole requests, or no request's, in the order of their end.
    pub fn outermost(&self, most: usize) -> Vec<Span> {
        let is_outermost = |span: &&Span| matches!(span.kind, Kind::Request | Kind::Background);
        let mut newest: Vec<Span> =
            self.spans.iter().rev().filter(is_outermost).take(most).cloned().collect();
        newest.reverse();
        newest
    }

    /// The spans of a trace, and what was done for no request between these moments.
    pub fn trace(&self, id: TraceId, (from, to): (u64, u64)) -> Vec<Span> {
        let meanwhile: Vec<TraceId> = self
            .spans
            .iter()
            .filter(|span| span.kind == Kind::Background && span.overlaps(from, to))
            .map(|span| span.trace)
            .collect();
        let is_wanted = |span: &&Span| span.trace == id || meanwhile.contains(&span.trace);
        self.spans.iter().filter(is_wanted).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::SpanId;
    use super::*;

    fn span(number: u64, kind: Kind) -> Span {
        Span {
            trace: TraceId::of(u128::from(number)),
            id: SpanId::of(1),
            parent: None,
            name: "a span".into(),
            kind,
            start: number,
            end: number + 1,
            error: None,
            notes: vec![],
        }
    }

    #[test]
    fn a_full_ring_drops_the_oldest_and_counts_it() {
        let mut ring = Ring::default();
        for number in 1..=SPANS_MAX as u64 + 2 {
            ring.push(span(number, Kind::Step));
        }
        assert_eq!(ring.dropped(), 2);
        let found = |number| ring.trace(TraceId::of(number), (0, 0)).len();
        assert_eq!([1, 2, 3].map(found), [0, 0, 1]);
    }

    #[test]
    fn a_trace_comes_with_what_happened_meanwhile() {
        let mut ring = Ring::default();
        for number in [10, 20, 30] {
            ring.push(span(number, Kind::Background));
            ring.push(span(number + 1, Kind::Request));
        }
        let numbers: Vec<u64> =
            ring.trace(TraceId::of(11), (20, 30)).iter().map(|span| span.start).collect();
        assert_eq!(numbers, [11, 20]);
        assert_eq!(ring.outermost(2).iter().map(|span| span.start).collect::<Vec<_>>(), [30, 31]);
    }
}
