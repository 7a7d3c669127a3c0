//! Processes that want to write one log, and its row in memory: they may pause at any moment, and their requests may get lost
//! or come late. The lease is the one of production. Used by the random test (`rules/lease.rs`) and by the model
//! (`model/lease.rs`).

use std::time::Duration;
use toystore::model::{Identity, Moment};
use toystore::storage::database::lease::{Lease, Watch};
use toystore::storage::database::row::Row;

/// A request to the database.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Request {
    Read,
    /// Takes the log if the row is still this one.
    Take(Row),
    /// Of a writer that has this term.
    Commit(u64),
    /// Of a writer that does not know what became of its commit.
    TakeAgain,
}

/// One who wants to write the log, or does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
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

/// All of them, and the row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidates {
    now: Duration,
    row: Row,
    late: Vec<(Identity, Request)>,
    processes: Vec<Process>,
}

fn name(n: u64) -> Identity {
    Identity(n.to_string())
}

impl Candidates {
    /// So many, and a log that nobody has written yet.
    pub fn new(count: usize) -> Candidates {
        let row = Row { term: 0, writer: Identity(String::new()), position: 0, beat: 0 };
        let process = |n| Process { name: n as u64 + 1, ..Process::default() };
        let processes = (0..count).map(process).collect();
        Candidates { now: Duration::ZERO, row, late: vec![], processes }
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Time passes.
    pub fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// The clock of a process, which began by itself.
    fn clock(&self, n: usize) -> Moment {
        Moment::after(self.now + Duration::from_secs(n as u64))
    }

    /// The next step of this process: it sends a request, the request arrives, or the answer does.
    pub fn go(&mut self, n: usize) {
        let now = self.clock(n);
        let process = &mut self.processes[n];
        match process.asked.take() {
            None => process.ask(now),
            Some((sent, request, None)) => {
                let before = arrive(&mut self.row, &name(process.name), &request);
                process.asked = Some((sent, request, Some(before)));
            }
            Some((sent, request, Some(before))) => process.learn(sent, now, &request, &before),
        }
    }

    /// Whether this process waits for an answer.
    pub fn is_asking(&self, n: usize) -> bool {
        self.processes[n].asked.is_some()
    }

    /// What this process asks, or its answer, does not come. What was asked may still come later.
    pub fn lose(&mut self, n: usize) {
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

    /// What was lost last arrives, if there is something.
    pub fn arrive_late(&mut self) -> bool {
        let late = self.late.pop();
        if let Some((writer, request)) = &late {
            arrive(&mut self.row, writer, request);
        }
        late.is_some()
    }

    /// Those who certainly have the log, as they know.
    pub fn with_lease(&self) -> Vec<usize> {
        let has = |n: &usize| self.processes[*n].lease.is_valid(self.clock(*n));
        (0..self.processes.len()).filter(has).collect()
    }

    /// Whether the row says that this process has the log.
    pub fn is_writer(&self, n: usize) -> bool {
        self.row.writer == name(self.processes[n].name)
    }
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
