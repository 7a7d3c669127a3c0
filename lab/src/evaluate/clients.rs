//! Experiment 1: the latency of each kind of request with one to five clients, which only query,
//! only buy, or do both.

use super::chapter::{Chapter, Figure, Table, csv};
use super::lab::Lab;
use super::measured::{Measured, number};
use super::plot::panel::Frame;
use super::plot::scale::{Spacing, micros};
use super::plot::{BLUE, Drawing, Drawn, Panel, Picture, Scale, Sheet, VERMILION};
use super::words;
use crate::loadtest::Workload;
use plotters::backend::DrawingBackend;
use serde::Serialize;
use std::time::Duration;
use toystore::client::measurements::Kind;
use toystore::error::Result;

/// The workload with both. The probability is that of a purchase after a query.
const MIXED: Workload = Workload::Mixed { probability: 0.75 };

const WORKLOADS: [(&str, Workload); 3] =
    [("query only", Workload::Query), ("buy only", Workload::Buy), ("mixed", MIXED)];

/// One kind of request, in one workload, at one number of clients.
#[derive(Debug, Serialize)]
struct Point {
    workload: &'static str,
    clients: usize,
    kind: &'static str,
    #[serde(skip)]
    measured: Measured,
}

/// Makes the experiment.
pub fn run(lab: &Lab) -> Result<Chapter> {
    let clients: &[usize] = lab.pick(&[1, 2, 3, 4, 5], &[1, 3, 5]);
    let each = Duration::from_millis(lab.pick(1_000, 250));
    let store = lab.open(|_| {})?;
    let cases: Vec<_> =
        clients.iter().flat_map(|n| WORKLOADS.map(|(name, load)| (*n, name, load))).collect();
    let points = lab.rounds("1 Latency against clients", &cases, |(clients, _, workload)| {
        lab.measure(&store, workload, clients, each)
    })?;
    let point = |((clients, workload, _), kind, measured)| Point {
        workload,
        clients,
        kind: name(kind),
        measured,
    };
    let points: Vec<_> = points.into_iter().map(point).collect();
    Ok(Chapter {
        id: "clients",
        title: "Latency against clients",
        setup: format!(
            "One to five clients, each on its own connection. Each waits for an answer before its next \
             request. They only query, only buy, or query and then buy the same toy with probability \
             0.75. The cache is on. {}",
            lab.pace(each)
        ),
        findings: findings(&points),
        surprises: errors(&points),
        figures: vec![figure(&points)?],
        table: table(&points),
    })
}

/// The name of a kind in tables.
pub fn name(kind: Kind) -> &'static str {
    if kind == Kind::Buy { "buy" } else { "query" }
}

fn series<'a>(
    points: &'a [Point],
    workload: &str,
    kind: &str,
) -> impl Iterator<Item = &'a Point> + use<'a> {
    let (workload, kind) = (workload.to_owned(), kind.to_owned());
    points.iter().filter(move |point| point.workload == workload && point.kind == kind)
}

/// The first and the last point of a series.
fn ends<'a>(points: &'a [Point], workload: &str, kind: &str) -> Option<(&'a Point, &'a Point)> {
    let mut series = series(points, workload, kind);
    let first = series.next()?;
    Some((first, series.last()?))
}

