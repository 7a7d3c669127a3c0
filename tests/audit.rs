//! The audit: it accepts books that balance, and only these, and says
//! where they do not. It only reads. (Requirement O5: no order lost, none doubled, stock conserved.)

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use toystore::storage::Chain;

const TOYS: &str = "name,price,quantity,version,initial,restocked,sold,withdrawn,position,crc\n";
const JOURNAL: &str = "position,kind,epoch,name,quantity,version,key,caller,incarnation,\
                       sequence,ack_below,crc\n";
const ORDERS: &str = "number,name,quantity,epoch,key,crc\n";

/// The files of a store, as earlier versions wrote them, with rows that are not chained. Each test changes them.
struct Store(BTreeMap<&'static str, String>);

const LOGS: [&str; 3] = ["order-1/orders.csv", "order-2/orders.csv", "order-3/orders.csv"];

fn row(fields: &[&dyn Display]) -> String {
    let mut bytes = Vec::new();
    // The first row of a chain has the same checksum as in earlier versions.
    Chain::default().encode(fields, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn order(number: u64, name: &str, quantity: u64, epoch: u64, key: &str) -> String {
    row(&[&number, &name, &quantity, &epoch, &key])
}

fn toy(name: &str, quantity: u64, restocked: i64, sold: u64, withdrawn: u64) -> String {
    row(&[&name, &19.9, &quantity, &9, &100, &restocked, &sold, &withdrawn, &20])
}

/// The journal's row of a sale after `toys.csv` was written.
fn sale(position: u64, name: &str, quantity: u64, key: &str) -> String {
    row(&[
        &position,
        &"purchase",
        &2,
        &name,
        &quantity,
        &(position - 10),
        &key,
        &0,
        &1,
        &position,
        &1,
    ])
}

fn view(epoch: u64, leader: u32, in_sync: &[u32]) -> String {
    let members =
        in_sync.iter().map(|id| format!(r#"{{"id":{id},"identity":"{}"}}"#, identity(*id)));
    let members: Vec<_> = members.collect();
    format!(r#"{{"epoch":{epoch},"leader":{leader},"in_sync":[{}]}}"#, members.join(","))
}

fn identity(id: u32) -> String {
    format!("{id:016x}")
}

/// Three orders, the same in three logs: 5 Tux and 1 Lego are gone, and 2 Lego were taken by hand.
fn good() -> Store {
    let orders =
        [order(1, "Tux", 2, 1, "a"), order(2, "Lego", 1, 1, "b"), order(3, "Tux", 3, 2, "c")];
    let mut store = Store(BTreeMap::new());
    store.put("catalog/toys.csv", TOYS, &[toy("Tux", 95, 0, 5, 0), toy("Lego", 107, 10, 1, 2)]);
    store.put("catalog/journal.csv", JOURNAL, &[]);
    for log in LOGS {
        store.put(log, ORDERS, &orders);
    }
    for (id, (file, is)) in (1..).zip([
        ("order-1/view.json", "order-1/identity"),
        ("order-2/view.json", "order-2/identity"),
        ("order-3/view.json", "order-3/identity"),
    ]) {
        store.0.insert(file, view(2, 3, &[1, 2, 3]));
        store.0.insert(is, identity(id) + "\n");
    }
    store
}

impl Store {
    fn put(&mut self, file: &'static str, header: &str, rows: &[String]) {
        self.0.insert(file, header.to_owned() + &rows.concat());
    }

    fn add(&mut self, files: &[&'static str], row: &str) {
        for file in files {
            *self.0.get_mut(file).unwrap() += row;
        }
    }

    fn drop_last(&mut self, files: &[&'static str]) {
        for file in files {
            let text = self.0.get_mut(file).unwrap();
            let end = text.trim_end().rfind('\n').unwrap();
            text.truncate(end + 1);
        }
    }

    /// Writes the files, runs the audit, and returns its exit code and its output.
    fn audit(&self) -> (i32, String) {
        let directory = tempfile::tempdir().unwrap();
        for (file, text) in &self.0 {
            let path = directory.path().join("data").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let before = contents(&directory);
        let output = Command::new(env!("CARGO_BIN_EXE_audit"))
            .current_dir(directory.path())
            .env_clear()
            .output()
            .unwrap();
        assert_eq!(contents(&directory), before, "an audit only reads");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    fn assert_says(&self, case: &str, code: i32, expected: &[&str]) {
        let (exit, said) = self.audit();
        assert_eq!(exit, code, "{case}: {said}");
        for text in expected {
            assert!(said.contains(text), "{case}: expected {text:?} in\n{said}");
        }
    }
}

fn contents(directory: &TempDir) -> Vec<(PathBuf, Vec<u8>)> {
    fn walk(path: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
        if path.is_dir() {
            found.push((path.to_owned(), vec![]));
            for entry in fs::read_dir(path).unwrap() {
                walk(&entry.unwrap().path(), found);
            }
        } else {
            found.push((path.to_owned(), fs::read(path).unwrap()));
        }
    }
    let mut found = Vec::new();
    walk(directory.path(), &mut found);
    found.sort();
    found
}

/// A case: its name, the change of the good store, the exit code, and parts of the output.
type Case = (&'static str, fn(&mut Store), i32, &'static [&'static str]);

fn assert_all(cases: &[Case]) {
    for (name, happened, code, expected) in cases {
        let mut store = good();
        happened(&mut store);
        store.assert_says(name, *code, expected);
    }
}

#[test]
fn books_that_balance_are_proven() {
    assert_all(&[
        ("good", |_| {}, 0, &["the books balance", "replica 1: 3 orders"]),
        (
            "no order yet",
            |s| {
                s.put("catalog/toys.csv", TOYS, &[toy("Tux", 100, 0, 0, 0)]);
                for log in LOGS {
                    s.put(log, ORDERS, &[]);
                }
            },
            0,
            &["the books balance"],
        ),
        (
            "a replica is behind",
            |s| s.drop_last(&[LOGS[0]]),
            0,
            &["note: replica 1 is 1 orders behind replica 3", "the books balance"],
        ),
        (
            "a replica never started",
            |s| s.0.retain(|file, _| !file.starts_with("order-2")),
            0,
            &["note: replica 2: there is no data/order-2/orders.csv", "the books balance"],
        ),
        (
            "a torn tail",
            |s| {
                s.add(&[LOGS[1]], "4,Tux,1");
                s.add(&["catalog/journal.csv"], "21,purch");
            },
            0,
            &[
                "note: data/order-2/orders.csv, line 5: 7 bytes",
                "note: data/catalog/journal.csv, line 2: 8 bytes",
                "the books balance",
            ],
        ),
    ]);
}

#[test]
fn what_a_crash_leaves_halfway_balances() {
    assert_all(&[
        (
            "a sale that is no order yet",
            |s| {
                s.add(&["catalog/journal.csv"], &sale(21, "Tux", 4, "d"));
            },
            0,
            &["note: 4 Tux are sold, but not in an order yet (key d)", "the books balance"],
        ),
        (
            "a sale that is an order, and not settled yet",
            |s| {
                s.add(&["catalog/journal.csv"], &sale(21, "Tux", 4, "d"));
                s.add(&LOGS, &order(4, "Tux", 4, 2, "d"));
            },
            0,
            &["Tux ", "the books balance"],
        ),
        (
            "a purchase of a deposed leader, ordered again by the next",
            |s| {
                s.put("order-1/divergent-2.csv", ORDERS, &[order(3, "Tux", 3, 1, "c")]);
            },
            0,
            &["the books balance"],
        ),
        (
            "a deposed leader that is still away",
            |s| {
                s.0.insert("order-3/view.json", view(1, 3, &[1, 2, 3]));
                s.0.insert("order-1/view.json", view(2, 2, &[1, 2]));
                s.0.insert("order-2/view.json", view(2, 2, &[1, 2]));
                s.drop_last(&[LOGS[2]]);
                s.add(&[LOGS[2]], &order(3, "Tux", 4, 1, "d"));
                s.add(&[LOGS[2]], &order(4, "Tux", 3, 1, "c"));
                s.add(&["catalog/journal.csv"], &sale(21, "Tux", 4, "d"));
            },
            0,
            &["replica 3 has 2 orders from 3 on", "never committed", "the books balance"],
        ),
    ]);
}

#[test]
fn sums_that_do_not_match_are_found() {
    assert_all(&[
        (
            "an order is missing",
            |s| s.drop_last(&LOGS),
            1,
            &["Tux: 5 sold by the catalog, but 2 in orders and 0 in open sales"],
        ),
        (
            "an order without a sale",
            |s| s.add(&LOGS, &order(4, "Tux", 1, 2, "d")),
            1,
            &["Tux: 5 sold by the catalog, but 6 in orders"],
        ),
        (
            "an order of a toy that never was",
            |s| s.add(&LOGS, &order(4, "Kite", 1, 2, "d")),
            1,
            &["Kite: 1 in orders, but the catalog has no such toy"],
        ),
        (
            "a sum is wrong",
            |s| {
                s.put(
                    "catalog/toys.csv",
                    TOYS,
                    &[toy("Tux", 96, 0, 5, 0), toy("Lego", 107, 10, 1, 2)],
                );
            },
            1,
            &["Tux: 100 + 0 restocked - 5 sold - 0 withdrawn is not 96"],
        ),
        (
            "a sale was lost with an order that was cut",
            |s| {
                s.put(
                    "catalog/toys.csv",
                    TOYS,
                    &[toy("Tux", 94, 0, 6, 0), toy("Lego", 107, 10, 1, 2)],
                );
                s.put("order-1/divergent-2.csv", ORDERS, &[order(3, "Tux", 1, 1, "d")]);
            },
            1,
            &[
                "Tux: 6 sold by the catalog, but 5 in orders",
                "order 3, 1 Tux, was set aside by replica 1 and is in no other log (key d)",
            ],
        ),
    ]);
}

#[test]
fn a_log_that_breaks_its_rules_is_found() {
    assert_all(&[
        (
            "one purchase, two orders",
            |s| s.add(&LOGS, &order(4, "Tux", 3, 2, "c")),
            1,
            &["orders 3 and 4 are the same purchase (key c)"],
        ),
        ("a gap", |s| s.add(&LOGS, &order(5, "Tux", 3, 2, "d")), 1, &["order 5 follows order 3"]),
        (
            "a number twice",
            |s| s.add(&LOGS, &order(3, "Tux", 3, 2, "d")),
            1,
            &["order 3 follows order 3"],
        ),
        (
            "an epoch falls",
            |s| s.add(&LOGS, &order(4, "Tux", 3, 1, "d")),
            1,
            &["order 4 of epoch 1 follows epoch 2"],
        ),
    ]);
}

#[test]
fn logs_that_disagree_are_found() {
    assert_all(&[
        (
            "one epoch, two orders of a number",
            |s| {
                s.drop_last(&[LOGS[0]]);
                s.add(&[LOGS[0]], &order(3, "Tux", 3, 2, "d"));
            },
            1,
            &["replica 1 has 1 orders from 3 on that replica 3 does not have"],
        ),
        (
            "rows written once more",
            |s| {
                s.add(&[LOGS[0]], &order(2, "Lego", 1, 1, "b"));
                s.add(&[LOGS[0]], &order(3, "Tux", 3, 2, "c"));
                s.0.insert("order-3/view.json", view(3, 3, &[2, 3]));
            },
            1,
            &["replica 1: order 2 is in the place of order 4, and 1 more follow it"],
        ),
        (
            "a committed order differs",
            |s| {
                s.drop_last(&[LOGS[0]]);
                s.add(&[LOGS[0]], &order(3, "Tux", 3, 1, "c"));
                s.0.insert("order-1/committed", "3\n".to_owned());
            },
            1,
            &["replica 1 has 1 orders from 3 on that replica 3 does not have"],
        ),
        (
            "a member of the in-sync set lacks a committed order",
            |s| {
                s.drop_last(&[LOGS[0]]);
                s.0.insert("order-3/committed", "3\n".to_owned());
            },
            1,
            &["replica 1 is in sync and ends at order 2, but 3 were committed"],
        ),
        (
            "the same orders in different files",
            |s| {
                let text = s.0.get_mut(LOGS[0]).unwrap();
                let body = "1,\"Tux\",2,1,a";
                let other = format!("{body},{:08x}\n", crc32fast::hash(body.as_bytes()));
                *text = text.replace(&order(1, "Tux", 2, 1, "a"), &other);
            },
            1,
            &["replicas 1 and 2 have the same orders, but their files differ"],
        ),
    ]);
}

#[test]
fn what_cannot_be_read_is_not_judged() {
    assert_all(&[
        (
            "no catalog",
            |s| s.0.retain(|file, _| !file.starts_with("catalog")),
            2,
            &["data/catalog/toys.csv: cannot open it"],
        ),
        (
            "a damaged row",
            |s| {
                let text = s.0.get_mut(LOGS[2]).unwrap();
                *text = text.replace("2,Lego", "2,Legs");
            },
            2,
            &["data/order-3/orders.csv, line 3: the checksum is wrong"],
        ),
    ]);
}
