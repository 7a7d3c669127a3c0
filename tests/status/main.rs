//! `GET /health`, `/status` and `/metrics`: every service answers them at addresses where they do not wait for
//! customers, and the answers are true.

#[path = "../support/mod.rs"]
mod support;

mod exposition;

use exposition::Page;
use rustix::process::Signal;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};
use support::Id::{Catalog, Frontend, Order};
use support::{ALL, Cluster, Id, PATIENCE, wait_for, wait_until};
use toystore::http::{Client, Response};
use toystore::model::{Entry, OrderNumber};
use toystore::monitoring::status::Outcome::{self, Failed, Refused, Served};
use toystore::monitoring::status::{
    CatalogStatus, EVENTS_MAX, Event, FrontendStatus, Kind, OrderStatus, Requests, Status,
};
use toystore::protocol::order::Request as ToOrder;
use toystore::protocol::web::Data;

const PAGES: [&str; 3] = ["/health", "/status", "/metrics"];

fn send(method: &str, address: &str, target: &str) -> Response {
    let response = Client::new(address, PATIENCE).send(method, target, &[], b"");
    response.unwrap_or_else(|error| panic!("{method} {target} at {address}: {error}"))
}

fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).expect("bodies are JSON")
}

/// The data of `GET /status` at an address.
fn status_at<T: DeserializeOwned>(address: &str) -> Status<T> {
    let response = send("GET", address, "/status");
    assert_eq!(response.status, 200);
    let body: Data<Status<T>> = serde_json::from_slice(&response.body).expect("a status");
    body.data
}

/// The status of a service, from its peer address.
fn status<T: DeserializeOwned>(store: &Cluster, id: Id) -> Status<T> {
    status_at(store.peer_address(id))
}

fn metrics(store: &Cluster, id: Id) -> Page {
    let response = send("GET", store.peer_address(id), "/metrics");
    let text = String::from_utf8(response.body).expect("UTF-8");
    Page::read(&text).unwrap_or_else(|wrong| panic!("{id:?}: {wrong}\n{text}"))
}

/// The texts of a service's events.
fn events(store: &Cluster, id: Id) -> Vec<Event> {
    status::<Value>(store, id).events
}

fn has_event(store: &Cluster, id: Id, text: &str) -> bool {
    events(store, id).iter().any(|event| event.text.contains(text))
}

/// The number of requests of a kind that ended this way at the request address.
fn count(requests: &[Requests], kind: Kind, outcome: Outcome) -> u64 {
    let mut found = requests.iter().filter(|r| (r.kind, r.outcome) == (kind, outcome));
    found.next().expect("what never happened is there as 0").count
}

/// By how much each count has grown, without those that have not.
fn grown(before: &[Requests], after: &[Requests]) -> Vec<(Kind, Outcome, u64)> {
    let grown =
        after.iter().map(|r| (r.kind, r.outcome, r.count - count(before, r.kind, r.outcome)));
    grown.filter(|(_, _, more)| *more > 0).collect()
}

