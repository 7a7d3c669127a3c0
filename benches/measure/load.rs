//! The load: cached queries and purchases in a closed loop, from our own generator or from wrk.

use super::{float, micros};
use hdrhistogram::Histogram;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};
use toystore::http::Client;

/// Before a measurement, for connections and caches.
const WARM_UP: Duration = Duration::from_millis(200);
/// Far more than an answer takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests a second for one toy, on so many kept-alive connections, from one thread of wrk.
pub fn queries_with_wrk(address: &str, connections: usize, seconds: u64) -> f64 {
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s")])
        .arg(format!("http://{address}/products/Tux"))
        .output()
        .expect("wrk is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    let field = |name: &str| said.lines().find_map(|line| line.trim().strip_prefix(name));
    let failed = field("Non-2xx").or(field("Socket errors"));
    assert!(failed.is_none(), "{address} does not bear it:\n{said}");
    let rate = field("Requests/sec:").and_then(|rate| rate.trim().parse().ok());
    rate.unwrap_or_else(|| panic!("no rate: {said}{}", String::from_utf8_lossy(&output.stderr)))
}

/// What purchases took.
pub struct Buys {
    /// A second.
    pub rate: f64,
    /// Times in µs.
    pub waits: Histogram<u64>,
}

impl Buys {
    pub fn p50(&self) -> u64 {
        self.waits.value_at_quantile(0.5)
    }

    pub fn p99(&self) -> u64 {
        self.waits.value_at_quantile(0.99)
    }
}

/// Purchases of one Tux each, by so many clients, each on a connection of its own.
pub fn buys(address: &str, clients: usize, span: Duration) -> Buys {
    let waits = Mutex::new(Histogram::<u64>::new(3).expect("valid"));
    let begin = Instant::now() + WARM_UP;
    let end = begin + span;
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let own = customer(address, begin, end);
                waits.lock().expect("no panic").add(own).expect("same bounds");
            });
        }
    });
    let waits = waits.into_inner().expect("no panic");
    Buys { rate: float(waits.len()) / span.as_secs_f64(), waits }
}

/// Buys until `end`; what was bought between `begin` and `end` counts.
fn customer(address: &str, begin: Instant, end: Instant) -> Histogram<u64> {
    let mut waits = Histogram::new(3).expect("valid");
    let mut client = Client::new(address, PATIENCE);
    loop {
        let asked = Instant::now();
        if asked >= end {
            return waits;
        }
        assert_eq!(buy_one(&mut client), 200);
        if asked >= begin && Instant::now() <= end {
            waits.record(micros(asked)).expect("it grows");
        }
    }
}

/// Buys one Tux. Returns the status, 0 for none.
pub fn buy_one(client: &mut Client) -> u16 {
    let body = br#"{"name":"Tux","quantity":1}"#;
    client.send("POST", "/orders", &[], body).map_or(0, |response| response.status)
}
