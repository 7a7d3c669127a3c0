//! Customers buy while services are killed, paused and started again. Every acknowledged order
//! is kept, none is doubled, stock is conserved (O5), and all replicas end with the same log (O4).
//!
//! The customers are the real `client`, which checks each of its orders. At the end `audit`
//! checks the books of the closed store. The catalog has an artificial delay, so that a run lasts long
//! enough for all its faults.

mod support;

use serde_json::json;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::Id::{Catalog, Frontend, Order};
use support::{Cluster, Customer, REPLICAS, finish, wait_until};
use toystore::model::{Entry, Epoch, Identity, Key, Member, OrderNumber, ReplicaId, View};
use toystore::protocol::order::{Append, AppendOutcome, Appended, Peer};

/// What customers may notice. In both cases they end with every order that was
/// acknowledged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notice {
    /// Latency only: no request has to be sent again (F7).
    Nothing,
    /// A refused or broken connection, or 503: the request is sent again with the same key (K4).
    Retries,
}

/// Ten threads serve the customers; forty purchases that wait for a leader must not hold them (F4).
#[test]
fn purchases_that_wait_hold_up_nobody_and_are_all_done_in_the_end() {
    let store = Cluster::open(&["--frontend-purchase-deadline-ms=30000"]);
    store.customer(Frontend).quantity("Tux");
    for id in REPLICAS {
        store.pause(Order(id));
    }
    let mut numbers: Vec<u64> = thread::scope(|scope| {
        let buying: Vec<_> =
            (0..40).map(|_| scope.spawn(|| store.customer(Frontend).buy_one("Tux"))).collect();
        let mut peer = Customer::of(store.peer_address(Frontend));
        wait_until("they wait without a thread", || {
            peer.get("/status").1["data"]["sessions"]["parked"].as_u64() >= Some(30)
        });
        assert_eq!(store.customer(Frontend).get("/products/Tux").0, 200);
        for id in REPLICAS {
            store.resume(Order(id));
        }
        buying.into_iter().map(|thread| thread.join().expect("it was bought")).collect()
    });
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 40, "each has a number of its own");
    assert_eq!(store.assert_conserved(), 40);
}

/// Five customers.
struct Load {
    client: Child,
    said: PathBuf,
}

impl Load {
    fn start(store: &Cluster) -> Load {
        let said = store.path("client.log");
        let output = File::create(&said).expect("a file");
        let mut command = store.program("client");
        command.args(["-c", "5", "-n", "100", "-p", "0.8"]);
        command.args(["--retries=300", "--retry-delay-ms=100", "--deadline-ms=20000"]);
        command.stderr(output.try_clone().expect("a file")).stdout(output).stdin(Stdio::null());
        Load { client: command.spawn().expect("a process"), said }
    }

    /// Waits until this many more orders are committed while the customers buy.
    fn await_orders(&mut self, store: &Cluster, more: u64) {
        let goal = store.committed() + more;
        wait_until(&format!("{goal} orders"), || {
            let ended = self.client.try_wait().expect("it is our child");
            assert!(ended.is_none(), "the customers left early: {}", self.said());
            store.committed() >= goal
        });
    }

    /// Waits until the customers have ended without an error. Returns their report.
    fn finish(mut self, notice: Notice) -> String {
        let status = finish(&mut self.client);
        let said = self.said();
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(said.contains("all orders match the store's records"), "{said}");
        let noticed = !said.contains(" 0 retries");
        assert!(!noticed || notice == Notice::Retries, "the customers noticed: {said}");
        said
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It has usually ended.
        self.client.kill().and_then(|()| self.client.wait()).ok();
    }
}

/// Injects a fault while customers buy, then checks that nothing was lost.
fn survive(notice: Notice, happen: impl FnOnce(&mut Cluster, &mut Load)) {
    survive_with("--catalog-delay-ms=20", notice, happen);
}

fn survive_with(pace: &str, notice: Notice, happen: impl FnOnce(&mut Cluster, &mut Load)) {
    let restock = ["--catalog-restock=all", "--catalog-restock-every-ms=500"];
    let mut store = Cluster::open(&[&[pace], &restock[..]].concat());
    let mut load = Load::start(&store);
    load.await_orders(&store, 40);
    happen(&mut store, &mut load);
    let said = load.finish(notice);
    store.await_agreement();
    // Every request succeeded, so an order that the customers do not know would be a doubled one.
    let log = String::from_utf8(store.orders_csv(1)).expect("text");
    let orders = log.lines().count() - 1;
    assert!(said.contains(&format!("\n{orders} orders, ")), "{orders} in the log: {said}");
    store.close();
    audit(&store);
}