fn findings(points: &[Point]) -> Vec<String> {
    let mut findings = Vec::new();
    for (workload, kind) in [("query only", "query"), ("buy only", "buy")] {
        let Some((few, many)) = ends(points, workload, kind) else { continue };
        findings.push(format!(
            "{}: a single client waits {} (median; p99 {}). With {} clients the median is {}, it {}, \
             while the throughput {}: from {} to {}. {}",
            words::capital(workload),
            words::time(few.measured.p50_us),
            words::time(few.measured.p99_us),
            many.clients,
            words::time(many.measured.p50_us),
            words::change(few.measured.p50_us, many.measured.p50_us),
            words::change(few.measured.rate, many.measured.rate),
            words::rate(few.measured.rate),
            words::rate(many.measured.rate),
            knee(points, workload, kind),
        ));
    }
    let pairs = ["query", "buy"].map(|kind| {
        let alone = ends(points, &format!("{kind} only"), kind)?.1;
        Some((kind, alone, ends(points, "mixed", kind)?.1))
    });
    let parts = pairs.into_iter().flatten().map(|(kind, alone, mixed)| {
        format!(
            "a {kind} has a median of {} ({} if all requests are of this kind)",
            words::time(mixed.measured.p50_us),
            words::time(alone.measured.p50_us)
        )
    });
    let most = points.iter().map(|point| point.clients).max().unwrap_or(0);
    findings.push(format!("Mixed, with {most} clients: {}.", parts.collect::<Vec<_>>().join(", ")));
    findings
}

/// The number of clients beyond which more clients hardly increase the throughput.
fn knee(points: &[Point], workload: &str, kind: &str) -> String {
    let series: Vec<_> = series(points, workload, kind).collect();
    let gains = series.windows(2).map(|pair| {
        let [before, after] = pair else { return (0, 0.0) };
        let ideal = words::percent(number(before.clients), number(after.clients));
        let real = words::percent(before.measured.rate, after.measured.rate);
        (before.clients, real / ideal)
    });
    match gains.into_iter().find(|(_, share)| *share < 0.25) {
        Some((at, _)) => {
            let plural = if at == 1 { "" } else { "s" };
            format!(
                "With more than {at} client{plural}, a further client adds less than a quarter of its \
                 ideal share: the clients mostly wait for each other."
            )
        }
        None => "Each further client still adds more than a quarter of its ideal share.".into(),
    }
}

fn errors(points: &[Point]) -> Vec<String> {
    let complaint = |Point { clients, workload, kind, measured }: &Point| {
        measured.complaint(&format!("{clients} clients, {workload}, {kind}"))
    };
    points.iter().filter_map(complaint).collect()
}

/// A panel for each workload.
struct Latencies<'a>(&'a [Point]);

impl Drawing for Latencies<'_> {
    fn heading(&self) -> (&str, u32) {
        ("Latency against clients", 1_200)
    }

    fn draw<DB: DrawingBackend>(&self, sheet: &Sheet<DB>) -> Drawn<DB> {
        let Latencies(points) = self;
        for (cell, (workload, _)) in sheet.split_evenly((1, 3)).iter().zip(WORKLOADS) {
            let title = words::capital(workload);
            let frame = Frame { title: &title, x: "clients", y: "latency", right: 150 };
            let clients = points.iter().map(|point| number(point.clients));
            let x = Scale::marked(clients, Spacing::Differences);
            let latencies = points.iter().flat_map(|p| [p.measured.p50_us, p.measured.p99_us]);
            let mut panel = Panel::new(cell, frame, x, Scale::log(latencies, micros))?;
            let mut labels = Vec::new();
            for (kind, ink) in [("query", BLUE), ("buy", VERMILION)] {
                let series: Vec<_> = series(points, workload, kind)
                    .map(|p| p.measured.median_spread(number(p.clients)))
                    .collect();
                panel.spread(&series, ink)?;
                labels.extend(series.last().map(|last| (last.middle, ink, kind)));
            }
            panel.name(&labels)?;
        }
        Ok(())
    }
}

fn figure(points: &[Point]) -> Result<Figure> {
    Ok(Figure {
        name: "1-clients",
        title: "Latency of queries and purchases against the number of clients".into(),
        caption: "Lines: medians. Bands: up to the 99th percentile.".into(),
        picture: Picture::of(&Latencies(points))?,
        csv: csv(points.iter().map(|point| (point, point.measured)))?,
    })
}

fn table(points: &[Point]) -> Table {
    let row = |p: &Point| ([p.workload.into(), p.clients.to_string(), p.kind.into()], p.measured);
    Measured::table(["workload", "clients", "kind"], points.iter().map(row))
}
