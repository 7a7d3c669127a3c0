//! The cost of a million orders and a hundred thousand toys: `make bench ARGS="--bench size"`.
//!
//! Memory of the front-end and of a replica, the start with a million orders, and the latency of a purchase
//! in such a store compared with an empty one, in turns. The orders are written into the files of a
//! store that was open once, with the store's own modules.

#[path = "../../tests/support/mod.rs"]
mod support;
mod measure;

use hdrhistogram::Histogram;
use measure::load::{PATIENCE, endless_stock};
use measure::{ROUNDS, Spread, Wanted, float, judge, micros, status, wanted};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};
use support::{ALL, Cluster, Id, REPLICAS};
use toystore::catalog::file::{read_toys, write_toys};
use toystore::catalog::stock::Stock;
use toystore::http::Client;
use toystore::model::{Entry, Epoch, Item, Key, OrderNumber, PurchaseId, Quantity};
use toystore::order::file::OrderFile;

const ORDERS: u64 = 1_000_000;
const TOYS: usize = 100_000;
const FEW_TOYS: usize = 10;
const SESSIONS: usize = 10;
const ROUND: Duration = Duration::from_secs(2);

fn main() {
    if wanted().is_none() {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let empty = Cluster::open(&[&endless_stock(directory.path(), FEW_TOYS)]);
    let mut full = Cluster::open(&[&endless_stock(directory.path(), TOYS)]);
    empty.await_in_sync();
    full.await_in_sync();
    let before = REPLICAS.map(|id| status(full.pid(Id::Order(id))).0);
    full.close();
    write_orders(&full);

    let starts: Vec<f64> = (0..ROUNDS).map(|_| start(&mut full)).collect();
    full.start_all();
    full.await_in_sync();
    println!("{ORDERS} orders, {TOYS} toys");
    let orders = full.committed();
    assert!(orders >= ORDERS, "only {orders} orders are committed");
    judge("start of a replica, s", &Spread::of(starts), Wanted::AtMost(1.0));
    let after = REPLICAS.map(|id| status(full.pid(Id::Order(id))).0);
    let bytes_per_order =
        |(before, after): (u64, u64)| float(after.saturating_sub(before) * 1024) / float(ORDERS);
    let bytes = before.into_iter().zip(after).map(bytes_per_order);
    judge("memory of an order, bytes", &Spread::of(bytes), Wanted::AtMost(200.0));
    for (name, store) in [("empty", &empty), ("full", &full)] {
        let what = format!("front-end ({name}), {SESSIONS} sessions, MB");
        judge(&what, &Spread::of([frontend_megabytes(store)]), Wanted::AtMost(15.0));
    }
    for clients in [1, 10] {
        compare(&empty, &full, clients);
    }
}

/// Latencies in the full store and in the empty one.
fn compare(empty: &Cluster, full: &Cluster, clients: usize) {
    let mut latencies = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for turn in 0..2 {
            let which = (round + turn) % 2;
            let (store, toys) = [(empty, FEW_TOYS), (full, TOYS)][which];
            let waits = buy(store.address(Id::Frontend), toys, clients);
            latencies[which].push([0.5, 0.99].map(|q| float(waits.value_at_quantile(q))));
        }
    }
    println!("\na purchase by {clients} clients, {ROUNDS} rounds of {ROUND:?} in turns");
    for (place, name) in ["p50", "p99"].into_iter().enumerate() {
        let [empty, full] = [0, 1].map(|which: usize| {
            latencies[which].iter().map(|round: &[f64; 2]| round[place]).collect::<Vec<_>>()
        });
        let ratio = Spread::of_ratios(&full, &empty);
        let [empty, full] = [empty, full].map(|rounds| Spread::of(rounds).median);
        println!("  {name}: {empty:.0} µs in the empty store, {full:.0} µs in the full one");
        judge(&format!("full / empty, {name}"), &ratio, Wanted::AtMost(1.1));
    }
}

