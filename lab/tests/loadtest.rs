//! The load test: each request is counted once and correctly, whatever the store does, and the
//! latencies of an open loop show when the store stalls.

#[path = "../../tests/support/mod.rs"]
mod support;

use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use support::Id::Frontend;
use support::{Cluster, PATIENCE};
use toystore::client::measurements::Kind;
use toystore_lab::loadtest::{Answer, Failure, Load, Outcome, Pace, Span, Summary, Workload, run};

fn load(address: &str, workload: Workload, requests: u64) -> Load {
    Load {
        addresses: vec![address.to_owned()],
        workload,
        pace: Pace::Closed,
        span: Span::Requests(requests),
        connections: 3,
        pipeline: 1,
        seed: 7,
        deadline: PATIENCE,
    }
}

fn load_of(store: &Cluster, workload: Workload, requests: u64) -> Load {
    load(store.address(Frontend), workload, requests)
}

/// A request, with its outcome.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    kind: Kind,
    toy: String,
    connection: usize,
    due: Instant,
    received: Instant,
    outcome: Outcome,
}

/// Runs a load and returns all answers; `react` gets each answer, with the number of answers before it.
fn watch(load: &Load, mut react: impl FnMut(usize, &Answer<'_>)) -> (Vec<Seen>, Summary) {
    let mut seen = Vec::new();
    let summary = run(load, &mut |answer| {
        react(seen.len(), answer);
        let Answer { kind, connection, due, received, outcome, .. } = *answer;
        seen.push(Seen { kind, toy: answer.toy.into(), connection, due, received, outcome });
    });
    (seen, summary.expect("the store is there"))
}

const OK: Outcome = Outcome::Status(200);

/// A request is answered once, shown once and counted once.
#[test]
fn every_query_is_counted_once() {
    let store = Cluster::open(&[]);
    let (seen, summary) = watch(&load_of(&store, Workload::Query, 500), |_, _| {});
    assert_eq!((seen.len(), summary.requests(), summary.errors()), (500, 500, 0));
    let queries = summary.of(Kind::Query);
    assert_eq!((queries.succeeded(), queries.latencies().len()), (500, 500));
    assert!(seen.iter().all(|seen| seen.kind == Kind::Query && seen.outcome == OK));
    let slowest = seen.iter().map(|seen| seen.received - seen.due).max().expect("some");
    assert!(summary.max() >= slowest && summary.elapsed >= slowest, "{slowest:?}");
}

/// The purchases that succeeded are the orders of the store; those refused for lack of stock are no errors.
#[test]
fn purchases_are_the_orders_of_the_store() {
    let store = Cluster::open(&[]);
    let load = Load { connections: 20, ..load_of(&store, Workload::Buy, 1_100) };
    let (_, summary) = watch(&load, |_, _| {});
    let buys = summary.of(Kind::Buy);
    assert_eq!((buys.requests(), buys.errors()), (1_100, 0), "{summary}");
    assert!(buys.sold_out() >= 100, "there are ten times 100 toys: {summary}");
    assert_eq!(buys.succeeded(), store.assert_conserved());
    assert_eq!(buys.succeeded() + buys.sold_out(), 1_100);
}

/// A toy that is bought was queried just before on the same connection, with the given probability.
#[test]
fn a_mixed_load_buys_some_of_what_it_queries() {
    let store = Cluster::open(&[]);
    let load = load_of(&store, Workload::Mixed { probability: 0.4 }, 600);
    let (seen, summary) = watch(&load, |_, _| {});
    let mut last = HashMap::new();
    for seen in &seen {
        let before = last.insert(seen.connection, (seen.kind, &seen.toy));
        if seen.kind == Kind::Buy {
            assert_eq!(before, Some((Kind::Query, &seen.toy)));
        }
    }
    let (queries, buys) = (summary.of(Kind::Query), summary.of(Kind::Buy));
    assert_eq!((queries.requests() + buys.requests(), summary.errors()), (600, 0));
    assert_eq!(buys.succeeded(), store.assert_conserved());
    let of_ten = buys.requests() * 10 / queries.requests();
    assert!((3..=5).contains(&of_ten), "{summary}");
}

/// In an open loop, the latency of a request that was due during a stall includes the stall, although two
/// connections could send only two of these requests.
#[test]
fn a_stall_cannot_hide_from_an_open_loop() {
    const RATE: f64 = 200.0;
    const STALL: Duration = Duration::from_millis(500);
    let store = Cluster::open(&[]);
    let pace = Pace::Open { rate: RATE };
    let load = Load { pace, connections: 2, ..load_of(&store, Workload::Query, 250) };
    let (seen, summary, paused, resumed) = thread::scope(|scope| {
        let mut stall = None;
        let (seen, summary) = watch(&load, |before, _| {
            if before == 50 {
                store.pause(Frontend);
                let paused = Instant::now();
                let resumer = thread::Builder::new().spawn_scoped(scope, || {
                    thread::sleep(STALL);
                    let resumed = Instant::now();
                    store.resume(Frontend);
                    resumed
                });
                stall = Some((paused, resumer.expect("a thread")));
            }
        });
        let (paused, resumer) = stall.expect("there were more than 50");
        (seen, summary, paused, resumer.join().expect("no panic"))
    });
    assert_eq!((summary.requests(), summary.errors(), summary.unsent), (250, 0, 0));
    let meanwhile: Vec<_> =
        seen.iter().filter(|seen| (paused..resumed).contains(&seen.due)).collect();
    assert!(meanwhile.iter().all(|seen| seen.received >= resumed), "nobody answered");
    let gap = Duration::from_secs_f64(1.0 / RATE);
    let mut dues: Vec<_> = seen.iter().map(|seen| seen.due).collect();
    dues.sort();
    let is_even = |pair: &[Instant]| (pair[1] - pair[0]).abs_diff(gap) < Duration::from_micros(1);
    assert!(dues.windows(2).all(is_even), "none was left out");
    assert!(summary.max() + gap >= resumed - paused, "{summary}");
    let late = summary.of(Kind::Query).latencies().count_between(250_000_000, u64::MAX);
    assert!(late >= 45, "those due in the first half of the stall are that late: {summary}");
}

/// An open loop ends in time although the store is too slow, and reports the number of requests that it could not send.
#[test]
fn what_an_open_loop_could_not_send_is_told() {
    let store = Cluster::open(&["--frontend-cache-capacity=0", "--catalog-delay-ms=100"]);
    let load = Load {
        pace: Pace::Open { rate: 1_000.0 },
        span: Span::For(Duration::from_millis(500)),
        ..load_of(&store, Workload::Query, 0)
    };
    let (seen, summary) = watch(&load, |_, _| {});
    assert_eq!(summary.requests() + summary.unsent, 500);
    // Three connections, a tenth of a second each: fifteen, and a few more where the machine is slow to end.
    assert!(summary.unsent > 400 && seen.len() < 100, "{summary}");
    assert!(summary.to_string().contains("more were due but never sent"), "{summary}");
}

/// The same seed makes the same requests on each connection.
#[test]
fn a_seed_repeats_the_requests_of_each_connection() {
    let store = Cluster::open(&[]);
    let requests = |seed| {
        let workload = Workload::Mixed { probability: 0.1 };
        let (seen, _) = watch(&Load { seed, ..load_of(&store, workload, 300) }, |_, _| {});
        let mut each: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for seen in seen {
            each.entry(seen.connection).or_default().push((seen.kind as usize, seen.toy));
        }
        each
    };
    let [first, again, other] = [7, 7, 8].map(requests);
    assert_eq!(first.len(), 3);
    for (connection, requests) in &first {
        // The number of requests on each connection depends on time, their content does not.
        let both = requests.len().min(again[connection].len());
        assert!(both > 10, "each has its share");
        assert_eq!(requests[..both], again[connection][..both]);
        assert_ne!(requests[..10], other[connection][..10]);
    }
}

/// If the store is down, requests are counted as lost or refused. When it is up again, the load continues.
#[test]
fn the_load_goes_on_when_the_store_is_gone_and_back() {
    let mut store = Cluster::open(&[]);
    let load = load_of(&store, Workload::Query, 400);
    let mut is_up = true;
    let (seen, summary) = watch(&load, |before, answer| match answer.outcome {
        OK if before == 50 => {
            store.kill(Frontend);
            is_up = false;
        }
        Outcome::Failed(Failure::Refused) if !is_up => {
            store.start(Frontend);
            is_up = true;
        }
        _ => {}
    });
    assert_eq!(seen.len(), 400);
    assert_eq!(seen.last().expect("some").outcome, OK, "{summary}");
    let queries = summary.of(Kind::Query);
    assert!(queries.failures.contains_key(&Failure::Lost), "those under way: {summary}");
    assert!(queries.failures.contains_key(&Failure::Refused), "{summary}");
    assert_eq!(queries.succeeded() + queries.errors(), 400, "{summary}");
}

/// An answer that does not arrive within the deadline is given up, and the load continues.
#[test]
fn an_answer_that_does_not_come_is_given_up() {
    let store = Cluster::open(&[]);
    let deadline = Duration::from_secs(1);
    let load = Load { deadline, ..load_of(&store, Workload::Query, 100) };
    let (seen, summary) = watch(&load, |before, answer| {
        if before == 50 {
            store.pause(Frontend);
        } else if answer.outcome == Outcome::Failed(Failure::TimedOut) {
            store.resume(Frontend);
        }
    });
    let late: Vec<_> = seen.iter().filter(|seen| seen.outcome != OK).collect();
    assert!((1..=3).contains(&late.len()), "one on each connection at most: {summary}");
    for seen in late {
        assert_eq!(seen.outcome, Outcome::Failed(Failure::TimedOut));
        assert!(seen.received - seen.due >= deadline, "not before the deadline");
    }
    assert_eq!(summary.requests(), 100);
}

/// A store that is down does not make a load of some duration longer.
#[test]
fn a_load_ends_with_its_span_although_nobody_answers() {
    let mut store = Cluster::open(&[]);
    let span = Span::For(Duration::from_millis(400));
    let load = Load { span, ..load_of(&store, Workload::Query, 0) };
    let begun = Instant::now();
    let (seen, summary) = watch(&load, |before, _| {
        if before == 0 {
            store.kill(Frontend);
        }
    });
    assert!(summary.errors() > 3, "{summary}");
    assert!(seen.iter().all(|seen| seen.due <= begun + PATIENCE / 2), "long before the deadline");
    let refused = summary.of(Kind::Query).failures[&Failure::Refused];
    assert!(refused <= 3 * 9, "a connection rests after each failure, 50 ms: {summary}");
}

/// A server for answers that a real store does not give. Each answer is for the path that was requested, and
/// the bytes come in pieces of this size.
fn fake(piece: usize, close: bool, status: fn(&str) -> u16) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    let serve = move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let session = move || converse(stream, piece, close, status);
            thread::Builder::new().spawn(session).expect("a thread");
        }
    };
    thread::Builder::new().spawn(serve).expect("a thread");
    address
}

