//! Traces of whole stores: one purchase is followed through every service, over a fail-over too; what is not sampled
//! leaves nothing; spans are sent to a collector, and nobody waits for it.

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};
use support::Id::{Catalog, Frontend, Order};
use support::{ALL, Cluster, Customer, PATIENCE, wait_for, wait_until};
use toystore::collector::{Collected, Collector, Which};
use toystore::http::Client;
use toystore::trace::Kind;
use toystore::trace::tree::{Placed, Trace};

const BODY: &[u8] = br#"{"name":"Tux","quantity":1}"#;
const INVALIDATE: &str = "invalidate the cache";
const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Buys with this `traceparent`. Returns the number of the order, the header `Server-Timing`, and how long it took.
fn buy(store: &Cluster, traceparent: &str) -> (u64, Option<String>, Duration) {
    let mut client = Client::new(store.address(Frontend), PATIENCE);
    let headers = [("traceparent", traceparent), ("Content-Type", "application/json")];
    let begun = Instant::now();
    let response = client.send("POST", "/orders", &headers, BODY).expect("there is an answer");
    let took = begun.elapsed();
    let body: Value = serde_json::from_slice(&response.body).expect("bodies are JSON");
    let number = body["data"]["order_number"].as_u64().unwrap_or_else(|| panic!("{body}"));
    (number, response.header("Server-Timing").map(str::to_owned), took)
}

fn collect(store: &Cluster, number: u64) -> Collected {
    let collector = Collector::of(&store.config()).expect("its addresses are configured");
    // A span is recorded when it has ended, which may be after the answer.
    wait_for("the trace of the order", || collector.collect(Which::Order(number)).ok())
}

/// What was recorded, as `service: name`.
fn names(collected: &Collected, kind: Kind) -> BTreeSet<String> {
    let of_kind = collected.trace.spans.iter().filter(|placed| placed.span.kind == kind);
    of_kind.map(|Placed { service, span, .. }| format!("{service}: {}", span.name)).collect()
}

fn set<const N: usize>(names: [String; N]) -> BTreeSet<String> {
    names.into()
}

#[test]
fn a_purchase_is_followed_through_every_service() {
    // So slow that the sum of the spans can be compared with what the customer measures.
    let store = Cluster::open(&["--trace-sample=0", "--catalog-delay-ms=200"]);
    store.await_in_sync();
    // A busy machine may answer a purchase by its key, without the catalog: then the next one is asked.
    let number = wait_for("a purchase that says where its time went", || {
        let (number, timing, _) = buy(&store, SAMPLED);
        let timing = timing.expect("a sampled purchase says it");
        let mut parts = timing.split(", ").filter_map(|part| part.split(';').next());
        ["total", "order", "catalog"]
            .iter()
            .all(|part| parts.next() == Some(part))
            .then_some(number)
    });

    let leader = store.leader();
    let followers =
        [1, 2, 3].into_iter().filter(|id| *id != leader).map(|id| format!("order {id}"));
    let [one, other] = followers.collect::<Vec<_>>().try_into().expect("two follow");
    let leader = format!("order {leader}");
    let requests = set([
        "front-end: POST /orders".into(),
        format!("{leader}: buy"),
        "catalog: purchase".into(),
        "catalog: durable".into(),
        format!("{one}: append"),
        format!("{other}: append"),
    ]);
    let steps = set([
        "front-end: read the request".into(),
        format!("front-end: {INVALIDATE}"),
        "catalog: artificial delay".into(),
        "catalog: append to the journal".into(),
        format!("{leader}: append to the log"),
        format!("{one}: append to the log"),
        format!("{other}: append to the log"),
    ]);
    // On a busy machine there can be more: a call that is repeated, a leader that has to reconcile.
    let collected = wait_for("all spans", || {
        let collected = collect(&store, number);
        let Trace { spans, .. } = &collected.trace;
        let told = spans.iter().position(|placed| placed.span.name == "tell a cache");
        let is_taken =
            |told| collected.trace.parts(told).any(|part| spans[part].span.name == INVALIDATE);
        let is_whole = requests.is_subset(&names(&collected, Kind::Request))
            && steps.is_subset(&names(&collected, Kind::Step))
            && told.is_none_or(is_taken);
        is_whole.then_some(collected)
    });
    assert_eq!(collected.silent, Vec::<String>::new());
    for placed in collected.trace.spans.iter().filter(|placed| placed.span.kind == Kind::Request) {
        let Some(above) = placed.part_of.map(|above| &collected.trace.spans[above]) else {
            continue;
        };
        assert_eq!((above.span.kind, &above.span.name), (Kind::Call, &placed.span.name));
        assert!(above.from <= placed.from && placed.to <= above.to, "{placed:?} in {above:?}");
    }
    assert_eq!(collected.trace.id.to_string(), SAMPLED.split('-').nth(1).expect("a trace id"));
}

