//! Experiment 6: throughput and latency against the number of connections and against the size of the
//! front-end's pool, with a thread per session and with a thread per request.

use super::chapter::{Chapter, Figure, Table, csv};
use super::clients::name;
use super::lab::{Lab, OpenStore};
use super::measured::Measured;
use super::plot::panel::names_width;
use super::plot::scale::{Spacing, micros, thousands};
use super::plot::{Axis, Canvas, Ink, Panel, Place, Scale};
use super::words;
use crate::client::report::Kind;
use crate::config::ThreadPer;
use crate::error::Result;
use crate::loadtest::Workload;
use serde::Serialize;
use std::time::Duration;

/// The size of the pool while connections grow.
const POOL: usize = 10;

/// How many connections there are while the pool grows.
const CONNECTIONS: usize = 64;

const MODELS: [(ThreadPer, &str, Ink); 2] = [
    (ThreadPer::Session, "per session", Ink::Blue),
    (ThreadPer::Request, "per request", Ink::Vermilion),
];

/// One kind of request, under one load, with one threading model.
#[derive(Debug, Serialize)]
struct Point {
    thread: &'static str,
    pool: usize,
    connections: usize,
    kind: &'static str,
    #[serde(skip)]
    measured: Measured,
}

/// Makes the experiment.
pub fn run(lab: &Lab) -> Result<Chapter> {
    let connections: &[usize] = lab.pick(&[1, 2, 4, 8, 16, 32, 64, 128, 256], &[1, 8, 64]);
    let pools: &[usize] = lab.pick(&[1, 2, 4, 8, 16, 32, 64], &[1, 8, 64]);
    let each = Duration::from_millis(lab.pick(800, 250));
    let by_connections = against_connections(lab, connections, each)?;
    let by_pool = against_pool(lab, pools, each)?;
    let all = by_connections.iter().chain(&by_pool);
    Ok(Chapter {
        id: "scaling",
        title: "Scaling: connections, pool size, and what a thread is given to",
        setup: format!(
            "Connections that only query, or only buy, each waiting for its answer. \
             First 1 to {} connections at a pool of {POOL} threads, then {CONNECTIONS} connections at \
             pools of 1 to {} threads. A thread is given to a session, which keeps it between its requests \
             while there are threads for all, or to a request. {}",
            connections.last().unwrap_or(&0),
            pools.last().unwrap_or(&0),
            lab.pace(each),
        ),
        findings: [
            findings(&by_connections, Against::Connections),
            findings(&by_pool, Against::Pool),
        ]
        .concat(),
        surprises: all.clone().filter(|point| point.measured.errors > 0).map(surprise).collect(),
        figures: vec![
            figure(&by_connections, Against::Connections)?,
            figure(&by_pool, Against::Pool)?,
        ],
        table: Table {
            head: [&["thread", "pool", "connections", "kind"][..], &Measured::HEAD].concat(),
            rows: all.map(row).collect(),
        },
    })
}

fn against_connections(lab: &Lab, connections: &[usize], each: Duration) -> Result<Vec<Point>> {
    let open = |(model, _, _): (ThreadPer, &'static str, Ink)| {
        lab.open(|config| {
            config.frontend.threads = POOL;
            config.frontend.thread_per = model;
        })
    };
    let stores = [open(MODELS[0])?, open(MODELS[1])?];
    let cases: Vec<_> = connections.iter().flat_map(|n| [(*n, 0), (*n, 1)]).collect();
    let points = lab.rounds("6 Scaling: connections", &cases, |(connections, model)| {
        measure(lab, &stores[model], connections, each)
    })?;
    let point = |((connections, model), kind, measured): ((usize, usize), Kind, Measured)| Point {
        thread: MODELS[model].1,
        pool: POOL,
        connections,
        kind: name(kind),
        measured,
    };
    Ok(points.into_iter().map(point).collect())
}

