//! The lease of a log, with its row in memory: processes that are paused at any moment, whose requests get lost or come late.
//! Never do two of them have the lease at one moment, and somebody gets it when the writer is gone.

use proptest::prelude::*;
use std::time::Duration;
use toystore::model::{Identity, Moment};
use toystore::storage::database::lease::{LEASE, LOOK, Lease, Watch};
use toystore::storage::database::row::Row;

/// A request to the database.
#[derive(Clone)]
enum Request {
    Read,
    /// Takes the log if the row is still this one.
    Take(Row),
    /// Of a writer that has this term.
    Commit(u64),
    /// Of a writer that does not know what became of its commit.
    TakeAgain,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    /// The request of this process arrives, or else its answer; then it sends the next one.
    Go(usize),
    /// The request or its answer does not come; the request may still come later.
    Lose(usize),
    /// A request that was lost arrives.
    Late,
}

#[derive(Default)]
struct Process {
    name: u64,
    watch: Watch,
    lease: Lease,
    /// Of a writer.
    term: Option<u64>,
    /// Since when, what, and the row as it was before, once it has arrived.
    asked: Option<(Moment, Request, Option<Row>)>,
    is_in_doubt: bool,
}

struct Store {
    now: Duration,
    row: Row,
    late: Vec<(Identity, Request)>,
    processes: Vec<Process>,
}

fn name(n: u64) -> Identity {
    Identity(n.to_string())
}

impl Store {
    fn new(count: usize) -> Store {
        let row = Row { term: 0, writer: Identity(String::new()), position: 0, beat: 0 };
        let process = |n| Process { name: n as u64 + 1, ..Process::default() };
        let processes = (0..count).map(process).collect();
        Store { now: Duration::ZERO, row, late: vec![], processes }
    }

    /// The clock of a process, which began by itself.
    fn clock(&self, n: usize) -> Moment {
        Moment::after(self.now + Duration::from_secs(n as u64))
    }

    /// What a request does when it arrives. Returns the row as it was before.
    fn arrive(row: &mut Row, writer: &Identity, request: &Request) -> Row {
        let before = row.clone();
        match request {
            Request::Read => {}
            Request::Commit(term) => row.beat += u64::from(row.term == *term),
            Request::Take(seen) if (seen.term, seen.beat) != (row.term, row.beat) => {}
            Request::TakeAgain if row.writer != *writer => {}
            Request::Take(_) | Request::TakeAgain => {
                (row.term, row.writer) = (row.term + 1, writer.clone());
            }
        }
        before
    }

    fn go(&mut self, n: usize) {
        let now = self.clock(n);
        let process = &mut self.processes[n];
        match process.asked.take() {
            None => process.ask(now),
            Some((sent, request, None)) => {
                let before = Self::arrive(&mut self.row, &name(process.name), &request);
                process.asked = Some((sent, request, Some(before)));
            }
            Some((sent, request, Some(before))) => {
                process.learn(sent, now, &request, &before);
                if process.asked.is_none() {
                    process.ask(now);
                }
            }
        }
    }

    fn lose(&mut self, n: usize) {
        let process = &mut self.processes[n];
        let Some((_, request, before)) = process.asked.take() else { return };
        if before.is_none() {
            self.late.push((name(process.name), request));
        }
        process.is_in_doubt = process.term.is_some();
        if process.term.is_none() {
            process.watch = Watch::default();
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wait(ms) => self.now += Duration::from_millis(ms),
            Step::Go(n) => self.go(n),
            Step::Lose(n) => self.lose(n),
            Step::Late => {
                if let Some((writer, request)) = self.late.pop() {
                    Self::arrive(&mut self.row, &writer, &request);
                }
            }
        }
    }

    fn with_lease(&self) -> Vec<usize> {
        let has = |n: &usize| self.processes[*n].lease.is_valid(self.clock(*n));
        (0..self.processes.len()).filter(has).collect()
    }
}

impl Process {
    fn ask(&mut self, now: Moment) {
        let request = match self.term {
            None => Request::Read,
            Some(_) if self.is_in_doubt => Request::TakeAgain,
            Some(term) => Request::Commit(term),
        };
        self.asked = Some((now, request, None));
    }

    fn learn(&mut self, sent: Moment, now: Moment, request: &Request, before: &Row) {
        match request {
            Request::Read => {
                if self.watch.saw(before, now) {
                    self.asked = Some((now, Request::Take(before.clone()), None));
                }
            }
            Request::Take(_) => {
                if self.watch.has_seen(before) {
                    self.lease.renew(sent);
                    self.term = Some(before.term + 1);
                }
            }
            Request::Commit(term) if before.term == *term => self.lease.renew(sent),
            Request::Commit(_) => self.is_in_doubt = true,
            Request::TakeAgain if before.writer == name(self.name) => {
                self.lease.renew(sent);
                (self.term, self.is_in_doubt) = (Some(before.term + 1), false);
            }
            Request::TakeAgain => *self = Process { name: self.name + 10, ..Process::default() },
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..150_u64).prop_map(Step::Wait),
        1 => (390..420_u64).prop_map(Step::Wait),
        12 => (0..3_usize).prop_map(Step::Go),
        1 => (0..3_usize).prop_map(Step::Lose),
        1 => Just(Step::Late),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn two_never_have_the_lease(steps in prop::collection::vec(step(), 1..200)) {
        let mut store = Store::new(3);
        for step in steps {
            store.step(step);
            let with_lease = store.with_lease();
            prop_assert!(with_lease.len() <= 1, "at {:?}: {with_lease:?}", store.now);
        }
    }

    #[test]
    fn the_lease_of_a_lost_writer_ends(steps in prop::collection::vec(step(), 1..200)) {
        let mut store = Store::new(3);
        for step in steps {
            store.step(step);
        }
        let (writer, gone) = (store.row.writer.clone(), store.now);
        let live = |n: &usize| name(store.processes[*n].name) != writer;
        let live: Vec<usize> = (0..3).filter(live).collect();
        while store.row.writer == writer {
            for &n in &live {
                store.go(n);
            }
            store.now += LOOK;
            prop_assert!(store.now <= gone + LEASE + 8 * LOOK, "nobody has taken the log");
        }
    }
}

#[test]
fn a_log_that_was_given_back_is_taken_at_once_and_one_that_changes_never() {
    let at = |ms| Moment::after(Duration::from_millis(ms));
    let row =
        |beat, writer: &str| Row { term: 3, writer: Identity(writer.into()), position: 9, beat };
    assert!(Watch::default().saw(&row(1, ""), at(0)));
    let mut watch = Watch::default();
    assert!((0..100).all(|n| !watch.saw(&row(n / 7, "us"), at(50 * n))));
    assert!(watch.has_seen(&row(14, "us")) && !watch.has_seen(&row(15, "us")));
    // No answer for a while: the writer may have had none either.
    let mut watch = Watch::default();
    assert!(!watch.saw(&row(1, "us"), at(0)) && !watch.saw(&row(1, "us"), at(3_000)));
    assert!(!watch.saw(&row(1, "us"), at(3_350)) && watch.saw(&row(1, "us"), at(3_400)));
}
