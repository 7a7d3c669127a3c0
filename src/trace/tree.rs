//! A whole trace, put together from the spans of all services. Pure. Called by the collector; drawn by
//! [`text`](super::text), [`chrome`](super::chrome) and the cluster page.
//!
//! Each service has a clock of its own, and the clocks of two machines may differ by seconds. But a request was answered
//! while its caller waited for the answer. So what a service did for a call and does not lie within the call is moved into
//! the middle of it: the request, its wait for a thread, and all parts of them. As much time for the way there as for the
//! way back. A clock that fits is believed.

use super::context::{Context, SpanId, TraceId};
use super::span::{Kind, Span};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// A trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// Which one.
    pub id: TraceId,
    /// When its first span began, in nanoseconds since 1970.
    pub start: u64,
    /// Its spans. The first is the whole request. Each comes after the one that it is a part of, and the parts of one in the
    /// order of their begin.
    pub spans: Vec<Placed>,
}

/// A span and its place in the trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// The service that recorded it.
    pub service: String,
    /// The span that it is a part of, by its index.
    pub part_of: Option<usize>,
    /// How many spans it is inside of.
    pub depth: usize,
    /// From when, in nanoseconds after the begin of the trace, by the aligned clock. Background may begin before.
    pub from: i64,
    /// Until when.
    pub to: i64,
    /// By how much the clock of its service was moved, in nanoseconds.
    pub moved: i64,
    /// What was recorded.
    #[serde(flatten)]
    pub span: Span,
}

impl Placed {
    /// How long it took, in nanoseconds.
    pub fn took(&self) -> u64 {
        (self.to - self.from).unsigned_abs()
    }
}

impl Trace {
    /// The trace of a request, of the spans that each service has. `None` if the request is not among them. A caller may
    /// have put other requests into the same trace; they are left out.
    pub fn of(request: Context, services: Vec<(String, Vec<Span>)>) -> Option<Trace> {
        let all: Vec<(String, Span)> = services
            .into_iter()
            .flat_map(|(service, spans)| spans.into_iter().map(move |span| (service.clone(), span)))
            .collect();
        let known: HashMap<SpanId, usize> =
            all.iter().enumerate().map(|(place, (_, span))| (span.id, place)).collect();
        let parent = |span: &Span| span.parent.and_then(|id| known.get(&id).copied());
        let first = *known.get(&request.span)?;
        let (service, Span { trace: id, start, end, .. }) = &all[first];
        let (id, start) = (*id, *start);
        let is_background = |span: &Span| span.kind == Kind::Background;
        let mut parts = BTreeMap::<usize, Vec<usize>>::new();
        for (place, (of, span)) in all.iter().enumerate().filter(|(place, _)| *place != first) {
            // A span whose caller was lost with its process hangs under the request, and so does what happened meanwhile.
            let is_own = is_background(span) && span.trace == id;
            let is_other =
                of == service && span.kind == Kind::Request || !span.overlaps(start, *end);
            match parent(span) {
                Some(parent) => parts.entry(parent).or_default().push(place),
                None if is_other && !is_own => {}
                None => parts.entry(first).or_default().push(place),
            }
        }
        let mut placing = Placing { all: &all, parts, start, spans: Vec::new() };
        placing.place(first, None, 0);
        let mut spans = placing.spans;
        // What no request asked for is over when the last part of it is.
        if is_background(&spans[0].span) {
            spans[0].to = spans.iter().map(|placed| placed.to).max().unwrap_or(0);
        }
        Some(Trace { id, start, spans })
    }

    /// The indexes of the parts of a span.
    pub fn parts(&self, of: usize) -> impl Iterator<Item = usize> {
        (0..self.spans.len()).filter(move |place| self.spans[*place].part_of == Some(of))
    }

    /// How long it took, in nanoseconds.
    pub fn took(&self) -> u64 {
        self.spans[0].took()
    }

    /// Whether a span is of another trace: what happened at the same time.
    pub fn is_meanwhile(&self, span: usize) -> bool {
        self.spans[span].span.trace != self.id
    }

    /// The clocks that were moved: the service, and by how many nanoseconds at most.
    pub fn moved(&self) -> BTreeMap<&str, i64> {
        let mut all = BTreeMap::<&str, i64>::new();
        for Placed { service, moved, .. } in self.spans.iter().filter(|placed| placed.moved != 0) {
            let most = all.entry(service).or_default();
            if moved.abs() > most.abs() {
                *most = *moved;
            }
        }
        all
    }
}

struct Placing<'a> {
    all: &'a [(String, Span)],
    parts: BTreeMap<usize, Vec<usize>>,
    start: u64,
    spans: Vec<Placed>,
}

impl Placing<'_> {
    /// Adds a span, moved by so much, and its parts; no span is added twice.
    fn place(&mut self, place: usize, part_of: Option<usize>, moved: i64) {
        let all = self.all;
        let (service, span) = all[place].clone();
        let (start, end) = (self.after_start(span.start), self.after_start(span.end));
        let depth = part_of.map_or(0, |above| self.spans[above].depth + 1);
        let (from, to) = (start + moved, end + moved);
        let index = self.spans.len();
        self.spans.push(Placed { service, part_of, depth, from, to, moved, span });
        let mut parts = self.parts.remove(&place).unwrap_or_default();
        parts.sort_by_key(|part| (all[*part].1.start, all[*part].1.end));
        for part in &parts {
            let moved = self.moved(index, &all[*part].0, &parts);
            self.place(*part, Some(index), moved);
        }
    }

    /// By how much the parts of this service are moved, that hang under the span at `above`.
    fn moved(&self, above: usize, service: &str, parts: &[usize]) -> i64 {
        let above = &self.spans[above];
        if above.service == service {
            return above.moved;
        }
        let own = parts.iter().map(|part| &self.all[*part]).filter(|(of, _)| of == service);
        let own = own.map(|(_, span)| (self.after_start(span.start), self.after_start(span.end)));
        let whole = own.reduce(|all, part| (all.0.min(part.0), all.1.max(part.1)));
        match (whole, above.span.kind) {
            (Some(whole), Kind::Call) => moved_into(whole, (above.from, above.to)),
            _ => 0,
        }
    }

    fn after_start(&self, moment: u64) -> i64 {
        i64::try_from(i128::from(moment) - i128::from(self.start)).unwrap_or(i64::MAX)
    }
}

/// By how much the clock of a service is moved, so that what it did for a call lies within it.
fn moved_into((start, end): (i64, i64), (from, to): (i64, i64)) -> i64 {
    if from <= start && end <= to {
        return 0;
    }
    if end - start <= to - from {
        return from + (to - from - (end - start)) / 2 - start;
    }
    // Its caller did not wait for the end.
    if (from..=to).contains(&start) { 0 } else { from - start }
}
