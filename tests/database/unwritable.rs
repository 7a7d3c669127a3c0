//! Nodes of the database that answer, but cannot write: they are read-only, or their disk is full. The services say so and
//! what to do, no purchase is lost, and the store goes on by itself.

use crate::assert_kept;
use crate::history::History;
use crate::load::{ANSWER, Load, SESSIONS};
use crate::support::Id::{Catalog, Frontend, Order};
use crate::support::galera::{Galera, NODES};
use crate::support::{ALL, Cluster, wait_until};
use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use toystore::history::{Operation, Outcome, Request};

const TOYS: [&str; 3] = ["Tux", "Fox", "Whale"];
const MANY: u64 = 1_000_000;
/// How long a purchase may take before it is answered with 503.
const SOON: &str = "--frontend-purchase-deadline-ms=3000";

fn store(galera: &Galera) -> Cluster {
    let mut store = Cluster::closed(&[SOON, "--catalog-initial=initial.csv"]);
    let toys = TOYS.map(|toy| format!("{toy},10.00,{MANY}\n")).concat();
    let file = store.path("initial.csv");
    fs::write(file, format!("name,price,quantity\n{toys}")).expect("written");
    for flag in galera.flags() {
        store.add_flag(flag);
    }
    store.start_all();
    store
}

/// Whether the catalog or a replica has said this.
fn is_said(store: &Cluster, text: &str) -> bool {
    [Catalog, Order(1), Order(2), Order(3)].iter().any(|id| store.log(*id).contains(text))
}

fn assert_books_balance(store: &Cluster) {
    let audit = store.program("audit").arg("--running").status();
    assert!(audit.expect("a process").success(), "the books agree");
}

#[test]
#[ignore = "needs MariaDB; run by make test-database"]
fn a_read_only_node_is_passed_over_and_if_all_are_the_store_waits() {
    let galera = Galera::start();
    let store = store(&galera);
    let mut customer = store.customer(Frontend);
    customer.buy_one("Tux");
    let set_read_only = |node, on: u8| galera.sql(node, &format!("SET GLOBAL read_only = {on}"));
    set_read_only(1, 1);
    for _ in 0..10 {
        customer.buy_one("Tux");
    }
    let what = "(1290); another node is tried; make this one writable, or take it out of database.addresses";
    assert!(store.log(Catalog).contains(what), "{}", store.log(Catalog));
    assert!(is_said(&store, what));
    for node in NODES {
        set_read_only(node, 1);
    }
    let (status, body) = customer.buy_with_key("waits", "Tux", 1);
    assert_eq!(status, 503, "{body}");
    for node in NODES {
        set_read_only(node, 0);
    }
    wait_until("the store sells", || customer.buy_with_key("waits", "Tux", 1).0 == 200);
    assert_eq!(customer.quantity("Tux"), MANY - 12);
    store.await_settled();
    assert_books_balance(&store);
}

/// The disk is a small file system in memory, which only this test and its processes have: in a mount namespace of their own.
#[test]
#[ignore = "needs MariaDB and, for a disk of its own, root; run by make test-database"]
fn nothing_is_lost_when_the_disk_of_the_database_is_full() {
    const DISK: &str = "TOYSTORE_TEST_DISK";
    if let Some(disk) = env::var_os(DISK) {
        return fill_the_disk(Path::new(&disk));
    }
    let disk = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("unshare");
    command.args(["--mount", "bash", "-c"]);
    command.arg(format!("mount -t tmpfs -o size=600m tmpfs \"${DISK}\" && exec \"$@\""));
    command.arg("bash").arg(env::current_exe().expect("this test"));
    command.args(["--ignored", "--exact", "--nocapture"]);
    command.arg("unwritable::nothing_is_lost_when_the_disk_of_the_database_is_full");
    let status = command.env(DISK, disk.path()).status().expect("a process");
    assert!(status.success(), "{status}");
}

/// Makes a file that leaves no room.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file");
    while file.write(&[1; 4096]).is_ok() {}
}

/// Whether this is a purchase that was answered with 503.
fn is_unavailable(request: &Request) -> bool {
    let is_purchase = matches!(request.operation, Operation::Buy { .. });
    let (Outcome::Unknown(said) | Outcome::Unavailable(said)) = &request.outcome else {
        return false;
    };
    is_purchase && said.starts_with("503")
}

fn fill_the_disk(disk: &Path) {
    let galera = Galera::start_on(disk, "");
    let mut store = store(&galera);
    let history = Arc::new(History::begin(&store.path("history.jsonl")));
    let toys = TOYS.map(str::to_owned);
    let load = Load::start(&[store.address(Frontend).to_owned()], ANSWER, &toys, 3, &history);
    history.await_business(50);
    let filler = disk.join("filler");
    fill(&filler);
    wait_until("every customer is told that the store cannot sell", || {
        let refused = history.requests().into_iter().filter(is_unavailable);
        refused.map(|request| request.session).collect::<BTreeSet<_>>().len() == SESSIONS
    });
    let full = "(1114); make room on the disk of this node";
    wait_until("a service says why", || is_said(&store, full));
    assert!(ALL.into_iter().all(|id| store.reap(id).is_none()), "they wait");
    fs::remove_file(filler).expect("it is ours");
    // Galera takes a node that cannot write what another has committed out of the cluster.
    galera.start_all();
    wait_until("all services run", || {
        let ended = ALL.into_iter().find(|id| store.reap(*id).is_some());
        if let Some(id) = ended {
            eprintln!("{id:?} had given up");
            store.spawn(id, &[]);
        }
        ended.is_none() && ALL.into_iter().all(|id| store.is_ready(id))
    });
    history.await_business(200);
    load.finish();
    assert_kept(&history, &galera, &toys.map(|toy| (toy, MANY)).into());
    assert_books_balance(&store);
}
