//! A log in the database, whose nodes fail while somebody writes: every row is there exactly once, and a writer that was
//! replaced writes nothing more.

use crate::support::galera::{Galera, NODES};
use crate::support::{wait_for, wait_until};
use clap::{Arg, ArgAction, Command};
use rustix::process::Signal;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use toystore::error::Error;
use toystore::stop::Stop;
use toystore::storage::database::lease::LEASE;
use toystore::storage::database::{
    Candidate, Database, Definition, LOOK, Schema, TableLog, add_list,
};

/// A log of numbers, each in a row of its own.
const NUMBERS: Schema = Schema {
    service: "numbers",
    version: 1,
    tables: &[Definition {
        name: "numbers",
        columns: "
        number BIGINT NOT NULL PRIMARY KEY",
    }],
};

fn encode(numbers: &[u64]) -> String {
    let mut sql = String::new();
    let rows = numbers.iter().map(|number| format!("({number})"));
    add_list(&mut sql, "INSERT INTO numbers (number) VALUES", rows, "");
    sql
}

fn open(galera: &Galera) -> Database {
    let flag = Arg::new("exit-with-parent").long("exit-with-parent").action(ArgAction::SetTrue);
    let stop = Stop::install(&Command::new("test").arg(flag).get_matches_from(["test"]));
    Database::open(&galera.settings(), &NUMBERS, &stop.expect("signals")).expect("it is there")
}

/// Tells the writers to end, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
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
        let over = Over(&is_over);
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
        wait_until("the writers before it are refused", || is_over.load(Ordering::Relaxed));
        drop(over);
        let ended = |writer: thread::ScopedJoinHandle<'_, _>| writer.join().expect("no panic");
        (writers.into_iter().map(ended).collect::<Vec<_>>(), taken)
    });
    let is_stale = |refusal: &Error| matches!(refusal, Error::Stale { .. });
    let refusals: Vec<Error> = refusals.into_iter().filter_map(Result::err).collect();
    assert!(!refusals.is_empty() && refusals.iter().all(is_stale), "{refusals:?}");
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

/// Whoever waits for the log gets it when it is given back, and not before: neither while the writer writes nor while it has
/// nothing to write. A writer whose log is taken by force notices, also with nothing to write, and writes no more.
#[test]
#[ignore = "needs MariaDB; run by make test-database"]
fn a_candidate_waits_until_the_log_is_given_back() {
    let galera = Galera::start();
    let database = open(&galera);
    let mut first = Candidate::new(&database, "numbers");
    let (log, _) = first.look(encode).expect("it answers").expect("nobody has the log");
    let mut second = Candidate::new(&open(&galera), "numbers");
    let mut look = || {
        thread::sleep(LOOK);
        second.look(encode).expect("it answers")
    };
    for looks in 0..60 {
        if looks < 30 {
            log.sync(log.append([looks + 1]).expect("ours")).expect("ours");
        }
        if look().is_some() {
            assert!(!log.has_lease(), "the writer has the lease");
            return eprintln!("this machine is so busy that the lease was not kept");
        }
    }
    wait_until("it has the lease", || log.has_lease());
    let position = assert_late_commits_make_no_lease(&galera, &log);
    drop(log);
    let (log, found) = wait_for("it was given back", look);
    assert_eq!(found, position);
    wait_until("it has the lease", || log.has_lease());
    // By force, as an order replica takes it.
    let (taken, _) = TableLog::take(&database, "numbers", encode).expect("it can be taken");
    wait_until("it notices with nothing to write", || log.check().is_err());
    assert!(matches!(log.check(), Err(Error::Stale { .. })) && !log.has_lease());
    drop(log);
    taken.sync(taken.append([99]).expect("ours")).expect("what is dropped takes nothing away");
}

/// A commit makes the lease last until some time after it was *sent*. If the answer comes later than that, there is no
/// lease: somebody else may have the log. Returns the position of the log.
fn assert_late_commits_make_no_lease(galera: &Galera, log: &TableLog<u64>) -> u64 {
    let late = |number| {
        galera.signal(1, Signal::STOP);
        let position = thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(2 * LEASE);
                galera.signal(1, Signal::CONT);
            });
            let position = log.append([number]).expect("ours");
            log.sync(position).expect("ours");
            position
        });
        (position, log.has_lease())
    };
    // The thread that keeps the lease may have made a next commit by then.
    let attempts: Vec<(u64, bool)> = (31..36).map(late).collect();
    assert!(
        attempts.iter().any(|(_, has_lease)| !has_lease),
        "the lease is counted from the answer"
    );
    attempts.last().expect("there are five").0
}