/// Checks the books of a closed store: for each toy start + restocked - sold = now, the logs agree,
/// numbers have no gap.
fn audit(store: &Cluster) {
    let audit = store.program("audit").stdout(Stdio::piped()).output();
    let audit = audit.expect("a process");
    let said = String::from_utf8_lossy(&audit.stdout);
    assert_eq!(audit.status.code(), Some(0), "{said}");
}

#[test]
fn nobody_notices_the_leader_killed() {
    survive(Notice::Nothing, |store, load| {
        let leader = store.leader();
        store.kill(Order(leader));
        load.await_orders(store, 40);
        store.start(Order(leader));
        assert_ne!(store.leader(), leader, "who returns follows");
    });
}

#[test]
fn nobody_notices_a_follower_killed() {
    survive(Notice::Nothing, |store, load| {
        let follower = store.leader() - 1;
        store.kill(Order(follower));
        load.await_orders(store, 40);
        store.start(Order(follower));
    });
}

#[test]
fn nobody_notices_two_of_three_killed() {
    survive(Notice::Nothing, |store, load| {
        let leader = store.leader();
        store.kill(Order(leader));
        store.kill(Order(leader - 1));
        load.await_orders(store, 40);
        store.start(Order(leader - 1));
        store.start(Order(leader));
    });
}

#[test]
fn without_the_last_survivor_known_orders_are_read_and_nothing_is_sold() {
    let mut store = Cluster::open(&["--frontend-purchase-deadline-ms=3000"]);
    let mut customer = store.customer(Frontend);
    let known = customer.buy_one("Tux");
    wait_until("a follower knows the order", || {
        store.health(1).is_some_and(|health| health.committed.0 >= known)
    });
    // It writes to its disk every second what is committed.
    wait_until("it is noted", || {
        fs::read_to_string(store.data(Order(1)).join("committed")).is_ok_and(|n| n.trim() == "1")
    });
    store.kill(Order(1));
    store.kill(Order(2));
    let unknown = customer.buy_one("Tux");
    store.kill(Order(3));
    store.start(Order(1));
    store.start(Order(2));
    assert_eq!(customer.get(&format!("/orders/{known}")).0, 200, "known to be committed");
    // Only replica 3 knows whether there is such an order, so the answer is not 404.
    assert_eq!(customer.get(&format!("/orders/{unknown}")).0, 503);
    assert_eq!(customer.buy("Tux", 1).0, 503, "an outsider never leads (8)");
    store.start(Order(3));
    wait_until("it is sold again", || customer.buy_with_key("a-tux", "Tux", 1).0 == 200);
    assert_eq!(customer.get(&format!("/orders/{unknown}")).0, 200);
    store.await_agreement();
    assert_eq!(store.assert_conserved(), 3);
}

#[test]
fn nobody_notices_the_leader_standing_still() {
    // Slowly, so that they are still buying when it resumes and another replica leads.
    survive_with("--catalog-delay-ms=60", Notice::Nothing, |store, load| {
        let leader = store.leader();
        let paused = Instant::now();
        store.pause(Order(leader));
        load.await_orders(store, 20);
        thread::sleep(Duration::from_secs(3).saturating_sub(paused.elapsed()));
        store.resume(Order(leader));
        load.await_orders(store, 20);
        assert_ne!(store.leader(), leader);
    });
}

#[test]
fn nothing_is_lost_with_the_catalog_killed() {
    survive(Notice::Retries, |store, load| {
        store.kill(Catalog);
        store.start(Catalog);
        load.await_orders(store, 40);
    });
}

#[test]
fn nothing_is_lost_with_the_front_end_killed() {
    survive(Notice::Retries, |store, load| {
        store.kill(Frontend);
        store.start(Frontend);
        load.await_orders(store, 40);
    });
}

#[test]
fn nothing_is_lost_with_all_killed_at_once() {
    survive(Notice::Retries, |store, load| {
        store.kill_all();
        store.start_all();
        load.await_orders(store, 40);
    });
}

#[test]
fn nobody_notices_each_replica_killed_in_turn() {
    survive_with("--catalog-delay-ms=60", Notice::Nothing, |store, load| {
        for id in REPLICAS {
            store.kill(Order(id));
            load.await_orders(store, 10);
            store.start(Order(id));
            // Only one is down at a time: the next one is ended when this one has every order.
            store.await_in_sync();
        }
    });
}

/// Order `number` of epoch 1.
fn entry(number: u64) -> Entry {
    let item = json!({ "name": "Tux", "quantity": 1 });
    Entry {
        number: OrderNumber(number),
        epoch: Epoch(1),
        key: Key::try_from(format!("key-{number}")).expect("a key"),
        item: serde_json::from_value(item).expect("an item"),
    }
}

