//! The result of a run: latencies (K5), counters and findings, and the table that shows them.

use super::customer::SessionResult;
use super::measurements::{Kind, Measurements};
use crate::history::checker::given_twice;
use std::fmt::{self, Display};
use std::fs::File;
use std::time::Duration;

/// A finished run.
#[derive(Debug)]
pub struct Report {
    /// The seed of its choices; the same seed repeats them.
    pub seed: u64,
    /// The sessions, in order.
    pub results: Vec<SessionResult>,
    /// Their latencies and counters.
    pub measurements: Measurements,
    /// Its duration, including the check of the orders.
    pub elapsed: Duration,
    /// Whether it was interrupted; then not all orders were checked.
    pub is_interrupted: bool,
    /// Errors and differences, one line each. Empty if the store works correctly.
    pub findings: Vec<String>,
}

impl Report {
    /// Makes the report of a run.
    pub fn new(
        seed: u64,
        results: Vec<SessionResult>,
        measurements: Measurements,
        elapsed: Duration,
    ) -> Report {
        let mut findings = Vec::new();
        for (session, result) in (1..).zip(&results) {
            findings
                .extend(result.findings.iter().map(|what| format!("session {session}: {what}")));
        }
        let orders = results.iter().flat_map(|result| &result.orders);
        findings.extend(given_twice(orders.map(|order| order.number.0)));
        Report { seed, results, measurements, elapsed, is_interrupted: false, findings }
    }

    /// Whether any session received the list of toys.
    pub fn began(&self) -> bool {
        self.results.iter().any(|result| result.has_list)
    }

    /// The number of orders.
    pub fn order_count(&self) -> usize {
        self.results.iter().map(|result| result.orders.len()).sum()
    }

    /// Writes the orders as CSV, by number.
    pub(super) fn save_orders(&self, file: File) -> csv::Result<()> {
        let sessions = (1..).zip(&self.results);
        let mut orders: Vec<_> = sessions
            .flat_map(|(session, result)| result.orders.iter().map(move |order| (session, order)))
            .collect();
        orders.sort_by_key(|(session, order)| (order.number, *session));
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(["number", "name", "quantity", "session"])?;
        for (session, order) in orders {
            let (name, quantity) = (&order.item.name, order.item.quantity);
            writer.serialize((order.number, name, quantity, session))?;
        }
        writer.flush()?;
        Ok(())
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:12} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "", "count", "mean", "p50", "p95", "p99", "max"
        )?;
        for kind in Kind::ALL {
            let latencies = self.measurements.latencies(kind);
            write!(f, "{kind:12} {:>9}", latencies.len())?;
            if !latencies.is_empty() {
                write!(f, " {:>9}", in_words(latencies.mean()))?;
                for quantile in [0.5, 0.95, 0.99, 1.0] {
                    write!(f, " {:>9}", in_words(exact(latencies.value_at_quantile(quantile))))?;
                }
            }
            writeln!(f)?;
        }
        let Measurements { refused, unknown, retries, .. } = self.measurements;
        let seconds = self.elapsed.as_secs_f64();
        let rate = exact(self.measurements.requests()) / seconds;
        writeln!(
            f,
            "\n{} orders, {refused} refused for lack of stock, {unknown} unknown toys, {retries} retries; \
             {seconds:.2} s, {rate:.0} requests/s; seed {}",
            self.order_count(),
            self.seed
        )
    }
}

/// A count as a floating-point number.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits at most")]
pub fn exact(count: u64) -> f64 {
    count as f64
}

/// Formats microseconds with a suitable unit and about three digits.
pub fn in_words(micros: f64) -> String {
    match micros {
        ..999.5 => format!("{micros:.0} µs"),
        ..9_995.0 => format!("{:.2} ms", micros / 1e3),
        ..99_950.0 => format!("{:.1} ms", micros / 1e3),
        ..999_500.0 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Item, OrderNumber, Quantity};
    use crate::protocol::web::ShownOrder;

    fn result(numbers: &[u64]) -> SessionResult {
        let quantity = Quantity::try_from(2).expect("2 is a quantity");
        let item = Item { name: "Lego, red".parse().expect("a name"), quantity };
        let order = |number: &u64| ShownOrder { number: OrderNumber(*number), item: item.clone() };
        SessionResult {
            orders: numbers.iter().map(order).collect(),
            has_list: true,
            findings: vec![],
        }
    }

    fn report(results: Vec<SessionResult>, measurements: Measurements) -> Report {
        Report::new(7, results, measurements, Duration::from_secs(2))
    }

    #[test]
    fn times_are_shown_in_units_that_people_read() {
        for (micros, text) in [
            (0.0, "0 µs"),
            (999.0, "999 µs"),
            (999.6, "1.00 ms"),
            (1_234.0, "1.23 ms"),
            (12_345.0, "12.3 ms"),
            (123_456.0, "123 ms"),
            (999_600.0, "1.00 s"),
            (61_000_000.0, "61.00 s"),
        ] {
            assert_eq!(in_words(micros), text);
        }
    }

    #[test]
    fn the_table_has_the_percentiles_of_each_kind() {
        let mut measurements = Measurements::default();
        (measurements.refused, measurements.retries) = (3, 1);
        for micros in 1..=100 {
            measurements.record(Kind::Query, Duration::from_micros(micros));
        }
        measurements.record(Kind::Buy, Duration::from_millis(20));
        let text = report(vec![result(&[1, 2])], measurements).to_string();
        let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(
            lines[1],
            ["query", "100", "50", "µs", "50", "µs", "95", "µs", "99", "µs", "100", "µs"]
        );
        assert_eq!(lines[2][..4], ["buy", "1", "20.0", "ms"]);
        assert_eq!(lines[3], ["order", "lookup", "0"]);
        let sums = "2 orders, 3 refused for lack of stock, 0 unknown toys, 1 retries; 2.00 s, 50 requests/s; seed 7";
        assert_eq!(text.lines().last(), Some(sums));
    }

    #[test]
    fn an_order_number_given_to_two_sessions_is_found() {
        let good = report(vec![result(&[1, 3]), result(&[2])], Measurements::default());
        assert!(good.findings.is_empty());
        let bad = report(vec![result(&[1, 3]), result(&[2, 3])], Measurements::default());
        assert_eq!(bad.findings, ["order number 3 was given to two purchases"]);
    }

    #[test]
    fn orders_are_saved_by_number() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let report = report(vec![result(&[1, 3]), result(&[2])], Measurements::default());
        report.save_orders(file.reopen().expect("a file")).expect("saved");
        let text = std::fs::read_to_string(file.path()).expect("readable");
        let rows = ["1,\"Lego, red\",2,1", "2,\"Lego, red\",2,2", "3,\"Lego, red\",2,1"];
        assert_eq!(text, format!("number,name,quantity,session\n{}\n", rows.join("\n")));
    }

    #[test]
    fn a_failed_session_is_named() {
        let failed =
            SessionResult { findings: vec!["it panicked".to_owned()], ..SessionResult::default() };
        let report = report(vec![result(&[]), failed], Measurements::default());
        assert_eq!(report.findings, ["session 2: it panicked"]);
        assert!(report.began());
    }
}
