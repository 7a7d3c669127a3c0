//! Puts to etcd in a closed loop: `etcd-load HOST:PORT CLIENTS SECONDS`, at the leader's endpoint.
//!
//! Each client is a task with its own connection. It puts one new key after the other, of about
//! the size of an order: 20 bytes of key, 60 of value. Prints `puts seconds p50 p99`, times in µs.

use etcd_client::{Client, Error, KvClient};
use hdrhistogram::Histogram;
use std::env;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const WARM_UP: Duration = Duration::from_millis(300);
const VALUE: &str = r#"{"name":"Tux","quantity":1,"epoch":1,"key":"~0-1-123456789"}"#;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [address, clients, seconds] = &arguments[..] else {
        panic!("usage: etcd-load HOST:PORT CLIENTS SECONDS");
    };
    let clients: usize = clients.parse().expect("a number of clients");
    let span = Duration::from_secs_f64(seconds.parse().expect("a number of seconds"));

    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(Client::connect([address], None).await?.kv_client());
    }
    // The keys of a run continue those of the run before.
    let run = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs() % 1_000_000;
    let begin = Instant::now() + WARM_UP;
    let mut tasks = JoinSet::new();
    for (id, connection) in connections.into_iter().enumerate() {
        tasks.spawn(put(connection, format!("{run:06}-{id:03}"), begin, begin + span));
    }
    let mut waits = Histogram::<u64>::new(3).expect("valid");
    for own in tasks.join_all().await {
        waits.add(own?).expect("same bounds");
    }
    let [p50, p99] = [0.5, 0.99].map(|quantile| waits.value_at_quantile(quantile));
    println!("{} {} {p50} {p99}", waits.len(), span.as_secs_f64());
    Ok(())
}

/// Puts until `end`, and counts what was answered between `begin` and `end`.
async fn put(
    mut etcd: KvClient,
    prefix: String,
    begin: Instant,
    end: Instant,
) -> Result<Histogram<u64>, Error> {
    let mut waits = Histogram::new(3).expect("valid");
    for number in 0.. {
        let asked = Instant::now();
        if asked >= end {
            break;
        }
        etcd.put(format!("{prefix}-{number:09}"), VALUE, None).await?;
        let answered = Instant::now();
        if asked >= begin && answered <= end {
            waits.record((answered - asked).as_micros() as u64).expect("it grows");
        }
    }
    Ok(waits)
}
