//! Measures the whole store, real processes on this machine: `make bench ARGS="--bench store"`, or one
//! part of it with `make bench ARGS="--bench store -- buy"`. Parts: fair, idle, buy, tls, mixed,
//! failover, open.

#[path = "../../tests/support/mod.rs"]
mod support;
mod measure;

use hdrhistogram::Histogram;
use measure::load::{PATIENCE, buy_one, buys};
use measure::{
    ROUND, ROUNDS, Spread, Wanted, float, judge, micros, processor_seconds, status, wanted,
};
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
    let parts: [(&str, fn()); 7] = [
        ("fair", fair),
        ("idle", idle),
        ("buy", buy),
        ("tls", tls),
        ("mixed", mixed),
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

/// Many keep-alive clients on ten threads: all are served alike.
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
    store.await_in_sync();
    let services = [Id::Catalog, Id::Order(1), Id::Order(2), Id::Order(3), Id::Frontend];
    let busy = || services.map(|id| processor_seconds(store.pid(id))).iter().sum::<f64>();
    let (busy_before, span) = (busy(), Duration::from_secs(15));
    thread::sleep(span);
    let share = (busy() - busy_before) / span.as_secs_f64() * 100.0;
    println!("the five services without clients: {share:.2} % of a core");
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

/// The same purchases in turns, at a store with plain TCP between its services and at one with
/// mutual TLS. Many short rounds, because the speed of a disk changes.
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

/// Cached queries while many clients buy: purchases that wait hold up no query.
fn mixed() {
    const CLIENTS: usize = 256;
    let store = Cluster::open(&ENDLESS_STOCK);
    let address = store.address(Id::Frontend);
    let (mut p99s, over) = (Vec::new(), AtomicBool::new(false));
    for _ in 0..ROUNDS {
        over.store(false, Ordering::Relaxed);
        thread::scope(|scope| {
            scope.spawn(|| {
                buys(address, CLIENTS, ROUND);
                over.store(true, Ordering::Relaxed);
            });
            let mut connection = connect(address);
            let mut waits = Histogram::<u64>::new(3).expect("valid");
            while !over.load(Ordering::Relaxed) {
                let begun = Instant::now();
                exchange(&mut connection);
                waits.record(micros(begun)).expect("it grows");
            }
            p99s.push(float(waits.value_at_quantile(0.99)) / 1_000.0);
        });
    }
    println!("a cached query while {CLIENTS} clients buy, {ROUNDS} rounds of {ROUND:?}");
    judge("p99, ms", &Spread::of(p99s), Wanted::AtMost(2.0));
}

/// What a fault costs ten clients that buy: the time to the next purchase that succeeds.
fn failover() {
    const TIMES: usize = 20;
    let faults: [(&str, Fault, f64); 3] = [
        ("leader killed", |store| store.kill(Id::Order(store.leader())), 20.0),
        ("leader paused", |store| store.pause(Id::Order(store.leader())), 500.0),
        ("catalog killed, after its restart", restart_catalog, 100.0),
    ];
    for (name, fault, target) in faults {
        let gaps = Spread::of((0..TIMES).map(|_| gap_after(fault)));
        judge(&format!("{name}, ms"), &gaps, Wanted::AtMost(target));
    }
}

/// Does it to the store.
type Fault = fn(&mut Cluster);

fn restart_catalog(store: &mut Cluster) {
    store.kill(Id::Catalog);
    store.start(Id::Catalog);
}

/// The milliseconds from a fault under load to the end of the first purchase that begins after it. A restart is part
/// of the fault.
fn gap_after(fault: Fault) -> f64 {
    let mut store = Cluster::open(&ENDLESS_STOCK);
    store.await_in_sync();
    let over = AtomicBool::new(false);
    let successes = Mutex::new(Vec::new());
    let address = store.address(Id::Frontend).to_owned();
    let done = thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                let mut client = Client::new(&address, PATIENCE);
                while !over.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    assert_eq!(buy_one(&mut client), 200, "no fault of one service is an error");
                    successes.lock().expect("no panic").push((begun, Instant::now()));
                }
            });
        }
        thread::sleep(Duration::from_millis(700));
        fault(&mut store);
        let done = Instant::now();
        thread::sleep(Duration::from_millis(1_500));
        over.store(true, Ordering::Relaxed);
        done
    });
    let successes = successes.into_inner().expect("no panic").into_iter();
    let after = successes.filter(|(begun, _)| *begun > done).map(|(_, ended)| ended);
    let next = after.min().expect("purchases go on");
    (next - done).as_secs_f64() * 1_000.0
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

/// One cached query; returns the answer, which arrives in one read.
fn exchange(connection: &mut TcpStream) -> Vec<u8> {
    connection.write_all(REQUEST).expect("open");
    let mut answer = [0; 1024];
    let bytes = connection.read(&mut answer).expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    answer[..bytes].to_vec()
}
