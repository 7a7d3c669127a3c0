//! A trace as Chrome trace events, which Perfetto (ui.perfetto.dev) and `chrome://tracing` open. Pure. Called by the program
//! `trace`.
//!
//! Each service is a process. Chrome draws the spans of one thread inside each other, so spans that overlap without being
//! parts of each other are put on threads of their own.

use super::path::critical_path;
use super::tree::{Placed, Trace};
use serde_json::{Map, Value, json};

/// The events, as a JSON document.
pub fn events(trace: &Trace) -> Value {
    let mut services: Vec<&str> = Vec::new();
    let mut rows: Vec<Vec<Vec<(i64, i64)>>> = Vec::new();
    let mut events = Vec::new();
    let path = critical_path(trace);
    for (index, placed) in trace.spans.iter().enumerate() {
        let process = services.iter().position(|known| *known == placed.service);
        let process = process.unwrap_or_else(|| {
            services.push(&placed.service);
            rows.push(Vec::new());
            services.len() - 1
        });
        let thread = row(&mut rows[process], (placed.from, placed.to));
        let on_path = path.iter().filter(|piece| piece.span == index);
        let critical: i64 = on_path.map(|piece| piece.to - piece.from).sum();
        events.push(event(placed, process + 1, thread + 1, critical));
    }
    for (process, service) in services.iter().enumerate() {
        let arguments = json!({ "name": service });
        events.push(
            json!({ "name": "process_name", "ph": "M", "pid": process + 1, "args": arguments }),
        );
    }
    json!({ "traceEvents": events, "displayTimeUnit": "ms" })
}

fn event(placed: &Placed, process: usize, thread: usize, critical: i64) -> Value {
    let span = &placed.span;
    let notes = span.notes.iter().map(|(name, value)| (name.to_string(), json!(value)));
    let mut arguments: Map<String, Value> = notes.collect();
    arguments.insert("critical path, ms".into(), json!(micros(critical) / 1_000.0));
    if placed.moved != 0 {
        arguments.insert("clock moved, ms".into(), json!(micros(placed.moved) / 1_000.0));
    }
    if let Some(error) = &span.error {
        arguments.insert("error".into(), json!(error));
    }
    json!({
        "name": span.name, "cat": span.kind, "ph": "X", "pid": process, "tid": thread,
        "ts": micros(placed.from), "dur": micros(placed.to - placed.from), "args": arguments,
    })
}

/// The first row where this fits: inside what is there, or beside it.
fn row(rows: &mut Vec<Vec<(i64, i64)>>, (from, to): (i64, i64)) -> usize {
    let fits = |row: &Vec<(i64, i64)>| {
        let mut others = row.iter();
        others.all(|(start, end)| *end <= from || to <= *start || *start <= from && to <= *end)
    };
    let place = rows.iter().position(fits).unwrap_or_else(|| {
        rows.push(Vec::new());
        rows.len() - 1
    });
    rows[place].push((from, to));
    place
}

/// Nanoseconds as microseconds.
#[expect(clippy::cast_precision_loss, reason = "2^53 ns are a hundred days")]
fn micros(nanos: i64) -> f64 {
    nanos as f64 / 1_000.0
}
