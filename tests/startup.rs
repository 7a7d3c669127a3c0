//! The start of the services: with no files, with the files of the last run, after a crash, with
//! damaged files. And their end.

mod support;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use support::Id::{Catalog, Frontend, Order};
use support::run_all::RunAll;
use support::{ALL, Cluster, Customer, Id, REPLICAS, finish, program, signal, wait_until};
use toystore::model::Toy;
use toystore::protocol::catalog;

/// The error of a service that cannot start: one line, and exit code 2.
fn refusal(store: &Cluster, id: Id, settings: &[&str]) -> String {
    let mut command = store.command(id, settings);
    // If it starts nevertheless, it ends with its standard input.
    let output = command.arg("--log-level=error").stderr(Stdio::piped()).output();
    let output = output.expect("a process");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{id:?} {settings:?}: {said}");
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    said.trim_end().to_owned()
}

/// Swaps two bytes in a line of a file, counted from 1, so that the row's checksum is wrong.
fn damage(file: &Path, line: usize) {
    let text = fs::read_to_string(file).expect("exists");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(line < lines.len(), "not the last line of {text}");
    let row = lines[line - 1].replacen(",1,", ",7,", 1);
    assert_ne!(row, lines[line - 1], "{text}");
    lines[line - 1] = row;
    fs::write(file, lines.join("\n") + "\n").expect("has room");
}

fn write(file: &Path, contents: &str) {
    fs::write(file, contents).expect("has room");
}

fn append(file: &Path, bytes: &[u8]) {
    let file = File::options().append(true).open(file);
    file.expect("exists").write_all(bytes).expect("has room");
}

/// A store that has sold `orders` toys and was closed.
fn closed_after(orders: u64) -> Cluster {
    let mut store = Cluster::open(&[]);
    let mut customer = store.customer(Frontend);
    for number in 1..=orders {
        assert_eq!(customer.buy_one("Tux"), number);
    }
    store.close();
    store
}

#[test]
fn a_store_begins_with_nothing_and_goes_on_where_it_was() {
    // C1, C4, O1: stock and numbers survive a close, `kill -9`, and an empty configuration file.
    let mut store = Cluster::closed(&["--config=empty.toml"]);
    File::create(store.path("empty.toml")).expect("a file");
    store.start_all();
    let mut customer = store.customer(Frontend);
    assert_eq!((customer.quantity("Tux"), customer.buy_one("Tux")), (100, 1));
    assert_eq!((customer.quantity("Tux"), customer.buy_one("Fox")), (99, 2));
    store.close();

    store.start_all();
    let mut customer = store.customer(Frontend);
    assert_eq!((customer.quantity("Tux"), customer.buy_one("Tux")), (99, 3));
    store.kill_all();

    store.start_all();
    let mut customer = store.customer(Frontend);
    assert_eq!((customer.quantity("Tux"), customer.buy_one("Tux")), (98, 4));
    assert_eq!(store.assert_conserved(), 4);
    store.await_agreement();

    store.end(Catalog);
    store.start_with(Catalog, &["--reset-stock"]);
    // C4: if asked to, once the leader has reconciled.
    wait_until("the stock is reset", || {
        [customer.quantity("Tux"), customer.quantity("Fox")] == [100, 100]
    });
    assert_eq!(customer.buy_one("Tux"), 5, "O1: the numbers go on all the same");
}