/// Latencies of purchases, each of one of this number of toys, in µs. The load test would first ask for the list of all
/// toys, which takes longer than a client may wait.
fn buy(address: &str, toys: usize, clients: usize) -> Histogram<u64> {
    let waits = Mutex::new(Histogram::<u64>::new(3).expect("valid"));
    let until = Instant::now() + ROUND;
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut own = Histogram::<u64>::new(3).expect("valid");
                let mut client = Client::new(address, PATIENCE);
                while Instant::now() < until {
                    let body =
                        format!(r#"{{"name":"Toy {}","quantity":1}}"#, fastrand::usize(2..=toys));
                    let begun = Instant::now();
                    let bought = client.send("POST", "/orders", &[], body.as_bytes());
                    own.record(micros(begun)).expect("it grows");
                    assert_eq!(bought.expect("it answers").status, 200);
                }
                waits.lock().expect("no panic").add(own).expect("same bounds");
            });
        }
    });
    waits.into_inner().expect("no panic")
}

/// Seconds from the start of a replica until it answers.
fn start(store: &mut Cluster) -> f64 {
    let (id, begun) = (Id::Order(1), Instant::now());
    store.spawn(id, &[]);
    while !store.is_ready(id) {
        assert!(begun.elapsed() < PATIENCE, "{}", store.log(id));
        thread::sleep(Duration::from_millis(2));
    }
    let seconds = float(micros(begun)) / 1e6;
    store.end(id);
    seconds
}

/// Resident memory, while this number of sessions have sent requests of all kinds.
fn frontend_megabytes(store: &Cluster) -> f64 {
    let mut sessions: Vec<Client> =
        (0..SESSIONS).map(|_| Client::new(store.address(Id::Frontend), PATIENCE)).collect();
    for _ in 0..100 {
        for session in &mut sessions {
            for (method, target, body) in [
                ("GET", "/products/Tux", ""),
                ("GET", "/orders/1", ""),
                ("POST", "/orders", r#"{"name":"Tux","quantity":1}"#),
            ] {
                session.send(method, target, &[], body.as_bytes()).expect("it answers");
            }
        }
    }
    float(status(store.pid(Id::Frontend)).0) / 1024.0
}

/// Writes the orders into the closed store, and decrements the stock by what they sold.
fn write_orders(store: &Cluster) {
    let toys = store.data(Id::Catalog).join("toys.csv");
    let stock = read_toys(&toys).expect("it is whole");
    let (mut shelves, position) = (stock.shelves().to_vec(), stock.position());
    let orders = store.data(Id::Order(REPLICAS[0]));
    {
        let loaded = OrderFile::load(&orders, None).expect("it is whole");
        assert_eq!(loaded.log.last(), OrderNumber(0), "nobody has bought anything");
        for number in 1..=ORDERS {
            let place = usize::try_from(number).expect("64 bits") % shelves.len();
            let shelf = &mut shelves[place];
            shelf.toy.quantity -= 1;
            shelf.toy.version += 1;
            shelf.sold += 1;
            let entry = order(number, &shelf.toy.name);
            loaded.file.append(&[entry]).expect("a good disk");
        }
        loaded.file.sync(OrderNumber(ORDERS)).expect("a good disk");
        loaded.file.hint_committed(OrderNumber(ORDERS)).expect("a good disk");
    }
    for id in &REPLICAS[1..] {
        for file in ["orders.csv", "committed"] {
            copy(&orders, &store.data(Id::Order(*id)), file);
        }
    }
    // After the journal, which has no record that these shelves lack.
    write_toys(&toys, &Stock::new(shelves, position + 10 * ORDERS)).expect("a good disk");
    for id in ALL {
        fs::write(store.path(&format!("{}.log", id.section())), "").expect("a file");
    }
}

fn copy(from: &Path, to: &Path, file: &str) {
    fs::copy(from.join(file), to.join(file)).expect("a good disk");
}

/// An order as the front-end's customers make it.
fn order(number: u64, toy: &str) -> Entry {
    let id = PurchaseId { caller: 0, incarnation: Epoch(1), sequence: number };
    let quantity = Quantity::try_from(1).expect("allowed");
    let item = Item { name: toy.parse().expect("a name"), quantity };
    Entry { number: OrderNumber(number), epoch: Epoch(1), key: Key::made(id), item }
}
