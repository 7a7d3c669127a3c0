//! The store on a database of three Galera nodes, which fail while somebody writes: every row is there exactly once, and a
//! writer that was replaced writes nothing more. `make test-database` runs these tests; they need MariaDB.

#[path = "../support/mod.rs"]
mod support;

mod store;

use clap::{Arg, ArgAction, Command};
use rustix::process::Signal;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use support::Id::{Catalog, Frontend};
use support::galera::{Galera, NODES};
use support::{Cluster, wait_until};
use toystore::error::Error;
use toystore::stop::Stop;
use toystore::storage::database::{Database, Schema, TableLog};

/// A log of numbers, each in a row of its own.
const NUMBERS: Schema = Schema {
    service: "numbers",
    version: 1,
    tables: &["CREATE TABLE IF NOT EXISTS numbers (
        number BIGINT NOT NULL PRIMARY KEY)"],
};

fn encode(numbers: &[u64]) -> String {
    let rows: Vec<String> = numbers.iter().map(|number| format!("({number})")).collect();
    format!("INSERT INTO numbers (number) VALUES {};", rows.join(","))
}

fn open(galera: &Galera) -> Database {
    let flag = Arg::new("exit-with-parent").long("exit-with-parent").action(ArgAction::SetTrue);
    let stop = Stop::install(&Command::new("test").arg(flag).get_matches_from(["test"]));
    Database::open(&galera.settings(), &NUMBERS, &stop.expect("signals")).expect("it is there")
}

/// Eight threads append numbers, each the next one, and wait for each. Meanwhile the nodes are killed and paused, one at a
/// time: with each of them, the node in use is among them. At the end somebody else takes the log.
#[test]
#[ignore = "needs MariaDB; run by make test-database"]
fn every_row_is_there_once_whatever_node_fails_and_a_replaced_writer_writes_no_more() {
    let galera = Galera::start();
    let (log, position) = TableLog::take(&open(&galera), "numbers", encode).expect("it is free");
    assert_eq!(position, 0);
    let (next, acknowledged) = (AtomicU64::new(1), AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    let write = || {
        while !is_over.load(Ordering::Relaxed) {
            let position = log.append([next.fetch_add(1, Ordering::Relaxed)])?;
            log.sync(position)?;
            acknowledged.fetch_max(position, Ordering::Relaxed);
        }
        Ok(())
    };
    let await_more = |after: &str| {
        let goal = acknowledged.load(Ordering::Relaxed) + 500;
        let has_more =
            || acknowledged.load(Ordering::Relaxed) > goal || is_over.load(Ordering::Relaxed);
        wait_until(&format!("500 more rows after {after}"), has_more);
    };
    let (refusals, taken) = thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| write().inspect_err(|_| is_over.store(true, Ordering::Relaxed)))
            })
            .collect();
        for node in NODES {
            await_more("the start");
            galera.kill(node);
            await_more("a node was killed");
            galera.start_all();
            await_more("it came back");
            galera.signal(node, Signal::STOP);
            await_more("it was paused");
            galera.signal(node, Signal::CONT);
            galera.start_all();
        }
        let taken = TableLog::take(&open(&galera), "numbers", encode).expect("it can be taken");
        let ended = |writer: thread::ScopedJoinHandle<'_, _>| writer.join().expect("no panic");
        (writers.into_iter().map(ended).collect::<Vec<_>>(), taken)
    });
    for refusal in &refusals {
        assert!(matches!(refusal, Err(Error::Stale { .. })), "{refusal:?}");
    }
    let (log, position) = taken;
    assert!(position >= acknowledged.load(Ordering::Relaxed), "what was acknowledged is there");
    let last = log.append([u64::MAX >> 1]).expect("it is ours");
    log.sync(last).expect("it is ours");
    for node in NODES {
        let counted = galera.sql(
            node,
            "SET wsrep_sync_wait = 7; SELECT COUNT(*), COUNT(DISTINCT number) FROM toystore_numbers.numbers",
        );
        assert_eq!(counted, format!("{last}\t{last}"), "at node {node}");
        let position = galera.sql(node, "SELECT position FROM toystore_numbers.logs");
        assert_eq!(position, last.to_string(), "at node {node}");
    }
}

