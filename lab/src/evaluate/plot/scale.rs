//! The axes of a chart and their ticks. `plotters` computes the positions.

use plotters::coord::combinators::{IntoLogRange, LogCoord};
use plotters::coord::ranged1d::{
    BoldPoints, KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter,
};
use plotters::coord::types::RangedCoordf64;
use std::ops::Range;
use toystore::client::report::in_words;

/// An axis.
#[derive(Debug, Clone)]
pub struct Scale {
    range: Range<f64>,
    is_log: bool,
    /// The values are rows with names; there are no values between two rows.
    pub(super) is_rows: bool,
    /// Values that are marked, with their labels.
    ticks: Vec<(f64, String)>,
}

impl Scale {
    /// A linear axis.
    pub fn linear(from: f64, to: f64, write: fn(f64) -> String) -> Scale {
        let range = from..to;
        let ticks = RangedCoordf64::from(range.clone()).key_points(BoldPoints(6));
        Scale::new(range, false, ticks.into_iter().map(|v| (v, write(v))))
    }

    /// A logarithmic axis, for values that span decades. Covers these values, all above 0.
    pub fn log(values: impl IntoIterator<Item = f64>, write: fn(f64) -> String) -> Scale {
        let positive = values.into_iter().filter(|value| *value > 0.0);
        let (low, high) =
            positive.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low > high { (1.0, 10.0) } else { (low / 1.3, high * 1.3) };
        // `plotters` marks powers of ten; an axis of a few decades needs more ticks.
        let mantissas: &[f64] = match high / low {
            ..30.0 => &[1.0, 2.0, 5.0],
            ..3_000.0 => &[1.0, 3.0],
            _ => &[1.0],
        };
        #[expect(clippy::cast_possible_truncation, reason = "a decade is a small number")]
        let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let ticks =
            decades.flat_map(|decade| mantissas.iter().map(move |m| m * 10f64.powi(decade)));
        let ticks = ticks.filter(|v| (low..=high).contains(v)).map(|v| (v, write(v)));
        Scale::new(low..high, true, ticks)
    }

    /// An axis that marks each of these values, given in any order. Duplicates are removed. With `Ratios` the axis is
    /// logarithmic.
    pub fn marked(values: impl IntoIterator<Item = f64>, spacing: Spacing) -> Scale {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        let (first, last) = (values.first().copied(), values.last().copied());
        let (first, last) = (first.unwrap_or(0.0), last.unwrap_or(1.0));
        // Room on both sides, so that no point is drawn on the axis.
        let is_log = spacing == Spacing::Ratios;
        let range = if is_log {
            let room = (last / first).powf(0.05);
            first / room..last * room
        } else {
            let room = (last - first) * 0.07;
            first - room..last + room
        };
        Scale::new(range, is_log, values.iter().map(|v| (*v, plain(*v))))
    }

    /// From 0 to `to`, with labels at some values.
    pub fn labelled(to: f64, ticks: impl IntoIterator<Item = (f64, String)>) -> Scale {
        Scale::new(0.0..to, false, ticks)
    }

    /// A row for each name, from top to bottom; row `n` is from `n` to `n + 1`.
    pub fn rows(names: impl IntoIterator<Item = String>) -> Scale {
        let ticks = (0u32..).map(|row| f64::from(row) + 0.5).zip(names);
        let mut scale = Scale::new(0.0..0.0, false, ticks);
        scale.is_rows = true;
        scale.range.start = scale.ticks.last().map_or(1.0, |(middle, _)| middle + 0.5);
        scale
    }

    fn new(
        range: Range<f64>,
        is_log: bool,
        ticks: impl IntoIterator<Item = (f64, String)>,
    ) -> Scale {
        Scale { range, is_log, is_rows: false, ticks: ticks.into_iter().collect() }
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        if self.is_log {
            LogCoord::from(self.range.clone().log_scale()).map(value, limit)
        } else {
            RangedCoordf64::from(self.range.clone()).map(value, limit)
        }
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(value, _)| *value).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|(tick, _)| tick.to_bits() == value.to_bits());
        tick.map_or_else(String::new, |(_, text)| text.clone())
    }
}

/// How values are spaced on an axis with marked values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// Linear.
    Differences,
    /// Logarithmic.
    Ratios,
}

/// A number in its shortest form.
pub fn plain(value: f64) -> String {
    let rounded = (value * 1e6).round() / 1e6;
    format!("{rounded}").replace('-', "−")
}

/// Thousands as k.
pub fn thousands(value: f64) -> String {
    match value {
        1_000.0.. => format!("{}k", plain(value / 1_000.0)),
        _ => plain(value),
    }
}

/// Microseconds with a unit, without zeros after the decimal point.
pub fn micros(value: f64) -> String {
    match in_words(value).split_once(' ') {
        Some((number, unit)) if number.contains('.') => {
            format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => in_words(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<&str> {
        scale.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_numbers_within_the_axis() {
        assert_eq!(labels(&Scale::linear(0.0, 12.0, plain)), ["0", "5", "10"]);
        assert_eq!(labels(&Scale::linear(0.0, 0.9, plain)), ["0", "0.2", "0.4", "0.6", "0.8"]);
        let scale = Scale::log([120.0, 9_000.0], micros);
        assert_eq!(labels(&scale), ["100 µs", "300 µs", "1 ms", "3 ms", "10 ms"]);
        assert_eq!(labels(&Scale::log([], plain)), ["1", "2", "5", "10"], "without data");
    }

    #[test]
    fn a_value_has_its_place() {
        let doublings = Scale::marked([1.0, 2.0, 4.0], Spacing::Ratios);
        let places = [1.0, 2.0, 4.0].map(|value| doublings.map(&value, (0, 1_000)));
        assert!(places[1] == 500 && places[0] > 0 && places[2] < 1_000, "{places:?}");
        let rows = Scale::rows(["Tux".to_owned(), "Lego".to_owned()]);
        assert_eq!([0.0, 1.0].map(|row| rows.map(&row, (1_000, 0))), [0, 500], "downwards");
    }
}