#[test]
fn the_critical_path_is_what_the_customer_waits_for() {
    let store = Cluster::open(&["--trace-sample=0", "--catalog-delay-ms=200"]);
    store.await_in_sync();
    let mut seen = Vec::new();
    // The rest is the connection's: on a machine that does something else it may be longer for one.
    wait_until("95 % of a purchase's latency are on the path", || {
        let (number, _, latency) = buy(&store, SAMPLED);
        let collected = collect(&store, number);
        let sum: i64 = collected.path.iter().map(|piece| piece.to - piece.from).sum();
        let sum = u64::try_from(sum).expect("pieces have a length");
        assert_eq!(sum, collected.trace.took(), "the path has no gap");
        let latency = u64::try_from(latency.as_nanos()).expect("short");
        assert!(sum <= latency, "{sum} of {latency}");
        seen.push((sum, latency));
        sum * 100 >= latency * 95
    });
}

#[test]
fn what_is_not_sampled_leaves_nothing_and_a_malformed_traceparent_is_ignored() {
    let store = Cluster::open(&["--trace-sample=0"]);
    store.await_in_sync();
    for traceparent in ["", "00-1-2-01", &SAMPLED.replace("-01", "-00"), &SAMPLED.to_uppercase()] {
        let (_, timing, _) = buy(&store, traceparent);
        assert_eq!(timing, None, "{traceparent:?}");
    }
    let looks = |id| {
        let (status, traces) = Customer::of(store.peer_address(id)).get("/traces");
        assert_eq!(status, 200);
        let traces = traces["data"].as_array().expect("a list").clone();
        // Taking office is traced, too, with what it asks for.
        let ours = ["POST /orders", "buy", "purchase", "durable", "append"];
        traces.into_iter().filter(|span| ours.iter().any(|name| span["name"] == *name)).count()
    };
    assert_eq!(ALL.map(looks), [0; 5]);
    // Now somebody has looked.
    let (number, timing, _) = buy(&store, "00-1-2-01");
    assert!(timing.is_some(), "while somebody looks, every purchase is sampled");
    assert!(collect(&store, number).trace.spans[0].span.parent.is_none(), "the trace is a new one");
    for id in ALL {
        let metrics =
            Client::new(store.peer_address(id), PATIENCE).send("GET", "/metrics", &[], b"");
        let text = String::from_utf8(metrics.expect("an answer").body).expect("text");
        assert!(text.contains("\ntoystore_spans_dropped_total 0\n"), "{text}");
    }
}

