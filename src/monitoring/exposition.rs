//! Writes metrics in the text format 0.0.4 of Prometheus: for each metric its help and
//! type, then a line for each of its values. Called by [`metrics`](super::metrics).

use std::fmt::{Display, Write};

/// The `Content-Type` of the format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The labels of a value.
type Labels<'a> = [(&'a str, &'a str)];

/// A page of metrics.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// The metric at the end of the page, whose values are added next.
pub(super) struct Family<'a> {
    name: &'static str,
    text: &'a mut String,
}

impl Exposition {
    /// The whole page.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// A number that goes up and down.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, help, "gauge")
    }

    /// A number that only grows.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        debug_assert!(name.ends_with("_total"), "{name} is a counter");
        self.family(name, help, "counter")
    }

    /// A distribution.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, help, "histogram")
    }

    fn family(&mut self, name: &'static str, help: &str, kind: &str) -> Family<'_> {
        debug_assert!(!help.contains(['\n', '\\']), "the help of {name} would have to be escaped");
        put(&mut self.text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { name, text: &mut self.text }
    }
}

impl Family<'_> {
    /// A single value.
    pub(super) fn is(mut self, value: impl Display) {
        self.sample("", &[], value);
    }

    /// A value for each of these, which the label names.
    pub(super) fn each<'t, V: Display>(
        mut self,
        label: &str,
        values: impl IntoIterator<Item = (&'t str, V)>,
    ) {
        for (name, value) in values {
            self.sample("", &[(label, name)], value);
        }
    }

    /// The values of one histogram. `counts` are those up to each of `bounds` and above the one before,
    /// and at the end those beyond all; on the page each bucket contains the one before.
    pub(super) fn buckets(
        &mut self,
        labels: &Labels<'_>,
        bounds: &[f64],
        counts: &[u64],
        sum: f64,
    ) {
        let bounds = bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        let mut count = 0;
        for (bound, more) in bounds.zip(counts) {
            count += more;
            self.sample("_bucket", &[labels, &[("le", &bound)]].concat(), count);
        }
        self.sample("_sum", labels, sum);
        self.sample("_count", labels, count);
    }

    fn sample(&mut self, suffix: &str, labels: &Labels<'_>, value: impl Display) {
        put(self.text, format_args!("{}{suffix}", self.name));
        for (place, (label, text)) in labels.iter().enumerate() {
            let open = if place == 0 { '{' } else { ',' };
            put(self.text, format_args!("{open}{label}=\"{}\"", escaped(text)));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        put(self.text, format_args!("{close} {value}\n"));
    }
}

/// The text of a label. The name of a toy may contain any of these characters.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_spelled_as_prometheus_reads_it() {
        let mut page = Exposition::default();
        page.gauge("threads", "Threads.").is(10);
        page.counter("sold_total", "Toys.").each("toy", [("Tux", 7), ("a \"b\" \\ c\n", 0)]);
        let labels = [("kind", "query"), ("outcome", "served")];
        let mut took = page.histogram("took_seconds", "How long.");
        took.buckets(&labels, &[0.000_01, 2.0], &[3, 0, 1], 5.25);
        let expected = r#"# HELP threads Threads.
# TYPE threads gauge
threads 10
# HELP sold_total Toys.
# TYPE sold_total counter
sold_total{toy="Tux"} 7
sold_total{toy="a \"b\" \\ c\n"} 0
# HELP took_seconds How long.
# TYPE took_seconds histogram
took_seconds_bucket{kind="query",outcome="served",le="0.00001"} 3
took_seconds_bucket{kind="query",outcome="served",le="2"} 3
took_seconds_bucket{kind="query",outcome="served",le="+Inf"} 4
took_seconds_sum{kind="query",outcome="served"} 5.25
took_seconds_count{kind="query",outcome="served"} 4
"#;
        assert_eq!(page.into_text(), expected);
    }
}
