//! A store that is upgraded under its data keeps its books: the journals of earlier versions are read and carried over,
//! and a whole store goes on with what an earlier version left when it was killed.
//!
//! `store/` was written by the last version whose catalog synced each sale before it answered. It has ten orders in three
//! logs, of which five are settled at the catalog, and one sale that is no order yet.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "../support/mod.rs"]
mod support;

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use support::Id::{Catalog, Frontend};
use support::{ALL, Cluster};
use toystore::catalog::file;
use toystore::catalog::stock::Stock;
use toystore::model::{Epoch, OrderNumber};
use toystore::protocol::catalog::{Open, Reconcile, Settle};
use toystore::storage::{Chain, Directory};

const TOYS: &str = "name,price,quantity,version,initial,restocked,sold,withdrawn,position,chain\n";

/// A file with this header and these rows.
fn csv(header: &str, rows: &[&[&dyn Display]]) -> String {
    let (mut chain, mut contents) = (Chain::default(), header.as_bytes().to_vec());
    for row in rows {
        chain.encode(row, &mut contents).unwrap();
    }
    String::from_utf8(contents).unwrap()
}

/// The journals of the earlier formats: with the price of a toy, without, and without a chain of the rows. All have the
/// call of each purchase. Key `a` is settled and was remembered, `b` and `c` are open.
fn journals() -> [(&'static str, String); 3] {
    let no = &"";
    let mut rows: Vec<Vec<&dyn Display>> = vec![
        vec![&0, &"office", &3, no, no, no, no, no, no, no, no],
        vec![&0, &"caller", no, no, no, no, no, &0, &1, no, &7],
        vec![&18, &"purchase", &2, &"Tux", &1, &7, &"a", &0, &1, &7, &0],
        vec![&18, &"settle", no, no, no, no, &"a", no, no, no, no],
        vec![&19, &"purchase", &2, &"Tux", &2, &8, &"b", &0, &1, &8, &0],
        vec![&21, &"purchase", &3, &"Fox", &3, &2, &"c", &0, &1, &9, &8],
        vec![&22, &"restock", no, &"Fox", &100, &3, no, no, no, no, no],
        vec![&23, &"withdraw", no, &"Tux", &4, &9, no, no, no, no, no],
    ];
    let header =
        "position,kind,epoch,name,quantity,version,key,caller,incarnation,sequence,ack_below";
    let join = |header: &str, rows: &[Vec<&dyn Display>]| {
        let rows: Vec<&[&dyn Display]> = rows.iter().map(Vec::as_slice).collect();
        csv(header, &rows)
    };
    let without = join(&format!("{header},chain\n"), &rows);
    // The first row of a chain has the same checksum as in earlier versions.
    let unchained: Vec<String> = rows.iter().map(|row| csv("", &[row])).collect();
    let unchained = format!("{header},crc\n{}", unchained.concat());
    for row in &mut rows {
        row.push(no);
    }
    let put: [&dyn Display; 12] = [&24, &"put", no, &"Fox", &100, &4, no, no, no, no, no, &12.5];
    rows.push(put.to_vec());
    let with = join(&format!("{header},price,chain\n"), &rows);
    [("without a chain", unchained), ("without prices", without), ("with prices", with)]
}

fn keys(open: &[Open]) -> Vec<&str> {
    open.iter().map(|open| open.key.as_str()).collect()
}

fn load(data: &Path) -> Stock {
    file::load(&Directory::open(data).unwrap(), None).unwrap().0
}

#[test]
fn a_journal_of_an_earlier_version_is_read_and_carried_over() {
    for (what, journal) in journals() {
        let data = tempfile::tempdir().unwrap();
        let toys = csv(
            TOYS,
            &[
                &[&"Tux", &19.9, &97, &8, &100, &0, &3, &0, &20],
                &[&"Fox", &14.5, &50, &1, &50, &0, &0, &0, &20],
            ],
        );
        fs::write(data.path().join("toys.csv"), toys).unwrap();
        fs::write(data.path().join("journal.csv"), journal).unwrap();
        let (read, torn) = file::read(data.path()).unwrap();
        assert_eq!((keys(&read.books(&[]).open), torn), (vec!["b", "c"], None), "{what}");

        // Started twice before a leader comes.
        load(data.path());
        let mut stock = load(data.path());
        let books = stock.books(stock.shelves());
        assert_eq!((keys(&books.open), books.settled), (vec!["b", "c"], None), "{what}");
        let sums = books.toys.iter().map(|toy| (toy.quantity, toy.sold, toy.withdrawn));
        assert_eq!(sums.collect::<Vec<_>>(), [(93, 3, 4), (100, 3, 0)], "{what}");
        let version = stock.look_up("Fox").unwrap().toy.version;
        assert_eq!(version, if what == "with prices" { 4 } else { 3 });

        // The leader's log has seven orders, of which the last is `b`.
        let asked = |epoch| Reconcile {
            epoch: Epoch(epoch),
            incarnation: stock.standing().incarnation,
            after: OrderNumber(7),
            entries: vec![],
        };
        let (older, asked) = (asked(2), asked(4));
        assert!(stock.reconcile(&older).is_err(), "{what}: the fence was carried over");
        stock.reconcile(&asked).unwrap();
        let reconciled = stock.open(&asked, stock.position()).unwrap();
        assert_eq!(keys(&reconciled.open), ["b", "c"], "{what}: sells nothing again");
        assert_eq!(stock.standing().settled, Some(OrderNumber(7)), "{what}");
        let keys = vec!["b".to_owned().try_into().unwrap()];
        let settle = Settle { after: OrderNumber(7), through: OrderNumber(7), keys };
        assert!(stock.settle(settle).unwrap().is_some(), "{what}");
        assert_eq!(stock.open_count(), 1, "{what}");
    }
}

/// What the audit says of the store, which is open, or closed.
fn audit(store: &Cluster, flags: &[&str]) -> String {
    let audit = store.program("audit").args(flags).stdout(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(audit.status.success(), "{said}{}", String::from_utf8_lossy(&audit.stderr));
    said
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_store_that_is_upgraded_keeps_its_books() {
    let mut store = Cluster::closed(&[]);
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgrade/store");
    for id in ALL {
        copy(&old.join(id.section()), &store.data(id));
    }
    audit(&store, &[]);
    store.start_all();
    store.await_in_sync();
    // The open sale became the eleventh order.
    assert_eq!(store.customer(Frontend).buy_one("Tux"), 12);
    store.await_agreement();
    assert_eq!(store.assert_conserved(), 12);
    audit(&store, &["--running"]);

    store.kill_all();
    audit(&store, &[]);
    store.start_all();
    store.await_in_sync();
    assert_eq!(store.customer(Frontend).buy_one("Fox"), 13);
    store.await_agreement();
    assert_eq!(store.assert_conserved(), 13);
    audit(&store, &["--running"]);
    store.await_settled();
    store.close();
    audit(&store, &[]);
    let open = file::read(&store.data(Catalog)).unwrap().0.open_count();
    assert_eq!(open, 0, "what the earlier version left open is settled");
}
