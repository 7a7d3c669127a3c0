//! Measures the whole store, real processes on this machine: `make bench`, or one part of it with
//! `make bench ARGS="--bench store -- buy"`. Parts: query, fair, idle, buy, failover, open.
//!
//! Absolute numbers are this machine's and this minute's. What compares, such as a cached query and the
//! bare loop, is measured in turns within one run, and reported as the median of the ratios.

#[path = "../tests/support/mod.rs"]
mod support;

use hdrhistogram::Histogram;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::{Cluster, Id, signal};
use toystore::http::Client;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(800);
const REQUEST: &[u8] = b"GET /products/Tux HTTP/1.1\r\nHost: toystore\r\n\r\n";
const ENDLESS_STOCK: [&str; 3] =
    ["--catalog-restock=all", "--catalog-restock-every-ms=100", "--catalog-restock-to=1000000"];

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let parts: [(&str, fn()); 6] = [
        ("query", query),
        ("fair", fair),
        ("idle", idle),
        ("buy", buy),
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

/// A cached query beside a loop that answers the same bytes without looking at the request.
fn query() {
    let store = Cluster::open(&[]);
    let answer = exchange(&mut connect(store.address(Id::Frontend)));
    let floor = bare_loop(answer.clone());
    println!("cached query, access log off; {ROUNDS} rounds in turns of {ROUND:?}");
    for connections in [1, 10, 64, 256] {
        let mut ratios = Vec::new();
        let mut rates = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let bare = rate(&floor, connections, answer.len());
            let ours = rate(store.address(Id::Frontend), connections, answer.len());
            ratios.push(ours / bare);
            rates.0.push(bare);
            rates.1.push(ours);
        }
        println!(
            "{connections:>4} connections: bare loop {:>7.0}/s, store {:>7.0}/s, ratio {:.2} ({:.2} to {:.2})",
            median(&mut rates.0),
            median(&mut rates.1),
            median(&mut ratios),
            ratios[0],
            ratios[ROUNDS - 1],
        );
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
    println!("longest wait of all: {:.1} times the median", ratio(max, median));
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
        let waits = Mutex::new(Histogram::<u64>::new(3).expect("valid"));
        let begun = Instant::now();
        let until = begun + Duration::from_secs(4);
        thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| {
                    let mut own = Histogram::<u64>::new(3).expect("valid");
                    let mut client = Client::new(store.address(Id::Frontend), PATIENCE);
                    while Instant::now() < until {
                        let begun = Instant::now();
                        assert_eq!(buy_one(&mut client), 200);
                        own.record(micros(begun)).expect("it grows");
                    }
                    waits.lock().expect("no panic").add(own).expect("same bounds");
                });
            }
        });
        let waits = waits.into_inner().expect("no panic");
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let rate = waits.len() as f64 / begun.elapsed().as_secs_f64();
        let single = *single.get_or_insert(rate);
        println!(
            "{clients:>3} clients: {rate:>6.0} buys/s, {:.1} times the rate of one; p50 {} µs, p99 {} µs",
            rate / single,
            waits.value_at_quantile(0.5),
            waits.value_at_quantile(0.99),
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
        let mut child = store
            .program(env!("CARGO_BIN_EXE_run-all"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("it is built");
        let mut output = child.stdout.take().expect("piped");
        let (mut said, mut bytes) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&said).contains("the store is open") {
            let count = output.read(&mut bytes).expect("it runs");
            assert!(count > 0, "run-all ended: {}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&bytes[..count]);
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        times.push(begun.elapsed().as_micros() as f64 / 1_000.0);
        signal(&child, rustix::process::Signal::INT);
        drop(output);
        child.wait().expect("it is our child");
    }
    println!("run-all, built, to open: median {:.0} ms, longest {:.0} ms", median(&mut times), {
        times[ROUNDS - 1]
    });
}

const PATIENCE: Duration = Duration::from_secs(10);

fn buy_one(client: &mut Client) -> u16 {
    let body = br#"{"name":"Tux","quantity":1}"#;
    client.send("POST", "/orders", &[], body).map_or(0, |response| response.status)
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

/// Requests a second on so many connections, all kept busy by one thread: it asks on each, then reads
/// on each.
fn rate(address: &str, connections: usize, answer_bytes: usize) -> f64 {
    let mut open: Vec<TcpStream> = (0..connections).map(|_| connect(address)).collect();
    let mut answer = vec![0; answer_bytes];
    let mut turn = || {
        for connection in &mut open {
            connection.write_all(REQUEST).expect("open");
        }
        for connection in &mut open {
            connection.read_exact(&mut answer).expect("an answer");
        }
    };
    let warm = Instant::now() + ROUND / 8;
    while Instant::now() < warm {
        turn();
    }
    let (begun, mut turns) = (Instant::now(), 0);
    while begun.elapsed() < ROUND {
        turn();
        turns += 1;
    }
    f64::from(turns) * f64::from(u32::try_from(connections).expect("few"))
        / begun.elapsed().as_secs_f64()
}

/// The floor: a thread per connection that reads something and answers always the same.
fn bare_loop(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let serve = move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.expect("a client"), answer.clone());
            stream.set_nodelay(true).expect("a socket");
            let session = move || {
                let mut request = [0; 4096];
                while stream.read(&mut request).is_ok_and(|bytes| bytes > 0)
                    && stream.write_all(&answer).is_ok()
                {}
            };
            thread::Builder::new().spawn(session).expect("a thread");
        }
    };
    thread::Builder::new().spawn(serve).expect("a thread");
    address
}

/// Resident kB and threads of a process.
fn status(pid: u32) -> (u64, u64) {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    (field("VmRSS:"), field("Threads:"))
}

/// Sorts, and takes the middle.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b as f64
}