fn converse(mut stream: TcpStream, piece: usize, close: bool, status: fn(&str) -> u16) {
    let (mut asked, mut bytes) = (String::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        asked += str::from_utf8(&bytes[..count]).expect("ASCII");
        let mut answers = String::new();
        while let Some((request, rest)) = asked.split_once("\r\n\r\n") {
            let path = request.split(' ').nth(1).expect("a path");
            answers += &match path {
                "/products" => answer(200, TOYS, close),
                path => answer(status(path), path, close),
            };
            asked = rest.to_owned();
        }
        let mut pieces = answers.as_bytes().chunks(piece);
        let is_sent = pieces.all(|piece| stream.write_all(piece).is_ok());
        if !is_sent || (close && !answers.is_empty()) {
            return;
        }
    }
}

const TOYS: &str =
    r#"{"data":[{"name":"Tux","price":1,"quantity":1},{"name":"Fox","price":1,"quantity":1}]}"#;

fn answer(status: u16, body: &str, close: bool) -> String {
    let closing = if close { "Connection: close\r\n" } else { "" };
    format!("HTTP/1.1 {status} x\r\n{closing}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Answers that arrive in pieces, or several in one read, are matched to their requests.
#[test]
fn pipelined_answers_belong_to_their_requests() {
    for piece in [7, 50, 100_000] {
        let address = fake(piece, false, |path| if path.ends_with("Fox") { 404 } else { 200 });
        let load = Load { pipeline: 16, ..load(&address, Workload::Query, 500) };
        let (seen, summary) = watch(&load, |_, _| {});
        assert_eq!(summary.requests(), 500);
        for seen in &seen {
            let expected = if seen.toy == "Fox" { 404 } else { 200 };
            assert_eq!(seen.outcome, Outcome::Status(expected), "{} in {piece}", seen.toy);
        }
        assert!(seen.iter().any(|seen| seen.toy == "Fox"));
    }
    let store = Cluster::open(&[]);
    let workload = Workload::Mixed { probability: 0.2 };
    let (_, summary) = watch(&Load { pipeline: 16, ..load_of(&store, workload, 500) }, |_, _| {});
    assert_eq!((summary.requests(), summary.errors()), (500, 0), "{summary}");
    assert_eq!(summary.of(Kind::Buy).succeeded(), store.assert_conserved());
}

/// A store that closes the connection after each answer is allowed to, and is no failure.
#[test]
fn a_connection_closed_after_its_answer_is_made_anew() {
    let address = fake(100_000, true, |_| 200);
    let (_, summary) = watch(&load(&address, Workload::Query, 100), |_, _| {});
    assert_eq!((summary.requests(), summary.errors()), (100, 0), "{summary}");
}

/// A summary with everything that can be shown.
fn example() -> Summary {
    let mut summary = Summary::new(7);
    for micros in 1..=1_000 {
        summary.count(Kind::Query, Duration::from_micros(micros), OK);
    }
    for (outcome, ms) in [(OK, 20), (Outcome::Status(409), 3), (Outcome::Status(503), 9)] {
        summary.count(Kind::Buy, Duration::from_millis(ms), outcome);
    }
    summary.count(Kind::Buy, PATIENCE, Outcome::Failed(Failure::TimedOut));
    summary.elapsed = Duration::from_secs(2);
    summary.unsent = 5;
    summary
}

/// Text, JSON and CSV show the same numbers, in a fixed form.
#[test]
fn a_summary_is_shown_as_table_json_and_csv() {
    assert_eq!(
        example().to_json(),
        json!({
            "seed": 7, "elapsed_s": 2.0, "requests": 1004, "errors": 2, "unsent": 5, "rate_per_s": 501.5,
            "kinds": {
                "query": {
                    "requests": 1000, "succeeded": 1000, "sold_out": 0, "errors": 0,
                    "rate_per_s": 500.0, "statuses": { "200": 1000 }, "failures": {},
                    "latency_us": { "mean": 500.505, "p50": 500.223, "p90": 900.095,
                                    "p99": 990.207, "p99.9": 999.423, "max": 1000.447 },
                },
                "buy": {
                    "requests": 4, "succeeded": 1, "sold_out": 1, "errors": 2, "rate_per_s": 1.5,
                    "statuses": { "200": 1, "409": 1, "503": 1 }, "failures": { "timed out": 1 },
                    "latency_us": { "mean": 19_996.672, "p50": 20_004.863, "p90": 20_004.863,
                                    "p99": 20_004.863, "p99.9": 20_004.863, "max": 20_004.863 },
                },
            },
        })
    );
    assert_eq!(
        example().to_csv(),
        "\
kind,requests,succeeded,sold_out,errors,rate_per_s,mean_us,p50_us,p90_us,p99_us,p99.9_us,max_us
query,1000,1000,0,0,500.0,500.5,500.2,900.1,990.2,999.4,1000.4
buy,4,1,1,2,1.5,19996.7,20004.9,20004.9,20004.9,20004.9,20004.9
"
    );
    let text = example().to_string();
    assert_eq!(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"), TABLE);
}

const TABLE: &str = "        \
        requests     per s      mean       p50       p90       p99     p99.9       max
query       1000       500    501 µs    500 µs    900 µs    990 µs    999 µs   1.00 ms
buy            4         2   20.0 ms   20.0 ms   20.0 ms   20.0 ms   20.0 ms   20.0 ms

query
≤    1 µs █                                          0.1 %
≤    2 µs █                                          0.1 %
≤    5 µs █                                          0.3 %
≤   10 µs █                                          0.5 %
≤   20 µs █                                          1.0 %
≤   50 µs ███                                        3.0 %
≤  100 µs ████                                       5.0 %
≤  200 µs ████████                                  10.0 %
≤  500 µs ████████████████████████                  30.0 %
≤ 1.00 ms ████████████████████████████████████████  50.0 %

buy
≤ 20.0 ms ████████████████████████████████████████ 100.0 %

query: 1000 × 200
buy: 1 × 200, 1 × 409 (sold out), 1 × 503, 1 × timed out
5 more were due but never sent: the store did not keep up
1004 requests, 2 errors, in 2.00 s: 502 answers/s; seed 7";

fn loadtest(arguments: &[&str]) -> Output {
    let store = Cluster::closed(&[]);
    let mut program = store.program("loadtest");
    program.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    program.output().expect("it is built")
}

/// The exit code shows whether any request succeeded.
#[test]
fn the_exit_code_says_whether_anything_was_served() {
    for (address, code, expected) in [
        (fake(50, false, |_| 200), 0, "10 requests, 0 errors"),
        (fake(50, false, |_| 503), 1, "query: 10 × 503"),
        ("127.0.0.1:1".to_owned(), 2, "cannot reach 127.0.0.1:1"),
    ] {
        let output = loadtest(&["query", "--address", &address, "-c", "2", "-n", "10"]);
        let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

/// The arguments are followed, and standard output has only the JSON.
#[test]
fn the_command_line_decides_the_load() {
    let address = fake(100_000, false, |_| 200);
    let output = loadtest(&[
        "query",
        "-c",
        "4",
        "-d",
        "100ms",
        "-r",
        "200",
        "--pipeline",
        "2",
        "--seed",
        "9",
        "--json",
        "-",
        "--client-address",
        &address,
    ]);
    let said = String::from_utf8(output.stdout).expect("text");
    let summary: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&summary["seed"], &summary["errors"]), (&json!(9), &json!(0)));
    let requests = summary["requests"].as_u64().expect("a number");
    assert_eq!(requests + summary["unsent"].as_u64().expect("a number"), 20);
    for wrong in [&["query", "-c", "0"][..], &["mixed", "-p", "2"], &["buy", "-d", "5h"], &[]] {
        assert_eq!(loadtest(wrong).status.code(), Some(2), "{wrong:?}");
    }
}