#[test]
fn every_service_answers_on_its_addresses_and_the_front_end_not_to_customers() {
    let store = Cluster::open(&[]);
    let mut addresses: Vec<(Id, &str)> = ALL.map(|id| (id, store.peer_address(id))).into();
    addresses.extend(ALL.iter().filter(|id| **id != Frontend).map(|id| (*id, store.address(*id))));
    for (id, address) in addresses {
        for page in PAGES {
            let got = send("GET", address, page);
            assert_eq!(got.status, 200, "{id:?} {page}");
            let head = send("HEAD", address, page);
            assert_eq!((head.status, head.body.len()), (200, 0), "{id:?} {page}");
            let posted = send("POST", address, page);
            assert_eq!(
                (posted.status, posted.header("Allow")),
                (405, Some("GET, HEAD, OPTIONS")),
                "{page}"
            );
            assert_eq!(json(&posted)["error"]["code"], 405);
            let anywhere = match id {
                _ if address == store.peer_address(id) => "GET, HEAD, OPTIONS",
                Catalog => "GET, HEAD, POST, PUT, OPTIONS",
                _ => "GET, HEAD, POST, OPTIONS",
            };
            for (target, allowed) in [(page, "GET, HEAD, OPTIONS"), ("*", anywhere)] {
                let asked = send("OPTIONS", address, target);
                let found = (asked.status, asked.header("Allow"), asked.body.len());
                assert_eq!(found, (204, Some(allowed), 0), "{id:?} {target}");
            }
            let kind = got.header("Content-Type");
            if page == "/metrics" {
                assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
            } else {
                assert_eq!(kind, Some("application/json"));
                assert!(json(&got)["data"].is_object(), "{id:?} {page}: the envelope (F2)");
            }
        }
        let status = status_at::<Value>(address);
        let name = match id {
            Catalog => "catalog".to_owned(),
            Order(id) => format!("order {id}"),
            Frontend => "front-end".to_owned(),
        };
        assert_eq!((status.service, status.pid), (name, store.pid(id)));
        assert_eq!(status.sessions.threads, 10, "{id:?}: those of the request address");
    }
    let public = store.address(Frontend);
    assert_eq!(json(&send("GET", public, "/health"))["data"], json!({ "service": "front-end" }));
    assert_eq!(send("GET", public, "/status").status, 404);
    assert_eq!(send("GET", public, "/metrics").status, 404);
}

/// The metrics of every service.
const COMMON: [&str; 12] = [
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "toystore_build_info",
    "toystore_connections_open",
    "toystore_connections_parked",
    "toystore_connections_queued",
    "toystore_request_duration_seconds",
    "toystore_spans_dropped_total",
    "toystore_spans_unsent_total",
    "toystore_threads",
    "toystore_threads_busy",
];

#[test]
fn metrics_are_spelled_by_the_rules_and_say_what_the_status_says() {
    let store = Cluster::open(&[]);
    store.await_in_sync();
    let mut customer = store.customer(Frontend);
    for _ in 0..3 {
        customer.buy_one("Tux");
    }
    let own = |page: &Page| -> Vec<String> {
        let names = page.names();
        if cfg!(target_os = "linux") {
            assert!(COMMON.iter().all(|name| names.contains(name)), "{names:?}");
        }
        names.iter().filter(|name| !COMMON.contains(name)).map(|name| (*name).to_owned()).collect()
    };
    let (page, said) = (metrics(&store, Catalog), status::<CatalogStatus>(&store, Catalog));
    let tux = said.own.toys.iter().find(|book| book.name == "Tux").expect("it is there");
    assert_eq!((tux.quantity, tux.sold, tux.initial), (97, 3, 100));
    assert_eq!(page.whole("toystore_toys_in_stock", &[("toy", "Tux")]), 97);
    assert_eq!(page.whole("toystore_toys_sold_total", &[("toy", "Tux")]), 3);
    assert_eq!(page.whole("toystore_subscribers", &[]), 1);
    assert_eq!(said.own.subscribers, 1);
    assert_eq!((page.whole("toystore_toys", &[]), said.own.toy_count), (10, 10));
    assert_eq!((page.whole("toystore_toys_sold_out", &[]), said.own.sold_out), (0, 0));
    assert_eq!(own(&page).len(), 9);
    let sold = [("kind", "purchase"), ("outcome", "served")];
    assert_eq!(page.whole("toystore_request_duration_seconds_count", &sold), 3);
    assert_eq!(count(&said.requests, Kind::Purchase, Served), 3);
    assert!(page.value("toystore_request_duration_seconds_sum", &sold) > 0.0);

    let (page, said) = (metrics(&store, Order(3)), status::<OrderStatus>(&store, Order(3)));
    assert_eq!((said.own.health.last, said.own.health.committed), (OrderNumber(3), OrderNumber(3)));
    let epoch = said.own.health.view.expect("there is one").epoch;
    assert_eq!(said.own.serves_in, Some(epoch));
    assert_eq!(page.whole("toystore_epoch", &[]), epoch.0);
    assert_eq!(page.whole("toystore_leading", &[]), 1);
    assert_eq!(page.whole("toystore_log_committed_order", &[]), 3);
    assert_eq!(page.whole("toystore_catalog_reachable", &[]), 1);
    assert_eq!(page.whole("toystore_log_conflict", &[]), 0);
    assert_eq!(own(&page).len(), 7);

    let (page, said) = (metrics(&store, Order(1)), status::<OrderStatus>(&store, Order(1)));
    assert_eq!((said.own.serves_in, said.own.followers), (None, vec![]), "it does not lead");
    assert_eq!(page.whole("toystore_leading", &[]), 0);

    let (page, said) = (metrics(&store, Frontend), status::<FrontendStatus>(&store, Frontend));
    assert!(said.own.led);
    assert_eq!(page.whole("toystore_led", &[]), 1);
    assert!(said.own.controls);
    assert_eq!(page.whole("toystore_controls", &[]), 1);
    assert_eq!(page.whole("toystore_epoch", &[]), said.own.view.expect("there is one").epoch.0);
    assert_eq!(page.whole("toystore_in_sync_replicas", &[]), 3);
    assert_eq!(page.whole("toystore_leader_id", &[]), 3);
    assert_eq!(page.whole("toystore_cache_capacity_toys", &[]), 7);
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(page.whole("toystore_build_info", &version), 1);
    assert_eq!(own(&page).len(), 11);
    wait_until("only the customer is left", || {
        status::<Value>(&store, Frontend).sessions.open == 1
            && metrics(&store, Frontend).whole("toystore_connections_open", &[]) == 1
    });
}

