//! Measures the whole store, real processes on this machine: `make bench ARGS="--bench store"`, or one
//! part of it with `make bench ARGS="--bench store -- buy"`. Parts: fair, idle, buy, tls, failover, open.

#[path = "../../tests/support/mod.rs"]
mod support;
mod measure;

use hdrhistogram::Histogram;
use measure::load::{PATIENCE, buy_one, buys};
use measure::{ROUNDS, Spread, float, micros, status, wanted};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::{Cluster, Id, signal};
use toystore::client::measurements::Kind;
use toystore::http::Client;

const REQUEST: &[u8] = b"GET /products/Tux HTTP/1.1\r\nHost: toystore\r\n\r\n";
const ENDLESS_STOCK: [&str; 3] =
    ["--catalog-restock=all", "--catalog-restock-every-ms=100", "--catalog-restock-to=1000000"];

fn main() {
    let Some(wanted) = wanted() else { return };
    let parts: [(&str, fn()); 6] = [
        ("fair", fair),
        ("idle", idle),
        ("buy", buy),
        ("tls", tls),
        ("failover", failover),
        ("open", open),
    ];
    for (name, part) in parts {
        if wanted.is_empty() || wanted.iter().any(|want| want == name) {
            println!("\n== {name}");
            part();
        }
    }
}

/// Many keep-alive clients on ten threads: nobody starves.
fn fair() {
    const CLIENTS: usize = 200;
    const REQUESTS: usize = 200;
    let store = Cluster::open(&[]);
    let waits = Mutex::new(Histogram::<u64>::new(3).expect("valid"));
    let worst = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut connection = connect(store.address(Id::Frontend));
                let mut own = Histogram::<u64>::new(3).expect("valid");
                for _ in 0..REQUESTS {
                    let begun = Instant::now();
                    exchange(&mut connection);
                    own.record(micros(begun)).expect("it grows");
                }
                worst.lock().expect("no panic").push(own.value_at_quantile(0.5));
                waits.lock().expect("no panic").add(own).expect("same bounds");
            });
        }
    });
    let waits = waits.into_inner().expect("no panic");
    let (median, max) = (waits.value_at_quantile(0.5), waits.max());
    let mut medians = worst.into_inner().expect("no panic");
    medians.sort_unstable();
    println!("{CLIENTS} clients, {REQUESTS} cached queries each, on 10 threads");
    println!("wait: median {median} µs, p99 {} µs, max {max} µs", waits.value_at_quantile(0.99));
    println!("longest wait of all: {:.1} times the median", float(max) / float(median));
    println!("medians of the clients: from {} to {} µs", medians[0], medians[CLIENTS - 1]);
}

/// Ten thousand silent connections.
fn idle() {
    const SILENT: usize = 10_000;
    let allowed = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit { current: allowed, maximum: allowed };
    setrlimit(Resource::Nofile, raised).expect("up to the hard limit is always allowed");
    let store = Cluster::open(&[]);
    let pid = store.pid(Id::Frontend);
    let before = status(pid);
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        let mut connection = connect(store.address(Id::Frontend));
        exchange(&mut connection);
        silent.push(connection);
    }
    let after = status(pid);
    println!("front-end without connections: {} kB resident, {} threads", before.0, before.1);
    println!("with {SILENT} silent ones: {} kB resident, {} threads", after.0, after.1);
    let begun = Instant::now();
    exchange(&mut connect(store.address(Id::Frontend)));
    println!("a new client is answered in {} µs", micros(begun));
}

/// Purchases: synced by the catalog and by all three replicas.
fn buy() {
    let store = Cluster::open(&ENDLESS_STOCK);
    let mut single = None;
    for clients in [1, 10, 64] {
        let summary = buys(store.address(Id::Frontend), clients, Duration::from_secs(4));
        let (rate, waits) = (summary.rate(), summary.of(Kind::Buy));
        println!(
            "{clients:>3} clients: {rate:>6.0} buys/s, {:.1} times the rate of one; p50 {} µs, p99 {} µs",
            rate / *single.get_or_insert(rate),
            waits.quantile(0.5).as_micros(),
            waits.quantile(0.99).as_micros(),
        );
    }
}