#[test]
fn an_append_that_comes_late_or_twice_changes_nothing() {
    // A paused follower gets many appends when it resumes, which its leader gave up and sent
    // again with more entries. They are handled in any order.
    let mut store = Cluster::closed(&[]);
    store.start(Order(1));
    let health = store.health(1).expect("it answers");
    let member = |id| Member { id: ReplicaId(id), identity: Identity(format!("{id:016x}")) };
    let me = Member { id: ReplicaId(1), identity: health.identity };
    let view = View { epoch: Epoch(1), leader: ReplicaId(3), in_sync: vec![me, member(3)] };
    let append = |after: u64, through: u64| {
        let append = Append {
            view: view.clone(),
            prev_number: OrderNumber(after),
            prev_epoch: Epoch(after.min(1)),
            entries: (after + 1..=through).map(entry).collect(),
            committed: OrderNumber(0),
            base: OrderNumber(0),
        };
        let appended: Appended = store.ask_peer(1, &Peer::Append(append)).expect("an answer");
        assert_eq!(appended.outcome, AppendOutcome::Synced(OrderNumber(through)));
    };
    for (after, through) in [(0, 2), (0, 4), (0, 4), (0, 2), (0, 0), (2, 3), (1, 1), (2, 5), (3, 4)]
    {
        append(after, through);
    }
    // Five rows and the header, all on disk.
    store.kill(Order(1));
    assert_eq!(String::from_utf8(store.orders_csv(1)).expect("text").lines().count(), 6);
    store.start(Order(1));
    assert_eq!(store.health(1).expect("it answers").last, OrderNumber(5));
}

#[test]
fn a_query_after_a_purchase_sees_it() {
    // F5, invariant 6: bought on one connection, asked for on another, with the cache and without,
    // while the leader is killed. Each toy is bought by one thread only, so it knows what is left.
    for cache in ["--frontend-cache-capacity=7", "--frontend-cache-capacity=0"] {
        let mut store = Cluster::open(&[cache]);
        let bought = AtomicUsize::new(0);
        let customers = ["Tux", "Whale", "Fox", "Lego"]
            .map(|toy| (toy, store.customer(Frontend), store.customer(Frontend)));
        thread::scope(|scope| {
            for (toy, mut buyer, mut looker) in customers {
                let bought = &bought;
                scope.spawn(move || {
                    for left in (40..100).rev() {
                        looker.quantity(toy);
                        buyer.buy_one(toy);
                        assert_eq!(looker.quantity(toy), left, "{toy}, stale");
                        bought.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            wait_until("half is bought", || bought.load(Ordering::Relaxed) >= 120);
            store.kill(Order(3));
        });
        assert_eq!(store.assert_conserved(), 240, "{cache}");
    }
}

#[test]
fn a_cached_toy_is_forgotten_with_the_catalog_it_came_from() {
    // F5: while the front-end receives no changes from the catalog, its cache is not used.
    let mut store = Cluster::open(&[]);
    let mut customer = store.customer(Frontend);
    assert_eq!((customer.quantity("Tux"), customer.quantity("Tux")), (100, 100));
    store.kill(Catalog);
    wait_until("the lease is over", || customer.get("/products/Tux").0 == 503);
    store.start(Catalog);
    // A purchase that does not go through the front-end, at once: it may not have subscribed again yet. The catalog is
    // closed until the leader has reconciled.
    let mut at_the_catalog = store.customer(Catalog);
    wait_until("the catalog is open", || {
        let (status, answer) = at_the_catalog.send("POST", "/buy_qty", &[], b"name=Tux&quantity=1");
        assert!(matches!(status, 200 | 503), "{answer}");
        status == 200
    });
    assert_eq!(customer.quantity("Tux"), 99);
}

#[test]
fn far_more_clients_than_threads_all_make_progress() {
    // F4: 200 kept-alive connections on ten threads; each gets every answer, silent ones between
    // busy ones.
    const CLIENTS: usize = 200;
    const REQUESTS: usize = 20;
    let store = Cluster::open(&["--frontend-threads=10"]);
    let all_connected = AtomicUsize::new(0);
    let gave_up = AtomicBool::new(false);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (store, all_connected, gave_up) = (&store, &all_connected, &gave_up);
                scope.spawn(move || {
                    let mut customer = store.customer(Frontend);
                    assert_eq!(customer.get("/health").0, 200);
                    all_connected.fetch_add(1, Ordering::SeqCst);
                    wait_until("all are connected", || {
                        all_connected.load(Ordering::SeqCst) == CLIENTS
                            || gave_up.load(Ordering::SeqCst)
                    });
                    (0..REQUESTS).map(|_| customer.quantity("Tux")).sum::<u64>()
                })
            })
            .collect();
        for client in clients {
            let sum = client.join().unwrap_or_else(|_| {
                gave_up.store(true, Ordering::SeqCst);
                panic!("a client got no answer")
            });
            assert_eq!(sum, 100 * REQUESTS as u64);
        }
    });
}
