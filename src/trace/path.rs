//! The critical path of a trace: at each moment the one thing that the answer waited for. Whoever wants an earlier answer
//! has to shorten something on it. Pure.
//!
//! It is found from the end: before a span ended, it waited for the part of it that ended last; before that part began, for
//! the one that ended last until then; and so on. Where no part was at work the span itself was, or it waited for
//! something that was not traced. A wait counts only where nothing that was traced ended it: the wait for the commit is
//! not on the path if the append that the commit waited for is.

use super::span::Kind;
use super::tree::Trace;
use serde::Serialize;

/// A piece of the path. All pieces together are as long as the whole request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// The index of its span.
    pub span: usize,
    /// From when, in nanoseconds after the begin of the trace.
    pub from: i64,
    /// Until when.
    pub to: i64,
}

/// The path, in the order of time.
pub fn critical_path(trace: &Trace) -> Vec<Piece> {
    let mut path = Vec::new();
    let whole = &trace.spans[0];
    walk(trace, 0, (whole.from, whole.to), &mut path);
    path.reverse();
    path
}

/// Adds the pieces of a span between these moments, the last one first.
fn walk(trace: &Trace, span: usize, (from, to): (i64, i64), path: &mut Vec<Piece>) {
    let mut until = to;
    while let Some(part) = last_ended(trace, span, (from, until)) {
        let (begin, end) = (trace.spans[part].from.max(from), trace.spans[part].to);
        fill(trace, span, (end, until), path);
        walk(trace, part, (begin, end), path);
        until = begin;
    }
    fill(trace, span, (from, until), path);
}

/// Adds the pieces of a time in which no part of the span was at work: its waits, and itself.
fn fill(trace: &Trace, span: usize, (from, to): (i64, i64), path: &mut Vec<Piece>) {
    let mut until = to;
    let mut add = |span, from, to| {
        if from < to {
            path.push(Piece { span, from, to });
        }
    };
    let waits = trace.parts(span).filter(|part| trace.spans[*part].span.kind == Kind::Wait);
    let mut waits: Vec<usize> = waits.collect();
    waits.sort_by_key(|wait| trace.spans[*wait].to);
    for wait in waits.into_iter().rev() {
        let begin = trace.spans[wait].from.clamp(from, until);
        let end = trace.spans[wait].to.clamp(begin, until);
        if begin < end {
            add(span, end, until);
            add(wait, begin, end);
            until = begin;
        }
    }
    add(span, from, until);
}

/// The part of a span that ended last, of those that ended between these moments; of several, the one that began first.
fn last_ended(trace: &Trace, span: usize, (from, to): (i64, i64)) -> Option<usize> {
    let parts = trace.parts(span).filter(|part| {
        let placed = &trace.spans[*part];
        let is_in_time = from < placed.to && placed.to <= to && placed.from < placed.to;
        is_in_time && placed.span.kind != Kind::Wait && !trace.is_meanwhile(*part)
    });
    parts.max_by_key(|part| (trace.spans[*part].to, -trace.spans[*part].from))
}
