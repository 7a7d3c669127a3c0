//! A store that is carried from files to the database and back: it has the same stock, orders, keys and open sales, and
//! goes on selling. And what is refused.

use crate::support::Id::{self, Catalog, Frontend, Order};
use crate::support::galera::Galera;
use crate::support::{ALL, Cluster, REPLICAS};
use serde_json::json;
use std::fs;
use std::process::{Output, Stdio};
use toystore::model::{Epoch, Item, Key, OrderNumber, PurchaseId};
use toystore::protocol::catalog::{Request, Reserved};
use toystore::protocol::purchase::Purchase;

/// Runs `database import` or `database export`.
fn carry(store: &Cluster, galera: &Galera, direction: &str) -> Output {
    let mut command = store.program("database");
    command.args(galera.flags()).arg(direction).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.output().expect("a process")
}

/// The sums that it prints.
fn carried(store: &Cluster, galera: &Galera, direction: &str) -> String {
    let output = carry(store, galera, direction);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}{output:?}");
    assert!(text.contains(" have the same;") || text.contains(" has the same;"), "{text}");
    let sums = |line: &&str| line.starts_with("toys ") || line.starts_with("orders ");
    text.lines().filter(sums).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_refused(store: &Cluster, galera: &Galera, direction: &str, expected: &str) {
    let output = carry(store, galera, direction);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{expected}: {output:?}");
    assert!(said.lines().count() == 1 && said.contains(expected), "{said}");
}

/// Buys with a key. Returns the order's number.
fn buy(store: &Cluster, toy: &str, key: &str) -> u64 {
    let body = json!({ "name": toy, "quantity": 1 }).to_string();
    let mut customer = store.customer(Frontend);
    let headers = [("Idempotency-Key", key)];
    let (status, receipt) = customer.send("POST", "/orders", &headers, body.as_bytes());
    assert_eq!(status, 200, "{receipt}");
    receipt["data"]["order_number"].as_u64().expect("a number")
}

/// Makes a sale that is no order yet, as a leader does that is killed after it.
fn leave_a_sale_open(store: &Cluster, toy: &str) {
    let leader = store.leader();
    let epoch = store.health(leader).and_then(|health| health.view).expect("it leads").epoch;
    let key = Key::try_from("open".to_owned()).expect("a key");
    let item = Item { name: toy.parse().expect("a name"), quantity: 1.try_into().expect("one") };
    let id = PurchaseId { caller: 99, incarnation: Epoch(1), sequence: 1 };
    let purchases = vec![Purchase { epoch, id, ack_below: 1, key, item }];
    let logged = OrderNumber(store.committed());
    let asked = Request::Purchase { epoch, logged, purchases };
    let Reserved { incarnation, position, .. } = store.ask(Catalog, &asked).expect("it sells");
    let (): () = store.ask(Catalog, &Request::Durable { incarnation, position }).expect("durable");
}

/// The operator's changes, a sale by hand, orders, and a sale that is no order yet.
fn trade(store: &Cluster) -> u64 {
    let mut operator = store.operator(Catalog);
    let new = json!({ "price": 4.55, "quantity": 30 }).to_string();
    assert_eq!(operator.send("PUT", "/products/O'Hare", &[], new.as_bytes()).0, 201);
    let restock = json!({ "price": 7.25, "restock": 500 }).to_string();
    assert_eq!(operator.send("PUT", "/products/Fox", &[], restock.as_bytes()).0, 200);
    let by_hand = json!({ "name": "Fox", "quantity": 3 }).to_string();
    assert_eq!(operator.send("POST", "/buy_qty", &[], by_hand.as_bytes()).0, 200);
    for number in 0..20 {
        buy(store, ["Tux", "Fox", "O'Hare"][number % 3], &format!("key-{number}"));
    }
    let known = buy(store, "O'Hare", "known");
    store.await_settled();
    leave_a_sale_open(store, "Tux");
    known
}

/// Moves the data directories away.
fn put_away(store: &Cluster, name: &str) {
    fs::create_dir(store.path(name)).expect("a directory");
    for id in ALL {
        let data = store.data(id);
        fs::rename(&data, store.path(name).join(id.section())).expect("it was there");
    }
}

