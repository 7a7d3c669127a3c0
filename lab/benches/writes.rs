//! Purchases beside what others make durable: `make bench-etcd` and `make bench-postgres`, which build what
//! they need first, or `make bench-etcd ARGS="10 64"` for these numbers of clients only.
//!
//! A purchase is on disk at the catalog and at three replicas before it is answered; a put is on disk at a
//! majority of three members of etcd; a transaction is on disk at one PostgreSQL. All run on this machine,
//! with their files in one file system and over a connection for each client.

#[path = "../../tests/support/mod.rs"]
mod support;
mod measure;

use measure::etcd::Etcd;
use measure::load::{buys, endless_stock};
use measure::postgres::Postgres;
use measure::{ROUND, ROUNDS, Spread, Wanted, Writes, judge, numbers, wanted};
use std::io;
use support::{Cluster, Id};
use toystore::client::measurements::Kind;

/// A peer's writes by so many clients for one round.
type Load = Box<dyn Fn(usize) -> Writes>;

fn main() {
    let Some(words) = wanted() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    for (name, target, start) in [
        ("etcd", etcd_target as fn(usize) -> f64, start_etcd as fn(&_) -> io::Result<Load>),
        ("postgres", postgres_target, start_postgres),
    ] {
        if words.iter().any(|word| word == name) {
            match start(directory.path()) {
                Ok(load) => compare(name, target, &load, &words, directory.path()),
                Err(error) => println!("{name} is not measured: {error}"),
            }
        }
    }
}

fn start_etcd(directory: &std::path::Path) -> io::Result<Load> {
    let etcd = Etcd::start(directory)?;
    Ok(Box::new(move |clients| etcd.put(clients)))
}

fn start_postgres(directory: &std::path::Path) -> io::Result<Load> {
    let postgres = Postgres::start(directory)?;
    Ok(Box::new(move |clients| postgres.sell(clients)))
}

/// The wanted ratio at so many clients.
fn etcd_target(clients: usize) -> f64 {
    if clients == 1 { 1.25 } else { 2.0 }
}

fn postgres_target(clients: usize) -> f64 {
    match clients {
        1 => 0.6,
        2..64 => 1.2,
        _ => 3.0,
    }
}

fn compare(
    name: &str,
    target: fn(usize) -> f64,
    load: &Load,
    words: &[String],
    directory: &std::path::Path,
) {
    let store = Cluster::open(&[&endless_stock(directory, 10)]);
    store.await_in_sync();
    for clients in numbers(words, [1, 10, 64, 256]) {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            for turn in 0..2 {
                if (round + turn) % 2 == 0 {
                    ours.push(purchases(&store, clients));
                } else {
                    theirs.push(load(clients));
                }
            }
        }
        println!("\n{clients} clients, {ROUNDS} rounds of {ROUND:?} in turns");
        show("store", &ours);
        show(name, &theirs);
        let ratio = Spread::of_ratios(&rates(&ours), &rates(&theirs));
        judge(&format!("store / {name}"), &ratio, Wanted::AtLeast(target(clients)));
    }
}

fn purchases(store: &Cluster, clients: usize) -> Writes {
    let summary = buys(store.address(Id::Frontend), clients, ROUND);
    let waits = summary.of(Kind::Buy);
    let [p50, p99] = [0.5, 0.99].map(|quantile| waits.quantile(quantile));
    Writes { per_second: summary.rate(), p50, p99 }
}

fn show(name: &str, rounds: &[Writes]) {
    let rate = Spread::of(rates(rounds));
    let [p50, p99] = [|round: &Writes| round.p50, |round: &Writes| round.p99]
        .map(|field| Spread::of(rounds.iter().map(|round| field(round).as_secs_f64() * 1e3)));
    println!(
        "  {name:<10} {:>7.0}/s ({:.0} to {:.0}), p50 {:.2} ms, p99 {:.2} ms (up to {:.2})",
        rate.median, rate.min, rate.max, p50.median, p99.median, p99.max
    );
}

fn rates(rounds: &[Writes]) -> Vec<f64> {
    rounds.iter().map(|round| round.per_second).collect()
}
