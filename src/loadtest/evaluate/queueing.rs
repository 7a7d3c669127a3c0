//! Experiment 3: a slow database. First the cache against it, then the queue in front of it: more and
//! more clients buy, and the catalog has ten threads.

use super::chapter::{Chapter, Figure, csv};
use super::lab::Lab;
use super::measured::Measured;
use super::plot::scale::plain;
use super::plot::{Anchor, Axis, Canvas, Ink, Panel, Place, Scale};
use super::{probability, words};
use crate::client::report::Kind;
use crate::error::Result;
use crate::loadtest::Workload;
use serde::Serialize;
use std::time::Duration;

/// How slow the database is.
const DELAY: Duration = Duration::from_millis(200);

/// How many requests the catalog serves at the same time.
const THREADS: u32 = 10;

/// So many clients buy.
#[derive(Debug, Serialize)]
struct Point {
    clients: u32,
    /// What the queueing law says of the mean.
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
        " Then one to {} clients only buy, while front-end and replicas have threads for all of them, so that \
         the catalog with its {THREADS} is the only place to wait.",
        points.last().map_or(0, |point| point.clients)
    );
    chapter.setup += &queue;
    chapter.findings.push(findings(&points));
    chapter.figures.push(figure(&points)?);
    let head = ["p", "cache", "kind"];
    debug_assert_eq!(chapter.table.head[..3], head);
    for point in &points {
        let own = ["1 (buy only)".into(), format!("{} clients", point.clients), "buy".to_owned()];
        chapter.table.rows.push([own.to_vec(), point.measured.cells()].concat());
    }
    Ok(chapter)
}

fn measure(lab: &Lab) -> Result<Vec<Point>> {
    let clients: &[u32] = lab.pick(&[1, 2, 5, 8, 10, 12, 15, 20, 30, 40], &[2, 10, 30]);
    let each = Duration::from_millis(lab.pick(2_000, 1_000));
    let store = lab.open(|config| {
        config.catalog.delay = DELAY;
        config.catalog.threads = THREADS as usize;
        config.frontend.threads = 64;
        config.order.threads = 64;
    })?;
    store.await_first_sale()?;
    let points = lab.rounds("3 Queueing before a slow database", clients, |clients| {
        lab.measure(&store, Workload::Buy, clients as usize, each)
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
            "{} clients {}, of which {} not at the database",
            point.clients,
            words::time(point.measured.mean_us),
            words::time(point.elsewhere_us)
        )
    };
    let within = points.iter().rfind(|point| point.clients <= THREADS).map(at);
    let beyond = points.last().map(at);
    format!(
        "The queue: {THREADS} threads of {} each can do {}, and the most that was seen is {}. Up to \
         {THREADS} clients nobody waits for a thread; from there on every further client only makes the queue \
         longer. It takes {}; {}. The law for this (mean = {} × clients / {THREADS}) is off by at most \
         {:.0} %, at {} clients.",
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

fn figure(points: &[Point]) -> Result<Figure> {
    let mut canvas = Canvas::new(1_000.0, 400.0);
    canvas.heading((20.0, 30.0), 17.0, "Queueing before a slow database");
    let most = points.last().map_or(1.0, |point| f64::from(point.clients));
    let x = Axis::new("clients", Scale::linear(0.0, most, plain));
    let millis = |us: f64| us / 1e3;
    let service = millis(DELAY.as_secs_f64() * 1e6);
    let means: Vec<_> =
        points.iter().map(|p| (f64::from(p.clients), millis(p.measured.mean_us))).collect();
    let highest = means.iter().map(|(_, mean)| *mean).fold(2.0 * service, f64::max);

    let place = Place::in_grid(&canvas, (2.0, 1.0), (0.0, 0.0), 30.0);
    let y = Axis::new("mean latency of a purchase, ms", Scale::linear(0.0, highest * 1.08, plain));
    let mut panel = Panel::new(&mut canvas, place, "Service and waiting", x.clone(), y);
    let first = means.first().map_or(0.0, |mean| mean.0);
    let floor = [(first, 0.0), (most, 0.0)];
    let level = [(most, service), (first, service)];
    panel.area(&[&floor[..], &level].concat(), Ink::Green, 0.22);
    let above: Vec<_> = means.iter().map(|(x, mean)| (*x, mean.max(service))).collect();
    panel.area(&[&above[..], &level].concat(), Ink::Vermilion, 0.22);
    let law: Vec<_> =
        points.iter().map(|p| (f64::from(p.clients), millis(p.expected_us))).collect();
    panel.dashed_line(&law, Ink::Text);
    for ((x, mean), point) in means.iter().zip(points) {
        panel.dot((*x, *mean), 4.0, Ink::Vermilion, &point.measured.tip(&format!("{x} clients")));
    }
    panel.note((most * 0.97, service * 0.45), Ink::Green, Anchor::End, "at the database: 200 ms");
    panel.note(
        (most * 0.97, service * 1.35),
        Ink::Vermilion,
        Anchor::End,
        "waiting for a thread, and the rest of the way",
    );
    panel.note((most * 0.05, highest), Ink::Text, Anchor::Start, "dashed: 200 ms × clients / 10");

    let limit = f64::from(THREADS) / DELAY.as_secs_f64();
    let place = Place::in_grid(&canvas, (2.0, 1.0), (1.0, 0.0), 30.0);
    let y = Axis::new("purchases/s", Scale::linear(0.0, limit * 1.2, plain));
    let mut panel = Panel::new(&mut canvas, place, "Throughput", x, y);
    panel.dashed_line(&[(0.0, limit), (most, limit)], Ink::Text);
    panel.note((most * 0.97, limit * 1.04), Ink::Text, Anchor::End, "10 threads / 200 ms");
    let rates: Vec<_> = points.iter().map(|p| (f64::from(p.clients), p.measured.rate)).collect();
    panel.line(&rates, Ink::Blue, 2.2);
    for (rate, point) in rates.iter().zip(points) {
        panel.dot(
            *rate,
            4.0,
            Ink::Blue,
            &point.measured.tip(&format!("{} clients", point.clients)),
        );
    }
    Ok(Figure {
        name: "3-queueing",
        title: "Waiting time and throughput of purchases against clients, with a slow database"
            .into(),
        caption: "Dots: measured. Dashed: what ten threads of 200 ms can do at best.".into(),
        canvas,
        csv: csv(points.iter().map(|point| (point, point.measured)))?,
    })
}
