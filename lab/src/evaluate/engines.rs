//! Experiment 7: a store with files of its own beside one on a database, and both beside a client that makes one transaction
//! for each purchase; then the longest time without an answered purchase when a process is killed.

use super::chapter::{Chapter, Figure, csv};
use super::galera::Galera;
use super::lab::{Lab, OpenStore, free_addresses};
use super::measured::{Measured, number};
use super::plot::panel::Frame;
use super::plot::scale::{Spacing, micros, thousands};
use super::plot::{BLUE, Drawing, Drawn, GREEN, Panel, Picture, Scale, Sheet, VERMILION};
use super::words;
use crate::loadtest::{self, Workload};
use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;
use serde::Serialize;
use std::mem;
use std::thread;
use std::time::{Duration, Instant};
use toystore::client::measurements::Kind;
use toystore::config::{Engine, Instance};
use toystore::error::{Error, Result};
use toystore::model::FrontendId;
use toystore::supervisor::ServiceId;

/// What sells.
const SELLERS: [(&str, RGBColor); 3] =
    [("files", BLUE), ("database", VERMILION), ("a transaction each", GREEN)];

/// The front-end that is killed; the other one makes the views.
const SECOND: FrontendId = FrontendId(2);

/// The customers that buy while processes are killed.
const CUSTOMERS: usize = 10;

/// What is killed, in this order.
const VICTIMS: [&str; 4] = ["leader", "one front-end of two", "catalog", "database node"];

/// Purchases of some clients at one seller.
#[derive(Debug, Serialize)]
struct Point {
    seller: &'static str,
    clients: usize,
    #[serde(skip)]
    measured: Measured,
}

/// The longest time without an answered purchase after a process was killed.
struct Gap {
    seller: &'static str,
    victim: &'static str,
    length: Duration,
}

/// Makes the experiment, if MariaDB is installed.
pub fn run(lab: &Lab) -> Result<Chapter> {
    if !Galera::is_installed() {
        lab.begin("7 Engines: left out, MariaDB with Galera is not installed", 0);
        return Ok(chapter("", &[], vec![]));
    }
    let each = Duration::from_millis(lab.pick(3_000, 300));
    let galera = Galera::start(lab.directory())?;
    let mut stores = [open(lab, None)?, open(lab, Some(&galera))?];
    let cases: Vec<_> = [1, 10, 64].into_iter().flat_map(|n| [(n, 0), (n, 1), (n, 2)]).collect();
    let points = lab.rounds("7 Engines", &cases, |(clients, seller)| match stores.get(seller) {
        Some(store) => lab.measure(store, Workload::Buy, clients, each),
        None => Ok(vec![(Kind::Buy, galera.sell(clients, each)?)]),
    })?;
    let point = |((clients, seller), _, measured): ((usize, usize), Kind, Measured)| Point {
        seller: SELLERS[seller].0,
        clients,
        measured,
    };
    let points: Vec<Point> = points.into_iter().map(point).collect();
    lab.begin("7 Engines: processes are killed", stores.len());
    let mut gaps = Vec::new();
    for (store, (seller, _)) in stores.iter_mut().zip(SELLERS) {
        gaps.extend(kill_each(lab, store, &galera, seller)?);
        lab.step()?;
    }
    let mut chapter = chapter(&lab.pace(each), &points, findings(&points, &gaps));
    chapter.figures.push(figure(&points)?);
    Ok(chapter)
}

fn chapter(pace: &str, points: &[Point], findings: Vec<String>) -> Chapter {
    let setup = if points.is_empty() {
        "Left out: MariaDB with Galera is not installed (.ci/install-database).".to_owned()
    } else {
        format!(
            "Clients only buy: at a store with files of its own, at one on a database of three Galera nodes, and at \
             that database without a store, where each purchase is a transaction at one node. {pace} Then \
             {CUSTOMERS} customers with two front-ends buy while processes are killed (SIGKILL); services are \
             started again at once, the database node is not."
        )
    };
    Chapter {
        id: "engines",
        title: "Engines: files of its own, or a database",
        setup,
        findings,
        surprises: points
            .iter()
            .filter_map(|p| p.measured.complaint(&format!("{}, {} clients", p.seller, p.clients)))
            .collect(),
        figures: vec![],
        table: Measured::table(
            ["seller", "clients"],
            points.iter().map(|p| ([p.seller.into(), p.clients.to_string()], p.measured)),
        ),
    }
}

