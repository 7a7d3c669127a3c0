//! A trace as text, for a terminal and the documentation. Pure. Called by the program `trace`.

use super::path::{Piece, critical_path};
use super::span::{Kind, ORDER_NUMBER};
use super::timing::milliseconds;
use super::tree::{Placed, Trace};
use std::fmt::{self, Display, Write};

/// The width of the bars.
const WIDTH: usize = 40;

/// Displays a trace: a line for each span with its begin, its length and a bar, dark where it is on the critical path.
pub struct Text<'a>(pub &'a Trace);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Text(trace) = self;
        let path = critical_path(trace);
        let whole = &trace.spans[0];
        write!(f, "trace {}: {}", trace.id, whole.span.name)?;
        if let Some(number) = whole.span.note(ORDER_NUMBER) {
            write!(f, ", order {number}")?;
        }
        writeln!(f, ", {} ms", milliseconds(trace.took()))?;
        for (service, nanos) in trace.moved() {
            let sign = if nanos < 0 { "-" } else { "+" };
            writeln!(f, "clock of {service}: {sign}{} ms", milliseconds(nanos.unsigned_abs()))?;
        }
        writeln!(
            f,
            "\n{:>9} {:>9}  {:WIDTH$}",
            "begin ms", "took ms", "█ critical path  ░ besides it"
        )?;
        for (index, placed) in trace.spans.iter().enumerate() {
            let bar = bar(placed, whole.to, path.iter().filter(|piece| piece.span == index));
            let (begin, took) = (signed(placed.from), milliseconds(placed.took()));
            let (depth, indent) = (2 * placed.depth, "");
            write!(f, "{begin:>9} {took:>9}  {bar} {indent:depth$}{}", described(trace, index))?;
            writeln!(f)?;
        }
        writeln!(f, "\n{:>9}  on the critical path", "ms")?;
        for (nanos, name) in sums(trace, &path) {
            writeln!(f, "{:>9}  {name}", milliseconds(nanos))?;
        }
        Ok(())
    }
}

/// What a span is: its name, with the service where that changes, and why it failed.
fn described(trace: &Trace, index: usize) -> String {
    let Placed { service, span, part_of, .. } = &trace.spans[index];
    let above = part_of.map(|above| &trace.spans[above]);
    let is_here = above.is_some_and(|above| above.service == *service);
    let mut text = match span.kind {
        Kind::Request => format!("{service}: {}", span.name),
        Kind::Background if trace.is_meanwhile(index) => {
            format!("meanwhile, {service}: {}", span.name)
        }
        Kind::Call => format!("call {}", span.name),
        _ if is_here => span.name.to_string(),
        _ => format!("{service}: {}", span.name),
    };
    for (name, value) in span.notes.iter().filter(|(name, _)| !name.contains('.')) {
        write!(text, ", {name}: {value}").expect("a String takes it");
    }
    if let Some(error) = &span.error {
        write!(text, " ✗ {error}").expect("a String takes it");
    }
    text
}

/// The span as a bar, true to scale.
fn bar<'a>(placed: &Placed, whole: i64, on_path: impl Iterator<Item = &'a Piece>) -> String {
    let column = |moment: i64| {
        let share = i128::from(moment.clamp(0, whole)) * WIDTH as i128 / i128::from(whole.max(1));
        usize::try_from(share).unwrap_or(0).min(WIDTH)
    };
    let mut bar = ['·'; WIDTH];
    let mut paint = |from: i64, to: i64, with: char| {
        let from = column(from).min(WIDTH - 1);
        bar[from..column(to).max(from + 1)].fill(with);
    };
    paint(placed.from, placed.to, '░');
    for piece in on_path {
        paint(piece.from, piece.to, '█');
    }
    bar.into_iter().collect()
}

/// How much of the critical path each span had, the longest first.
fn sums(trace: &Trace, path: &[Piece]) -> Vec<(u64, String)> {
    let mut sums: Vec<(u64, String)> = Vec::new();
    for piece in path {
        let Placed { service, span, .. } = &trace.spans[piece.span];
        let name = match span.kind {
            Kind::Call => format!("{service}: call {}, on the way", span.name),
            _ => format!("{service}: {}", span.name),
        };
        let nanos = (piece.to - piece.from).unsigned_abs();
        match sums.iter_mut().find(|(_, known)| *known == name) {
            Some((sum, _)) => *sum += nanos,
            None => sums.push((nanos, name)),
        }
    }
    sums.sort_by_key(|(nanos, _)| std::cmp::Reverse(*nanos));
    sums
}

fn signed(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    format!("{sign}{}", milliseconds(nanos.unsigned_abs()))
}
