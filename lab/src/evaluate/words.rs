//! How numbers are written in paragraphs and tables. The CSV files have the same numbers.

pub use toystore::client::report::in_words as time;

/// Requests per second.
pub fn rate(per_second: f64) -> String {
    match per_second {
        ..9.95 => format!("{per_second:.1}/s"),
        ..9_950.0 => format!("{per_second:.0}/s"),
        _ => format!("{:.1}k/s", per_second / 1e3),
    }
}

/// The change from one number to another, in words.
pub fn change(from: f64, to: f64) -> String {
    let percent = percent(from, to);
    match percent {
        100.0.. => format!("grows {:.1}-fold", to / from),
        3.0.. => format!("grows by {percent:.0} %"),
        -3.0.. => "hardly changes".to_owned(),
        _ => format!("falls by {:.0} %", -percent),
    }
}

/// The change from the first number to the second, in percent of the first.
pub fn percent(from: f64, to: f64) -> f64 {
    if from == 0.0 { 0.0 } else { (to / from - 1.0) * 100.0 }
}

/// A share as a percentage.
pub fn share(part: u64, whole: u64) -> String {
    let exact = toystore::client::report::exact;
    format!("{:.0} %", 100.0 * exact(part) / exact(whole.max(1)))
}

/// A count with its noun: `1 error`, `2 errors`, `no errors`.
pub fn count(number: u64, noun: &str) -> String {
    match number {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// A text with a capital letter at its beginning.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_its_direction() {
        for (from, to, words) in [
            (10.0, 10.2, "hardly changes"),
            (10.0, 15.0, "grows by 50 %"),
            (10.0, 35.0, "grows 3.5-fold"),
            (10.0, 5.0, "falls by 50 %"),
        ] {
            assert_eq!(change(from, to), words);
        }
        assert_eq!(count(1, "error") + ", " + &count(0, "gap"), "1 error, no gaps");
        assert_eq!([rate(2.0), rate(250.4), rate(12_345.0)], ["2.0/s", "250/s", "12.3k/s"]);
    }
}