/// A store with two front-ends, on the database if there is one.
fn open(lab: &Lab, galera: Option<&Galera>) -> Result<OpenStore> {
    let mut addresses = free_addresses(2)?.into_iter();
    let mut address = || addresses.next().expect("there are two");
    let (listen, peer) = (address(), address());
    let database = galera.map(Galera::settings).transpose()?;
    lab.open(|config| {
        let data = config.frontend.first.data.with_file_name("frontend-2");
        config.frontend.others.insert(SECOND, Instance { listen, peer, data });
        if let Some(database) = database {
            config.storage.engine = Engine::Database;
            config.database = database;
        }
    })
}

/// Kills one process after the other while customers buy.
fn kill_each(
    lab: &Lab,
    store: &mut OpenStore,
    galera: &Galera,
    seller: &'static str,
) -> Result<Vec<Gap>> {
    let pause = Duration::from_millis(lab.pick(6_000, 2_000));
    let uses_database = store.config.storage.engine == Engine::Database;
    let victims = &VICTIMS[..VICTIMS.len() - usize::from(!uses_database)];
    // The others need seconds to agree that the database node is gone.
    let duration = victims.iter().map(|_| pause).sum::<Duration>() + pause + Duration::from_secs(6);
    let mut load = lab.load(store, Workload::Buy, CUSTOMERS, duration);
    load.addresses.push(store.config.frontend.others[&SECOND].listen.clone());
    let mut answered = Vec::new();
    let killed = thread::scope(|scope| {
        let deeds = scope.spawn(|| {
            let kill = |victim: &&'static str| {
                thread::sleep(pause);
                let at = Instant::now();
                kill(store, galera, victim).map(|()| (*victim, at))
            };
            victims.iter().map(kill).collect::<Result<Vec<_>>>()
        });
        let summary = loadtest::run(&load, &mut |answer| {
            if !answer.outcome.is_error() {
                answered.push(answer.received);
            }
        });
        let killed = deeds.join().unwrap_or_else(|_| Err(Error::invalid("the script panicked")));
        summary.and(killed)
    })?;
    answered.sort();
    let ends = killed.iter().skip(1).map(|(_, at)| *at).chain(answered.last().copied());
    let gap = |((victim, at), end): (&(&'static str, Instant), Instant)| Gap {
        seller,
        victim,
        length: longest_gap(&answered, *at, end),
    };
    Ok(killed.iter().zip(ends).map(gap).collect())
}

fn kill(store: &mut OpenStore, galera: &Galera, victim: &str) -> Result<()> {
    let id = match victim {
        "leader" => {
            let view = store.status()?.view.ok_or_else(|| Error::unavailable("no leader"))?;
            ServiceId::Order(view.leader)
        }
        "catalog" => ServiceId::FIRST_CATALOG,
        "database node" => {
            galera.kill(1);
            return Ok(());
        }
        _ => ServiceId::Frontend(SECOND),
    };
    store.store.kill(id)?;
    store.store.restart(id)
}

/// The longest time without an answer between these moments.
fn longest_gap(answered: &[Instant], from: Instant, to: Instant) -> Duration {
    let moments = answered.iter().copied().filter(|at| (from..to).contains(at));
    let mut before = from;
    let gap = |at| at - mem::replace(&mut before, at);
    moments.chain([to]).map(gap).max().unwrap_or_default()
}

