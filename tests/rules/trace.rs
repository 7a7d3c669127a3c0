//! Rules of traces: clocks are aligned by the calls, and the critical path has no gap.

use proptest::prelude::*;
use toystore::trace::context::{Context, SpanId, TraceId};
use toystore::trace::path::critical_path;
use toystore::trace::tree::Trace;
use toystore::trace::{Kind, Span};

const SERVICES: [&str; 3] = ["front-end", "order 3", "catalog"];
const NOW: u64 = 1_700_000_000_000_000_000;

/// A random part of a random span before it: where in that it begins and ends, in percent, and its kind.
type Part = (prop::sample::Index, u64, u64, u8);

/// Spans as they were, with the clocks of all services the same. A call has one part, its request, in another service; and
/// every second one has another before that, because it waited for a thread there.
fn spans(parts: &[Part]) -> Vec<(usize, Span)> {
    let span = |id, parent, kind, start, end| Span {
        trace: TraceId::of(1),
        id: SpanId::of(id),
        parent,
        name: "a span".into(),
        kind,
        start,
        end,
        error: None,
        notes: vec![],
    };
    let mut all = vec![(0, span(1, None, Kind::Request, NOW, NOW + 1_000_000))];
    for (above, from, length, kind) in parts {
        let open: Vec<_> =
            all.iter().filter(|(_, span)| span.kind != Kind::Call).cloned().collect();
        let (service, above) = above.get(&open);
        let part = above.took() / 10;
        let start = above.start + part * from;
        let end = (start + part * length).min(above.end);
        let id = all.len() as u64 + 1;
        let kind = [Kind::Step, Kind::Wait, Kind::Disk, Kind::Call][usize::from(*kind)];
        all.push((*service, span(id, Some(above.id), kind, start, end)));
        if kind == Kind::Call {
            // As long on the way there as on the way back.
            let way = (end - start) / 4;
            let (there, back) = (start + way, end - way);
            let begun = if id.is_multiple_of(2) { there + way } else { there };
            let (called, call) = ((service + 1) % SERVICES.len(), Some(SpanId::of(id)));
            all.push((called, span(id + 1, call, Kind::Request, begun, back)));
            if begun > there {
                all.push((called, span(id + 2, call, Kind::Wait, there, begun)));
            }
        }
    }
    all
}

/// The trace of these spans, with the clock of each service wrong by so much.
fn trace(spans: &[(usize, Span)], wrong: [i64; 3]) -> Trace {
    let moved = |moment: u64, by: i64| moment.checked_add_signed(by).expect("it fits");
    let of = |service: usize| {
        let own = spans.iter().filter(move |(of, _)| *of == service);
        let moved = own.map(|(_, span)| {
            let (start, end) = (moved(span.start, wrong[service]), moved(span.end, wrong[service]));
            Span { start, end, ..span.clone() }
        });
        (SERVICES[service].to_owned(), moved.collect())
    };
    let first = Context { trace: TraceId::of(1), span: SpanId::of(1) };
    Trace::of(first, (0..3).map(of).collect()).expect("its first span is there")
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..10u64, 1..10u64, 0..4u8), 0..24)
}

fn clocks() -> impl Strategy<Value = [i64; 3]> {
    const HOUR: i64 = 3_600_000_000_000;
    let off = prop_oneof![Just(0), -HOUR..HOUR];
    [Just(0).boxed(), off.clone().boxed(), off.boxed()]
}

proptest! {
    /// Whatever the clocks say, each request is within its call, everything is as long as it was, and what one service
    /// did for a request is as far apart as it was.
    #[test]
    fn aligned_clocks_put_each_request_into_its_call(parts in parts(), wrong in clocks()) {
        let spans = spans(&parts);
        let trace = trace(&spans, wrong);
        prop_assert_eq!(trace.spans.len(), spans.len());
        for placed in &trace.spans {
            prop_assert_eq!(u64::try_from(placed.to - placed.from), Ok(placed.span.took()));
            let Some(above) = placed.part_of.map(|above| &trace.spans[above]) else { continue };
            if above.service == placed.service {
                prop_assert_eq!(placed.moved, above.moved);
            } else {
                prop_assert!(above.from <= placed.from && placed.to <= above.to);
            }
        }
    }

    /// Clocks that are far off are recovered: the way there was as long as the way back.
    #[test]
    fn clocks_that_agree_are_believed_and_others_recovered(parts in parts(), wrong in clocks()) {
        let spans = spans(&parts);
        let (right, aligned) = (trace(&spans, [0; 3]), trace(&spans, wrong));
        prop_assert!(right.moved().is_empty());
        let far = |by: i64| by == 0 || by.abs() > 2_000_000;
        if wrong.into_iter().all(far) && (wrong[1] - wrong[2] == 0 || far(wrong[1] - wrong[2])) {
            for placed in &aligned.spans {
                let other = right.spans.iter().find(|other| other.span.id == placed.span.id);
                let other = other.expect("the same spans");
                // Dividing by two loses half a nanosecond at each of the services on the way.
                prop_assert!((placed.from - other.from).abs() <= i64::try_from(placed.depth).unwrap());
            }
        }
    }

    /// The path covers the whole request, once, with pieces of spans that were at work then.
    #[test]
    fn the_critical_path_has_no_gap_and_no_overlap(parts in parts(), wrong in clocks()) {
        let trace = trace(&spans(&parts), wrong);
        let path = critical_path(&trace);
        let mut at = trace.spans[0].from;
        for piece in &path {
            prop_assert_eq!(piece.from, at);
            prop_assert!(piece.from < piece.to);
            let placed = &trace.spans[piece.span];
            prop_assert!(placed.from <= piece.from && piece.to <= placed.to);
            at = piece.to;
        }
        prop_assert_eq!(at, trace.spans[0].to);
    }
}

/// The append that the commit waits for is on the path, the wait and the faster append are not.
#[test]
fn what_was_waited_for_is_on_the_path_and_not_the_wait() {
    let span = |id, parent, kind, start, end| Span {
        trace: TraceId::of(1),
        id: SpanId::of(id),
        parent: Some(SpanId::of(parent)),
        name: format!("span {id}").into(),
        kind,
        start: NOW + start,
        end: NOW + end,
        error: None,
        notes: vec![],
    };
    let spans = vec![
        span(1, 99, Kind::Request, 0, 100),
        span(2, 1, Kind::Step, 5, 10),
        span(3, 1, Kind::Call, 12, 40),
        span(4, 1, Kind::Call, 12, 90),
        span(5, 1, Kind::Wait, 15, 95),
        span(6, 1, Kind::Call, 50, 120),
    ];
    let first = Context { trace: TraceId::of(1), span: SpanId::of(1) };
    let trace = Trace::of(first, vec![("order 3".to_owned(), spans)]).unwrap();
    let path: Vec<_> = critical_path(&trace)
        .iter()
        .map(|piece| (&*trace.spans[piece.span].span.name, piece.from, piece.to))
        .collect();
    let expected = [
        ("span 1", 0, 5),
        ("span 2", 5, 10),
        ("span 1", 10, 12),
        ("span 4", 12, 90),
        ("span 5", 90, 95),
        ("span 1", 95, 100),
    ];
    assert_eq!(path, expected);
}
