//! The catalog on the database: one catalog at a time, its stock in tables that a person can read; and what it says of a
//! database that it cannot use.

use crate::support::Id::{Catalog, Frontend, Order};
use crate::support::galera::{Galera, NODES};
use crate::support::{Cluster, Id, REPLICAS, wait_until};
use std::fs;
use toystore::certs;
use toystore::config::Config;

/// A store whose catalog keeps the stock in the database.
fn store(galera: &Galera) -> Cluster {
    let flags = galera.flags();
    Cluster::closed(&flags.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A person with a SQL prompt sees the stock; a catalog finds its own after `kill -9` and after the loss of a node; and a
/// second catalog on the same tables waits for the end of the first.
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
    assert_look_ups_share_a_connection(&store, &galera);
    store.kill(Catalog);
    galera.kill(1);
    store.start(Catalog);
    customer.buy_one("Tux");
    assert_eq!(left(2), "89\t11\t19.90");
    galera.start_all();
    assert_eq!(left(1), "89\t11\t19.90");

    store.close();
    assert_eq!(audit(&store), Some(0));
    galera.sql(1, "UPDATE toystore_orders.orders SET quantity = 2 WHERE number = 11");
    assert_eq!(audit(&store), Some(1), "a toy was ordered that was not sold");
    galera.sql(1, "UPDATE toystore_orders.orders SET quantity = 1 WHERE number = 11");
    store.start_all();
    let mut customer = store.customer(Frontend);

    let mut other = self::store(&galera);
    other.spawn(Catalog, &[]);
    let is_standby = || other.log(Catalog).contains("standby: another catalog has the lease");
    wait_until("the other waits", is_standby);
    customer.buy_one("Tux");
    store.close();
    wait_until("the other has the stock", || other.is_ready(Catalog));
    assert_eq!(other.customer(Catalog).quantity("Tux"), 88);
}

/// A follower asks the database, on the connection that it has.
fn assert_look_ups_share_a_connection(store: &Cluster, galera: &Galera) {
    let opened = || -> u64 {
        let query = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'Connections'";
        NODES.map(|node| galera.sql(node, query).parse::<u64>().expect("a number")).iter().sum()
    };
    let leader = store.leader();
    let follower = REPLICAS.into_iter().find(|id| *id != leader).expect("there are three");
    let mut customer = store.customer(Order(follower));
    let before = opened();
    for _ in 0..200 {
        assert_eq!(customer.get("/orders/1").0, 200);
    }
    let more = opened() - before;
    assert!(more < 100, "{more} connections for 200 look-ups");
}

fn audit(store: &Cluster) -> Option<i32> {
    store.program("audit").status().expect("a process").code()
}

/// What can be wrong with the user of a service, and what the service says.
fn assert_users_are_checked(store: &mut Cluster, galera: &Galera) {
    let file = store.path("password");
    fs::write(&file, "x").expect("a file");
    let password = format!("--database-password-file={}", file.display());
    let no_password = "--database-password-file=";
    for (id, sql, user, password, expected) in [
        (Catalog, "SELECT 1", "nobody", "", "check database.user"),
        (Catalog, "SELECT 1", "toystore", no_password, "check database.user and the password"),
        (
            Catalog,
            "CREATE USER reader@'%'; GRANT SELECT ON toystore_catalog.* TO reader@'%'",
            "reader",
            no_password,
            "grant the user all rights",
        ),
        (
            Order(1),
            "CREATE USER clerk@'%'; GRANT SELECT, INSERT, DELETE ON toystore_orders.* TO clerk@'%'",
            "clerk",
            no_password,
            "grant the user all rights",
        ),
        (
            Catalog,
            "INSTALL SONAME 'auth_ed25519'; CREATE USER ed@'%' IDENTIFIED VIA ed25519 USING PASSWORD('x'); \
             GRANT SELECT ON toystore_catalog.* TO ed@'%'",
            "ed",
            &password,
            "grant the user all rights",
        ),
        (
            Catalog,
            "INSTALL SONAME 'auth_pam'; CREATE USER pam@'%' IDENTIFIED VIA pam",
            "pam",
            no_password,
            "give the user a password that mysql_native_password",
        ),
    ] {
        galera.sql(1, sql);
        let user = format!("--database-user={user}");
        let settings: Vec<&str> = [&user, password].into_iter().filter(|s| !s.is_empty()).collect();
        assert_refused(store, id, &settings, expected);
    }
}

fn assert_refused(store: &mut Cluster, id: Id, settings: &[&str], expected: &str) {
    store.spawn(id, settings);
    assert_eq!(store.await_end(id).code(), Some(2), "{expected}");
    let said = store.log(id);
    let last = said.lines().last().expect("it said why");
    let program = if id == Catalog { "catalog: " } else { "order: " };
    assert!(last.starts_with(program) && last.contains(expected), "{last}");
}

/// What can be wrong with the database at the start of a service, and what the service says.
#[test]
#[ignore = "needs MariaDB; run by make test-database"]
fn a_database_that_cannot_be_used_is_said_in_one_line() {
    let galera = Galera::start();
    let mut store = store(&galera);
    for id in [Catalog, Order(1)] {
        store.start(id);
        store.end(id);
    }
    assert_users_are_checked(&mut store, &galera);
    galera.sql(1, "DROP TABLE toystore_orders.orders");
    assert_refused(&mut store, Order(1), &[], "the tables are not those of this store");
    let mut refused = |sql: &str, settings: &[&str], expected: &str| {
        galera.sql(1, sql);
        assert_refused(&mut store, Catalog, settings, expected);
    };
    let store_is = |what: &str| format!("UPDATE toystore_catalog.store SET {what}");
    refused(&store_is("version = 3"), &[], "its tables have version 3, this program needs 2;");
    refused(
        &store_is("version = 2, service = 'orders'"),
        &[],
        "it belongs to the service orders; set another database.prefix",
    );
    galera.sql(1, &store_is("service = 'catalog'"));
    let certificates = tempfile::tempdir().expect("a directory");
    certs::make(&Config::default(), certificates.path(), 1).expect("certificates");
    let authority = certificates.path().join("authority.pem");
    let authority = format!("--database-authority={}", authority.display());
    refused("SELECT 1", &[&authority], "check database.authority and the node's certificate");
    refused(
        "DROP TABLE toystore_catalog.sales",
        &[],
        "the tables are not those of this store; `toystore database schema` prints them",
    );
    // The sales are made again, but not the identity of a store that has data.
    refused("DROP TABLE toystore_catalog.store", &[], "its table `store` has no row");
    galera.kill(1);
    galera.kill(2);
    // The one that is left is no part of the database, once it has noticed.
    let left = format!("--database-addresses={}", galera.settings().addresses[2]);
    let waits_for = |store: &mut Cluster, settings: &[&str], why: &str| {
        wait_until(why, || {
            let before = store.log(Catalog).len();
            store.spawn(Catalog, settings);
            let said = |store: &Cluster| store.log(Catalog).split_off(before);
            wait_until("it waits", || said(store).contains("waiting for the database: "));
            assert_eq!(store.end(Catalog).code(), Some(0));
            said(store).contains(why)
        });
    };
    waits_for(&mut store, &[&left], "(1047)");
    galera.kill(3);
    waits_for(&mut store, &[], "Connection refused");
    store.spawn(Catalog, &["--database-prefix=toystore_other_"]);
    galera.start_all();
    wait_until("it opens when the database is there", || store.is_ready(Catalog));
}
