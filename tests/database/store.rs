//! A whole store on the database, while customers buy and everything fails in turn: service processes, one or all, and a
//! node of the database. What was answered stands, once, under its number; and the books of both services agree.

use crate::support::galera::{Galera, NODES};
use crate::support::{Cluster, Id, REPLICAS, wait_for, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use toystore::http::Client;

const CUSTOMERS: u64 = 6;
const TOYS: [&str; 3] = ["Tux", "Fox", "O'Hare"];
/// Longer than the front-end takes to answer that something is away.
const ANSWER: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

/// An answered purchase.
struct Purchase {
    number: u64,
    key: String,
    toy: &'static str,
}

/// What happens, and what ends it.
struct Fault {
    what: &'static str,
    /// Whether the store sells meanwhile.
    sells: bool,
    begin: fn(&mut Cluster, &Galera),
    end: fn(&mut Cluster, &Galera),
}

const FAULTS: [Fault; 9] = [
    Fault {
        what: "the leader is killed",
        sells: true,
        begin: |store, _| store.kill(Id::Order(store.leader())),
        end: start_what_is_missing,
    },
    Fault {
        what: "the leader is paused",
        sells: true,
        begin: |store, _| store.pause(Id::Order(store.leader())),
        end: |store, _| {
            for id in REPLICAS {
                store.resume(Id::Order(id));
            }
        },
    },
    Fault {
        what: "all replicas are killed",
        sells: false,
        begin: |store, _| {
            for id in REPLICAS {
                store.kill(Id::Order(id));
            }
        },
        end: start_what_is_missing,
    },
    Fault {
        what: "the catalog is killed",
        sells: false,
        begin: |store, _| store.kill(Id::Catalog),
        end: start_what_is_missing,
    },
    Fault {
        what: "the front-end is killed",
        sells: false,
        begin: |store, _| store.kill(Id::Frontend),
        end: start_what_is_missing,
    },
    Fault {
        what: "every process is killed",
        sells: false,
        begin: |store, _| store.kill_all(),
        end: start_what_is_missing,
    },
    Fault {
        what: "a node of the database is killed",
        sells: true,
        begin: |_, galera| galera.kill(1),
        end: |_, galera| galera.start_all(),
    },
    Fault {
        what: "a node of the database is paused",
        sells: true,
        begin: |_, galera| galera.signal(2, Signal::STOP),
        end: |_, galera| {
            galera.signal(2, Signal::CONT);
            galera.start_all();
        },
    },
    Fault {
        what: "a node of the database and the leader are killed",
        sells: true,
        begin: |store, galera| {
            galera.kill(3);
            store.kill(Id::Order(store.leader()));
        },
        end: |store, galera| {
            galera.start_all();
            start_what_is_missing(store, galera);
        },
    },
];

fn start_what_is_missing(store: &mut Cluster, _: &Galera) {
    for id in crate::support::ALL {
        if !store.is_started(id) {
            store.start(id);
        }
    }
}

#[test]
#[ignore = "needs MariaDB; run by make test-database"]
fn whatever_fails_each_answered_purchase_is_one_order_and_the_books_agree() {
    let galera = Galera::start();
    let mut store = Cluster::closed(&["--catalog-initial=initial.csv"]);
    for flag in galera.flags() {
        store.add_flag(flag);
    }
    let toys = TOYS.map(|toy| format!("{toy},10.00,1000000\n")).concat();
    fs::write(store.path("initial.csv"), format!("name,price,quantity\n{toys}")).expect("written");
    store.start_all();

    let address = store.address(Id::Frontend).to_owned();
    let (is_over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let await_more = |after: &str| {
        let goal = answered.load(Ordering::Relaxed) + 100;
        wait_until(&format!("purchases after: {after}"), || {
            answered.load(Ordering::Relaxed) > goal || is_over.load(Ordering::Relaxed)
        });
    };
    let purchases = thread::scope(|scope| {
        let shop = |id| {
            shop(&address, id, &is_over, &answered)
                .inspect_err(|_| is_over.store(true, Ordering::Relaxed))
        };
        let customers: Vec<_> = (0..CUSTOMERS).map(|id| scope.spawn(move || shop(id))).collect();
        await_more("the start");
        for Fault { what, sells, begin, end } in FAULTS {
            begin(&mut store, &galera);
            if sells {
                await_more(what);
            }
            end(&mut store, &galera);
            await_more(&format!("{what}, and this is over"));
        }
        is_over.store(true, Ordering::Relaxed);
        let ended = customers.into_iter().map(|customer| customer.join().expect("no panic"));
        ended.collect::<Result<Vec<_>, String>>().expect("each answer is right")
    });

    let orders = orders(&galera);
    for Purchase { number, key, toy } in purchases.into_iter().flatten() {
        let order = orders.get(&number);
        assert_eq!(order, Some(&(key, toy.to_owned())), "order {number} was answered");
    }
    wait_until("the books agree", || balances(&galera));
    for node in NODES {
        let counted = galera.sql(
            node,
            "SET wsrep_sync_wait = 7; SELECT COUNT(*), MAX(number), COUNT(DISTINCT order_key) FROM toystore_orders.orders",
        );
        let count = orders.len();
        assert_eq!(counted, format!("{count}\t{count}\t{count}"), "at node {node}");
    }
    for id in REPLICAS {
        let log = store.log(Id::Order(id));
        assert!(!log.contains("lost rows"), "the books agreed whenever a leader took office");
    }
}

/// Buys until it is over, each purchase with one key until it is answered. Now and then sends an answered purchase again, and
/// looks an order up. Returns what it bought, or which answer was wrong.
fn shop(
    address: &str,
    id: u64,
    is_over: &AtomicBool,
    answered: &AtomicU64,
) -> Result<Vec<Purchase>, String> {
    let mut http = Client::new(address, ANSWER);
    let mut rng = fastrand::Rng::with_seed(id);
    let mut purchases: Vec<Purchase> = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let toy = TOYS[rng.usize(..TOYS.len())];
        let key = format!("customer-{id}-{}", purchases.len());
        let number = buy(&mut http, toy, &key)?;
        purchases.push(Purchase { number, key, toy });
        answered.fetch_add(1, Ordering::Relaxed);
        let earlier = &purchases[rng.usize(..purchases.len())];
        let (number, toy) = (earlier.number, earlier.toy);
        match rng.u8(..10) {
            0 => {
                let again = buy(&mut http, toy, &earlier.key)?;
                if again != number {
                    return Err(format!("order {number} again is order {again}"));
                }
            }
            1..4 => {
                let target = format!("/orders/{number}");
                let order = answer(&mut http, "GET", &target, &[], "")?;
                if order["data"]["name"] != toy {
                    return Err(format!("order {number} of {toy} is {order}"));
                }
            }
            _ => {}
        }
    }
    Ok(purchases)
}

fn buy(http: &mut Client, toy: &str, key: &str) -> Result<u64, String> {
    let body = json!({ "name": toy, "quantity": 1 }).to_string();
    let receipt = answer(http, "POST", "/orders", &[("Idempotency-Key", key)], &body)?;
    receipt["data"]["order_number"].as_u64().ok_or_else(|| format!("no number: {receipt}"))
}

/// Sends a request until the answer is neither missing nor that something is away.
fn answer(
    http: &mut Client,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Value, String> {
    let response = wait_for(target, || {
        let response = http.send(method, target, headers, body.as_bytes()).ok();
        response.filter(|response| ![502, 503, 504].contains(&response.status)).or_else(|| {
            thread::sleep(PAUSE);
            None
        })
    });
    let text = String::from_utf8_lossy(&response.body);
    if response.status != 200 {
        return Err(format!("{method} {target} {body}: {} {text}", response.status));
    }
    serde_json::from_slice(&response.body).map_err(|error| format!("{text}: {error}"))
}

/// Key and toy of each order in the database.
fn orders(galera: &Galera) -> BTreeMap<u64, (String, String)> {
    let rows = galera.sql(
        1,
        "SET wsrep_sync_wait = 7; SELECT number, order_key, toy FROM toystore_orders.orders",
    );
    let order = |row: &str| {
        let mut columns = row.split('\t').map(str::to_owned);
        let mut next = || columns.next().expect("three columns");
        (next().parse().expect("a number"), (next(), next()))
    };
    rows.lines().map(order).collect()
}

/// Whether the catalog has sold what is ordered, of each toy; and each order knows the sum of all before it.
pub fn balances(galera: &Galera) -> bool {
    let wrong = galera.sql(
        1,
        "SET wsrep_sync_wait = 7;
         SELECT COUNT(*) FROM toystore_catalog.toys LEFT JOIN
             (SELECT toy, SUM(quantity) AS quantity FROM toystore_orders.orders GROUP BY toy) AS ordered ON toy = name
             WHERE sold <> COALESCE(ordered.quantity, 0);
         SELECT COUNT(*) FROM
             (SELECT ordered, SUM(quantity) OVER (ORDER BY number) AS sum FROM toystore_orders.orders) AS orders
             WHERE ordered <> sum",
    );
    wrong == "0\n0"
}