#[test]
fn a_start_that_cannot_be_is_refused_in_one_clear_line() {
    let mut store = Cluster::closed(&[]);
    store.start(Catalog);
    let typo = store.path("typo.toml");
    write(&typo, "[frontend]\n\nthread = 3\n");
    let said = "typo.toml, line 3: unknown key thread in [frontend]; did you mean threads?";
    for id in [Frontend, Order(1)] {
        assert!(refusal(&store, id, &["--config=typo.toml"]).contains(said), "{id:?}");
    }
    let busy = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let busy = busy.local_addr().expect("bound").to_string();
    let busy_listen = format!("--listen={busy}");
    let below_a_file = format!("--data={}/data", typo.display());
    let two_catalogs = store.path("two.toml");
    write(&two_catalogs, "[catalog.2]\n");
    let same_directory = format!("--order-1-data={}", store.data(Catalog).display());
    for (id, settings, expected) in [
        (Frontend, "--config=missing.toml", "--config: cannot read missing.toml: No such file"),
        (
            Frontend,
            "--threads=0",
            "--frontend-threads: frontend.threads is \"0\", expected a whole",
        ),
        (Frontend, &busy_listen, &format!("cannot listen on {busy}: Address already in use")),
        (Order(1), &format!("--order-1-peer={busy}"), &format!("cannot listen on {busy}: Address")),
        (Frontend, &below_a_file, "typo.toml: cannot create it: File exists"),
        (Order(9), "--log-level=error", "there is no replica 9, expected one of 1, 2, 3"),
        (
            Catalog,
            "--config=two.toml",
            "catalog.2: with storage.engine = \"files\" the stock is in",
        ),
        (Catalog, "--listen=127.0.0.1:0", "catalog: already in use by another process (pid "),
        (Order(1), &same_directory, "catalog.data and order.1.data: both are"),
    ] {
        let said = refusal(&store, id, &[settings]);
        assert!(said.contains(expected), "{id:?} {settings}: {said}");
    }
    let said = refusal(&store, Order(1), &["--engine=database", "--order-fail=crash@7"]);
    assert!(said.contains("--order-fail: it is a failure of a replica's own log"), "{said}");
    assert_eq!(store.customer(Catalog).get("/health").0, 200, "the first one is not disturbed");
}