/// The same purchases in turns, at a store whose services speak plainly and at one whose services speak
/// mutual TLS. Many short rounds, because a disk changes its mind.
fn tls() {
    const TURNS: usize = 21;
    let plain = Cluster::open(&ENDLESS_STOCK);
    let mut secured = Cluster::secured(&ENDLESS_STOCK);
    secured.start_all();
    for clients in [1, 10] {
        let (mut rates, mut waits) = ([vec![], vec![]], [vec![], vec![]]);
        for round in 0..TURNS {
            for turn in 0..2 {
                let which = (round + turn) % 2;
                let store = [&plain, &secured][which];
                let summary =
                    buys(store.address(Id::Frontend), clients, Duration::from_millis(700));
                rates[which].push(summary.rate());
                waits[which].push(summary.of(Kind::Buy).quantile(0.5).as_secs_f64() * 1e6);
            }
        }
        let [plain, secured] = &waits;
        let slower = Spread::of_ratios(secured, plain);
        let medians = [plain, secured].map(|waits| Spread::of(waits.iter().copied()).median);
        println!(
            "{clients:>3} clients: p50 {:.0} µs plain, {:.0} µs by TLS: {:+.1} % ({:+.1} to {:+.1}); rate {:+.1} %",
            medians[0],
            medians[1],
            (slower.median - 1.0) * 100.0,
            (slower.min - 1.0) * 100.0,
            (slower.max - 1.0) * 100.0,
            (Spread::of_ratios(&rates[1], &rates[0]).median - 1.0) * 100.0,
        );
    }
}

/// `kill -9` of the leader under load: the time to the next successful purchase, and what the
/// clients notice.
fn failover() {
    for round in 1..=ROUNDS {
        let mut store = Cluster::open(&ENDLESS_STOCK);
        let over = AtomicBool::new(false);
        let successes = Mutex::new(Vec::new());
        let failures = Mutex::new(Vec::new());
        let address = store.address(Id::Frontend).to_owned();
        let killed = thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    let mut client = Client::new(&address, PATIENCE);
                    while !over.load(Ordering::Relaxed) {
                        let begun = Instant::now();
                        match buy_one(&mut client) {
                            200 => {
                                let purchase = (begun, Instant::now());
                                successes.lock().expect("no panic").push(purchase);
                            }
                            other => failures.lock().expect("no panic").push(other),
                        }
                    }
                });
            }
            thread::sleep(Duration::from_millis(700));
            let leader = store.leader();
            store.kill(Id::Order(leader));
            let killed = Instant::now();
            thread::sleep(Duration::from_millis(1_500));
            over.store(true, Ordering::Relaxed);
            killed
        });
        let successes = successes.into_inner().expect("no panic");
        let next = successes.iter().filter(|(begun, _)| *begun > killed).map(|(_, ended)| *ended);
        let any = successes.iter().map(|(_, ended)| *ended).filter(|ended| *ended > killed);
        let (first, fresh) = (any.min().expect("some"), next.min().expect("some"));
        println!(
            "round {round}: next success {} ms after the kill (one begun after it: {} ms), {} purchases, {} errors",
            (first - killed).as_millis(),
            (fresh - killed).as_millis(),
            successes.len(),
            failures.into_inner().expect("no panic").len(),
        );
    }
}

/// From the start of `run-all` to "the store is open".
fn open() {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let store = Cluster::closed(&[]);
        let begun = Instant::now();
        let mut child =
            store.program("run-all").stdout(Stdio::piped()).spawn().expect("it is built");
        let mut output = child.stdout.take().expect("piped");
        let (mut said, mut bytes) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&said).contains("the store is open") {
            let count = output.read(&mut bytes).expect("it runs");
            assert!(count > 0, "run-all ended: {}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&bytes[..count]);
        }
        times.push(float(micros(begun)) / 1_000.0);
        signal(&child, rustix::process::Signal::INT);
        drop(output);
        child.wait().expect("it is our child");
    }
    let times = Spread::of(times);
    println!("run-all, built, to open: median {:.0} ms, longest {:.0} ms", times.median, times.max);
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// One cached query; returns the answer, which comes in one piece.
fn exchange(connection: &mut TcpStream) -> Vec<u8> {
    connection.write_all(REQUEST).expect("open");
    let mut answer = [0; 1024];
    let bytes = connection.read(&mut answer).expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    answer[..bytes].to_vec()
}
