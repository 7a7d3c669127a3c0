//! Reads a page of metrics in Prometheus' text format 0.0.4. It is stricter than Prometheus:
//! each metric has a help and a type, names follow the conventions, the buckets of histograms add up.

use std::collections::{BTreeMap, BTreeSet};

/// The labels of a value.
pub type Labels = BTreeMap<String, String>;

/// A correct page.
#[derive(Debug, Default)]
pub struct Page {
    families: BTreeMap<String, String>,
    samples: BTreeMap<(String, Labels), f64>,
}

impl Page {
    /// Reads a page. An error says what is wrong.
    pub fn read(text: &str) -> Result<Page, String> {
        if !text.ends_with('\n') {
            return Err("the last line does not end".into());
        }
        let mut page = Page::default();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let help = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '));
            let (name, help) = help.ok_or(format!("no help where a metric begins: {line}"))?;
            let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE "));
            let kind = kind.and_then(|rest| rest.strip_prefix(name)?.strip_prefix(' '));
            let kind = kind.ok_or(format!("{name} has no type"))?;
            check_name(name, kind)?;
            if help.is_empty() || page.families.insert(name.into(), kind.into()).is_some() {
                return Err(format!("{name} comes twice, or without help"));
            }
            while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
                page.take(name, kind, sample)?;
            }
            if kind == "histogram" {
                page.check_histogram(name)?;
            }
        }
        Ok(page)
    }

    /// The value with these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let key = (name.to_owned(), labels.collect());
        *self.samples.get(&key).unwrap_or_else(|| panic!("no {key:?} in {:#?}", self.samples))
    }

    /// The same, if it is a whole number.
    pub fn whole(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let value = self.value(name, labels);
        value.to_string().parse().unwrap_or_else(|_| panic!("{name} is {value}"))
    }

    /// The names of all metrics with help and type.
    pub fn names(&self) -> BTreeSet<&str> {
        self.families.keys().map(String::as_str).collect()
    }

    fn take(&mut self, family: &str, kind: &str, line: &str) -> Result<(), String> {
        let wrong = |why: &str| format!("{why}: {line}");
        let end = line.find(['{', ' ']).ok_or(wrong("no value"))?;
        let (name, rest) = line.split_at(end);
        let suffix = name.strip_prefix(family).ok_or(wrong("a value of another metric"))?;
        let suffixes: &[_] =
            if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        if !suffixes.contains(&suffix) {
            return Err(wrong("no help and type for this"));
        }
        let (labels, rest) = labels(rest).map_err(|why| wrong(&why))?;
        let number = rest.strip_prefix(' ').ok_or(wrong("no space before the value"))?;
        let value: f64 = number.parse().map_err(|_| wrong("no number"))?;
        if value.is_nan() || kind != "gauge" && value < 0.0 {
            return Err(wrong("not a count"));
        }
        if self.samples.insert((name.into(), labels), value).is_some() {
            return Err(wrong("comes twice"));
        }
        Ok(())
    }

    /// Each bucket contains those below it, and the last one contains all values.
    fn check_histogram(&self, family: &str) -> Result<(), String> {
        let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
        for ((name, labels), count) in &self.samples {
            if *name == format!("{family}_bucket") {
                let mut labels = labels.clone();
                let bound =
                    labels.remove("le").ok_or(format!("a bucket of {name} has no bound"))?;
                let bound = bound.parse().map_err(|_| format!("{bound:?} is no bound"))?;
                series.entry(labels).or_default().push((bound, *count));
            }
        }
        for (labels, mut buckets) in series {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            let part = |suffix| self.samples.get(&(format!("{family}_{suffix}"), labels.clone()));
            let rises =
                buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
            let last = buckets.last().copied();
            let whole = last.is_some_and(|(bound, count)| {
                bound == f64::INFINITY && part("count") == Some(&count)
            });
            if !rises || !whole || part("sum").is_none() {
                return Err(format!(
                    "the buckets of {family} {labels:?} do not add up: {buckets:?}"
                ));
            }
        }
        Ok(())
    }
}

