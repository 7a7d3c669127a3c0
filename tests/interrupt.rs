//! Ctrl-C in a program that measures: it shows what was measured so far, and says by its exit code that this is not
//! all, whatever the store does.

mod support;

use rustix::process::Signal;
use serde_json::Value;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use support::Id::Frontend;
use support::{Cluster, signal, wait_until};

/// How long a program may take to end.
const END_MAX: Duration = Duration::from_secs(5);

/// A program that works until it is interrupted.
fn start(store: &Cluster, program: &str, arguments: &[&str]) -> Child {
    let mut command = store.program(program);
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("a process")
}

/// Interrupts it; returns what it printed and what it said on standard error.
fn interrupt(program: Child) -> (String, String) {
    let begun = Instant::now();
    signal(&program, Signal::INT);
    let output = program.wait_with_output().expect("it is our child");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(begun.elapsed() < END_MAX, "{:?}", begun.elapsed());
    (String::from_utf8(output.stdout).expect("text"), said)
}

/// Waits until the store has given so many more orders.
fn await_orders(store: &Cluster) {
    let before = store.committed();
    wait_until("there are more orders", || store.committed() > before + 3);
}

/// The first number of a table's row.
fn count(table: &str, kind: &str) -> u64 {
    let row = table.lines().find(|line| line.starts_with(kind));
    let cells = row.unwrap_or_else(|| panic!("{kind} in {table}"))[kind.len()..].split_whitespace();
    cells.map(|cell| cell.parse().expect("a number")).next().expect("a cell")
}

#[test]
fn a_client_that_is_interrupted_shows_what_it_measured() {
    let store = Cluster::open(&["--catalog-reset-stock", "--catalog-restock-to=100000"]);
    let client = || {
        let endless = ["-c", "3", "-n", "1000000", "-p", "0.5", "--orders=given.csv"];
        let client = start(&store, env!("CARGO_BIN_EXE_client"), &endless);
        await_orders(&store);
        client
    };
    let assert_shown = |(table, said): (String, String)| {
        assert!(count(&table, "query") > 0 && count(&table, "buy") > 3, "{table}");
        assert_eq!(count(&table, "order lookup"), 0, "nothing is begun any more: {table}");
        assert_eq!(said, "client: interrupted; not every order was checked\n");
        let given = std::fs::read_to_string(store.path("given.csv")).expect("saved");
        assert_eq!(given.lines().count() as u64, 1 + count(&table, "buy"), "{table}");
    };
    assert_shown(interrupt(client()));

    // Its requests are under way, and will not be answered.
    let client = client();
    store.pause(Frontend);
    let shown = interrupt(client);
    store.resume(Frontend);
    assert_shown(shown);
}

#[test]
fn a_client_that_still_waits_for_the_store_can_be_interrupted() {
    let store = Cluster::open(&[]);
    store.pause(Frontend);
    let client = start(&store, env!("CARGO_BIN_EXE_client"), &["-c", "2"]);
    // A program that has taken over the signal does not show that anywhere else.
    let status = format!("/proc/{}/status", client.id());
    wait_until("it has taken over the signal", || {
        let status = std::fs::read_to_string(&status).expect("it runs");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
        u64::from_str_radix(caught.expect("Linux has it"), 16).expect("a mask") & 2 != 0
    });
    let (_, said) = interrupt(client);
    assert_eq!(said, "client: interrupted; not every order was checked\n");
    store.resume(Frontend);
}

#[test]
fn a_load_that_is_interrupted_shows_what_it_measured() {
    let store = Cluster::open(&["--catalog-reset-stock", "--catalog-restock-to=100000"]);
    for pause in [false, true] {
        let endless = ["mixed", "-p", "0.5", "-r", "300", "-d", "60m", "--json", "-"];
        let load = start(&store, env!("CARGO_BIN_EXE_loadtest"), &endless);
        await_orders(&store);
        if pause {
            store.pause(Frontend);
        }
        let (json, said) = interrupt(load);
        let shown: Value = serde_json::from_str(&json).expect("JSON");
        assert!(shown["kinds"]["buy"]["requests"].as_u64() > Some(3), "{json}");
        assert_eq!(shown["errors"], 0, "what was cut short is no error: {json}");
        let unsent = shown["unsent"].as_u64().expect("a number");
        assert!(unsent < 10_000, "of an hour's requests only those of the first moments: {json}");
        assert_eq!(said, "loadtest: interrupted\n");
        store.resume(Frontend);
    }
}
