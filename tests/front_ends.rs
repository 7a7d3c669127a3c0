//! Several front-ends before one store: real processes, two front-ends, of which the first makes the views.

mod support;

use serde_json::json;
use std::fs;
use std::process::Stdio;
use support::Id::{Frontend, Order};
use support::two_front_ends::Store;
use support::{Customer, program, wait_for, wait_until};

/// F5, F7: each front-end has a cache of its own, and both sell the same stock and the same numbers.
#[test]
fn two_front_ends_sell_from_one_stock_and_show_no_old_version() {
    let store = Store::open(&[]);
    let mut customers = store.customers();
    for (n, buyer) in (1..=20u64).zip([0, 1].into_iter().cycle()) {
        let other = 1 - buyer;
        assert_eq!(customers[buyer].buy_one("Tux"), n, "one row of numbers");
        // Twice: the second time from the cache.
        for _ in 0..2 {
            assert_eq!(
                customers[other].quantity("Tux"),
                100 - n,
                "after the purchase at the other"
            );
        }
    }
    let (status, order) = customers[1].get("/orders/1");
    assert_eq!((status, &order["data"]["name"]), (200, &json!("Tux")));
    store.cluster.assert_conserved();
}

/// A customer may repeat a purchase at any front-end.
#[test]
fn a_key_is_known_at_every_front_end() {
    let store = Store::open(&[]);
    let buy = |customer: &mut Customer| {
        let (status, body) = customer.buy_with_key("the-same", "Fox", 2);
        assert_eq!(status, 200, "{body}");
        body["data"]["order_number"].as_u64().expect("a number")
    };
    let [mut first, mut second] = store.customers();
    let number = buy(&mut first);
    assert_eq!(buy(&mut second), number);
    assert_eq!(buy(&mut first), number);
    assert_eq!(second.quantity("Fox"), 98);
}

/// Its purchases are counted from an epoch that no start of it had before. If a process counted from the same epoch as
/// the one before it, its purchases would have the keys of purchases that were answered.
#[test]
fn a_front_end_that_has_started_again_makes_new_orders() {
    let mut store = Store::open(&[]);
    for n in 1..=3 {
        assert_eq!(Customer::of(&store.second).buy_one("Tux"), n, "a new order");
        store.kill_second();
        store.start_second();
    }
}

/// Without the front-end that makes the views, the others sell as long as the leader lives; a new leader is elected when
/// it is back.
#[test]
fn the_others_sell_while_the_front_end_that_makes_the_views_is_down() {
    let mut store = Store::open(&[]);
    let mut second = Customer::of(&store.second);
    assert_eq!(second.buy_one("Tux"), 1);
    let leader = store.cluster.leader();
    store.cluster.kill(Frontend);
    assert_eq!(second.buy_one("Tux"), 2, "the leader is the same");
    assert_eq!(second.quantity("Tux"), 98);
    store.cluster.kill(Order(leader));
    store.cluster.start(Frontend);
    assert_eq!(second.buy_one("Tux"), 3, "the second learns of the view that the first makes");
    let elected = wait_for("another leader", || {
        Some(store.cluster.leader()).filter(|other| *other != leader)
    });
    assert_ne!(elected, leader);
}

/// K4: the client goes on at the next front-end.
#[test]
fn the_client_changes_over_to_the_next_front_end() {
    let mut store = Store::open(&[]);
    let mut client = store.cluster.program("client");
    client.args(["-c", "2", "-n", "400", "-p", "0.5", "--retries", "5", "--retry-delay-ms", "200"]);
    let mut client = client.stderr(Stdio::inherit()).spawn().expect("a process");
    let mut first = store.cluster.customer(Frontend);
    wait_until("both sessions have bought", || {
        first.quantity("Tux") < 100 || first.get("/orders/4").0 == 200
    });
    store.kill_second();
    assert_eq!(support::finish(&mut client).code(), Some(0), "all orders match");
}

#[test]
fn mistakes_in_the_table_of_front_ends_are_refused() {
    for (text, why) in [
        ("[frontend]\ncontroller = 2", "frontend.controller: there is no front-end 2"),
        ("[frontend.1]\n", "line 1: front-end is \"1\", expected a whole number from 2 to 99"),
        (
            "[frontend.2]\nlisten = \"127.0.0.1:8082\"",
            "frontend.2.listen and catalog.listen: both are \"127.0.0.1:8082\"",
        ),
        (
            "[frontend.2]\n[catalog]\npeer_threads = 4",
            "catalog.peer_threads: it is 4, so many front-ends need 5 at least",
        ),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("wrong.toml");
        fs::write(&file, text).expect("written");
        let mut command = std::process::Command::new(program("frontend"));
        let output = command.arg("--config").arg(&file).output().expect("a process");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}: {said}");
        assert!(said.contains(why), "{text}: {said}");
    }
}