#[test]
fn every_sampled_answer_says_where_its_time_went() {
    let store = Cluster::open(&["--trace-sample=0"]);
    store.await_in_sync();
    let (number, ..) = buy(&store, SAMPLED);
    let mut client = Client::new(store.address(Frontend), PATIENCE);
    // Which part it names first, beside the total: a toy that is cached needs nobody else.
    for (path, part) in [
        ("/products".to_owned(), Some("catalog")),
        ("/products/Nobody".to_owned(), Some("catalog")),
        ("/products/Tux".to_owned(), None),
        (format!("/orders/{number}"), Some("order")),
    ] {
        let mut timing = |traceparent: &str| {
            let headers = [("traceparent", traceparent)];
            let answer = client.send("GET", &path, &headers, b"").expect("there is an answer");
            answer.header("Server-Timing").map(str::to_owned)
        };
        assert_eq!(timing(""), None, "{path} is not sampled");
        let said = timing(SAMPLED).unwrap_or_else(|| panic!("{path} says nothing"));
        assert!(said.starts_with("total;dur="), "{path}: {said}");
        let is_named = |part: &str| said.contains(&format!(", {part};dur="));
        assert!(part.is_none_or(is_named), "{path}: {said}");
    }
}

#[test]
fn a_trace_shows_the_retry_and_the_new_leader_after_a_crash() {
    let mut store = Cluster::open(&["--trace-sample=0", "--catalog-delay-ms=500"]);
    store.await_in_sync();
    let leader = store.leader();
    let number = thread::scope(|scope| {
        let purchase = scope.spawn(|| buy(&store, SAMPLED).0);
        wait_until("the purchase is at the catalog", || {
            let (_, status) = Customer::of(store.peer_address(Catalog)).get("/status");
            status["data"]["sessions"]["busy"].as_u64().expect("a number") > 0
        });
        store.signal(Order(leader), rustix::process::Signal::KILL);
        purchase.join().expect("it is bought")
    });
    store.await_end(Order(leader));
    let collected = collect(&store, number);
    let next = store.leader();
    let calls: Vec<bool> = collected
        .trace
        .spans
        .iter()
        .filter(|placed| placed.service == "front-end" && placed.span.name == "buy")
        .map(|placed| placed.span.error.is_some())
        .collect();
    assert!(calls.len() >= 2 && calls[0] && !calls[calls.len() - 1], "{calls:?}");
    assert!(names(&collected, Kind::Request).contains(&format!("order {next}: buy")));
    let meanwhile = names(&collected, Kind::Background);
    assert!(meanwhile.contains("front-end: election"), "{meanwhile:?}");
    assert!(meanwhile.contains(&format!("order {next}: take office")), "{meanwhile:?}");
    assert_eq!(collected.silent, [format!("order {leader}")]);
    let helped = names(&collected, Kind::Request);
    assert!(helped.contains("catalog: standing"), "the catalog helped meanwhile: {helped:?}");

    let collector = Collector::of(&store.config()).expect("its addresses are configured");
    // The follower is told after the leader, and a span is recorded when it has ended.
    let election = wait_for("the whole election", || {
        let election = collector.collect(Which::Election).ok()?;
        let told = names(&election, Kind::Request);
        let all = [1, 2, 3].into_iter().filter(|id| *id != leader);
        let is_told = all.map(|id| format!("order {id}: update_leader"));
        let is_whole = is_told.into_iter().all(|name| told.contains(&name));
        (is_whole && told.contains("catalog: standing")).then_some(election)
    });
    let Trace { spans, .. } = &election.trace;
    assert_eq!((spans[0].span.kind, &*spans[0].span.name), (Kind::Background, "election"));
    let path = &election.path;
    let sum: i64 = path.iter().map(|piece| piece.to - piece.from).sum();
    assert_eq!(u64::try_from(sum), Ok(election.trace.took()), "the path has no gap");
    let offices = election.trace.parts(0).filter(|part| spans[*part].span.name == "take office");
    assert!(
        offices.into_iter().any(|office| !election.trace.is_meanwhile(office)),
        "an election lasts until the leader has taken office: {spans:?}"
    );

    store.start(Order(leader));
    let caught_up = wait_for("a replica to catch up", || {
        let caught_up = collector.collect(Which::CatchUp).ok()?;
        let is_the_killed = caught_up.trace.spans[0].service == format!("order {leader}");
        is_the_killed.then_some(caught_up)
    });
    let asked = names(&caught_up, Kind::Request);
    assert!(asked.contains(&format!("order {next}: missed_orders")), "{asked:?}");
}