/// A store whose catalog keeps the stock in the database.
fn store(galera: &Galera) -> Cluster {
    let flags = galera.flags();
    Cluster::closed(&flags.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A person with a SQL prompt sees the stock; a catalog finds its own after `kill -9` and after the loss of a node; and a
/// second catalog on the same tables ends the first.
#[test]
#[ignore = "needs MariaDB; run by make test-database"]
fn the_stock_is_in_tables_and_has_one_catalog() {
    let galera = Galera::start();
    let mut store = store(&galera);
    store.start_all();
    let mut customer = store.customer(Frontend);
    for _ in 0..10 {
        customer.buy_one("Tux");
    }
    let left = |node| {
        galera.sql(
            node,
            "SET wsrep_sync_wait = 7; SELECT quantity, sold, price FROM toystore_catalog.toys WHERE name = 'Tux'",
        )
    };
    assert_eq!(left(2), "90\t10\t19.90");
    store.kill(Catalog);
    galera.kill(1);
    store.start(Catalog);
    customer.buy_one("Tux");
    assert_eq!(left(2), "89\t11\t19.90");
    galera.start_all();
    assert_eq!(left(1), "89\t11\t19.90");

    let mut other = self::store(&galera);
    other.start(Catalog);
    // The first one notices when it has something to write.
    customer.buy("Tux", 1);
    assert_eq!(store.await_end(Catalog).code(), Some(3));
    let said = store.log(Catalog);
    assert!(said.contains("another catalog has opened it since; this process ends"), "{said}");
    assert_eq!(other.customer(Catalog).quantity("Tux"), 89);
}

/// What can be wrong with the database at the start of a service, and what the service says.
#[test]
#[ignore = "needs MariaDB; run by make test-database"]
fn a_database_that_cannot_be_used_is_said_in_one_line() {
    let galera = Galera::start();
    let mut store = store(&galera);
    store.start(Catalog);
    store.end(Catalog);
    let mut refused = |sql: &str, settings: &[&str], expected: &str| {
        galera.sql(1, sql);
        store.spawn(Catalog, settings);
        assert_eq!(store.await_end(Catalog).code(), Some(2), "{expected}");
        let said = store.log(Catalog);
        let last = said.lines().last().expect("it said why");
        assert!(last.starts_with("catalog: ") && last.contains(expected), "{last}");
    };
    let store_is = |what: &str| format!("UPDATE toystore_catalog.store SET {what}");
    refused(&store_is("version = 2"), &[], "its tables have version 2, this program needs 1;");
    refused(
        &store_is("version = 1, service = 'orders'"),
        &[],
        "it belongs to the service orders; set another database.prefix",
    );
    refused(&store_is("service = 'catalog'"), &["--database-user=nobody"], "check database.user");
    refused(
        "CREATE USER reader@'%'; GRANT SELECT ON toystore_catalog.* TO reader@'%'",
        &["--database-user=reader", "--database-password-file="],
        "grant the user all rights",
    );
    refused(
        "DROP TABLE toystore_catalog.sales",
        &[],
        "the tables are not those of this store; `toystore database schema` prints them",
    );
    for node in NODES {
        galera.kill(node);
    }
    store.spawn(Catalog, &[]);
    wait_until("it waits", || store.log(Catalog).contains("waiting for the database: "));
    assert_eq!(store.end(Catalog).code(), Some(2));
    store.spawn(Catalog, &["--database-prefix=toystore_other_"]);
    galera.start_all();
    wait_until("it opens when the database is there", || store.is_ready(Catalog));
}
