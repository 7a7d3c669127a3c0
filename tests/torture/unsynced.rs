//! What the catalog's journal has beyond its last sync, as `strace` sees it: a machine that dies loses any part of that,
//! while a process that is killed leaves it in the file. `strace` also makes the syncs slow, so that there is something
//! to lose.
//!
//! The store itself does not say how far it has synced. A call that `strace` has not seen return did not return to the
//! catalog either, so nothing can have been answered because of it.

use crate::history::History;
use crate::support::Id::{self, Catalog};
use crate::support::{Cluster, wait_until};
use crate::{close_and_judge, initial_csv, shop};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The time that each sync of the journal takes longer.
const SYNC_TAKES_US: u32 = 30_000;

/// The `strace` of a catalog's journal.
pub struct Watch {
    strace: Child,
    seen: PathBuf,
    journal: PathBuf,
}

impl Watch {
    /// Watches the catalog of this store, which runs. `None` without strace.
    pub fn begin(store: &Cluster) -> Option<Watch> {
        let (seen, journal) =
            (store.path("journal.strace"), store.data(Catalog).join("journal.csv"));
        fs::remove_file(&seen).ok();
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-qq", "-s", "0", "-e", "trace=write,fdatasync"])
            .arg("-P")
            .arg(&journal);
        strace.args(["-e", &format!("inject=fdatasync:delay_enter={SYNC_TAKES_US}")]);
        strace.arg("-o").arg(&seen).args(["-p", &store.pid(Catalog).to_string()]);
        strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Some(Watch { strace: strace.spawn().ok()?, seen, journal })
    }

    /// Whether it has seen a sync, and so sees every one from now on.
    pub fn has_begun(&self) -> bool {
        unsynced(&read(&self.seen)).is_some()
    }

    /// The catalog was killed: cuts off this share of what the journal has beyond the last sync, in percent. Returns the
    /// number of whole rows that are lost.
    pub fn cut(mut self, percent: u64) -> usize {
        self.strace.wait().expect("it ends with the catalog");
        let rows = fs::read(&self.journal).expect("a journal");
        let unsynced = unsynced(&read(&self.seen)).unwrap_or(0);
        let kept = rows.len() - usize::try_from(unsynced * percent / 100).expect("it is in memory");
        fs::write(&self.journal, &rows[..kept]).expect("a disk that is not full");
        rows[kept..].split(|byte| *byte == b'\n').count() - 1
    }
}

fn read(seen: &Path) -> String {
    fs::read_to_string(seen).unwrap_or_default()
}

/// Lets every sync of a service fail from now on. `None` without strace: then no sync fails.
pub fn fail_syncs(store: &Cluster, id: Id) -> Option<Child> {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "inject=fdatasync:error=EIO:when=1+"]);
    strace.args(["-e", "trace=fdatasync", "-o", "/dev/null", "-p", &store.pid(id).to_string()]);
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    strace.spawn().ok()
}

/// The bytes that were written to the journal since its last sync has returned; `None` before the first one.
fn unsynced(seen: &str) -> Option<u64> {
    let (mut unsynced, mut writing) = (None, BTreeSet::new());
    // The catalog syncs nothing else.
    let (_, journal) = seen.split_once("fdatasync(")?;
    let journal: String = journal.chars().take_while(char::is_ascii_digit).collect();
    let write = format!("write({journal},");
    for (thread, call) in seen.lines().filter_map(|line| line.split_once(' ')) {
        let result = call.rsplit_once(" = ").and_then(|(_, result)| result.split(' ').next());
        let is_write = call.contains(&write);
        if call.contains("fdatasync") && result == Some("0") {
            unsynced = Some(0);
        } else if is_write && result.is_none() {
            writing.insert(thread);
        } else if (is_write || call.contains("write resumed") && writing.remove(thread))
            && let Some(bytes) = result.and_then(|bytes| bytes.parse::<u64>().ok())
        {
            unsynced = unsynced.map(|unsynced| unsynced + bytes);
        }
    }
    unsynced
}

#[test]
fn what_was_written_since_the_last_sync_is_counted() {
    const WRITE: &str = "write(9, \"\"..., 40";
    for (seen, bytes) in [
        (String::new(), None),
        (format!("7 {WRITE}) = 40\n"), None),
        (format!("7 {WRITE}) = 40\n7 fdatasync(9) = 0 (DELAYED)\n"), Some(0)),
        (format!("7 fdatasync(9) = 0\n7 {WRITE}) = 40\n7 fdatasync(9) = ?\n"), Some(40)),
        (format!("7 fdatasync(9 <unfinished ...>\n8 {WRITE}) = 40\n"), None),
        (
            format!(
                "7 fdatasync(9 <unfinished ...>\n7 <... fdatasync resumed>) = 0\n8 {WRITE} <unfinished ...>\n"
            ),
            Some(0),
        ),
        (
            format!(
                "7 fdatasync(9) = 0\n8 {WRITE} <unfinished ...>\n\
                 6 write(2, \"\"..., 9 <unfinished ...>\n\
                 6 <... write resumed>) = 9\n8 <... write resumed>) = 40\n"
            ),
            Some(40),
        ),
    ] {
        assert_eq!(unsynced(&seen), bytes, "{seen}");
    }
}

