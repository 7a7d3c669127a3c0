//! Two front-ends before a store on the database. The one that makes the views is lost, and the leader, too: the other one
//! makes the next view, and the customers change over to it.

use crate::history::History;
use crate::load::Load;
use crate::store::balances;
use crate::support::galera::Galera;
use crate::support::two_front_ends::Store;
use crate::support::{ALL, Id, wait_for, wait_until};
use crate::{assert_kept, gap};
use rustix::process::Signal;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use toystore::model::{Epoch, View};

const TOYS: [&str; 3] = ["Tux", "Fox", "O'Hare"];
const STOCK: u64 = 1_000_000;
/// Customers ask the next front-end when they have had no answer for this long.
const ANSWER: Duration = Duration::from_millis(500);

/// How a front-end is lost.
#[derive(Debug, Clone, Copy)]
enum Loss {
    Killed,
    Paused,
}

/// When the leader is killed: some time after the front-end, or with it.
#[derive(Debug, Clone, Copy)]
enum Leader {
    Later,
    Too,
}

#[test]
#[ignore = "needs MariaDB; run by make test-database"]
fn the_other_front_end_makes_the_views_when_the_one_that_made_them_is_lost() {
    let galera = Galera::start();
    let directory = tempfile::tempdir().expect("a directory");
    let toys = directory.path().join("initial.csv");
    let rows = TOYS.map(|toy| format!("{toy},10.00,{STOCK}\n")).concat();
    fs::write(&toys, format!("name,price,quantity\n{rows}")).expect("written");
    let initial = format!("--catalog-initial={}", toys.display());
    let mut store = Store::open(&[galera.flags(), vec![initial]].concat());

    let history = Arc::new(History::begin(&directory.path().join("history")));
    let addresses = [store.cluster.address(Id::Frontend).to_owned(), store.second.clone()];
    let load = Load::start(&addresses, ANSWER, &TOYS.map(str::to_owned), 1, &history);
    history.await_business(50);
    for (loss, leader) in [
        (Loss::Killed, Leader::Later),
        (Loss::Paused, Leader::Later),
        (Loss::Killed, Leader::Too),
        (Loss::Paused, Leader::Too),
    ] {
        lose_controller(&mut store, loss, leader, &history);
    }
    lose_directories(&mut store, &history);
    load.finish();

    wait_until("the books agree", || balances(&galera));
    let stock = TOYS.map(|toy| (toy.to_owned(), STOCK)).into();
    assert_kept(&history, &galera, &stock);
}

fn lose_controller(store: &mut Store, loss: Loss, leader: Leader, history: &History) {
    let former = controller(store);
    let other = 1 - former;
    let old = view(store, other);
    let begin = history.now_us();
    match loss {
        Loss::Killed => kill(store, former),
        Loss::Paused => signal(store, former, Signal::STOP),
    }
    if let Leader::Later = leader {
        history.await_business(50);
        wait_until("the other front-end makes the views", || controls(store)[other]);
        assert_eq!(view(store, other), old, "the view still fits");
        eprintln!("a front-end is {loss:?}: no answer for {} ms", gap(history, begin));
    }
    let begin = history.now_us();
    store.cluster.kill(Id::Order(old.leader.0));
    history.await_business(50);
    wait_until("the other front-end makes a view", || {
        controls(store)[other] && view(store, other).leader != old.leader
    });
    eprintln!(
        "the leader is killed ({loss:?}, {leader:?}): no answer for {} ms",
        gap(history, begin)
    );
    if let Loss::Paused = loss {
        signal(store, former, Signal::CONT);
    }
    start_what_is_missing(store);
    history.await_business(50);
    wait_until("one front-end makes the views", || {
        controls(store).iter().filter(|controls| **controls).count() == 1
    });
}

/// Nothing in the directory of a front-end is needed, nor do all replicas have to answer.
fn lose_directories(store: &mut Store, history: &History) {
    let old = view(store, controller(store));
    for which in [0, 1] {
        kill(store, which);
    }
    let follower = [1, 2, 3].into_iter().find(|id| *id != old.leader.0).expect("there are three");
    store.cluster.kill(Id::Order(follower));
    for directory in [store.cluster.data(Id::Frontend), store.second_data()] {
        fs::remove_dir_all(directory).expect("it is there");
    }
    store.cluster.start(Id::Frontend);
    store.start_second();
    history.await_business(50);
    let new = view(store, controller(store)).epoch;
    assert!(old.epoch < new && new < Epoch(old.epoch.0 + 100), "{old} is remembered: {new}");
    start_what_is_missing(store);
}

fn start_what_is_missing(store: &mut Store) {
    for id in ALL {
        if !store.cluster.is_started(id) {
            store.cluster.start(id);
        }
    }
    if !store.is_second_started() {
        store.start_second();
    }
}

fn kill(store: &mut Store, which: usize) {
    if which == 0 { store.cluster.kill(Id::Frontend) } else { store.kill_second() }
}

fn signal(store: &Store, which: usize, signal: Signal) {
    if which == 0 {
        store.cluster.signal(Id::Frontend, signal);
    } else {
        store.signal_second(signal);
    }
}

/// Whether each front-end makes the views, as far as it answers.
fn controls(store: &Store) -> [bool; 2] {
    store.statuses().map(|status| status.is_some_and(|status| status.own.controls))
}

fn controller(store: &Store) -> usize {
    wait_for("a front-end makes the views", || {
        controls(store).iter().position(|controls| *controls)
    })
}

fn view(store: &Store, which: usize) -> View {
    wait_for("a view", || store.statuses()[which].as_ref()?.own.view.clone())
}