#[test]
fn counts_grow_by_exactly_what_was_asked() {
    let store = Cluster::open(&[]);
    assert_eq!(store.leader(), 3);
    let mut customer = store.customer(Frontend);
    let requests = |id| status::<Value>(&store, id).requests;
    let before = [Frontend, Order(3), Catalog].map(requests);
    let cache_before = status::<FrontendStatus>(&store, Frontend).own.cache;

    assert_eq!(customer.quantity("Tux") + customer.quantity("Tux"), 200);
    assert_eq!(customer.get("/products/Snoopy").0, 404);
    assert_eq!(customer.get("/products").0, 200);
    let number = customer.buy_one("Lego");
    assert_eq!(customer.buy("Lego", 1_000).0, 409);
    assert_eq!(customer.buy("Lego", 0).0, 400);
    assert_eq!(customer.get(&format!("/orders/{number}")).0, 200);
    assert_eq!(customer.get("/orders/1000").0, 404);
    assert_eq!(customer.get("/orders/none").0, 400);
    assert_eq!((customer.get("/health").0, customer.get("/nowhere").0), (200, 404));
    is_refused(store.address(Frontend));

    let after = [Frontend, Order(3), Catalog].map(requests);
    assert_eq!(
        grown(&before[0], &after[0]),
        [
            (Kind::Query, Served, 2),
            (Kind::Query, Refused, 1),
            (Kind::List, Served, 1),
            (Kind::Buy, Served, 1),
            (Kind::Buy, Refused, 2),
            (Kind::Order, Served, 1),
            (Kind::Order, Refused, 1),
            (Kind::Other, Served, 1),
            (Kind::Other, Refused, 3),
        ]
    );
    assert_eq!(
        grown(&before[1], &after[1]),
        [
            (Kind::Buy, Served, 1),
            (Kind::Buy, Refused, 1),
            (Kind::Order, Served, 1),
            (Kind::Order, Refused, 1),
        ]
    );
    let cache = status::<FrontendStatus>(&store, Frontend).own.cache;
    let (hits, misses) = (cache.hits - cache_before.hits, cache.misses - cache_before.misses);
    assert_eq!(hits + misses, 3, "each query is one of both");
    assert_eq!(
        grown(&before[2], &after[2]),
        [
            (Kind::Query, Served, misses - 1),
            (Kind::Query, Refused, 1),
            (Kind::List, Served, 1),
            (Kind::Purchase, Served, 1),
            (Kind::Purchase, Refused, 1),
            // That each of the two outcomes is durable.
            (Kind::Other, Served, 2),
        ]
    );
    let page = metrics(&store, Frontend);
    assert_eq!(page.whole("toystore_cache_hits_total", &[]), cache.hits);
    assert_eq!(page.whole("toystore_cache_misses_total", &[]), cache.misses);
}

