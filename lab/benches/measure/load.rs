//! The load, in a closed loop: queries from our own generator or from wrk, purchases from our own.

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{fmt, fs};
use toystore::http::Client;
use toystore_lab::loadtest::{self, Load, Pace, Span, Summary, Workload};

/// Far more than an answer takes.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Where queries come from. Both use one thread, whatever the number of connections.
#[derive(Debug, Clone, Copy)]
pub enum Generator {
    /// This process; any of the toys.
    Ours,
    /// Always the same toy.
    Wrk,
}

impl Generator {
    /// The one that is asked for: `--with wrk`, else our own.
    pub fn of(words: &[String]) -> Generator {
        if words.iter().any(|word| word == "wrk") { Generator::Wrk } else { Generator::Ours }
    }

    /// Requests a second, for whole seconds, on so many kept-alive connections.
    pub fn queries(self, address: &str, connections: usize, seconds: u64) -> f64 {
        match self {
            Generator::Ours => {
                let span = Duration::from_secs(seconds);
                run(address, Workload::Query, connections, span).rate()
            }
            Generator::Wrk => wrk(address, connections, seconds),
        }
    }
}

impl fmt::Display for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Generator::Ours => "our own generator",
            Generator::Wrk => "wrk",
        })
    }
}

/// Purchases, by so many clients, each on a connection of its own. All succeed.
pub fn buys(address: &str, clients: usize, span: Duration) -> Summary {
    run(address, Workload::Buy, clients, span)
}

fn run(address: &str, workload: Workload, connections: usize, span: Duration) -> Summary {
    let load = Load {
        addresses: vec![address.to_owned()],
        workload,
        pace: Pace::Closed,
        span: Span::For(span),
        connections,
        pipeline: 1,
        seed: 1,
        deadline: PATIENCE,
    };
    let summary = loadtest::run(&load, &mut |_| {});
    let summary = summary.unwrap_or_else(|error| panic!("{address}: {error}"));
    for (kind, counts) in summary.asked() {
        let (asked, done) = (counts.requests(), counts.succeeded());
        assert_eq!(
            asked, done,
            "{address}: {kind:?}: {:?}, {:?}",
            counts.statuses, counts.failures
        );
    }
    summary
}

fn wrk(address: &str, connections: usize, seconds: u64) -> f64 {
    let output = Command::new("setsid")
        .args(["wrk", "-t1", &format!("-c{connections}"), &format!("-d{seconds}s")])
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

/// Writes an initial database of so many toys, the first of which is Tux, that no load empties. Returns
/// the setting for it.
pub fn endless_stock(directory: &Path, toys: usize) -> String {
    let others = (2..=toys).map(|n| format!("Toy {n},{n},1000000000\n"));
    let first = "name,price,quantity\nTux,19.9,1000000000\n".to_owned();
    let path = directory.join(format!("{toys}-toys.csv"));
    fs::write(&path, std::iter::once(first).chain(others).collect::<String>()).expect("a file");
    format!("--catalog-initial={}", path.display())
}

/// Buys one Tux. Returns the status, 0 for none.
pub fn buy_one(client: &mut Client) -> u16 {
    let body = br#"{"name":"Tux","quantity":1}"#;
    client.send("POST", "/orders", &[], body).map_or(0, |response| response.status)
}
