//! Experiments 2 and 3: the latency of each kind of request with five clients, against the purchase
//! probability, with the cache and without it. Experiment 3 is the same with a slow database.

use super::chapter::{Chapter, Figure, Table, csv};
use super::clients::name;
use super::lab::Lab;
use super::measured::Measured;
use super::plot::panel::Frame;
use super::plot::scale::{Spacing, micros, plain};
use super::plot::{
    BLUE, Drawing, Drawn, FAINT, GREEN, PURPLE, Panel, Picture, Scale, Sheet, VERMILION,
};
use super::words;
use crate::loadtest::Workload;
use plotters::backend::DrawingBackend;
use plotters::coord::ranged1d::Ranged;
use plotters::series::LineSeries;
use plotters::style::Color;
use serde::Serialize;
use std::time::Duration;
use toystore::client::measurements::Kind;
use toystore::error::Result;

const CLIENTS: usize = 5;

/// One kind of request, at one purchase probability, with or without the cache.
#[derive(Debug, Serialize)]
struct Point {
    probability: f64,
    cache: &'static str,
    kind: &'static str,
    #[serde(skip)]
    measured: Measured,
}

/// The difference between experiments 2 and 3.
struct Variant {
    id: &'static str,
    title: &'static str,
    name: &'static str,
    delay: Duration,
    each: Duration,
}

/// Makes experiment 2.
pub fn run(lab: &Lab) -> Result<Chapter> {
    let each = Duration::from_millis(lab.pick(1_000, 250));
    let title = "Latency against purchase probability, cache on and off";
    let delay = Duration::ZERO;
    run_variant(lab, &Variant { id: "probability", title, name: "2-probability", delay, each })
}

/// Makes the first half of experiment 3: the same with a slow database.
pub fn run_delayed(lab: &Lab, delay: Duration) -> Result<Chapter> {
    let each = Duration::from_millis(lab.pick(3_000, 800));
    let title = "The same with a slow database";
    run_variant(lab, &Variant { id: "delay", title, name: "3-delay", delay, each })
}

fn run_variant(lab: &Lab, variant: &Variant) -> Result<Chapter> {
    let probabilities: &[f64] = lab.pick(&[0.0, 0.2, 0.4, 0.6, 0.8, 1.0], &[0.0, 0.4, 1.0]);
    let delay = variant.delay;
    // Both stores are open at the same time and are measured in turns, so that a disturbance of the machine
    // affects both.
    let stores = [
        ("on", lab.open(|config| config.catalog.delay = delay)?),
        (
            "off",
            lab.open(|config| {
                config.catalog.delay = delay;
                config.frontend.cache_capacity = 0;
            })?,
        ),
    ];
    let cases: Vec<_> = probabilities.iter().flat_map(|p| [(*p, 0), (*p, 1)]).collect();
    let title = format!("{} {}", &variant.name[..1], variant.title);
    let points = lab.rounds(&title, &cases, |(probability, store)| {
        lab.measure(&stores[store].1, Workload::Mixed { probability }, CLIENTS, variant.each)
    })?;
    let point = |((probability, store), kind, measured): ((f64, usize), Kind, Measured)| Point {
        probability,
        cache: stores[store].0,
        kind: name(kind),
        measured,
    };
    let points: Vec<_> = points.into_iter().map(point).collect();
    let database = match delay.as_millis() {
        0 => String::new(),
        ms => format!(
            " Every request takes {ms} ms longer at the catalog, to simulate a slow database."
        ),
    };
    Ok(Chapter {
        id: variant.id,
        title: variant.title,
        setup: format!(
            "{CLIENTS} clients query ten toys at random, and then buy the same toy with a probability from 0 \
             to 1. One store has a cache for seven toys, the other has no cache.{database} The benefit is by how \
             much the cache reduces the mean latency. {}",
            lab.pace(variant.each)
        ),
        findings: findings(&points),
        surprises: errors(&points),
        figures: vec![figure(&points, variant)?],
        table: table(&points),
    })
}

fn series<'a>(
    points: &'a [Point],
    cache: &'static str,
    kind: &'static str,
) -> impl Iterator<Item = &'a Point> {
    points.iter().filter(move |point| point.cache == cache && point.kind == kind)
}

/// The purchase probabilities, and by how many percent the cache reduces the mean.
fn benefits(points: &[Point], kind: &'static str) -> Vec<(f64, f64)> {
    let pairs = series(points, "on", kind).zip(series(points, "off", kind));
    pairs
        .map(|(on, off)| {
            (on.probability, -words::percent(off.measured.mean_us, on.measured.mean_us))
        })
        .collect()
}

fn findings(points: &[Point]) -> Vec<String> {
    let mut findings = Vec::new();
    let queries = benefits(points, "query");
    let pairs: Vec<_> = series(points, "on", "query").zip(series(points, "off", "query")).collect();
    let in_words = |(on, off): &(&Point, &Point)| {
        format!(
            "at p = {} a query takes {} with the cache and {} without, {}",
            on.probability,
            words::time(on.measured.mean_us),
            words::time(off.measured.mean_us),
            saved(-words::percent(off.measured.mean_us, on.measured.mean_us))
        )
    };
    if let (Some(first), Some(last)) = (pairs.first(), pairs.last()) {
        let sentence = format!("{}; {}.", in_words(first), in_words(last));
        findings.push(words::capital(&sentence));
        findings.push(trend(&queries));
    }
    let purchases = benefits(points, "buy");
    if let Some(mean) = mean(&purchases) {
        let verdict = match mean {
            10.0.. => "so less work at the catalog helps them too",
            -10.0.. => "as expected: no purchase uses the cache",
            _ => "which is the cost of the invalidations",
        };
        findings.push(format!("Purchases: {} on average, {verdict}.", saved(mean)));
    }
    findings
}