/// Whether malformed HTTP is refused.
fn is_refused(address: &str) {
    let mut connection = TcpStream::connect(address).expect("it listens");
    connection.set_read_timeout(Some(PATIENCE)).expect("a socket");
    connection.write_all(b"GET / nonsense\r\n\r\n").expect("open");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer, and the end");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn by_hand_and_by_frame_count_alike_and_what_peers_say_counts_nowhere() {
    let store = Cluster::open(&[]);
    store.await_in_sync();
    store.customer(Frontend).buy_one("Tux");
    let requests = |id| status::<Value>(&store, id).requests;
    let before = [Order(3), Catalog].map(requests);

    let mut by_hand = store.customer(Order(3));
    assert_eq!(by_hand.get("/orders/1").0, 200);
    let number = OrderNumber(1);
    store.ask::<Entry>(Order(3), &ToOrder::OrderDetails { number }).expect("the order");
    assert_eq!(by_hand.get("/status").0, 200);
    is_refused(store.address(Order(3)));
    let mut by_hand = store.customer(Catalog);
    assert_eq!(by_hand.get("/query/Tux").0, 200);
    assert_eq!(by_hand.send("POST", "/buy_qty", &[], b"name=Tux&quantity=1").0, 200);
    store.ask::<Value>(Catalog, &json!({ "method_name": "books" })).expect("the books");
    store.ask::<Value>(Catalog, &json!({ "method_name": "dance" })).expect_err("no question");
    wait_until("the peers have said something more", || {
        store.health(3).is_some_and(|health| health.catalog_reachable)
    });

    let after = [Order(3), Catalog].map(requests);
    assert_eq!(
        grown(&before[0], &after[0]),
        [(Kind::Order, Served, 2), (Kind::Other, Served, 1), (Kind::Other, Refused, 1),]
    );
    assert_eq!(
        grown(&before[1], &after[1]),
        [
            (Kind::Query, Served, 1),
            (Kind::Purchase, Served, 1),
            (Kind::Other, Served, 1),
            (Kind::Other, Refused, 1),
        ]
    );
}

#[test]
fn what_cannot_be_done_counts_as_failed() {
    let mut store = Cluster::open(&[]);
    let before = status::<Value>(&store, Frontend).requests;
    store.kill(Catalog);
    let mut customer = store.customer(Frontend);
    assert_eq!(customer.get("/products/Tux").0, 503, "it was never cached");
    let after = status::<Value>(&store, Frontend).requests;
    assert_eq!(grown(&before, &after), [(Kind::Query, Failed, 1)]);
}

#[test]
fn the_status_does_not_wait_behind_customers() {
    const CUSTOMERS: usize = 6;
    let store = Cluster::open(&["--catalog-threads=2", "--catalog-delay-ms=500"]);
    let sessions = || status::<CatalogStatus>(&store, Catalog).sessions;
    assert_eq!(sessions().threads, 2);
    thread::scope(|scope| {
        let query = || store.customer(Catalog).quantity("Tux");
        let customers = [(); CUSTOMERS].map(|()| scope.spawn(query));
        let seen = wait_for("more are there than threads", || {
            Some(sessions()).filter(|seen| seen.busy == 2 && seen.queued + seen.parked > 0)
        });
        assert!(seen.open > 2, "{seen:?}");
        let page = metrics(&store, Catalog);
        assert_eq!(page.whole("toystore_threads", &[]), 2);
        for customer in customers {
            assert_eq!(customer.join().expect("no panic"), 100);
        }
    });
    wait_until("all connections are closed", || sessions().busy == 0 && sessions().queued == 0);
}

