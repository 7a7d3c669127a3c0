//! The client (K1 to K4), against a store with errors that the real one
//! must never have.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::{Duration, Instant};
use toystore::client::measurements::Kind;
use toystore::client::report::Report;
use toystore::error::{Error, Result};
use toystore::http::Http1;
use toystore::model::{Item, OrderNumber};
use toystore::net::{Caller, Limits, Progress, Protocol, Server};
use toystore::protocol::web::{self, ShownOrder};
use toystore::{client, config};

/// A request, as the store saw it.
#[derive(Debug, Clone)]
struct Asked {
    path: String,
    /// Of a purchase.
    key: Option<String>,
    item: Option<Item>,
}

/// A wrong answer of the store, from this request and those before.
type Trouble = fn(&Asked, &[Asked]) -> Option<Result<Value>>;

/// A front-end that keeps its orders correctly, whatever it answers.
struct Store {
    trouble: Trouble,
    asked: Mutex<Vec<Asked>>,
    orders: Mutex<Vec<(String, Item)>>,
}

impl Protocol for Store {
    type Session = Http1;

    fn open(&self, caller: Caller, _: Waker) -> Http1 {
        Http1::new(caller)
    }

    fn serve(
        &self,
        http: &mut Http1,
        input: &[u8],
        output: &mut Vec<u8>,
        _: Option<Instant>,
    ) -> Progress {
        http.serve(input, output, |request, responder| {
            let asked = Asked {
                path: request.path.to_owned(),
                key: request.header("Idempotency-Key").unwrap().map(str::to_owned),
                item: (request.method == "POST").then(|| web::item(request).unwrap()),
            };
            let honest = self.answer(&asked);
            let mut before = self.asked.lock().unwrap();
            let answer = (self.trouble)(&asked, &before).unwrap_or(honest);
            before.push(asked);
            web::respond(responder, &answer);
        })
    }

    fn expired(&self, http: &mut Http1, output: &mut Vec<u8>) {
        http.expired(output);
    }

    fn panicked(&self, http: &mut Http1, output: &mut Vec<u8>) {
        http.panicked(output);
    }
}

impl Store {
    fn answer(&self, asked: &Asked) -> Result<Value> {
        let mut orders = self.orders.lock().unwrap();
        let path: Vec<&str> = asked.path.split('/').skip(1).collect();
        match (&path[..], &asked.item) {
            (["products"], _) => Ok(json!([toy("Tux", 9), toy("Lego, red", 9), toy("Fox", 9)])),
            (["products", name], _) => Ok(toy(name, 9)),
            (["orders"], Some(item)) => {
                let key = asked.key.clone().unwrap();
                let known = orders.iter().position(|(other, _)| *other == key);
                let place = known.unwrap_or_else(|| {
                    orders.push((key, item.clone()));
                    orders.len() - 1
                });
                Ok(json!({ "order_number": place + 1 }))
            }
            (["orders", number], _) => {
                let place = number.parse::<usize>().unwrap() - 1;
                let item = orders.get(place).ok_or(Error::UnknownOrder)?.1.clone();
                let number = OrderNumber(place as u64 + 1);
                Ok(serde_json::to_value(ShownOrder { number, item }).unwrap())
            }
            _ => Err(Error::invalid("no such path")),
        }
    }
}

fn toy(name: &str, quantity: u64) -> Value {
    json!({ "name": name, "price": 19.9, "quantity": quantity })
}

/// A store on a free port.
fn open(trouble: Trouble) -> (Arc<Store>, Server) {
    open_at("127.0.0.1:0", trouble)
}

fn open_at(address: &str, trouble: Trouble) -> (Arc<Store>, Server) {
    let store = Arc::new(Store { trouble, asked: Mutex::default(), orders: Mutex::default() });
    let server = Server::start("test", address, store.clone(), Limits::default()).unwrap();
    (store, server)
}

fn config(server: &Server) -> config::Client {
    config::Client {
        addresses: vec![server.address().to_string()],
        sessions: 2,
        iterations: 20,
        probability: 0.5,
        exactly: true,
        seed: 7,
        retries: 2,
        retry_delay: Duration::ZERO,
        ..config::Client::default()
    }
}

fn shop(trouble: Trouble) -> (Vec<Asked>, Report) {
    let (store, server) = open(trouble);
    let report = client::run(&config(&server), &|| false).unwrap();
    server.stop();
    let asked = store.asked.lock().unwrap().clone();
    (asked, report)
}

fn purchases(asked: &[Asked]) -> Vec<&Asked> {
    asked.iter().filter(|asked| asked.item.is_some()).collect()
}

#[test]
fn a_session_queries_buys_and_fetches_every_order_back() {
    let (asked, report) = shop(|_, _| None);
    assert_eq!(report.findings, [""; 0]);
    assert_eq!(report.order_count(), 20);
    let counts = Kind::ALL.map(|kind| report.measurements.latencies(kind).len());
    assert_eq!(counts, [40, 20, 20]);
    let keys: HashSet<_> = purchases(&asked).iter().map(|asked| asked.key.clone()).collect();
    assert_eq!(keys.len(), 20, "each purchase has a key of its own");
}