fn saved(benefit: f64) -> String {
    match benefit {
        1.0.. => format!("{benefit:.0} % less"),
        -1.0.. => "the same".to_owned(),
        _ => format!("{:.0} % more", -benefit),
    }
}

fn mean(benefits: &[(f64, f64)]) -> Option<f64> {
    let count = u32::try_from(benefits.len()).ok().filter(|count| *count > 0)?;
    Some(benefits.iter().map(|(_, benefit)| benefit).sum::<f64>() / f64::from(count))
}

/// How the benefit changes with the purchase probability.
fn trend(benefits: &[(f64, f64)]) -> String {
    let (Some(first), Some(last)) = (benefits.first(), benefits.last()) else {
        return String::new();
    };
    let best = benefits.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(*first);
    if last.1 < first.1 - 5.0 {
        format!(
            "With more purchases the benefit falls from {:.0} % to {:.0} %: each purchase drops the \
             bought toy from the cache, and the next query for it goes to the catalog.",
            first.1, last.1
        )
    } else {
        format!(
            "Unexpectedly, purchases do not reduce the benefit: it is {:.0} % at p = {} and \
             at most {:.0} %, at p = {}.",
            last.1, last.0, best.1, best.0
        )
    }
}

fn errors(points: &[Point]) -> Vec<String> {
    let complaint = |Point { probability, cache, kind, measured }: &Point| {
        measured.complaint(&format!("p = {probability}, cache {cache}, {kind}"))
    };
    points.iter().filter_map(complaint).collect()
}

/// A panel for each kind of request, and one for the benefit of the cache.
struct CacheOnAndOff<'a> {
    title: &'static str,
    points: &'a [Point],
}

impl Drawing for CacheOnAndOff<'_> {
    fn heading(&self) -> (&str, u32) {
        (self.title, 1_200)
    }

    fn draw<DB: DrawingBackend>(&self, sheet: &Sheet<DB>) -> Drawn<DB> {
        let cells = sheet.split_evenly((1, 3));
        self.draw_latencies(&cells[0], "Queries", "query")?;
        self.draw_latencies(&cells[1], "Purchases", "buy")?;
        self.draw_benefits(&cells[2])
    }
}

impl CacheOnAndOff<'_> {
    fn chances(&self) -> Scale {
        let chances = self.points.iter().map(|point| point.probability);
        Scale::marked(chances, Spacing::Differences)
    }

    fn draw_latencies<DB: DrawingBackend>(
        &self,
        cell: &Sheet<DB>,
        title: &str,
        kind: &'static str,
    ) -> Drawn<DB> {
        let latencies = self.points.iter().flat_map(|p| [p.measured.mean_us, p.measured.p99_us]);
        let frame = Frame { title, x: "purchase probability", y: "latency", right: 230 };
        let mut panel = Panel::new(cell, frame, self.chances(), Scale::log(latencies, micros))?;
        let mut labels = Vec::new();
        for (cache, label, ink) in [("off", "cache off", VERMILION), ("on", "cache on", BLUE)] {
            let series: Vec<_> = series(self.points, cache, kind)
                .map(|point| point.measured.mean_spread(point.probability))
                .collect();
            panel.spread(&series, ink)?;
            labels.extend(series.last().map(|last| (last.middle, ink, label)));
        }
        panel.name(&labels)
    }

    fn draw_benefits<DB: DrawingBackend>(&self, cell: &Sheet<DB>) -> Drawn<DB> {
        let kinds = [("query", GREEN, -0.06), ("buy", PURPLE, 0.01)];
        let all = kinds.map(|(kind, ink, aside)| (ink, aside, benefits(self.points, kind)));
        let values = || all.iter().flat_map(|(_, _, benefits)| benefits.iter().map(|(_, b)| *b));
        let (low, high) = (values().fold(-10.0, f64::min), values().fold(50.0, f64::max));
        let y = Scale::linear(low * 1.1, (high * 1.1).min(112.0), plain);
        let (x, unit) = ("purchase probability", "benefit of the cache, %");
        let frame = Frame { title: "Benefit", x, y: unit, right: 60 };
        let chances = self.chances();
        let x_range = chances.range();
        let mut panel = Panel::new(cell, frame, chances, y)?;
        let zero = [(x_range.start, 0.0), (x_range.end, 0.0)];
        panel.chart.draw_series(LineSeries::new(zero, FAINT.stroke_width(3)))?;
        for (ink, aside, benefits) in &all {
            for (probability, benefit) in benefits {
                let left = probability + aside;
                panel.rectangle([(left, 0.0), (left + 0.05, *benefit)], ink.mix(0.85))?;
            }
        }
        panel.key(&[("queries", GREEN), ("purchases", PURPLE)])
    }
}

fn figure(points: &[Point], variant: &Variant) -> Result<Figure> {
    Ok(Figure {
        name: variant.name,
        title: format!("{}, by purchase probability", variant.title),
        caption:
            "Lines: means. Bands: up to the 99th percentile. Bars: by how much the cache reduces \
                  the mean."
                .into(),
        picture: Picture::of(&CacheOnAndOff { title: variant.title, points })?,
        csv: csv(points.iter().map(|point| (point, point.measured)))?,
    })
}

fn table(points: &[Point]) -> Table {
    let row = |p: &Point| ([p.probability.to_string(), p.cache.into(), p.kind.into()], p.measured);
    Measured::table(["p", "cache", "kind"], points.iter().map(row))
}