fn check_name(name: &str, kind: &str) -> Result<(), String> {
    let ours = name.starts_with("toystore_") || name.starts_with("process_");
    let is_total = name.ends_with("_total");
    let unit = ["_ms", "_millis", "_milliseconds", "_micros", "_nanos", "_kb"];
    let fits = match kind {
        "counter" => is_total,
        "gauge" => !is_total,
        "histogram" => name.ends_with("_seconds") || name.ends_with("_bytes"),
        _ => false,
    };
    if !ours || !fits || !is_identifier(name) || unit.iter().any(|unit| name.contains(unit)) {
        return Err(format!("{name} is no name for a {kind}"));
    }
    Ok(())
}

/// A label has no colon. The name of a metric may have one, but ours have none.
fn is_identifier(name: &str) -> bool {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    first && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The labels at the start of `text`, if there are any, and the rest of the text.
fn labels(text: &str) -> Result<(Labels, &str), String> {
    let mut labels = Labels::new();
    let Some(mut rest) = text.strip_prefix('{') else { return Ok((labels, text)) };
    loop {
        let (name, after) = rest.split_once("=\"").ok_or("a label without text")?;
        let (value, after) = quoted(after).ok_or("a label that does not end")?;
        if !is_identifier(name) || labels.insert(name.into(), value).is_some() {
            return Err(format!("{name:?} is no label, or comes twice"));
        }
        match after.split_at_checked(1) {
            Some((",", more)) => rest = more,
            Some(("}", more)) => return Ok((labels, more)),
            _ => return Err("neither comma nor end after a label".into()),
        }
    }
}

/// A text up to its quote, and the rest.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[place + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                _ => return None,
            }),
            plain => value.push(plain),
        }
    }
    None
}

#[test]
fn this_reader_sees_what_it_looks_for() {
    let good = "# HELP toystore_x_seconds Time.\n# TYPE toystore_x_seconds histogram\n\
        toystore_x_seconds_bucket{a=\"b\",le=\"0.1\"} 1\ntoystore_x_seconds_bucket{a=\"b\",le=\"+Inf\"} 3\n\
        toystore_x_seconds_sum{a=\"b\"} 2.5\ntoystore_x_seconds_count{a=\"b\"} 3\n\
        # HELP toystore_y_total Toys.\n# TYPE toystore_y_total counter\n\
        toystore_y_total{toy=\"a \\\"b\\\" \\\\\"} 7\n";
    let page = Page::read(good).expect("it is good");
    assert_eq!(page.whole("toystore_y_total", &[("toy", "a \"b\" \\")]), 7);
    for (of, instead) in [
        ("# HELP toystore_y_total Toys.\n", ""),
        ("# TYPE toystore_y_total counter\n", ""),
        ("_total counter", "_total gauge"),
        ("toystore_y_total{", "toystore_z_total{"),
        ("{toy=", "{to-y="),
        ("\\\"} 7", "} 7"),
        ("\"} 7", "\"}7"),
        ("\"} 7", "\"} seven"),
        ("\"} 7", "\"} -7"),
        ("le=\"0.1\"} 1", "le=\"0.1\"} 4"),
        ("le=\"+Inf\"} 3", "le=\"+Inf\"} 2"),
        ("le=\"+Inf\"", "le=\"5\""),
        ("toystore_x_seconds_sum{a=\"b\"} 2.5\n", ""),
        ("_sum{a=\"b\"} 2.5\n", "_sum{a=\"b\"} 2.5\ntoystore_x_seconds_sum{a=\"b\"} 2\n"),
    ] {
        let bad = good.replace(of, instead);
        assert_ne!(bad, good, "{of}");
        Page::read(&bad).expect_err(&format!("{of} → {instead}"));
    }
    assert!(Page::read(&good.replace("x_seconds", "x_ms")).is_err(), "no base unit");
}