#[test]
fn a_failed_purchase_is_retried_with_its_key() {
    let (asked, report) = shop(|asked, before| {
        let tries = before.iter().filter(|other| other.key == asked.key).count();
        match (&asked.key, tries) {
            (Some(_), 0) => Some(Err(Error::unavailable("no leader"))),
            (Some(_), 1) => Some(Err(Error::unanswered("the leader is gone"))),
            _ => None,
        }
    });
    assert_eq!(report.findings, [""; 0]);
    assert_eq!((report.order_count(), report.measurements.retries), (20, 40));
    let mut tries: HashMap<_, Vec<_>> = HashMap::new();
    for asked in purchases(&asked) {
        tries.entry(asked.key.clone()).or_default().push(asked.item.clone());
    }
    assert_eq!(tries.len(), 20);
    for items in tries.values() {
        assert!(items.len() == 3 && items.iter().all(|item| *item == items[0]), "{items:?}");
    }
}

#[test]
fn a_request_that_fails_for_good_ends_its_session_but_not_the_check_of_its_orders() {
    let (asked, report) = shop(|asked, before| {
        let is_late = purchases(before).len() >= 6;
        (asked.item.is_some() && is_late).then(|| Err(Error::unavailable("no leader")))
    });
    assert_eq!(report.findings.len(), 2, "{:?}", report.findings);
    for (session, finding) in (1..).zip(&report.findings) {
        let expected = format!("session {session}: the store answered 503: no leader; try again");
        assert_eq!(*finding, expected);
    }
    assert_eq!((report.order_count(), report.measurements.retries), (6, 4));
    let lookups = asked.iter().filter(|asked| asked.path.starts_with("/orders/")).count();
    assert_eq!(lookups, 6);
}

#[test]
fn what_is_not_there_is_not_bought_and_a_refusal_is_no_failure() {
    let (asked, report) = shop(|asked, _| match (&*asked.path, &asked.item) {
        ("/products/Tux", _) => Some(Ok(toy("Tux", 0))),
        ("/products/Fox", _) => Some(Err(Error::UnknownToy)),
        (_, Some(_)) => Some(Err(Error::NotEnoughStock)),
        _ => None,
    });
    assert_eq!(report.findings, [""; 0]);
    assert_eq!((report.order_count(), report.measurements.retries), (0, 0));
    let purchases = purchases(&asked);
    assert!(purchases.iter().all(|asked| asked.item.as_ref().unwrap().name == "Lego, red"));
    assert_eq!(report.measurements.refused, purchases.len() as u64);
    let unknown = asked.iter().filter(|asked| asked.path == "/products/Fox").count();
    assert_eq!(report.measurements.unknown, unknown as u64);
    assert!(asked.iter().any(|asked| asked.path == "/products/Lego%2C%20red"));
}

#[test]
fn a_seed_repeats_the_steps_but_never_the_keys() {
    let runs = [(); 2].map(|()| {
        let (store, server) = open(|_, _| None);
        client::run(&config::Client { sessions: 1, ..config(&server) }, &|| false).unwrap();
        server.stop();
        let asked = store.asked.lock().unwrap().clone();
        let keys: HashSet<_> = asked.iter().filter_map(|asked| asked.key.clone()).collect();
        let steps: Vec<_> = asked.into_iter().map(|asked| (asked.path, asked.item)).collect();
        (steps, keys)
    });
    assert_eq!(runs[0].0, runs[1].0);
    assert!(runs[0].1.is_disjoint(&runs[1].1));
}

#[test]
fn the_exit_code_says_whether_the_store_kept_its_promises() {
    let other_item = |asked: &Asked, _: &[Asked]| {
        let item = json!({ "number": 1, "name": "Tux", "quantity": 77 });
        (asked.path == "/orders/1").then_some(Ok(item))
    };
    let lost = |asked: &Asked, _: &[Asked]| {
        (asked.path == "/orders/1").then_some(Err(Error::UnknownOrder))
    };
    let cases: [(Trouble, i32, &str); 3] = [
        (|_, _| None, 0, "all orders match the store's records"),
        (other_item, 1, "but the store returned order 1 for 77 Tux"),
        (lost, 1, "order 1: order not found"),
    ];
    for (trouble, code, expected) in cases {
        let (_store, server) = open(trouble);
        let port = server.address().port().to_string();
        assert_says(&["-c", "2", "-n", "9", "-p", "1", "--port", &port], code, expected);
        server.stop();
    }
    let nobody = ["-c", "2", "-n", "9", "--address", "127.0.0.1:1", "--retries", "0"];
    assert_says(&nobody, 2, "cannot reach 127.0.0.1:1");
}

#[test]
fn a_host_is_given_as_people_write_it() {
    for (listen, host) in [
        ("[::1]:0", "::1"),
        ("[::1]:0", "[::1]"),
        ("127.0.0.1:0", "127.0.0.1"),
        ("127.0.0.1:0", "localhost"),
    ] {
        let (_store, server) = open_at(listen, |_, _| None);
        let port = server.address().port().to_string();
        let arguments = ["-c", "1", "-n", "2", "--retries", "0", "--host", host, "--port", &port];
        assert_says(&arguments, 0, "all orders match the store's records");
    }
}

fn assert_says(arguments: &[&str], code: i32, expected: &str) {
    let directory = tempfile::tempdir().unwrap();
    let mut client = Command::new(env!("CARGO_BIN_EXE_client"));
    client.args(arguments).current_dir(directory.path()).env_clear();
    let output = client.output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(expected), "{said}");
}
