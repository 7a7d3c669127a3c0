//! A rolling restart: each service is asked to end (SIGTERM) and started again, one after the other, as an
//! operator does for an upgrade, while customers buy.

use crate::history::History;
use crate::support::Cluster;
use crate::support::Id::{Catalog, Frontend, Order};
use crate::support::REPLICAS;
use crate::{close_and_judge, initial_csv, shop};
use std::fs;
use std::sync::Arc;

/// The number of purchases that shows that customers can buy.
const BUSINESS: usize = 10;

#[test]
fn a_rolling_restart_is_noticed_only_where_there_is_one_of_a_kind() {
    let mut store = Cluster::closed(&["--catalog-initial=initial.csv"]);
    fs::write(store.path("initial.csv"), initial_csv()).expect("a file");
    let history = Arc::new(History::begin(&store.path("history.jsonl")));
    store.start_all();
    store.await_in_sync();
    let load = shop(&store, 3, &history);
    history.await_business(BUSINESS);

    let mut outages = Vec::new();
    for id in REPLICAS.map(Order).into_iter().chain([Catalog, Frontend]) {
        let begun_us = history.now_us();
        assert_eq!(store.end(id).code(), Some(0), "{id:?} ends well");
        let ended_us = history.now_us();
        store.start(id);
        history.await_business(BUSINESS);
        let open_us = history.now_us();
        // Only one is down at a time: the next one is ended when this one has every order.
        store.await_in_sync();
        if matches!(id, Catalog | Frontend) {
            outages.push((begun_us, open_us));
        }
        let [ending, opening] = [ended_us - begun_us, open_us - ended_us].map(|us| us / 1_000);
        println!("{id:?}: ended after {ending} ms, {BUSINESS} purchases {opening} ms later");
    }

    load.finish();
    let broken = close_and_judge(&mut store, &history, &outages);
    assert!(broken.is_empty(), "not as promised:\n{}", broken.join("\n"));
}