fn against_pool(lab: &Lab, pools: &[usize], each: Duration) -> Result<Vec<Point>> {
    let cases: Vec<_> = pools.iter().flat_map(|n| [(*n, 0), (*n, 1)]).collect();
    let points = lab.rounds("6 Scaling: pool size", &cases, |(pool, model)| {
        let store = lab.open(|config| {
            config.frontend.threads = pool;
            config.frontend.thread_per = MODELS[model].0;
            // So that it is the front-end's pool that is seen.
            config.order.threads = 64;
            config.catalog.threads = 64;
        })?;
        measure(lab, &store, CONNECTIONS, each)
    })?;
    let point = |((pool, model), kind, measured): ((usize, usize), Kind, Measured)| {
        let (thread, connections) = (MODELS[model].1, CONNECTIONS);
        Point { thread, pool, connections, kind: name(kind), measured }
    };
    Ok(points.into_iter().map(point).collect())
}

/// Only queries, then only purchases.
fn measure(
    lab: &Lab,
    store: &OpenStore,
    connections: usize,
    each: Duration,
) -> Result<Vec<(Kind, Measured)>> {
    let mut both = lab.measure(store, Workload::Query, connections, each)?;
    both.extend(lab.measure(store, Workload::Buy, connections, each)?);
    Ok(both)
}

/// What grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Against {
    Connections,
    Pool,
}

impl Against {
    fn of(self, point: &Point) -> usize {
        match self {
            Against::Connections => point.connections,
            Against::Pool => point.pool,
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Against::Connections => "connections",
            Against::Pool => "threads",
        }
    }
}

fn series<'a>(points: &'a [Point], thread: &str, kind: &str) -> Vec<&'a Point> {
    points.iter().filter(|point| point.thread == thread && point.kind == kind).collect()
}

fn findings(points: &[Point], against: Against) -> Vec<String> {
    let mut findings = Vec::new();
    for (kind, plural) in [("query", "Queries"), ("buy", "Purchases")] {
        let [sessions, requests] = MODELS.map(|(_, thread, _)| series(points, thread, kind));
        let (Some(first), Some(last)) = (sessions.first(), sessions.last()) else { continue };
        let (Some(best), Some(knee)) = (best(&sessions), knee(&sessions)) else { continue };
        let noun = against.noun();
        let end = match words::percent(best.measured.rate, last.measured.rate) {
            ..-10.0 => format!(", and {} at {}", words::rate(last.measured.rate), against.of(last)),
            _ => String::new(),
        };
        findings.push(format!(
            "{plural} against {noun}: {} at {}, at most {} at {}{end}; 90 % of the most is reached with \
             {}. At {} {noun} the median is {} and the 99th percentile {}. {}",
            words::rate(first.measured.rate),
            against.of(first),
            words::rate(best.measured.rate),
            against.of(best),
            against.of(knee),
            against.of(last),
            words::time(last.measured.p50_us),
            words::time(last.measured.p99_us),
            models(&sessions, &requests, against),
        ));
    }
    findings
}

fn best<'a>(series: &[&'a Point]) -> Option<&'a Point> {
    series.iter().copied().max_by(|a, b| a.measured.rate.total_cmp(&b.measured.rate))
}

/// The first that has nearly the best throughput.
fn knee<'a>(series: &[&'a Point]) -> Option<&'a Point> {
    let enough = 0.9 * best(series)?.measured.rate;
    series.iter().copied().find(|point| point.measured.rate >= enough)
}

/// How a thread per request does against a thread per session.
fn models(sessions: &[&Point], requests: &[&Point], against: Against) -> String {
    let pairs: Vec<_> = sessions
        .iter()
        .zip(requests)
        .map(|(s, r)| (against.of(s), words::percent(s.measured.rate, r.measured.rate)))
        .collect();
    let worst = pairs.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let best = pairs.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let (Some(worst), Some(best)) = (worst, best) else { return String::new() };
    if worst.1 > -5.0 && best.1 < 5.0 {
        return "A thread per request makes no difference beyond 5 %.".to_owned();
    }
    let signed = |percent: f64| format!("{percent:+.0} %").replace('-', "−");
    format!(
        "A thread per request changes the throughput by {} (at {}) to {} (at {}).",
        signed(worst.1),
        worst.0,
        signed(best.1),
        best.0
    )
}

