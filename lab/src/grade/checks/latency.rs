//! Latency against the number of clients: measured and drawn, as the lab asks; no time is too long.

use super::check::Check;
use crate::evaluate::plot::panel::{Frame, Spread};
use crate::evaluate::plot::scale::{Spacing, micros};
use crate::evaluate::plot::{BLUE, Drawing, Drawn, Panel, Picture, Scale, Sheet, VERMILION};
use crate::grade::customers::shop_to_the_end;
use crate::grade::finding::{Finding, lost};
use crate::grade::trial::Trial;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use plotters::backend::DrawingBackend;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use toystore::client::report::{exact, in_words};

/// The most clients.
const CLIENTS_MAX: u64 = 5;

/// The steps of each number of clients, for all clients: a query and a purchase each.
const STEPS: u64 = 60;

/// Longer latencies are recorded as one hour.
const HOUR_MICROS: u64 = 3_600_000_000;

/// The checks of this group.
pub const CHECKS: [Check; 1] = [Check {
    name: "latency",
    asks: "The latency of queries and purchases is measured for 1 to 5 clients; none fails.",
    is_fresh: true,
    run: latency,
}];

/// The latencies of one kind of request with some clients.
struct Point {
    kind: &'static str,
    clients: u64,
    latencies: Histogram<u64>,
}

fn latency(trial: &mut Trial<'_>) -> Finding {
    let mut points = Vec::new();
    for clients in 1..=CLIENTS_MAX {
        points.extend(measure(trial, clients)?);
    }
    for Point { kind, clients, latencies } in &points {
        let [p50, p99] =
            [0.5, 0.99].map(|quantile| in_words(exact(latencies.value_at_quantile(quantile))));
        trial.note(format!("{clients} clients: {kind} median {p50}, p99 {p99}"));
    }
    trial.figure = Some(Picture::of(&Latencies(&points))?.svg);
    let median = |kind| {
        let last = points.iter().rfind(|point| point.kind == kind);
        last.map_or_else(String::new, |point| {
            in_words(exact(point.latencies.value_at_quantile(0.5)))
        })
    };
    Ok(format!(
        "with {CLIENTS_MAX} clients the median of a query is {}, of a purchase {}",
        median("query"),
        median("buy")
    ))
}

fn measure(
    trial: &mut Trial<'_>,
    clients: u64,
) -> Result<[Point; 2], crate::grade::finding::NoPoints> {
    let point = |kind| Point {
        kind,
        clients,
        latencies: Histogram::new_with_max(HOUR_MICROS, 3).expect("the bounds are possible"),
    };
    let points = Mutex::new([point("query"), point("buy")]);
    let (made, failed) = (AtomicU64::new(0), Mutex::new(None));
    let toys: Vec<String> = trial.submission.toys().keys().cloned().collect();
    shop_to_the_end(trial, clients, |session| {
        let step = made.fetch_add(1, Ordering::Relaxed);
        if step >= STEPS {
            return false;
        }
        session.keeps_connection = true;
        let toy = &toys[usize::try_from(step).unwrap_or(0) % toys.len()];
        let (query, queried) = session.query(toy);
        let (buy, bought) = session.buy(toy, 1);
        for (at, took) in [query.took, buy.took].into_iter().enumerate() {
            points.lock()[at].latencies.saturating_record(micros_of(took));
        }
        let none = queried.value("a query").err().or_else(|| match bought {
            // Toys may be sold out.
            crate::grade::caller::Reply::Failed(code) if !(500..600).contains(&code) => None,
            other => other.value("a purchase").err(),
        });
        let goes_on = none.is_none();
        if let Some(why) = none {
            failed.lock().get_or_insert((why, [query.to_string(), buy.to_string()]));
        }
        goes_on
    })?;
    if let Some((why, exchanges)) = failed.into_inner() {
        for exchange in exchanges {
            trial.note(exchange);
        }
        return Err(why);
    }
    let points = points.into_inner();
    if points.iter().any(|point| point.latencies.is_empty()) {
        return lost("nothing was measured");
    }
    Ok(points)
}

fn micros_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

struct Latencies<'a>(&'a [Point]);

impl Drawing for Latencies<'_> {
    fn heading(&self) -> (&str, u32) {
        ("Latency against clients", 1_100)
    }

    fn draw<DB: DrawingBackend>(&self, sheet: &Sheet<DB>) -> Drawn<DB> {
        let Latencies(points) = self;
        let frame =
            Frame { title: "Queries and purchases", x: "clients", y: "latency", right: 200 };
        let at =
            |point: &Point, quantile| exact(point.latencies.value_at_quantile(quantile).max(1));
        let x =
            Scale::marked(points.iter().map(|point| exact(point.clients)), Spacing::Differences);
        let y =
            Scale::log(points.iter().flat_map(|point| [at(point, 0.5), at(point, 0.99)]), micros);
        let mut panel = Panel::new(sheet, frame, x, y)?;
        let mut labels = Vec::new();
        for (kind, ink) in [("query", BLUE), ("buy", VERMILION)] {
            let series: Vec<Spread> = points
                .iter()
                .filter(|point| point.kind == kind)
                .map(|point| Spread {
                    x: exact(point.clients),
                    middle: at(point, 0.5),
                    p99: at(point, 0.99),
                })
                .collect();
            panel.spread(&series, ink)?;
            labels.extend(series.last().map(|last| (last.middle, ink, kind)));
        }
        panel.name(&labels)
    }
}
