//! `loadtest evaluate`: the quick variant runs the experiments, writes every figure in its three forms and one page that
//! needs no other file. The page says what the data says.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::{Command, Stdio};
use toystore_lab::evaluate::words;

const FIGURES: [&str; 8] = [
    "1-clients",
    "2-probability",
    "3-delay",
    "3-queueing",
    "4-cache",
    "5-failover",
    "6-connections",
    "6-pool",
];

/// A row of a CSV file, by column.
type Row = BTreeMap<String, String>;

#[test]
fn the_quick_evaluation_shows_what_it_measured() {
    let directory = tempfile::tempdir().expect("a directory");
    let (page, data) = evaluate(directory.path(), "1,2,3,4,5,6", &FIGURES);
    assert!(page.contains("<dt>Seed</dt><dd>7</dd>"), "the seed is printed");
    assert_says_what_the_data_says(&page, &data);
    assert!(page.contains("the three orders.csv are identical, byte for byte"), "{page}");
    assert!(page.contains("The audit finds that the books balance"), "{page}");
    let left = fs::read_dir(directory.path().join("results")).expect("readable").flatten();
    assert!(left.into_iter().all(|entry| !entry.path().is_dir()), "the stores' data is removed");
}

#[test]
#[ignore = "needs MariaDB; cargo test -p toystore-lab --test evaluate -- --ignored"]
fn files_are_compared_with_a_database() {
    let directory = tempfile::tempdir().expect("a directory");
    let (page, data) = evaluate(directory.path(), "7", &["7-engines"]);
    let says = |text: String| assert!(page.contains(&text), "the report does not say: {text}");
    for seller in ["files", "database", "a transaction each"] {
        let many = find(&data, "7-engines", &[("seller", seller), ("clients", "64")]);
        let rate = words::rate(many["rate"].parse().expect("a number"));
        says(format!("64 clients buy {rate}, with a median of {}", time(&many, "p50_us")));
    }
    for seller in ["Files", "Database"] {
        says(format!(
            "{seller}: the longest time without an answered purchase, by what was killed: leader "
        ));
    }
}

/// Runs these experiments, which make these figures. Returns the page, and the data of each figure.
fn evaluate<'a>(
    directory: &Path,
    experiments: &str,
    figures: &[&'a str],
) -> (String, BTreeMap<&'a str, Vec<Row>>) {
    let out = directory.join("results");
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["evaluate", "--quick", "--seed", "7", "--only", experiments, "--out"])
        .arg(&out)
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let page = fs::read_to_string(out.join("report.html")).expect("a report");
    for name in figures {
        assert_is_drawing(&fs::read_to_string(out.join(format!("{name}.svg"))).expect("a file"));
        assert_is_picture(&fs::read(out.join(format!("{name}.png"))).expect("a file"));
    }
    assert_is_self_contained(&page, figures.len());
    let data = figures.iter().map(|name| (*name, rows(&out.join(format!("{name}.csv")))));
    let data: BTreeMap<&str, Vec<Row>> = data.collect();
    assert!(data.values().all(|rows| !rows.is_empty()), "every figure has data");
    (page, data)
}

fn time(row: &Row, column: &str) -> String {
    words::time(row[column].parse().expect("a number"))
}

fn find(data: &BTreeMap<&str, Vec<Row>>, name: &str, wanted: &[(&str, &str)]) -> Row {
    let is_wanted = |row: &&Row| wanted.iter().all(|(column, value)| row[*column] == *value);
    data[name].iter().find(is_wanted).unwrap_or_else(|| panic!("{name}: {wanted:?}")).clone()
}

fn rows(path: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(path).expect("a file");
    reader.deserialize().map(|row| row.expect("a row like its head")).collect()
}

/// Every element that is opened is closed, and the figure has labels.
fn assert_is_drawing(svg: &str) {
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{}", &svg[..80]);
    for element in ["svg", "text"] {
        let opened = svg.matches(&format!("<{element}")).count();
        assert_eq!(opened, svg.matches(&format!("</{element}>")).count(), "{element}");
    }
    assert!(svg.matches("<text").count() > 10, "labels");
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "every number is one");
}

fn assert_is_picture(png: &[u8]) {
    let mut picture = png::Decoder::new(Cursor::new(png)).read_info().expect("a PNG");
    let mut pixels = vec![0; picture.output_buffer_size().expect("it fits into memory")];
    let size = picture.next_frame(&mut pixels).expect("a whole one");
    assert!(size.width >= 2_000 && size.height >= 800);
    let drawn = pixels.chunks(3).filter(|pixel| **pixel != pixels[..3]).count();
    assert!(drawn > 5_000, "{drawn} pixels are not paper");
}

/// The page loads nothing: every figure is in it, and every link leads to a place in it.
fn assert_is_self_contained(page: &str, figures: usize) {
    assert_eq!(page.matches("<svg ").count(), figures, "every figure is in the page");
    for attribute in ["src=\"", "href=\""] {
        for value in page.split(attribute).skip(1) {
            assert!(value.starts_with('#'), "{attribute}{}", &value[..value.len().min(60)]);
        }
    }
    for word in ["url(", "@import", "<script", "<img", "<link"] {
        assert!(!page.contains(word), "{word}");
    }
    let without_namespace = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    assert!(!without_namespace.contains("://"), "no address");
}

fn assert_says_what_the_data_says(page: &str, data: &BTreeMap<&str, Vec<Row>>) {
    let says = |text: String| assert!(page.contains(&text), "the report does not say: {text}");
    let find = |name: &str, wanted: &[(&str, &str)]| find(data, name, wanted);

    let alone = find("1-clients", &[("workload", "query only"), ("clients", "1")]);
    let (p50, p99) = (time(&alone, "p50_us"), time(&alone, "p99_us"));
    says(format!("Query only: a single client waits {p50} (median; p99 {p99})"));

    for name in ["2-probability", "3-delay"] {
        let [on, off] = ["on", "off"].map(|cache| {
            let row = [("probability", "0.0"), ("cache", cache), ("kind", "query")];
            time(&find(name, &row), "mean_us")
        });
        says(format!("At p = 0 a query takes {on} with the cache and {off} without"));
    }

    let queue = data["3-queueing"].last().expect("rows");
    let (clients, mean) = (&queue["clients"], time(queue, "mean_us"));
    let elsewhere = time(queue, "elsewhere_us");
    says(format!("{clients} clients {mean}, of which {elsewhere} outside the database"));

    let count = |column: &str, value: &str| {
        data["4-cache"].iter().filter(|row| row[column] == value).count()
    };
    says(format!("Of {} queries {} were", count("kind", "query"), count("outcome", "hit")));

    let errors = data["5-failover"].iter().filter(|row| row["is_error"] == "true").count();
    let errors = words::count(errors as u64, "error");
    says(format!("{} requests, {errors}: ", data["5-failover"].len()));

    let queries = [("thread", "per session"), ("kind", "query"), ("connections", "1")];
    let rate = find("6-connections", &queries)["rate"].parse().expect("a number");
    says(format!("Queries against connections: {} at 1", words::rate(rate)));
    let purchases = [("thread", "per session"), ("kind", "buy"), ("pool", "64")];
    let (p50, p99) =
        (time(&find("6-pool", &purchases), "p50_us"), time(&find("6-pool", &purchases), "p99_us"));
    says(format!("At 64 threads the median is {p50} and the 99th percentile {p99}"));
}