/// The machine of the catalog dies with purchases in flight: rows that were not synced are lost, and their orders are in
/// the logs. No order that was acknowledged is lost, none is doubled, and the books balance.
#[test]
fn nothing_is_lost_with_what_the_catalog_had_not_synced() {
    const ROUNDS: u32 = 20;
    let mut store = Cluster::closed(&["--catalog-initial=initial.csv"]);
    fs::write(store.path("initial.csv"), initial_csv()).expect("a file");
    let history = Arc::new(History::begin(&store.path("history.jsonl")));
    store.start_all();
    store.await_in_sync();
    let load = shop(&store, 5, &history);
    let (mut lost, mut outages) = (0, Vec::new());
    for round in 0..ROUNDS {
        history.await_business(5);
        let Some(watch) = Watch::begin(&store) else {
            println!("there is no strace, so nothing was lost");
            break;
        };
        wait_until("strace sees the syncs", || watch.has_begun());
        thread::sleep(Duration::from_millis(u64::from(37 * round % 150)));
        let begun_us = history.now_us();
        store.kill(Catalog);
        lost += watch.cut([100, 100, 50][round as usize % 3]);
        store.start(Catalog);
        history.await_business(5);
        outages.push((begun_us, history.now_us()));
        if lost >= 10 && round >= 3 {
            break;
        }
    }
    load.finish();
    println!("{lost} rows of the journal were lost");
    let again = store.log(Catalog).matches("orders sold again: ").count();
    let broken = close_and_judge(&mut store, &history, &outages);
    assert!(broken.is_empty(), "not as promised:\n{}", broken.join("\n"));
    assert!(outages.is_empty() || lost > 0 && again > 0, "nothing was lost: {lost}, {again}");
}

/// A catalog whose syncs fail answers nothing that waits for one, and ends: neither that a sale is durable nor that it has
/// reconciled. Started again, it has the order.
#[test]
fn nothing_is_lost_that_the_catalog_could_not_sync() {
    for kills_the_leader in [false, true] {
        let mut store = Cluster::open(&[]);
        store.await_in_sync();
        let pid = store.pid(Catalog).to_string();
        let Some(mut strace) = fail_syncs(&store, Catalog) else {
            return println!("there is no strace, so no sync failed");
        };
        let threads = format!("/proc/{pid}/task");
        wait_until("every thread of the catalog is traced", || {
            let threads = fs::read_dir(&threads).expect("it runs").flatten();
            threads.map(|thread| thread.path().join("status")).all(|status| {
                let status = fs::read_to_string(status).unwrap_or_default();
                status.contains("TracerPid:") && !status.contains("TracerPid:\t0\n")
            })
        });
        let customer = (!kills_the_leader).then(|| {
            let mut customer = store.customer(Id::Frontend);
            let buys = thread::Builder::new().name("customer".into());
            buys.spawn(move || customer.buy("Tux", 1)).expect("a thread")
        });
        if kills_the_leader {
            store.kill(Id::Order(3));
        }
        wait_until("the catalog ends", || {
            let is_answered = customer.as_ref().is_some_and(JoinHandle::is_finished);
            let serves = kills_the_leader && [1, 2].into_iter().any(|id| serves(&store, id));
            let has_ended = store.reap(Catalog).is_some();
            assert!(has_ended || !is_answered && !serves, "answered, but nothing is synced");
            has_ended
        });
        strace.wait().expect("it ends with the catalog");
        store.start(Catalog);
        if let Some(customer) = customer {
            assert_eq!(customer.join().expect("it has an answer").0, 200);
        }
        assert!(store.customer(Id::Frontend).buy_one("Tux") > 0);
        if kills_the_leader {
            store.start(Id::Order(3));
        }
        store.await_agreement();
        assert!(store.assert_conserved() > 0);
    }
}

/// Whether this replica leads and has reconciled.
fn serves(store: &Cluster, id: u32) -> bool {
    let (status, told) = store.customer(Id::Order(id)).get("/status");
    assert_eq!(status, 200, "{told}");
    !told["data"]["serves_in"].is_null()
}