/// Answers one OTLP request, and returns its path and its body.
fn take_spans(mut caller: TcpStream) -> (String, Value) {
    caller
        .set_nonblocking(false)
        .and_then(|()| caller.set_read_timeout(Some(PATIENCE)))
        .expect("a socket");
    let mut received = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let count = caller.read(&mut bytes).expect("the rest comes");
        received.extend_from_slice(&bytes[..count]);
        let text = String::from_utf8_lossy(&received);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            let head = head.lines().next().expect("a first line").to_owned();
            caller
                .write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
                .ok();
            return (head, body);
        }
        assert!(count > 0, "{text}");
    }
}

#[test]
fn spans_are_sent_to_a_collector_and_dropped_while_it_is_away() {
    let collector = TcpListener::bind("127.0.0.1:0").expect("a free port");
    collector.set_nonblocking(true).expect("a socket");
    let url = format!("http://{}", collector.local_addr().expect("bound"));
    let store = Cluster::open(&["--trace-sample=0", &format!("--trace-otlp={url}")]);
    store.await_in_sync();
    buy(&store, SAMPLED);
    let (mut services, mut names, mut sent) = (BTreeSet::new(), BTreeSet::new(), String::new());
    let all = ["POST /orders", "buy", "purchase", "append", "durable"];
    while services.len() < 5 || !all.iter().all(|name| names.contains(*name)) {
        let (head, body) = take_spans(wait_for("a caller", || collector.accept().ok()).0);
        assert_eq!(head, "POST /v1/traces HTTP/1.1");
        sent.push_str(&body.to_string());
        sent.push('\n');
        let resource = &body["resourceSpans"][0];
        let service = resource["resource"]["attributes"].as_array().expect("a list");
        services
            .insert(service[1..3].iter().map(|part| part["value"].to_string()).collect::<String>());
        for span in resource["scopeSpans"][0]["spans"].as_array().expect("a list") {
            names.insert(span["name"].as_str().expect("a name").to_owned());
        }
    }
    // `make test-otlp` parses it with OpenTelemetry's definitions.
    if let Some(file) = std::env::var_os("OTLP_SENT") {
        std::fs::write(file, sent).expect("writable");
    }
    drop(collector);
    wait_until("the spans are counted that could not be sent", || {
        buy(&store, SAMPLED);
        let (_, status) = Customer::of(store.peer_address(Frontend)).get("/status");
        status["data"]["traces"]["unsent"].as_u64().expect("a number") > 0
    });
}

#[test]
fn the_program_prints_a_purchase_and_writes_it_for_perfetto() {
    let store = Cluster::open(&["--trace-sample=0"]);
    store.await_in_sync();
    let run = |arguments: &[&str]| {
        let mut command = store.program("trace");
        command.args(arguments).stdout(Stdio::piped()).output().expect("a process")
    };
    let refused = run(&["last"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).expect("text");
    assert!(said.contains("no purchase was traced yet"), "{said}");
    let (number, ..) = buy(&store, SAMPLED);
    let printed = run(&[&number.to_string()]);
    let said = String::from_utf8(printed.stderr).expect("text");
    let text = String::from_utf8(printed.stdout).expect("text");
    assert!(text.contains(&format!("POST /orders, order {number}, ")), "{text} {said}");
    assert!(text.contains("catalog: purchase"), "{text}");

    let file = store.path("purchase.json");
    let file = file.to_str().expect("text");
    assert!(run(&["slowest", "--chrome", file]).status.success());
    let written = std::fs::read(file).expect("it was written");
    let events: Value = serde_json::from_slice(&written).expect("it is JSON");
    let events = events["traceEvents"].as_array().expect("a list");
    assert!(events.iter().any(|event| event["ph"] == "X" && event["name"] == "sync the log"
        || event["name"] == "append to the log"));
    assert!(events.iter().any(|event| event["ph"] == "M" && event["args"]["name"] == "catalog"));
}
