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
use std::path::Path;
use support::{Cluster, Id};
use toystore::client::measurements::Kind;

fn main() {
    let Some(words) = wanted() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    let is_wanted = |name| words.iter().any(|word| word == name);
    if is_wanted("etcd") {
        match Etcd::start(directory) {
            Ok(etcd) => compare("etcd", etcd_target, |n| etcd.put(n), &words, directory),
            Err(error) => println!("etcd is not measured: {error}"),
        }
    }
    if is_wanted("postgres") {
        match Postgres::start(directory) {
            Ok(server) => {
                compare("postgres", postgres_target, |n| server.sell(n), &words, directory);
            }
            Err(error) => println!("postgres is not measured: {error}"),
        }
    }
}

/// The wanted ratio at so many clients.
fn etcd_target(_: usize) -> f64 {
    2.0
}

fn postgres_target(clients: usize) -> f64 {
    match clients {
        1 => 1.0,
        2..64 => 1.2,
        _ => 3.0,
    }
}

/// Purchases and a peer's writes in turns. `load` is one round of writes by so many clients.
fn compare(
    name: &str,
    target: fn(usize) -> f64,
    load: impl Fn(usize) -> Writes,
    words: &[String],
    directory: &Path,
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
