//! A store with the most toys allowed: every program works. With one more, it does not start.

mod support;

use serde_json::Value;
use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::process::{Output, Stdio};
use std::time::Duration;
use support::Id::{Catalog, Frontend};
use support::{Cluster, PATIENCE};
use toystore::client::api::{Api, Keys};
use toystore::client::measurements::Measurements;
use toystore::config;
use toystore::http::{Client, Response};
use toystore::protocol::catalog::{PAGE_TOYS_MAX, TOYS_MAX};

/// The largest status or metrics page of a service, with any number of toys.
const LOOK_BYTES_MAX: usize = 1 << 19;

/// A store with this number of toys, whose names are as long as allowed.
fn store_of(toys: usize) -> Cluster {
    let store = Cluster::closed(&["--catalog-initial=many.csv", "--frontend-cache-capacity=5000"]);
    let mut rows = "name,price,quantity\n".to_owned();
    for toy in 0..toys {
        writeln!(rows, "{:🧸<31},9.99,100", format!("toy {toy:05}")).expect("a String");
    }
    fs::write(store.path("many.csv"), rows).expect("has room");
    store
}

fn run(store: &Cluster, program: &str, arguments: &[&str]) -> Output {
    let mut command = store.program(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.output().expect("a process")
}

fn get(client: &mut Client, target: &str) -> Response {
    let response = client.send("GET", target, &[], b"").expect("it answers");
    assert_eq!(response.status, 200, "{target}: {}", String::from_utf8_lossy(&response.body));
    response
}

fn names(response: &Response) -> Vec<String> {
    let body: Value = serde_json::from_slice(&response.body).expect("JSON");
    let toys = body["data"].as_array().expect("a list").iter();
    toys.map(|toy| toy["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn every_program_works_with_as_many_toys_as_there_may_be() {
    let mut store = store_of(TOYS_MAX);
    store.start_all();

    let mut customer = Client::new(store.address(Frontend), PATIENCE);
    let first = get(&mut customer, "/products");
    assert_eq!(names(&first).len(), PAGE_TOYS_MAX, "a list without a limit");
    assert!(first.header("Link").is_some(), "and a link to the next page");
    let (settings, measurements) =
        (config::Config::default().client, parking_lot::Mutex::default());
    let measurements: &parking_lot::Mutex<Measurements> = &measurements;
    let mut shop =
        Api::new(vec![store.address(Frontend).into()], &settings, Keys::new(), measurements);
    let all = shop.names().expect("the whole list");
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), TOYS_MAX);

    let bought = run(&store, "client", &["--sessions=2", "--iterations=5", "--probability=1"]);
    assert_eq!(bought.status.code(), Some(0), "{bought:?}");
    let audited = run(&store, "audit", &["--running"]);
    assert_eq!(audited.status.code(), Some(0), "{}", String::from_utf8_lossy(&audited.stderr));
    assert!(String::from_utf8_lossy(&audited.stdout).contains("the books balance"));

    for toy in all.iter().take(3_000) {
        get(&mut customer, &format!("/products/{}", toystore::http::percent_encode(toy)));
    }
    for id in [Catalog, Frontend] {
        let mut looker = Client::new(store.peer_address(id), Duration::from_secs(1));
        for target in ["/status", "/metrics"] {
            let bytes = get(&mut looker, target).body.len();
            assert!(bytes < LOOK_BYTES_MAX, "{id:?} {target}: {bytes} bytes");
        }
    }
    store.close();
    store.start_all();
}

#[test]
fn a_store_of_more_toys_is_refused() {
    let store = store_of(TOYS_MAX + 1);
    let mut command = store.command(Catalog, &[]);
    let output = command.stderr(Stdio::piped()).output().expect("a process");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("many.csv, line {}", TOYS_MAX + 2)), "{said}");
    assert!(said.contains(&format!("a store has at most {TOYS_MAX} toys")), "{said}");
}