fn findings(points: &[Point], gaps: &[Gap]) -> Vec<String> {
    let of = |seller: &str, clients: usize| {
        points.iter().find(|p| p.seller == seller && p.clients == clients).map(|p| &p.measured)
    };
    let mut findings: Vec<String> = Vec::new();
    for (seller, _) in SELLERS {
        let (Some(one), Some(many)) = (of(seller, 1), of(seller, 64)) else { continue };
        findings.push(format!(
            "{}: a single client waits {} (median); 64 clients buy {}, with a median of {} and a 99th percentile of {}.",
            words::capital(seller),
            words::time(one.p50_us),
            words::rate(many.rate),
            words::time(many.p50_us),
            words::time(many.p99_us),
        ));
    }
    if let [Some(files), Some(database), Some(each)] = SELLERS.map(|(seller, _)| of(seller, 64)) {
        findings.push(format!(
            "At 64 clients the store on the database sells {:.1} times what a transaction for each purchase does, \
             and {:.0} % of what it sells with files: whoever waits shares one transaction.",
            database.rate / each.rate,
            100.0 * database.rate / files.rate,
        ));
    }
    for (seller, _) in SELLERS {
        let own: Vec<String> = gaps
            .iter()
            .filter(|gap| gap.seller == seller)
            .map(|gap| format!("{} {} ms", gap.victim, gap.length.as_millis()))
            .collect();
        if !own.is_empty() {
            let own = own.join(", ");
            let seller = words::capital(seller);
            findings.push(format!(
                "{seller}: the longest time without an answered purchase, by what was killed: {own}."
            ));
        }
    }
    findings
}

/// Throughput and latency.
struct Engines<'a>(&'a [Point]);

impl Drawing for Engines<'_> {
    fn heading(&self) -> (&str, u32) {
        ("Purchases with files, on a database, and in a transaction each", 1_080)
    }

    fn draw<DB: DrawingBackend>(&self, sheet: &Sheet<DB>) -> Drawn<DB> {
        let cells = sheet.split_evenly((1, 2));
        let rates = self.0.iter().map(|point| point.measured.rate);
        let y = Scale::linear(0.0, rates.fold(1.0, f64::max) * 1.1, thousands);
        let mut panel = self.panel(&cells[0], ("Throughput", "answers/s"), y)?;
        let mut labels = Vec::new();
        for (seller, ink) in SELLERS {
            let series = self.of(seller);
            let rates: Vec<_> =
                series.iter().map(|p| (number(p.clients), p.measured.rate)).collect();
            panel.line(&rates, ink)?;
            panel.dots(&rates, 10, ink)?;
            labels.extend(rates.last().map(|last| (last.1, ink, seller)));
        }
        panel.name(&labels)?;
        let latencies = self.0.iter().flat_map(|p| [p.measured.p50_us, p.measured.p99_us]);
        let y = Scale::log(latencies, micros);
        let names = ("Latency", "latency: median, and up to p99");
        let mut panel = self.panel(&cells[1], names, y)?;
        let mut labels = Vec::new();
        for (seller, ink) in SELLERS {
            let series = self.of(seller);
            let spreads: Vec<_> =
                series.iter().map(|p| p.measured.median_spread(number(p.clients))).collect();
            panel.spread(&spreads, ink)?;
            labels.extend(spreads.last().map(|last| (last.middle, ink, seller)));
        }
        panel.name(&labels)
    }
}

impl<'a> Engines<'a> {
    fn of(&self, seller: &str) -> Vec<&'a Point> {
        self.0.iter().filter(|point| point.seller == seller).collect()
    }

    fn panel<DB: DrawingBackend>(
        &self,
        cell: &Sheet<DB>,
        (title, measure): (&str, &str),
        y: Scale,
    ) -> Drawn<DB, Panel<'static, DB>> {
        let frame = Frame { title, x: "clients", y: measure, right: 420 };
        let clients = self.0.iter().map(|point| number(point.clients));
        Panel::new(cell, frame, Scale::marked(clients, Spacing::Ratios), y)
    }
}

fn figure(points: &[Point]) -> Result<Figure> {
    let drawing = Engines(points);
    Ok(Figure {
        name: "7-engines",
        title: drawing.heading().0.to_owned(),
        caption: "A store with files of its own, a store on a database, and that database without a store.".into(),
        picture: Picture::of(&drawing)?,
        csv: csv(points.iter().map(|point| (point, point.measured)))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_for_what_was_killed_when_it_began() {
        let begin = Instant::now();
        let after = |ms| begin + Duration::from_millis(ms);
        let answered = [0, 10, 50, 60, 98, 400].map(after);
        let longest = |from, to| longest_gap(&answered, after(from), after(to)).as_millis();
        assert_eq!(longest(5, 100), 40, "not the one after 100, of which 2 ms are before it");
        assert_eq!(longest(100, 400), 300);
        assert_eq!(longest(20, 45), 25, "no answer at all");
    }
}
