//! From a value to its place on an axis, and the ticks that the axis shows. Pure.

use crate::client::report::in_words;

/// How values are laid out on an axis.
#[derive(Debug, Clone)]
pub struct Scale {
    from: f64,
    to: f64,
    is_log: bool,
    /// Values that are marked, with what is written there.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Scale {
    /// Equal differences are equally far. The ends are those given.
    pub fn linear(from: f64, to: f64, write: fn(f64) -> String) -> Scale {
        let step = round_step((to - from) / 5.0);
        let first = (from / step).ceil();
        let values = (0..).map(|i| (first + f64::from(i)) * step);
        let values = values.take_while(|value| *value <= to + step * 1e-6);
        Scale { from, to, is_log: false, ticks: values.map(|v| (v, write(v))).collect() }
    }

    /// Equal ratios are equally far: for what spans decades. Covers these values, all above 0.
    pub fn log(values: impl IntoIterator<Item = f64>, write: fn(f64) -> String) -> Scale {
        let positive = values.into_iter().filter(|value| *value > 0.0);
        let (low, high) =
            positive.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low > high { (1.0, 10.0) } else { (low / 1.3, high * 1.3) };
        let mantissas: &[f64] = if high / low > 3_000.0 {
            &[1.0]
        } else if high / low > 30.0 {
            &[1.0, 3.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        #[expect(clippy::cast_possible_truncation, reason = "a decade is a small number")]
        let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let ticks =
            decades.flat_map(|decade| mantissas.iter().map(move |m| m * 10f64.powi(decade)));
        let ticks = ticks.filter(|v| (low..=high).contains(v)).map(|v| (v, write(v)));
        Scale { from: low, to: high, is_log: true, ticks: ticks.collect() }
    }

    /// Each of these values is marked; doublings, with `log`, are equally far.
    pub fn marked(values: &[f64], spacing: Spacing) -> Scale {
        let (first, last) = (values.first().copied(), values.last().copied());
        let (first, last) = (first.unwrap_or(0.0), last.unwrap_or(1.0));
        let is_log = spacing == Spacing::Ratios;
        // Room on both sides, so that nothing is drawn on the axis.
        let (from, to) = if is_log {
            let room = (last / first).powf(0.05);
            (first / room, last * room)
        } else {
            let room = (last - first) * 0.07;
            (first - room, last + room)
        };
        Scale { from, to, is_log, ticks: values.iter().map(|v| (*v, plain(*v))).collect() }
    }

    /// Where a value is: 0 at the beginning, 1 at the end.
    pub fn place(&self, value: f64) -> f64 {
        let place = if self.is_log {
            (value.max(f64::MIN_POSITIVE) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        place.clamp(0.0, 1.0)
    }
}

/// What is equally far on an axis with marked values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spacing {
    /// Equal differences.
    Differences,
    /// Equal ratios.
    Ratios,
}

/// 1, 2 or 5 times a power of ten, about as large as `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10f64.powf(rough.max(f64::MIN_POSITIVE).log10().floor());
    let mantissa = [1.0, 2.0, 5.0].into_iter().find(|m| m * power >= rough * 0.999);
    mantissa.unwrap_or(10.0) * power
}

/// A number as short as it goes.
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

/// Microseconds, round ones, without the zeros behind the point.
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
        let linear = Scale::linear(0.0, 10.0, plain);
        assert!((linear.place(2.5) - 0.25).abs() < 1e-9);
        assert!((linear.place(99.0) - 1.0).abs() < 1e-9, "not beyond the axis");
        let doublings = Scale::marked(&[1.0, 2.0, 4.0], Spacing::Ratios);
        let places = [1.0, 2.0, 4.0].map(|value| doublings.place(value));
        assert!((places[1] - 0.5).abs() < 1e-9 && places[0] > 0.0 && places[2] < 1.0);
    }
}
