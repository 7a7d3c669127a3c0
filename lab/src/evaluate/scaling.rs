//! Experiment 6: throughput and latency against the number of connections and against the size of the
//! front-end's pool, with a thread per session and with a thread per request.

use super::chapter::{Chapter, Figure, csv};
use super::clients::name;
use super::lab::{Lab, OpenStore};
use super::measured::{Measured, number};
use super::plot::panel::Frame;
use super::plot::scale::{Spacing, micros, thousands};
use super::plot::{BLUE, Drawing, Drawn, Panel, Picture, Scale, Sheet, VERMILION};
use super::words;
use crate::loadtest::Workload;
use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;
use serde::Serialize;
use std::time::Duration;
use toystore::client::measurements::Kind;
use toystore::config::ThreadPer;
use toystore::error::Result;

/// The size of the pool while the number of connections grows.
const POOL: usize = 10;

/// The number of connections while the pool grows.
const CONNECTIONS: usize = 64;

const MODELS: [(ThreadPer, &str, RGBColor); 2] =
    [(ThreadPer::Session, "per session", BLUE), (ThreadPer::Request, "per request", VERMILION)];

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
        title: "Scaling: connections, pool size, thread per session or request",
        setup: format!(
            "Clients only query, or only buy. Each waits for an answer before its next request. \
             First 1 to {} connections with a pool of {POOL} threads, then {CONNECTIONS} connections with \
             pools of 1 to {} threads. Either a session keeps its thread between its requests while there \
             are threads for all, or a thread serves one request, then any other. {}",
            connections.last().unwrap_or(&0),
            pools.last().unwrap_or(&0),
            lab.pace(each),
        ),
        findings: [
            findings(&by_connections, Against::Connections),
            findings(&by_pool, Against::Pool),
        ]
        .concat(),
        surprises: all.clone().filter_map(surprise).collect(),
        figures: vec![
            figure(&by_connections, Against::Connections)?,
            figure(&by_pool, Against::Pool)?,
        ],
        table: Measured::table(["thread", "pool", "connections", "kind"], all.map(row)),
    })
}

fn against_connections(lab: &Lab, connections: &[usize], each: Duration) -> Result<Vec<Point>> {
    let open = |(model, _, _): (ThreadPer, &'static str, RGBColor)| {
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
            // Large enough that only the front-end's pool limits the rate.
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

/// What grows: the x axis.
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
            "{plural} against {noun}: {} at {}, at most {} at {}{end}; 90 % of the maximum is reached \
             at {}. At {} {noun} the median is {} and the 99th percentile {}. {}",
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

/// The first point with 90 % of the best throughput.
fn knee<'a>(series: &[&'a Point]) -> Option<&'a Point> {
    let enough = 0.9 * best(series)?.measured.rate;
    series.iter().copied().find(|point| point.measured.rate >= enough)
}

/// Compares a thread per request with a thread per session.
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
        return "A thread per request changes the throughput by less than 5 %.".to_owned();
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

fn surprise(point: &Point) -> Option<String> {
    let Point { thread, pool, connections, kind, measured } = point;
    let place = format!("{connections} connections, a pool of {pool}, a thread {thread}, {kind}");
    measured.complaint(&place)
}

/// A column for queries and one for purchases.
struct Scaling<'a> {
    points: &'a [Point],
    against: Against,
}

impl Drawing for Scaling<'_> {
    fn heading(&self) -> (&str, u32) {
        let heading = match self.against {
            Against::Connections => "Scaling with connections, 10 threads",
            Against::Pool => "Scaling with the pool, 64 connections",
        };
        (heading, 2_040)
    }

    fn draw<DB: DrawingBackend>(&self, sheet: &Sheet<DB>) -> Drawn<DB> {
        let cells = sheet.split_evenly((2, 2));
        self.draw_rates(&cells[0], "Queries: throughput", "query")?;
        self.draw_rates(&cells[1], "Purchases: throughput", "buy")?;
        self.draw_latencies(&cells[2], "Queries: latency", "query")?;
        self.draw_latencies(&cells[3], "Purchases: latency", "buy")
    }
}

impl<'a> Scaling<'a> {
    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &'a Point> {
        self.points.iter().filter(move |point| point.kind == kind)
    }

    fn x_of(&self, point: &Point) -> f64 {
        number(self.against.of(point))
    }

    fn panel<DB: DrawingBackend>(
        &self,
        cell: &Sheet<DB>,
        (title, measure): (&str, &str),
        y: Scale,
    ) -> Drawn<DB, Panel<'static, DB>> {
        let steps = self.points.iter().map(|point| self.x_of(point));
        let x = match self.against {
            Against::Connections => "connections",
            Against::Pool => "threads in the pool",
        };
        let frame = Frame { title, x, y: measure, right: 300 };
        Panel::new(cell, frame, Scale::marked(steps, Spacing::Ratios), y)
    }

    fn draw_rates<DB: DrawingBackend>(
        &self,
        cell: &Sheet<DB>,
        title: &str,
        kind: &str,
    ) -> Drawn<DB> {
        let most = self.of_kind(kind).map(|point| point.measured.rate).fold(1.0, f64::max);
        let y = Scale::linear(0.0, most * 1.1, thousands);
        let mut panel = self.panel(cell, (title, "answers/s"), y)?;
        let mut labels = Vec::new();
        for (_, thread, ink) in MODELS {
            let series = series(self.points, thread, kind);
            let rates: Vec<_> = series.iter().map(|p| (self.x_of(p), p.measured.rate)).collect();
            panel.line(&rates, ink)?;
            panel.dots(&rates, 10, ink)?;
            labels.extend(rates.last().map(|last| (last.1, ink, thread)));
        }
        panel.name(&labels)
    }

    fn draw_latencies<DB: DrawingBackend>(
        &self,
        cell: &Sheet<DB>,
        title: &str,
        kind: &str,
    ) -> Drawn<DB> {
        let latencies = self.of_kind(kind).flat_map(|p| [p.measured.p50_us, p.measured.p99_us]);
        let y = Scale::log(latencies, micros);
        let mut panel = self.panel(cell, (title, "latency: median, and up to p99"), y)?;
        let mut labels = Vec::new();
        for (_, thread, ink) in MODELS {
            let series = series(self.points, thread, kind);
            let spreads: Vec<_> =
                series.iter().map(|p| p.measured.median_spread(self.x_of(p))).collect();
            panel.spread(&spreads, ink)?;
            labels.extend(spreads.last().map(|last| (last.middle, ink, thread)));
        }
        panel.name(&labels)
    }
}

fn figure(points: &[Point], against: Against) -> Result<Figure> {
    let drawing = Scaling { points, against };
    Ok(Figure {
        name: match against {
            Against::Connections => "6-connections",
            Against::Pool => "6-pool",
        },
        title: drawing.heading().0.to_owned(),
        caption: "A thread per session compared with a thread per request.".into(),
        picture: Picture::of(&drawing)?,
        csv: csv(points.iter().map(|point| (point, point.measured)))?,
    })
}

fn row(p: &Point) -> ([String; 4], Measured) {
    let own = [p.thread.into(), p.pool.to_string(), p.connections.to_string(), p.kind.into()];
    (own, p.measured)
}
