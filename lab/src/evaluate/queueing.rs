//! Experiment 3: a slow database. First with the cache and without it. Then the queue for its threads: more and more
//! clients query without a cache, and the catalog has ten threads. (Purchases that wait go to the catalog with one call,
//! so they do not queue.)

use super::chapter::{Chapter, Figure, csv};
use super::lab::Lab;
use super::measured::Measured;
use super::plot::panel::Frame;
use super::plot::scale::plain;
use super::plot::{
    BLUE, Drawing, Drawn, GREEN, Panel, Picture, Scale, Sheet, TEXT, VERMILION, note,
};
use super::{probability, words};
use crate::loadtest::Workload;
use plotters::backend::DrawingBackend;
use plotters::style::Color;
use plotters::style::text_anchor::HPos;
use serde::Serialize;
use std::time::Duration;
use toystore::client::measurements::Kind;
use toystore::error::Result;

/// The time that a request takes at the database.
const DELAY: Duration = Duration::from_millis(200);

/// How many requests the catalog serves at the same time.
const THREADS: u32 = 10;

/// Enough that two clients hardly ever query the same toy at the same time and share the answer.
const TOYS: usize = 10_000;

/// The result with this number of clients.
#[derive(Debug, Serialize)]
struct Point {
    clients: u32,
    /// The mean that the queueing law predicts.
    expected_us: f64,
    /// The mean without the time at the database.
    elsewhere_us: f64,
    #[serde(skip)]
    measured: Measured,
}

/// Makes the experiment.
pub fn run(lab: &Lab) -> Result<Chapter> {
    let mut chapter = probability::run_delayed(lab, DELAY)?;
    let points = measure(lab)?;
    let queue = format!(
        " Then one to {} clients query {TOYS} toys without a cache. The front-end has threads for all of them, so \
         requests wait only for one of the {THREADS} threads of the catalog.",
        points.last().map_or(0, |point| point.clients)
    );
    chapter.setup += &queue;
    chapter.findings.push(findings(&points));
    chapter.figures.push(figure(&points)?);
    let head = ["p", "cache", "kind"];
    debug_assert_eq!(chapter.table.head[..3], head);
    for point in &points {
        let own = ["0".into(), format!("off, {} clients", point.clients), "query".to_owned()];
        chapter.table.rows.push([own.to_vec(), point.measured.cells()].concat());
    }
    Ok(chapter)
}

fn measure(lab: &Lab) -> Result<Vec<Point>> {
    let clients: &[u32] = lab.pick(&[1, 2, 5, 8, 10, 12, 15, 20, 30, 40], &[2, 10, 30]);
    let each = Duration::from_millis(lab.pick(2_000, 1_000));
    let toys = lab.toys(TOYS)?;
    let store = lab.open(|config| {
        config.catalog.initial = Some(toys);
        config.catalog.delay = DELAY;
        config.catalog.threads = THREADS as usize;
        config.frontend.threads = 64;
        config.frontend.cache_capacity = 0;
    })?;
    let points = lab.rounds("3 Queueing at a slow database", clients, |clients| {
        lab.measure(&store, Workload::Query, clients as usize, each)
    })?;
    let service_us = DELAY.as_secs_f64() * 1e6;
    let point = |(clients, _, measured): (u32, Kind, Measured)| Point {
        clients,
        expected_us: service_us * f64::from(clients.max(THREADS)) / f64::from(THREADS),
        elsewhere_us: (measured.mean_us - service_us).max(0.0),
        measured,
    };
    Ok(points.into_iter().map(point).collect())
}

fn findings(points: &[Point]) -> String {
    let worst = points
        .iter()
        .map(|p| (p.clients, words::percent(p.expected_us, p.measured.mean_us)))
        .max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))
        .unwrap_or_default();
    let best = points.iter().map(|point| point.measured.rate).fold(0.0, f64::max);
    let limit = f64::from(THREADS) / DELAY.as_secs_f64();
    let at = |point: &Point| {
        format!(
            "with {} clients {}, of which {} outside the database",
            point.clients,
            words::time(point.measured.mean_us),
            words::time(point.elsewhere_us)
        )
    };
    let within = points.iter().rfind(|point| point.clients <= THREADS).map(at);
    let beyond = points.last().map(at);
    format!(
        "The queue: {THREADS} threads that take {} each can answer {}; the highest measured rate is {}. Up to \
         {THREADS} clients no request waits for a thread. Each further client only makes the queue \
         longer. Mean latency: {}; {}. The queueing law (mean = {} × clients / {THREADS}) differs from the \
         measurement by at most {:.0} %, at {} clients.",
        words::time(DELAY.as_secs_f64() * 1e6),
        words::rate(limit),
        words::rate(best),
        within.unwrap_or_default(),
        beyond.unwrap_or_default(),
        words::time(DELAY.as_secs_f64() * 1e6),
        worst.1.abs(),
        worst.0
    )
}