fn audits(store: &Cluster) -> bool {
    store.program("audit").status().expect("a process").success()
}

#[test]
#[ignore = "needs MariaDB; run by make test-database"]
fn a_store_that_is_carried_to_the_database_and_back_has_everything_and_goes_on() {
    let galera = Galera::start();
    let mut store = Cluster::open(&[]);
    let known = trade(&store);
    assert_refused(&store, &galera, "import", "it runs; stop all services of the store first");
    store.close();
    let log = store.orders_csv(1);

    let sums = carried(&store, &galera, "import");
    assert!(sums.contains("open sales 1"), "{sums}");
    assert_refused(&store, &galera, "import", "it has the data of a store; set another");
    assert_refused(&store, &galera, "export", "it has the data of a store, or of an export");
    put_away(&store, "before");
    assert_eq!(carried(&store, &galera, "export"), sums, "the sums stay the same");
    for id in REPLICAS {
        assert_eq!(store.orders_csv(id), log, "the log of replica {id}, byte for byte");
    }

    for flag in galera.flags() {
        store.add_flag(flag);
    }
    let next = sells_on(&mut store, known, known + 2);
    crash_with_an_order_that_is_not_sold(&galera, next);
    assert!(audits(&store), "its sale is made when the store starts");
    put_away(&store, "between");
    let sums = carried(&store, &galera, "export");
    assert!(sums.contains(&format!("orders {}, ", next + 1)), "{sums}");
    assert!(audits(&store), "the database is as before");
    store.add_flag("--engine=files".to_owned());
    sells_on(&mut store, known, next + 2);
    galera.sql(
        1,
        "UPDATE toystore_catalog.toys SET sold = sold + 1, quantity = quantity - 1 WHERE id = 1",
    );
    put_away(&store, "after");
    assert_refused(&store, &galera, "export", "the books do not balance");
}

/// Opens the store: a known key finds its order, the open sale has become an order, and the next one has number `next`.
/// Closes it, and returns the number.
fn sells_on(store: &mut Cluster, known: u64, next: u64) -> u64 {
    store.start_all();
    assert_eq!(buy(store, "O'Hare", "known"), known, "the key finds its order");
    assert_eq!(buy(store, "Tux", "open"), 22, "the open sale has become an order");
    assert_eq!(buy(store, "Tux", &format!("new-{next}")), next, "numbers go on");
    store.close();
    assert!(audits(store), "the books balance");
    next
}

/// As after `kill -9` of all services between the order and its sale.
fn crash_with_an_order_that_is_not_sold(galera: &Galera, last: u64) {
    let number = last + 1;
    galera.sql(
        1,
        &format!(
            "USE toystore_orders; BEGIN; UPDATE logs SET position = {number};
             INSERT INTO orders SELECT {number}, toy, 1, epoch, 'unsold', ordered + 1 FROM orders WHERE number = {last};
             COMMIT"
        ),
    );
}

#[test]
#[ignore = "needs MariaDB; run by make test-database"]
fn a_store_is_not_opened_before_it_was_carried_as_a_whole() {
    let galera = Galera::start();
    let mut store = Cluster::open(&[]);
    buy(&store, "Tux", "one");
    store.close();
    let is_locked = |id: Id| {
        let lock = toystore::storage::directory::Lock::take(&store.data(id)).expect("it is closed");
        assert_refused(&store, &galera, "import", "already in use by another process");
        drop(lock);
    };
    [Catalog, Frontend, Order(2)].into_iter().for_each(is_locked);
    // The import is stopped before it ends.
    carried(&store, &galera, "import");
    for service in ["catalog", "orders"] {
        galera.sql(1, &format!("UPDATE toystore_{service}.store SET version = 0"));
    }
    let unfinished = "an import into it did not finish; drop this database and import again";
    assert_refused(&store, &galera, "import", unfinished);
    put_away(&store, "before");
    assert_refused(&store, &galera, "export", unfinished);
    for flag in galera.flags() {
        store.add_flag(flag);
    }
    for id in [Catalog, Order(1)] {
        store.spawn(id, &[]);
        assert_eq!(store.await_end(id).code(), Some(2));
        assert!(store.log(id).contains(unfinished), "{}", store.log(id));
    }
}