/// A program that was built as `make run-all` builds it.
#[cfg(not(feature = "database"))]
#[test]
fn a_program_without_the_database_says_how_to_get_one_with_it() {
    let store = Cluster::closed(&[]);
    for id in [Catalog, Order(1), Frontend] {
        let said = refusal(&store, id, &["--engine=database", "--database-addresses=nowhere:1"]);
        assert!(said.contains("add FEATURES=database to the command of make"), "{id:?}: {said}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let mut store = closed_after(1);
    for id in ALL {
        let directory = store.data(id);
        fs::set_permissions(&directory, Permissions::from_mode(0o500)).expect("ours");
        fs::set_permissions(directory.join("lock"), Permissions::from_mode(0o400)).expect("ours");
        if File::options().append(true).open(directory.join("lock")).is_ok() {
            eprintln!("skipped: this user may write whatever the permissions say (root)");
        } else {
            let said = refusal(&store, id, &[]);
            assert!(said.contains("lock: cannot open it for writing: Permission denied"), "{said}");
        }
        fs::set_permissions(directory.join("lock"), Permissions::from_mode(0o600)).expect("ours");
        fs::set_permissions(&directory, Permissions::from_mode(0o700)).expect("ours");
    }
    // This stops root as well: a directory instead of the file.
    let lock = store.data(Catalog).join("lock");
    fs::remove_file(&lock).expect("ours");
    fs::create_dir(&lock).expect("a directory");
    let said = refusal(&store, Catalog, &[]);
    assert!(said.contains("catalog/lock: cannot open it for writing: Is a directory"), "{said}");
    fs::remove_dir(&lock).expect("empty");
    store.start_all();
    assert_eq!(store.assert_conserved(), 1, "nothing was broken by that");
}

#[test]
fn a_catalog_with_damaged_books_says_where_and_what_to_do() {
    let mut store = closed_after(3);
    let (toys, journal) = ("toys.csv", "journal.csv");
    let path = |file: &str| store.data(Catalog).join(file);
    let whole = [toys, journal].map(|file| fs::read(path(file)).expect("exists"));
    let rows = String::from_utf8_lossy(&whole[1]).into_owned();
    let before = rows.lines().position(|row| row.contains(",purchase,")).expect("three sales");
    let line = before + 1;

    let remedy = "restore toys.csv and journal.csv together from a backup";
    damage(&path(journal), line);
    let said = refusal(&store, Catalog, &[]);
    let place = format!("journal.csv, line {line}: the checksum is wrong: this row was changed");
    assert!(said.contains(&place) && said.ends_with(remedy), "{said}");
    // If a sale in the middle were missing, the catalog would sell those toys again.
    let is_sale = |line: &&str| line.contains(",purchase,");
    let sales: Vec<&str> = rows.lines().filter(is_sale).collect();
    let without = rows.replacen(&format!("{}\n", sales[1]), "", 1);
    fs::write(path(journal), without).expect("has room");
    let said = refusal(&store, Catalog, &[]);
    assert!(said.contains("rows before it were deleted") && said.ends_with(remedy), "{said}");
    let unchained = rows.lines().enumerate().map(|(place, line)| {
        let body = line.rsplit_once(',').expect("a column of checksums").0;
        let checksum = crc32fast::hash(body.as_bytes());
        if place == 0 { format!("{body},crc\n") } else { format!("{body},{checksum:08x}\n") }
    });
    let unchained: String = unchained
        .filter(|line| {
            !line.starts_with(sales[1].rsplit_once(',').expect("a column of checksums").0)
        })
        .collect();
    fs::write(path(journal), &unchained).expect("has room");
    let said = refusal(&store, Catalog, &[]);
    assert!(said.contains("records are missing") && said.ends_with(remedy), "{said}");
    assert_eq!(fs::read_to_string(path(journal)).expect("exists"), unchained, "left as it is");
    fs::write(path(journal), &whole[1]).expect("has room");

    let changed = String::from_utf8_lossy(&whole[0]).replacen(",100,", ",101,", 1);
    fs::write(path(toys), changed).expect("has room");
    let said = refusal(&store, Catalog, &[]);
    assert!(said.contains("toys.csv, line 2: the checksum is wrong"), "{said}");
    fs::write(path(toys), &whole[0][..whole[0].len() - 5]).expect("has room");
    let said = refusal(&store, Catalog, &[]);
    assert!(said.contains("toys.csv, line 11: the file is cut off here; restore"), "{said}");

    fs::remove_file(path(toys)).expect("ours");
    let said = refusal(&store, Catalog, &[]);
    assert!(said.contains("toys.csv, line 1: missing, but journal.csv has"), "{said}");
    fs::write(path(toys), &whole[0]).expect("has room");
    fs::remove_file(path(journal)).expect("ours");
    let said = refusal(&store, Catalog, &[]);
    assert!(said.contains("journal.csv, line 1: missing, though toys.csv is there"), "{said}");

    fs::write(path(journal), &whole[1]).expect("has room");
    store.start_all();
    assert_eq!(store.assert_conserved(), 3, "a refusal changes nothing");
}

/// The last rows of a file may be lost and the file looks complete. The other side has them.
/// Cuts the catalog's journal off before the first row of this kind.
fn cut_journal(store: &Cluster, kind: &str) {
    let journal = store.data(Catalog).join("journal.csv");
    let text = fs::read_to_string(&journal).expect("exists");
    let is_before = |row: &&str| !row.contains(&format!(",{kind},"));
    let kept: Vec<&str> = text.lines().take_while(is_before).collect();
    assert!(kept.len() < text.lines().count(), "there is a {kind}");
    fs::write(&journal, kept.join("\n") + "\n").expect("has room");
}

#[test]
fn orders_whose_sales_were_lost_are_sold_again() {
    let mut store = closed_after(3);
    cut_journal(&store, "purchase");
    store.start_all();
    assert_eq!(store.customer(Frontend).buy_one("Tux"), 4);
    assert_eq!(store.assert_conserved(), 4);
    let said = store.log(Catalog);
    assert!(said.contains("orders sold again: 3"), "{said}");
    store.close();
    assert!(store.program("audit").status().expect("a process").success());
}

/// More than a crash can take: a restock, of which toys were sold. A person has to decide, and the store waits.
#[test]
fn a_journal_that_lost_a_restock_is_said_by_the_leader() {
    let mut store = Cluster::open(&[]);
    let restock = |store: &Cluster, count| {
        let body = json!({ "restock": count }).to_string();
        let json = [("Content-Type", "application/json")];
        store.operator(Catalog).send("PUT", "/products/Tux", &json, body.as_bytes()).0
    };
    assert_eq!(store.customer(Frontend).buy("Tux", 100).0, 200);
    assert_eq!(restock(&store, 70), 200);
    assert_eq!(store.customer(Frontend).buy("Tux", 60).0, 200);
    store.close();
    cut_journal(&store, "put");
    for id in ALL {
        store.start(id);
    }
    let said = "the catalog does not reconcile: the orders have 60 Tux that the journal has not";
    let counts = || REPLICAS.map(|id| store.log(Order(id)).matches(said).count());
    wait_until("the leader logs it", || counts().contains(&1));
    let buy_fox = || store.customer(Frontend).buy_with_key("a-fox", "Fox", 1);
    assert_eq!(buy_fox().0, 503, "nothing is sold meanwhile");
    assert_eq!(restock(&store, 60), 200);
    let (status, answer) = buy_fox();
    assert_eq!((status, &answer["data"]["order_number"]), (200, &json!(3)), "{answer}");
    assert!(counts().iter().all(|&count| count <= 1), "each leader says it once");
    assert_eq!(store.customer(Frontend).quantity("Tux"), 0);
    store.close();
    assert!(store.program("audit").status().expect("a process").success());
}

#[test]
fn a_row_that_a_crash_cut_off_is_dropped() {
    let mut store = closed_after(3);
    append(&store.data(Catalog).join("journal.csv"), b"99,purchase,1,Tux,1");
    append(&store.data(Order(3)).join("orders.csv"), b"4,Tux,1,1,~0-1");
    append(&store.data(Order(1)).join("orders.csv"), b"4,Tux,1,1,~0-1-9,0badc0de\n\0\0\0");
    store.start_all();
    for id in [Catalog, Order(1), Order(3)] {
        assert!(store.log(id).contains("of an unfinished write"), "{id:?} says so");
    }
    assert_eq!(store.assert_conserved(), 3);
    assert_eq!(store.customer(Frontend).buy_one("Tux"), 4);
    store.await_agreement();
}

#[test]
fn a_damaged_order_log_is_set_aside_and_refilled_by_the_leader() {
    let mut store = closed_after(5);
    let whole = store.orders_csv(3);
    let file = store.data(Order(3)).join("orders.csv");
    damage(&file, 3);
    let damaged = store.orders_csv(3);
    store.start_all();
    assert_eq!(store.leader(), 2, "a damaged replica never leads");
    let log = store.log(Order(3));
    assert!(log.contains("orders.csv, line 3: the checksum is wrong"), "{log}");
    assert_eq!(store.customer(Frontend).buy_one("Tux"), 6);
    store.await_agreement();
    assert!(store.orders_csv(3).starts_with(&whole), "it has all orders again");
    let aside = fs::read(file.with_file_name("damaged-1.csv")).expect("kept for the operator");
    assert_eq!(aside, damaged);
    assert_eq!(store.assert_conserved(), 6);
}

#[test]
fn a_wiped_replica_and_a_wiped_front_end_come_back() {
    let mut store = closed_after(3);
    fs::remove_dir_all(store.data(Order(3))).expect("ours");
    store.start_all();
    assert_eq!(store.leader(), 2, "an empty disk does not lead a store that has orders");
    store.await_agreement();
    store.close();
    fs::remove_dir_all(store.data(Frontend)).expect("ours");
    store.start_all();
    assert_eq!(store.customer(Frontend).buy_one("Tux"), 4);
    assert_eq!(store.assert_conserved(), 4);
}

#[test]
fn a_store_whose_replicas_are_all_wiped_says_so_and_sells_again_when_it_may() {
    let mut store = Cluster::open(&[]);
    let mut customer = store.customer(Frontend);
    for number in 1..=3 {
        assert_eq!(customer.buy_one("Tux"), number);
    }
    // The catalog has forgotten their keys.
    store.await_settled();
    store.close();
    for id in [Order(1), Order(2), Order(3)] {
        fs::remove_dir_all(store.data(id)).expect("ours");
    }
    for id in ALL {
        store.start(id);
    }
    wait_until("the front-end says why it does not sell", || {
        store
            .log(Frontend)
            .contains("all replicas answer, but none has the data of a member of the last view")
    });
    assert_eq!(store.customer(Frontend).buy("Tux", 1).0, 503);
    store.end(Frontend);
    store.start_with(Frontend, &["--frontend-allow-unclean-election"]);
    store.leader();
    assert_eq!(store.customer(Frontend).buy("Tux", 1).0, 200);
}

#[test]
fn the_initial_toys_come_from_csv_or_json_and_only_once() {
    let csv = "name, price, quantity\nYo-yo, 4.5, 7\n\"Lego, red\", 20, 0\n";
    let json = r#"[{"name":"Yo-yo","price":4.5,"quantity":7},
                   {"name":"Lego, red","price":20,"quantity":0}]"#;
    let windows = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    for (file, contents) in [
        ("toys.csv", csv.to_owned()),
        ("toys.json", json.to_owned()),
        ("toys.csv", windows(csv)),
        ("toys.json", windows(json)),
    ] {
        let mut store = Cluster::closed(&[&format!("--catalog-initial={file}")]);
        write(&store.path(file), &contents);
        store.start(Catalog);
        let toys: Vec<Toy> = store
            .ask(Catalog, &catalog::Request::List { after: None, limit: None })
            .expect("a list");
        let toys = toys.iter().map(|toy| (&*toy.name, f64::from(toy.price), toy.quantity));
        assert_eq!(toys.collect::<Vec<_>>(), [("Yo-yo", 4.5, 7), ("Lego, red", 20.0, 0)]);
        store.end(Catalog);
        write(&store.path(file), "");
        store.start(Catalog);
        assert_eq!(store.customer(Catalog).quantity("Yo-yo"), 7, "the store has its own by now");
    }
}

#[test]
fn a_mistake_in_the_initial_toys_is_refused_with_its_line() {
    let row = "name,price,quantity\n";
    let json = r#"{"name":"Tux","price":1,"quantity":1}"#;
    for (file, contents, expected) in [
        ("toys.csv", String::new(), "line 1: it has no toy; expected name,price,quantity"),
        ("toys.csv", row.into(), "line 1: it has no toy; expected name,price,quantity"),
        (
            "toys.csv",
            "\n\nname,price\nTux,1\n".into(),
            "line 3: the header is \"name,price\"; expected",
        ),
        (
            "toys.csv",
            "name;price;quantity\nTux;1;1\n".into(),
            "line 1: the columns are separated by ';', expected ','",
        ),
        (
            "toys.csv",
            "name\tprice\tquantity\nTux\t1\t1\n".into(),
            r"line 1: the columns are separated by '\t', expected ','",
        ),
        (
            "toys.csv",
            format!("{row}Tux,1,-1\n"),
            "line 2: quantity: invalid digit found in string; expected",
        ),
        ("toys.csv", format!("{row}Tux,1,1\nTux,2,2\n"), "line 3: \"Tux\" is there twice"),
        ("toys.csv", format!("{row}\n\nTux,1,1\n\nTux,2,2\n"), "line 6: \"Tux\" is there twice"),
        ("toys.csv", format!("{row}Tux,1,1\r\nFox,1,-1\r\n"), "line 3: quantity: "),
        ("toys.csv", "price,name,quantity\ncheap,Tux,1\n".into(), "line 2: price: invalid float"),
        (
            "toys.csv",
            "name,price,quantity\r\nTux,1,1\r\n\r\nFox,1\r\n".into(),
            "line 4: the row has 2 fields, expected 3",
        ),
        (
            "toys.csv",
            "name,price,quantity\rTux,1,1\r\rFox,1\r".into(),
            "line 4: the row has 2 fields, expected 3",
        ),
        ("toys.csv", format!("{row},1,1\n"), "line 2: a toy's name has 1 to 100 bytes"),
        ("toys.csv", format!("{row}Tux,0.001,1\n"), "line 2: price is 0.001"),
        ("toys.json", format!("[{json},\n{json}]"), "line 2: \"Tux\" is there twice"),
        ("toys.json", "\u{feff}[\n{}]".into(), "line 2: missing field `name`"),
        ("toys.json", "[\r{}]".into(), "line 2: missing field `name`"),
        (
            "toys.json",
            "[\r\n\r\n{\"name\":\"\"}]".into(),
            "line 3: a toy's name has 1 to 100 bytes",
        ),
    ] {
        let store = Cluster::closed(&[&format!("--catalog-initial={file}")]);
        write(&store.path(file), &contents);
        let said = refusal(&store, Catalog, &[]);
        assert!(said.contains(&format!("{file}, {expected}")), "{contents:?}: {said}");
    }
    let store = Cluster::closed(&["--catalog-initial=toys.csv"]);
    for (contents, expected) in [
        (&b"name,price,quantity\nB\xe4r,1,1\n"[..], "line 2 is not UTF-8: save it as UTF-8"),
        (b"name,price,quantity\rB\xe4r,1,1\r", "line 2 is not UTF-8: save it as UTF-8"),
        (b"\xff\xfen\0a\0", "it is UTF-16: save it as UTF-8"),
    ] {
        fs::write(store.path("toys.csv"), contents).expect("the directory is there");
        let said = refusal(&store, Catalog, &[]);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_restock_fills_the_empty_shelves_or_all_of_them() {
    // C3, and that a restocked toy leaves the cache (F5).
    for (mode, fox_is_filled) in [("sold-out", false), ("all", true)] {
        let mode = format!("--catalog-restock={mode}");
        let mut store = Cluster::open(&[&mode]);
        let mut customer = store.customer(Frontend);
        assert_eq!(customer.buy("Tux", 100).0, 200);
        assert_eq!(customer.buy("Fox", 60).0, 200);
        assert_eq!((customer.quantity("Tux"), customer.quantity("Fox")), (0, 40), "now cached");
        store.end(Catalog);
        store.start_with(Catalog, &["--restock-every-ms=200"]);
        wait_until("the empty shelf is filled", || customer.quantity("Tux") == 100);
        // A restock fills all toys at once.
        assert_eq!(customer.quantity("Fox"), if fox_is_filled { 100 } else { 40 }, "{mode}");
    }
}

/// Ten toys are bought while a replica fails at the fourth; replica 3 leads.
fn play(replica: u32, failure: &str) {
    let mut store = Cluster::closed(&[]);
    store.start(Catalog);
    for id in REPLICAS {
        let failing = if id == replica { failure } else { "" };
        store.start_with(Order(id), &[&format!("--order-fail={failing}")]);
    }
    store.start(Frontend);
    assert_eq!(store.leader(), 3);
    thread::scope(|scope| {
        for toy in ["Tux", "Fox"] {
            let mut customer = store.customer(Frontend);
            scope.spawn(move || (0..5).map(|_| customer.buy_one(toy)).max());
        }
    });
    match failure {
        "hang@4" => store.kill(Order(replica)),
        "crash@4" => assert_eq!(store.await_end(Order(replica)).signal(), Some(9)),
        _ => assert_eq!(store.await_end(Order(replica)).code(), Some(3), "as with a broken disk"),
    }
    assert_eq!(store.assert_conserved(), 10, "replica {replica}, {failure}");
    store.start(Order(replica));
    store.await_agreement();
}

#[test]
fn a_played_failure_loses_no_order() {
    // O8, O5, F7. The cases mostly wait, so they run at the same time.
    thread::scope(|scope| {
        for failure in ["crash@4", "hang@4", "fail-write@4"] {
            for replica in [1, 3] {
                scope.spawn(move || play(replica, failure));
            }
        }
    });
}

#[test]
fn a_failing_disk_ends_a_process_that_cannot_even_say_so() {
    // F7. The log is on the disk that is full: /dev/full refuses every line.
    let mut store = Cluster::closed(&[]);
    for id in [Catalog, Order(1), Order(2)] {
        store.start(id);
    }
    let mut command = store.command(Order(3), &["--order-fail=fail-write@1"]);
    let full = File::options().write(true).open("/dev/full").expect("Linux has it");
    let mut process = command.stderr(full).spawn().expect("a process");
    store.start(Frontend);
    wait_until("replica 3 leads", || store.leader() == 3);
    assert_eq!(store.customer(Frontend).buy_one("Tux"), 1, "from the next leader");
    assert_eq!(finish(&mut process).code(), Some(3));
}

#[test]
fn the_catalog_answers_by_hand() {
    // C6.
    let mut store = Cluster::closed(&[]);
    store.start(Catalog);
    let mut by_hand = store.customer(Catalog);
    let tux = json!({ "data": { "name": "Tux", "price": 19.9, "quantity": 100 } });
    assert_eq!(by_hand.get("/query/Tux"), (200, tux.clone()));
    assert_eq!(by_hand.get("/products/Tux"), (200, tux));
    let body = br#"{"name":"Tux","quantity":2}"#;
    let sold = by_hand.send("POST", "/buy_qty", &[], body);
    assert_eq!(sold, (200, json!({ "data": { "cost": 39.8 } })), "C2: price x quantity");
    assert_eq!(by_hand.quantity("Tux"), 98);
    assert_eq!(by_hand.get("/health").0, 200);
    assert_eq!(by_hand.get("/query/Snoopy").0, 404);
    assert_eq!(by_hand.send("POST", "/buy_qty", &[], b"name=Tux&quantity=99").0, 409);
    assert_eq!(by_hand.send("POST", "/buy_qty", &[], b"name=Tux&quantity=0").0, 400);
    assert_eq!(by_hand.get("/buy_qty").0, 405);
    assert_eq!(by_hand.get("/nowhere").0, 404);
    store.kill(Catalog);
    store.start(Catalog);
    assert_eq!(store.customer(Catalog).quantity("Tux"), 98, "C2: on disk before it answered");
}

/// What an evaluation sees of the cache (L2): the toys in it, in the order of their eviction, and why
/// a toy left. Customers do not see this.
#[test]
fn the_front_end_shows_its_cache_and_its_view_on_its_peer_address_only() {
    let store = Cluster::open(&["--frontend-cache-capacity=2"]);
    let mut customer = store.customer(Frontend);
    let mut peer = Customer::of(store.peer_address(Frontend));
    let cache = |peer: &mut Customer| peer.get("/status").1["data"]["cache"].clone();
    let counts = |cache: &Value| {
        ["hits", "misses", "evictions", "invalidations"]
            .map(|count| cache[count].as_u64().expect("a number"))
    };
    // Again, if the machine was too slow to keep the lease.
    wait_until("the cache does what its counters say", || {
        let before = cache(&mut peer);
        for toy in ["Frisbee", "Barbie", "Tux", "Fox", "Tux", "Lego"] {
            customer.quantity(toy);
        }
        customer.buy_one("Lego");
        customer.quantity("Whale");
        let after = cache(&mut peer);
        let names: Vec<_> = [0, 1].map(|place| after["toys"][place]["name"].clone()).into();
        let grown = counts(&after).into_iter().zip(counts(&before)).map(|(a, b)| a - b);
        let evictions = 3 + before["toys"].as_array().expect("a list").len() as u64;
        names == ["Whale", "Tux"] && grown.collect::<Vec<_>>() == [1, 6, evictions, 1]
    });
    let status = peer.get("/status").1;
    assert_eq!(status["data"]["cache"]["capacity"], 2);
    assert_eq!(status["data"]["view"]["leader"], json!(store.leader()));
    assert_eq!(peer.send("POST", "/status", &[], b"").0, 405);
    assert_eq!(peer.get("/products/Tux").0, 404);
    assert_eq!(customer.get("/status").0, 404, "not for customers");
}

#[test]
fn a_replica_answers_by_hand() {
    // O7.
    let store = Cluster::open(&[]);
    assert_eq!(store.leader(), 3);
    let (mut leader, mut follower) = (store.customer(Order(3)), store.customer(Order(1)));
    let bought = leader.send("POST", "/orders", &[], br#"{"name":"Tux","quantity":2}"#);
    assert_eq!(bought, (200, json!({ "data": { "order_number": 1 } })));
    let order = json!({ "data": { "number": 1, "name": "Tux", "quantity": 2 } });
    assert_eq!(leader.get("/orders/1"), (200, order.clone()));
    wait_until("the follower knows of the commit", || follower.get("/orders/1").0 == 200);
    assert_eq!(follower.get("/orders/1").1, order);
    assert_eq!(leader.get("/orders/2").0, 404, "the leader knows");
    assert_eq!(follower.get("/orders/2").0, 503, "a follower does not");
    assert_eq!(follower.get("/leader").1["data"]["leader"], 3);
    assert_eq!(follower.get("/health").1["data"]["id"], 1);
    let (status, body) = follower.buy("Tux", 1);
    assert_eq!(status, 503);
    assert!(body["error"]["message"].as_str().is_some_and(|m| m.contains("not the leader")));
    assert_eq!(leader.send("POST", "/orders", &[], b"name=Tux&quantity=1.5").0, 400);
    assert_eq!(leader.send("DELETE", "/orders", &[], b"").0, 405);
    assert_eq!(leader.get("/nowhere").0, 404);
    assert_eq!(store.assert_conserved(), 1);
}

#[test]
fn a_frame_asks_a_service_by_hand() {
    // R5.
    let mut store = Cluster::closed(&[]);
    store.start(Catalog);
    let tux = json!({ "data": { "name": "Tux", "price": 19.9, "quantity": 100, "version": 1 } });
    for (question, code, answer) in [
        ("health_check", 0, json!({ "data": null })),
        (r#"{"method_name":"query","name":"Tux"}"#, 0, tux),
        (
            r#"{"method_name":"query","name":"Snoopy"}"#,
            1,
            json!({ "error": { "kind": "unknown_toy" } }),
        ),
    ] {
        let mut frame = Command::new(program("frame"));
        let output = frame.args([store.address(Catalog), question]).output().expect("a process");
        assert_eq!(output.status.code(), Some(code), "{question}: {output:?}");
        let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(printed, answer, "{question}");
    }
    let mut frame = Command::new(program("frame"));
    let output = frame.args([store.address(Frontend), "health_check"]).output().expect("a process");
    assert_eq!(output.status.code(), Some(2), "nobody is there: {output:?}");
}

#[test]
fn run_all_opens_the_store_and_closes_it_on_ctrl_c() {
    // R1.
    let store = Cluster::closed(&[]);
    let mut run_all = RunAll::start(&store, &[]);
    store.leader();
    let mut customer = store.customer(Frontend);
    assert_eq!(customer.buy_one("Tux"), 1);
    let leader = run_all.number_after("kill -9 ");
    let leader = Pid::from_raw(leader).expect("not 0");
    kill_process(leader, Signal::KILL).expect("it runs");
    run_all.wait_until_said(
        "order 3 has ended (killed by signal 9 (SIGKILL)); the other services keep running",
    );
    assert_eq!(customer.buy_one("Tux"), 2);
    signal(&run_all.process, Signal::INT);
    assert_eq!(finish(&mut run_all.process).code(), Some(0));
    for name in ["catalog ", "order 1 ", "order 2 ", "frontend"] {
        assert!(run_all.said().contains(&format!("{name} ended: exit code 0")), "{name}");
    }

    // Again, with the files of the first run; and as a new store.
    let mut run_all = RunAll::start(&store, &[]);
    store.leader();
    assert_eq!(store.customer(Frontend).buy_one("Tux"), 3);
    signal(&run_all.process, Signal::TERM);
    assert_eq!(finish(&mut run_all.process).code(), Some(0));
    let mut run_all = RunAll::start(&store, &["--fresh"]);
    store.leader();
    assert_eq!(store.customer(Frontend).buy_one("Tux"), 1);

    // If it is killed, the services end by themselves.
    run_all.process.kill().expect("it runs");
    run_all.process.wait().expect("it is our child");
    wait_until("all addresses are free", || {
        ALL.into_iter().all(|id| TcpListener::bind(store.address(id)).is_ok())
    });
}

#[test]
fn run_all_says_what_is_in_its_way() {
    let mut store = Cluster::closed(&[]);
    store.start(Catalog);
    for (flags, expected) in [
        (&[][..], "Address already in use (os error 98); catalog needs it"),
        (
            &["--catalog-listen=127.0.0.1:0"],
            "127.0.0.1:0: catalog needs a port that the others know",
        ),
    ] {
        let output = store.program("run-all").args(flags).stderr(Stdio::piped()).output();
        let output = output.expect("a process");
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(said.lines().count(), 1, "one line: {said}");
        assert!(said.contains(expected), "{said}");
    }
}