/// The latency of a query, and the throughput.
struct Queue<'a>(&'a [Point]);

impl Drawing for Queue<'_> {
    fn heading(&self) -> (&str, u32) {
        ("Queueing at a slow database", 1_200)
    }

    fn draw<DB: DrawingBackend>(&self, sheet: &Sheet<DB>) -> Drawn<DB> {
        let cells = sheet.split_evenly((1, 2));
        self.draw_latencies(&cells[0])?;
        self.draw_rates(&cells[1])
    }
}

impl Queue<'_> {
    fn against_clients(&self, value: fn(&Point) -> f64) -> Vec<(f64, f64)> {
        self.0.iter().map(|point| (f64::from(point.clients), value(point))).collect()
    }

    fn most(&self) -> f64 {
        self.0.last().map_or(1.0, |point| f64::from(point.clients))
    }

    fn draw_latencies<DB: DrawingBackend>(&self, cell: &Sheet<DB>) -> Drawn<DB> {
        let (most, service) = (self.most(), DELAY.as_secs_f64() * 1e3);
        let means = self.against_clients(|point| point.measured.mean_us / 1e3);
        let law = self.against_clients(|point| point.expected_us / 1e3);
        let values = means.iter().chain(&law).map(|(_, value)| *value);
        let highest = values.fold(2.0 * service, f64::max);
        let (title, y) = ("Service and waiting", "mean latency of a query, ms");
        let frame = Frame { title, x: "clients", y, right: 90 };
        let (x, y) = (Scale::linear(0.0, most, plain), Scale::linear(0.0, highest * 1.08, plain));
        let mut panel = Panel::new(cell, frame, x, y)?;
        let first = means.first().map_or(0.0, |mean| mean.0);
        panel.rectangle([(first, 0.0), (most, service)], GREEN.mix(0.22))?;
        let waiting = means.iter().map(|(x, mean)| (*x, mean.max(service)));
        panel.area(
            waiting.chain([(most, service), (first, service)]).collect(),
            VERMILION.mix(0.22),
        )?;
        panel.dashed_line(&law, TEXT)?;
        panel.dots(&means, 12, VERMILION)?;
        let right = most * 0.97;
        let at_database = "at the database: 200 ms";
        panel.text((right, service * 0.5), at_database, note(GREEN, HPos::Right))?;
        let waiting = "waiting for a thread, and the other services";
        panel.text((right, service * 1.35), waiting, note(VERMILION, HPos::Right))?;
        let law = "dashed: 200 ms × clients / 10";
        panel.text((most * 0.05, highest), law, note(TEXT, HPos::Left))
    }

    fn draw_rates<DB: DrawingBackend>(&self, cell: &Sheet<DB>) -> Drawn<DB> {
        let (most, limit) = (self.most(), f64::from(THREADS) / DELAY.as_secs_f64());
        let frame = Frame { title: "Throughput", x: "clients", y: "queries/s", right: 90 };
        let (x, y) = (Scale::linear(0.0, most, plain), Scale::linear(0.0, limit * 1.2, plain));
        let mut panel = Panel::new(cell, frame, x, y)?;
        panel.dashed_line(&[(0.0, limit), (most, limit)], TEXT)?;
        let at = (most * 0.97, limit * 1.06);
        panel.text(at, "10 threads / 200 ms", note(TEXT, HPos::Right))?;
        let rates = self.against_clients(|point| point.measured.rate);
        panel.line(&rates, BLUE)?;
        panel.dots(&rates, 12, BLUE)
    }
}

fn figure(points: &[Point]) -> Result<Figure> {
    Ok(Figure {
        name: "3-queueing",
        title: "Waiting time and throughput of queries against clients, with a slow database and no cache"
            .into(),
        caption: "Dots: measured. Dashed: the most that ten threads of 200 ms can do.".into(),
        picture: Picture::of(&Queue(points))?,
        csv: csv(points.iter().map(|point| (point, point.measured)))?,
    })
}