fn surprise(point: &Point) -> String {
    format!(
        "{} at {} connections, a pool of {}, a thread {}, {}",
        words::count(point.measured.errors, "error"),
        point.connections,
        point.pool,
        point.thread,
        point.kind
    )
}

/// The points of a threading model, and its ink.
type Series<'a> = (&'static str, Ink, Vec<&'a Point>);

fn draw_rates(mut panel: Panel<'_>, all: &[Series<'_>], against: Against) {
    let mut labels = Vec::new();
    for (thread, ink, series) in all {
        let at = |p: &&Point| (as_f64(against.of(p)), p.measured.rate);
        let rates: Vec<_> = series.iter().map(at).collect();
        panel.line(&rates, *ink, 2.2);
        for (rate, point) in rates.iter().zip(series) {
            panel.dot(*rate, 3.5, *ink, &point.measured.tip(&what(point, against)));
        }
        labels.extend(rates.last().map(|last| (last.1, *ink, *thread)));
    }
    panel.name(&labels);
}

fn draw_latencies(mut panel: Panel<'_>, all: &[Series<'_>], against: Against) {
    let mut labels = Vec::new();
    for (thread, ink, series) in all {
        let spread =
            |p: &&Point| p.measured.median_spread(as_f64(against.of(p)), &what(p, against));
        let spreads: Vec<_> = series.iter().map(spread).collect();
        panel.spread(&spreads, *ink);
        labels.extend(spreads.last().map(|last| (last.middle, *ink, *thread)));
    }
    panel.name(&labels);
}

fn what(point: &Point, against: Against) -> String {
    format!("a thread {}, {} {}", point.thread, against.of(point), against.noun())
}

fn figure(points: &[Point], against: Against) -> Result<Figure> {
    let (name, title, label) = match against {
        Against::Connections => {
            ("6-connections", "Scaling with connections, 10 threads", "connections")
        }
        Against::Pool => ("6-pool", "Scaling with the pool, 64 connections", "threads in the pool"),
    };
    let mut canvas = Canvas::new(1_000.0, 680.0);
    canvas.heading((20.0, 30.0), 17.0, title);
    let mut steps: Vec<_> = points.iter().map(|point| as_f64(against.of(point))).collect();
    steps.sort_by(f64::total_cmp);
    steps.dedup();
    let x = Axis::new(label, Scale::marked(&steps, Spacing::Ratios));
    for (column, (kind, plural)) in [(0.0, ("query", "Queries")), (1.0, ("buy", "Purchases"))] {
        let of_kind = || points.iter().filter(|point| point.kind == kind);
        let most = of_kind().map(|point| point.measured.rate).fold(1.0, f64::max);
        let rates = Axis::new("answers/s", Scale::linear(0.0, most * 1.1, thousands));
        let latencies = of_kind().flat_map(|p| [p.measured.p50_us, p.measured.p99_us]);
        let latencies = Axis::new("latency: median, and up to p99", Scale::log(latencies, micros));
        let series = MODELS.map(|(_, thread, ink)| (thread, ink, series(points, thread, kind)));
        let names = names_width(&["per session"]);
        let place = Place::in_grid(&canvas, (2.0, 2.0), (column, 0.0), names);
        let title = format!("{plural}: throughput");
        draw_rates(Panel::new(&mut canvas, place, &title, x.clone(), rates), &series, against);
        let place = Place::in_grid(&canvas, (2.0, 2.0), (column, 1.0), names);
        let title = format!("{plural}: latency");
        draw_latencies(
            Panel::new(&mut canvas, place, &title, x.clone(), latencies),
            &series,
            against,
        );
    }
    Ok(Figure {
        name,
        title: title.to_owned(),
        caption: "A thread per session against a thread per request.".into(),
        canvas,
        csv: csv(points.iter().map(|point| (point, point.measured)))?,
    })
}

fn row(point: &Point) -> Vec<String> {
    let own = [
        point.thread.to_owned(),
        point.pool.to_string(),
        point.connections.to_string(),
        point.kind.to_owned(),
    ];
    [own.to_vec(), point.measured.cells()].concat()
}

#[expect(clippy::cast_precision_loss, reason = "some hundreds")]
fn as_f64(count: usize) -> f64 {
    count as f64
}