#[test]
fn a_follower_that_stands_still_shows_at_the_leader_and_in_the_events() {
    let store = Cluster::open(&[]);
    store.await_in_sync();
    let lag = |id: u32| {
        let followers = status::<OrderStatus>(&store, Order(3)).own.followers;
        let follower = followers.iter().find(|follower| follower.id.0 == id);
        follower.expect("the leader knows all").lag
    };
    let mut customer = store.customer(Frontend);
    customer.buy_one("Tux");
    wait_until("all have it", || lag(1) == 0 && lag(2) == 0);
    store.pause(Order(1));
    for _ in 0..2 {
        customer.buy_one("Tux");
    }
    wait_until("the other one has all", || lag(2) == 0);
    assert_eq!(lag(1), 3, "in the view without it, it has not said yet what it has");
    let page = metrics(&store, Order(3));
    assert_eq!(page.whole("toystore_follower_lag_orders", &[("replica", "1")]), 3);
    assert!(metrics(&store, Frontend).whole("toystore_in_sync_replicas", &[]) < 3);
    let told = |ending| {
        let mut events = events(&store, Frontend).into_iter();
        events.any(|event| event.text.starts_with("replica 1 ") && event.text.contains(ending))
    };
    assert!(told(" leaves the in-sync set; epoch "));
    store.resume(Order(1));
    wait_until("it has caught up", || lag(1) == 0);
    store.await_in_sync();
    assert!(told(" has caught up and joins the in-sync set; epoch "));
}

#[test]
fn an_election_and_its_reason_are_in_the_events_as_in_the_log() {
    let mut store = Cluster::open(&["--log-format=json"]);
    store.await_in_sync();
    store.kill(Order(3));
    assert_eq!(store.leader(), 2);
    let reason = "replica 3 is down; epoch ";
    wait_until("the election is told", || has_event(&store, Frontend, reason));
    wait_until("the leader tells it too", || has_event(&store, Order(2), "took office in epoch "));
    for id in [Frontend, Order(2)] {
        let events = events(&store, id);
        assert!((1..).zip(&events).all(|(n, event)| event.number == n), "{events:?}");
        let times = events.windows(2).all(|pair| pair[0].unix_ms <= pair[1].unix_ms);
        assert!(times && events[0].unix_ms > 1_600_000_000_000, "{events:?}");
        // Threads that log at the same time may print in another order than the events have.
        wait_until("all that is kept is printed", || {
            let log = store.log(id);
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let printed: Vec<_> =
                lines.map(|line| (line["level"].clone(), line["message"].clone())).collect();
            let is_printed =
                |event: &Event| printed.contains(&(json!(event.level), json!(event.text)));
            events.iter().all(is_printed)
        });
    }
}

#[test]
fn signals_make_the_catalog_slow_and_set_it_back() {
    let store = Cluster::open(&["--catalog-delay-ms=5"]);
    let delay = || status::<CatalogStatus>(&store, Catalog).own.delay_ms;
    assert_eq!(delay(), 5);
    store.signal(Catalog, Signal::USR1);
    wait_until("it is slow", || delay() == 200);
    wait_until("it says so", || {
        has_event(&store, Catalog, "artificial delay of queries and purchases: 200 ms")
    });
    assert_eq!(metrics(&store, Catalog).value("toystore_delay_seconds", &[]).to_string(), "0.2");
    let mut customer = store.customer(Catalog);
    let begun = Instant::now();
    customer.quantity("Tux");
    assert!(begun.elapsed() >= Duration::from_millis(200));
    store.signal(Catalog, Signal::USR2);
    wait_until("it is as configured", || delay() == 5);
    wait_until("it says so", || {
        has_event(&store, Catalog, "artificial delay of queries and purchases: 5 ms")
    });
}

#[test]
fn the_last_events_are_kept_whatever_is_written() {
    let store = Cluster::open(&["--log-level=error"]);
    let delay = || status::<CatalogStatus>(&store, Catalog).own.delay_ms;
    for _ in 0..EVENTS_MAX / 2 {
        store.signal(Catalog, Signal::USR1);
        wait_until("it is slow", || delay() == 200);
        store.signal(Catalog, Signal::USR2);
        wait_until("it is not", || delay() == 0);
    }
    let events = wait_for("all is reported", || {
        let events = events(&store, Catalog);
        let last = events.last().is_some_and(|event| event.text.ends_with(": off"));
        last.then_some(events)
    });
    assert_eq!(events.len(), EVENTS_MAX, "the oldest made room");
    assert!(events[0].number > 1, "what it said at its start is gone");
    assert_eq!(store.log(Catalog), "", "less than an error is not written");
}
