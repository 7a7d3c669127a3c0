//! What a check works with: the running store, requests to it, faults, and the evidence that it collects. Made by the
//! grading for each check.

use super::caller::{Amount, Caller, Exchange, Purchase, Reply};
use super::finding::{NoPoints, lost, not_graded, readable};
use super::orders::{Orders, sold};
use super::process::LOOK;
use super::session::{History, Session};
use super::store::Store;
use super::submission::{Restocked, STOCK_MIN, Submission};
use super::watch::Watch;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use toystore::history::Request;

/// The most lines of evidence of one check.
const EVIDENCE_MAX: usize = 60;

/// How many of a toy a check buys that needs no fresh store. One that needs it buys no more than there are at first.
const NEEDED: u64 = 2;

/// The lines of a process that are evidence.
const LOG_LINES: usize = 12;

/// A load with a fault, and the books after it.
#[derive(Debug)]
pub struct LeaderKilled {
    /// What customers were answered.
    pub requests: Vec<Request>,
    /// What the store has.
    pub orders: Orders,
    /// Why purchases did not go on.
    pub stopped: Option<String>,
}

/// What a check works with.
pub struct Trial<'a> {
    /// What is graded.
    pub submission: &'a Submission,
    /// The running store.
    pub store: Store<'a>,
    /// The watch.
    pub watch: &'a Watch,
    /// Requests and answers, faults, counterexamples.
    evidence: Vec<String>,
    /// A figure.
    pub figure: Option<String>,
    /// How many lines each process had written when the check before ended.
    lines: Vec<usize>,
    /// How many of a toy the check buys at most.
    needed: u64,
    /// The toys of the check, and those of checks that lost points: what is left of these is not known.
    chosen: BTreeSet<&'a str>,
    doubtful: BTreeSet<&'a str>,
    /// All purchases and queries since the store was opened.
    pub history: Arc<History>,
    /// The run that two checks judge.
    pub leader_killed: Option<Rc<LeaderKilled>>,
}

impl<'a> Trial<'a> {
    /// A trial of a fresh store.
    pub fn new(submission: &'a Submission, store: Store<'a>, watch: &'a Watch) -> Trial<'a> {
        let lines = store.line_counts();
        Trial {
            submission,
            store,
            watch,
            evidence: Vec::new(),
            figure: None,
            lines,
            needed: NEEDED,
            chosen: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            history: Arc::new(History::begin()),
            leader_killed: None,
        }
    }

    /// Forgets the evidence of the check before. The next one may need a fresh store.
    pub fn begin(&mut self, is_fresh: bool) {
        self.needed = if is_fresh { STOCK_MIN } else { NEEDED };
        self.evidence.clear();
        self.figure = None;
        self.chosen.clear();
    }

    /// From now on other toys are chosen than those of the check.
    pub fn doubt_toys(&mut self) {
        self.doubtful.append(&mut self.chosen);
    }

    /// The evidence of the current check: what was noted, processes that ended, their last lines. What they write from
    /// now on belongs to the next one.
    pub fn evidence(&mut self) -> (Vec<String>, Vec<String>) {
        self.evidence.extend(self.store.ended());
        let log = self.store.lines_since(&self.lines, LOG_LINES);
        self.lines = self.store.line_counts();
        let all_readable = |lines: &[String]| lines.iter().map(|line| readable(line)).collect();
        (all_readable(&self.evidence), all_readable(&log))
    }

    /// Adds a line of evidence. The first lines are dropped when there are too many.
    pub fn note(&mut self, line: impl Into<String>) {
        self.evidence.push(line.into());
        if self.evidence.len() > EVIDENCE_MAX {
            self.evidence.remove(EVIDENCE_MAX / 2);
        }
    }

    /// An error if the whole grading is over.
    pub fn go_on(&self) -> Result<(), NoPoints> {
        self.watch.reason().map_or(Ok(()), not_graded)
    }

    /// A caller of the front-end that waits for an answer at most this long.
    pub fn caller_within(&mut self, deadline: Duration) -> Result<Caller<'a>, NoPoints> {
        self.go_on()?;
        let front_end = self.store.front_end()?;
        Ok(Caller::new(self.submission, &front_end, deadline))
    }

