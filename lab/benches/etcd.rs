//! Purchases beside puts to etcd: `make bench-etcd`, which builds the client first, or
//! `make bench-etcd ARGS="10"` for this number of clients only.
//!
//! A purchase is durable on the catalog and three replicas, and a put on the majority of three members of
//! about the same size. Both run on this machine with their files in the same file system, both are spoken
//! to at the leader (the store through its front-end), over a connection per client. The client of etcd is
//! `benches/peers/src/bin/etcd-load.rs`: gRPC on a runtime of as many threads as there are cores.

#[path = "../../tests/support/mod.rs"]
mod support;
mod measure;

use measure::other::{Running, free_address, peer};
use measure::{ROUNDS, Spread, Wanted, judge, load, numbers, wanted};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::{Cluster, Id, wait_for};
use toystore::client::measurements::Kind;
use toystore::http::Client;

const ROUND: Duration = Duration::from_secs(2);

/// A second, and µs.
struct Measured {
    per_second: f64,
    p50: u64,
    p99: u64,
}

fn main() {
    let Some(words) = wanted() else { return };
    let Some(puts) = peer("etcd-load") else {
        println!("without etcd: `make bench-etcd` builds its client");
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let members = match start_members(directory.path()) {
        Ok(members) => members,
        Err(error) => return println!("without etcd: etcd (Debian's etcd-server): {error}"),
    };
    let leader = leader(&members);
    let store = Cluster::open(&[&load::endless_stock(directory.path(), 10)]);
    store.await_in_sync();
    println!("buys, on the catalog and three replicas, and puts, on three members of etcd");
    for clients in numbers(&words, [1, 10, 64]) {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            for turn in 0..2 {
                if (round + turn) % 2 == 0 {
                    ours.push(buys(&store, clients));
                } else {
                    theirs.push(put(&puts, &leader, clients));
                }
            }
        }
        println!("\n{clients} clients, {ROUNDS} rounds of {ROUND:?} in turns");
        show("store, buys", &ours);
        show("etcd, puts", &theirs);
        let ratio = Spread::of_ratios(&rates(&ours), &rates(&theirs));
        judge("buys / puts", &ratio, Wanted::AtLeast(2.0));
    }
}

fn show(name: &str, rounds: &[Measured]) {
    let [p50, p99] = [|round: &Measured| round.p50, |round: &Measured| round.p99]
        .map(|field| Spread::of(rounds.iter().map(|round| measure::float(field(round)))).median);
    let rate = Spread::of(rates(rounds)).median;
    println!("  {name:<34} {rate:>7.0}/s, p50 {p50:.0} µs, p99 {p99:.0} µs");
}

fn rates(rounds: &[Measured]) -> Vec<f64> {
    rounds.iter().map(|round| round.per_second).collect()
}

fn buys(store: &Cluster, clients: usize) -> Measured {
    let summary = load::buys(store.address(Id::Frontend), clients, ROUND);
    let waits = summary.of(Kind::Buy);
    let micros = |quantile| u64::try_from(waits.quantile(quantile).as_micros()).expect("short");
    Measured { per_second: summary.rate(), p50: micros(0.5), p99: micros(0.99) }
}

fn put(program: &Path, leader: &str, clients: usize) -> Measured {
    let seconds = ROUND.as_secs_f64();
    let arguments = [leader, &clients.to_string(), &seconds.to_string()];
    let output = Command::new(program).args(arguments).output().expect("it is built");
    let said = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [puts, seconds, p50, p99] = numbers[..] else {
        panic!("{said}{}", String::from_utf8_lossy(&output.stderr));
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they were whole")]
    let [p50, p99] = [p50, p99].map(|micros| micros as u64);
    Measured { per_second: puts / seconds, p50, p99 }
}

/// A member of etcd.
struct Member {
    /// Where it takes puts.
    address: String,
    /// Runs as long as it is here.
    _process: Running,
}

/// Three members with Debian's defaults, and files beside those of the store.
fn start_members(directory: &Path) -> std::io::Result<Vec<Member>> {
    let peers = [(); 3].map(|()| format!("http://{}", free_address()));
    let named = |(id, peer): (usize, &String)| format!("member-{id}={peer}");
    let cluster = peers.iter().enumerate().map(named).collect::<Vec<_>>().join(",");
    let start = |(id, peer): (usize, &String)| {
        let address = free_address();
        let clients = format!("http://{address}");
        let data = directory.join(format!("member-{id}"));
        let arguments = [
            "--name",
            &format!("member-{id}"),
            "--data-dir",
            &data.display().to_string(),
            "--listen-peer-urls",
            peer,
            "--initial-advertise-peer-urls",
            peer,
            "--listen-client-urls",
            &clients,
            "--advertise-client-urls",
            &clients,
            "--initial-cluster",
            &cluster,
        ];
        let log = directory.join(format!("member-{id}.log"));
        // It listens before the others are there, and says who leads when they are.
        let process = Running::start("etcd", &arguments, peer.trim_start_matches("http://"), &log)?;
        Ok(Member { address, _process: process })
    };
    peers.iter().enumerate().map(start).collect()
}

/// The member that leads, once one does.
fn leader(members: &[Member]) -> String {
    wait_for("a leader of etcd", || {
        members.iter().find_map(|member| {
            let mut client = Client::new(&member.address, Duration::from_secs(1));
            let answer = client.send("POST", "/v3/maintenance/status", &[], b"{}").ok()?;
            let status: Value = serde_json::from_slice(&answer.body).ok()?;
            (status["leader"].is_string() && status["leader"] == status["header"]["member_id"])
                .then(|| member.address.clone())
        })
    })
}
