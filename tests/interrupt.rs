//! Ctrl-C in a program that measures: it shows the results so far, and its exit code says that they are not
//! complete, whatever the store does.

mod support;

use support::Id::Frontend;
use support::interrupt::{await_orders, interrupt, start};
use support::{Cluster, wait_until};

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
        let client = start(&store, "client", &endless);
        await_orders(&store);
        client
    };
    let assert_shown = |(table, said): (String, String)| {
        assert!(count(&table, "query") > 0 && count(&table, "buy") > 3, "{table}");
        assert_eq!(count(&table, "order lookup"), 0, "nothing is begun any more: {table}");
        assert_eq!(said, "client: interrupted; not all orders were checked\n");
        let given = std::fs::read_to_string(store.path("given.csv")).expect("saved");
        assert_eq!(given.lines().count() as u64, 1 + count(&table, "buy"), "{table}");
    };
    assert_shown(interrupt(client()));

    // Its requests are in flight, and will not be answered.
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
    let client = start(&store, "client", &["-c", "2"]);
    // That a program handles the signal can be seen only here.
    let status = format!("/proc/{}/status", client.id());
    wait_until("it has taken over the signal", || {
        let status = std::fs::read_to_string(&status).expect("it runs");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
        u64::from_str_radix(caught.expect("Linux has it"), 16).expect("a mask") & 2 != 0
    });
    let (_, said) = interrupt(client);
    assert_eq!(said, "client: interrupted; not all orders were checked\n");
    store.resume(Frontend);
}
