//! Records the requests of customers and their answers: one JSON line for each request, written at once, so that
//! an interrupted run leaves its history. The nemesis uses its clock, too.

use crate::support::wait_until;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;
use toystore::history::{Outcome, Request};

/// A history that is being written.
pub struct History {
    began: Instant,
    requests: Mutex<(Vec<Request>, BufWriter<File>)>,
}

impl History {
    /// A history that begins now, in this file.
    pub fn begin(path: &Path) -> History {
        let file = File::create(path).expect("a new file");
        History { began: Instant::now(), requests: Mutex::new((Vec::new(), BufWriter::new(file))) }
    }

    /// The time on its clock.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).expect("a test does not run for ages")
    }

    /// Adds a request that has just ended.
    pub fn record(&self, request: Request) {
        let line = serde_json::to_string(&request).expect("it has string keys");
        let mut requests = self.requests.lock().expect("nobody panics in here");
        writeln!(requests.1, "{line}").expect("a disk that is not full");
        requests.0.push(request);
    }

    /// Waits until this number of purchases, which begin after this call, are answered.
    pub fn await_business(&self, purchases: usize) {
        let now_us = self.now_us();
        wait_until("customers can buy", || {
            let requests = self.requests();
            let since = requests.iter().filter(|request| request.start_us >= now_us);
            since.filter(|request| matches!(request.outcome, Outcome::Number(_))).count()
                >= purchases
        });
    }

    /// The history so far, in the order in which requests ended.
    pub fn requests(&self) -> Vec<Request> {
        let mut requests = self.requests.lock().expect("nobody panics in here");
        requests.1.flush().expect("a disk that is not full");
        requests.0.clone()
    }
}
