//! The store on five machines with mutual TLS, set up by configuration alone. The network between them fails:
//! cables are pulled, packets in one direction or in both are dropped, packets are lost. Customers keep buying,
//! and at the end every promise of the store is checked.

use crate::history::History;
use crate::machines::{self, Fault};
use crate::support::Id::{Catalog, Frontend, Order};
use crate::support::{Cluster, wait_until};
use crate::{close_and_judge, initial_csv, shop};
use std::fs;
use std::sync::Arc;

/// The number of purchases that shows that customers can buy.
const BUSINESS: usize = 20;

/// A store on five machines, and its customers.
struct Trial {
    store: Cluster,
    history: Arc<History>,
}

impl Trial {
    fn open() -> Trial {
        machines::build();
        let mut store = Cluster::at(machines::place, &["--catalog-initial=initial.csv"]);
        store.secure();
        fs::write(store.path("initial.csv"), initial_csv()).expect("a file");
        let history = Arc::new(History::begin(&store.path("history.jsonl")));
        store.start_all();
        store.await_in_sync();
        Trial { store, history }
    }

    /// Injects a fault, waits until it `shows`, checks that customers can buy, heals it, and
    /// waits until all replicas are in sync again. Returns the start and the end of this time.
    fn during(&self, fault: Fault, shows: impl Fn(&Cluster) -> bool) -> (u64, u64) {
        let begun_us = self.history.now_us();
        machines::befall(fault);
        wait_until(&format!("{fault:?} shows"), || shows(&self.store));
        let shown_us = self.history.now_us();
        self.history.await_business(BUSINESS);
        let healed_us = self.history.now_us();
        machines::heal();
        wait_until(&format!("after {fault:?} all are in sync"), || self.store.is_in_sync());
        let well_us = self.history.now_us();
        let took = [(begun_us, shown_us), (shown_us, healed_us), (healed_us, well_us)];
        let [to_show, to_sell, to_heal] = took.map(|(from, to)| (to - from) / 1_000);
        println!(
            "{fault:?}: shows after {to_show} ms, {BUSINESS} purchases in {to_sell} ms, in sync \
             {to_heal} ms after it is mended"
        );
        (begun_us, well_us)
    }
}

#[test]
#[ignore = "needs network namespaces: make test-netns"]
fn every_promise_is_kept_between_machines() {
    if !machines::run_apart("apart::every_promise_is_kept_between_machines") {
        return;
    }
    let mut trial = Trial::open();
    let load = shop(&trial.store, 1, &trial.history);
    trial.history.await_business(BUSINESS);

    for isolate in [Fault::Unplugged, Fault::Deaf, Fault::Mute] {
        let leader = trial.store.leader();
        trial.during(isolate(Order(leader)), |store| store.leader() != leader);
    }
    for isolate in [Fault::Unplugged, Fault::Deaf, Fault::Mute] {
        let leader = trial.store.leader();
        let follower = if leader == 1 { 2 } else { 1 };
        trial.during(isolate(Order(follower)), |store| {
            let view = store.health(leader).and_then(|health| health.view);
            view.is_some_and(|view| view.in_sync.len() == 2)
        });
    }
    let leader = trial.store.leader();
    trial.during(Fault::Apart(Order(leader), Catalog), |store| store.leader() != leader);
    // If the first packet of a connection is lost, the connection may fail, and a customer may see an error.
    let lossy = [Fault::Lossy(Order(trial.store.leader())), Fault::Lossy(Frontend)];
    let excused = lossy.map(|fault| trial.during(fault, |_| true));

    load.finish();
    let broken = close_and_judge(&mut trial.store, &trial.history, &excused);
    assert!(broken.is_empty(), "promises were broken:\n{}", broken.join("\n"));
}

#[test]
#[ignore = "needs network namespaces: make test-netns"]
fn a_front_end_that_is_cut_off_from_the_catalog_shows_nothing_old() {
    if !machines::run_apart("apart::a_front_end_that_is_cut_off_from_the_catalog_shows_nothing_old")
    {
        return;
    }
    let trial = Trial::open();
    let mut looker = trial.store.customer(Frontend);
    let mut buyer = trial.store.operator(Order(trial.store.leader()));
    let before = looker.quantity("Tux");
    assert_eq!(looker.quantity("Tux"), before, "it is in the cache");

    // A purchase that does not go through the front-end: the leader reaches the catalog, which waits for the end of the
    // front-end's lease before it answers.
    machines::befall(Fault::Apart(Frontend, Catalog));
    buyer.buy_one("Tux");
    let (status, shown) = looker.get("/products/Tux");
    assert_eq!(status, 503, "it cannot know what is left: {shown}");

    machines::heal();
    wait_until("the front-end reaches the catalog", || looker.get("/products/Tux").0 == 200);
    assert_eq!(looker.quantity("Tux"), before - 1);
    trial.store.await_agreement();
}