    /// A caller of the front-end.
    pub fn caller(&mut self) -> Result<Caller<'a>, NoPoints> {
        self.caller_within(self.submission.deadlines.answer())
    }

    /// Notes an exchange as evidence. If the grading is over, an answer that did not come means nothing.
    pub fn noted<T>(
        &mut self,
        (exchange, reply): (Exchange, Reply<T>),
    ) -> Result<Reply<T>, NoPoints> {
        self.note(exchange.to_string());
        self.go_on()?;
        Ok(reply)
    }

    /// A session of a customer, with a connection of its own.
    pub fn session(&mut self) -> Result<Session<'a>, NoPoints> {
        self.session_within(self.submission.deadlines.answer())
    }

    /// A session that waits for an answer at most this long.
    pub fn session_within(&mut self, deadline: Duration) -> Result<Session<'a>, NoPoints> {
        Ok(Session::new(self.caller_within(deadline)?, self.submission, &self.history))
    }

    /// Queries a toy on a new connection.
    pub fn query(&mut self, toy: &str) -> Result<Reply<u64>, NoPoints> {
        let exchange = self.session()?.query(toy);
        self.noted(exchange)
    }

    /// Buys on a new connection.
    pub fn buy(&mut self, toy: &str, quantity: u64) -> Result<Reply<u64>, NoPoints> {
        let exchange = self.session()?.buy(toy, quantity);
        self.noted(exchange)
    }

    /// Buys on a new connection what cannot be bought.
    pub fn buy_nonsense(&mut self, toy: &str, amount: Amount<'_>) -> Result<Reply<u64>, NoPoints> {
        let exchange = self.caller()?.buy(&Purchase { toy, amount, key: None });
        self.noted(exchange)
    }

    /// Looks an order up on a new connection.
    pub fn look_up(&mut self, number: u64) -> Result<Reply<(String, u64)>, NoPoints> {
        let exchange = self.caller()?.look_up(number);
        self.noted(exchange)
    }

    /// Buys and must succeed: the number of the order.
    pub fn buy_one(&mut self, toy: &str) -> Result<u64, NoPoints> {
        self.buy(toy, 1)?.value(&format!("a purchase of 1 {toy}"))
    }

    /// Waits until a purchase of 1 succeeds: the store answers customers again.
    pub fn await_business(&mut self, toy: &str) -> Result<u64, NoPoints> {
        let within = self.submission.deadlines.failover();
        let mut number = None;
        let succeeded = self.wait_for(within, |trial| {
            if let Reply::Is(bought) = trial.buy(toy, 1)? {
                number = Some(bought);
            }
            Ok(number.is_some())
        })?;
        match number.filter(|_| succeeded) {
            Some(number) => Ok(number),
            None => {
                lost(format!("no purchase of 1 {toy} succeeded within {} s", within.as_secs_f64()))
            }
        }
    }

    /// Waits until a condition holds. False if it did not in time.
    pub fn wait_for(
        &mut self,
        within: Duration,
        mut is_so: impl FnMut(&mut Trial<'a>) -> Result<bool, NoPoints>,
    ) -> Result<bool, NoPoints> {
        let deadline = Instant::now() + within;
        loop {
            self.go_on()?;
            if is_so(self)? {
                return Ok(true);
            }
            if Instant::now() > deadline {
                return Ok(false);
            }
            thread::sleep(LOOK * 4);
        }
    }

    /// A toy that was not sold out, and has as many left as the check buys of it at most. Checks that share a store
    /// buy different ones, by the index.
    pub fn toy(&mut self, index: usize) -> Result<&'a str, NoPoints> {
        let toy = self.certain()?[index];
        self.chosen.insert(toy);
        Ok(toy)
    }

    /// Four such toys; the same one again if there are fewer.
    pub fn toys(&mut self) -> Result<[&'a str; 4], NoPoints> {
        let toys = self.certain()?;
        self.chosen.extend(toys);
        Ok(toys)
    }

    fn certain(&self) -> Result<[&'a str; 4], NoPoints> {
        let requests = self.history.requests();
        let is_certain = |toy: &&str| {
            !self.doubtful.contains(toy) && self.left_of(toy, &requests).0 >= self.needed
        };
        let toys = self.submission.toys().keys().map(String::as_str);
        let toys: Vec<&'a str> = toys.filter(is_certain).collect();
        if toys.is_empty() {
            return not_graded(format!("no toy has {} left for certain", self.needed));
        }
        Ok([0, 1, 2, 3].map(|index| toys[index % toys.len()]))
    }

    /// The fewest and the most that are left of a toy that was not sold out.
    pub fn left(&self, toy: &str) -> Result<(u64, u64), NoPoints> {
        let (least, most) = self.left_of(toy, &self.history.requests());
        let first = self.submission.toys()[toy];
        let rule = self.submission.restock.map(|restock| restock.toys);
        if least < first && rule == Some(Restocked::All) && self.restocks_max() > 0 {
            return not_graded(
                "a restock of all toys was due meanwhile, so their stock is not known",
            );
        }
        Ok((least, most))
    }

    fn left_of(&self, toy: &str, requests: &[Request]) -> (u64, u64) {
        let (sold, in_doubt) = sold(requests, toy);
        let most = self.submission.toys()[toy].saturating_sub(sold);
        (most.saturating_sub(in_doubt), most)
    }

    /// The highest stock that a toy can have.
    pub fn stock_max(&self, toy: &str) -> u64 {
        let first = self.submission.toys().get(toy).copied().unwrap_or(0);
        first.max(self.submission.restock.map_or(0, |restock| restock.to))
    }

    /// How many times a restock may have happened since the store was opened.
    pub fn restocks_max(&self) -> u64 {
        let Some(restock) = self.submission.restock else { return 0 };
        let passed = u64::try_from(self.store.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        passed / restock.every_ms.max(1)
    }
}

impl<T> Reply<T> {
    /// The value; anything else loses points.
    pub fn value(self, what: &str) -> Result<T, NoPoints> {
        match self {
            Reply::Is(value) => Ok(value),
            Reply::Failed(code) => lost(format!("{what} failed with {code}")),
            Reply::Unreadable(body) => {
                lost(format!("the answer to {what} has no value where api says: {body}"))
            }
            Reply::None(why) => lost(format!("{what} got no answer: {why}")),
        }
    }

    /// A failure with this code; anything else loses points. Without a code any failure will do, except those of the
    /// server.
    pub fn failure(self, what: &str, code: Option<i64>) -> Result<i64, NoPoints> {
        match (self, code) {
            (Reply::Failed(failed), Some(code)) if failed != code => {
                lost(format!("{what} failed with {failed}, expected {code}"))
            }
            (Reply::Failed(failed), None) if (500..600).contains(&failed) => {
                lost(format!("{what} failed with {failed}, an error of the server"))
            }
            (Reply::Failed(failed), _) => Ok(failed),
            (Reply::Is(_), _) => lost(format!("{what} succeeded, expected a failure")),
            (Reply::Unreadable(body), _) => {
                lost(format!("{what} has neither a value nor a failure: {body}"))
            }
            (Reply::None(why), _) => lost(format!("{what} got no answer: {why}")),
        }
    }
}
