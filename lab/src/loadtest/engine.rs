//! The event loop: one thread, all connections.
//!
//! Each turn sends the due requests on connections that have room, waits until a socket is ready or the next
//! request is due, and serves the ready sockets: read, count, make the next request, write. So in a closed loop a
//! request costs one read and one write, and all ready sockets share one wait.
//!
//! It waits with poll(2), which checks all descriptors each time. For the hundreds of connections
//! of a load test this is cheaper than a portable epoll.

use super::answer::{Answer, Failure};
use super::connection::{Connection, Ended};
use super::customer::Customer;
use super::load::Load;
use super::requests::Requests;
use super::schedule::{Next, Schedule};
use super::summary::Summary;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use toystore::client::api::Keys;

/// How often overdue answers and pauses that are over are checked.
const SWEEP_INTERVAL: Duration = Duration::from_millis(10);

/// How long it waits for the answers in flight when the load is interrupted.
const END_PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct Engine<'a> {
    load: &'a Load,
    requests: &'a Requests,
    begun: Instant,
    schedule: Schedule,
    connections: Vec<Connection>,
    /// Connections that may have room, those that have waited longest first. Each is in the list at most
    /// once; `is_listed` records it.
    free: VecDeque<usize>,
    is_listed: Vec<bool>,
    recorder: Recorder<'a>,
}

/// Gets every answer.
struct Recorder<'a> {
    requests: &'a Requests,
    summary: Summary,
    observe: &'a mut dyn FnMut(&Answer<'_>),
}

impl<'a> Engine<'a> {
    pub(super) fn new(
        load: &'a Load,
        addresses: &Arc<[SocketAddr]>,
        requests: &'a Requests,
        observe: &'a mut dyn FnMut(&Answer<'_>),
    ) -> Engine<'a> {
        let keys = Keys::new();
        let customers =
            Customer::of_each(load.connections, load.seed, load.workload, requests.toys());
        let connections = customers.enumerate().map(|(i, customer)| {
            Connection::new(customer, keys.of_session(i), addresses.clone(), i)
        });
        Engine {
            load,
            requests,
            begun: Instant::now(),
            schedule: Schedule::new(load.pace, load.span),
            connections: connections.collect(),
            free: (0..load.connections).collect(),
            is_listed: vec![true; load.connections],
            recorder: Recorder { requests, summary: Summary::new(load.seed), observe },
        }
    }

    /// Runs until the schedule is over and no request is in flight, or until it is interrupted.
    pub(super) fn run(mut self, interrupted: &dyn Fn() -> bool) -> Summary {
        let mut ready = Vec::with_capacity(self.connections.len());
        let mut next_sweep = self.begun;
        let mut give_up_at = None;
        loop {
            let now = Instant::now();
            if now >= next_sweep {
                next_sweep = now + SWEEP_INTERVAL;
                self.sweep(now);
                if give_up_at.is_none() && interrupted() {
                    self.schedule.end(now.saturating_duration_since(self.begun));
                    give_up_at = Some(now + END_PATIENCE);
                }
            }
            if give_up_at.is_some_and(|at| now >= at) {
                break;
            }
            let wake_at = match self.send_what_is_due(now) {
                Next::Over if self.is_idle() => break,
                Next::Wait { until } => self.begun.checked_add(until),
                _ => None,
            };
            let wake_at = wake_at.map_or(next_sweep, |due| due.min(next_sweep));
            self.wait(wake_at, &mut ready);
            for (i, events) in ready.drain(..) {
                self.serve(i, events);
            }
        }
        let Recorder { mut summary, .. } = self.recorder;
        summary.elapsed = self.begun.elapsed();
        summary.unsent = self.schedule.unsent();
        summary
    }

    fn is_idle(&self) -> bool {
        self.connections.iter().all(|connection| connection.asked.is_empty())
    }

    fn has_room(&self, i: usize) -> bool {
        let connection = &self.connections[i];
        connection.asked.len() < self.load.pipeline && !connection.is_resting()
    }

    fn list(&mut self, i: usize) {
        if !self.is_listed[i] {
            self.is_listed[i] = true;
            self.free.push_back(i);
        }
    }

    /// Sends the due requests, one connection after the other, as long as one has room.
    /// Returns what to do when one has room again.
    fn send_what_is_due(&mut self, now: Instant) -> Next {
        while let Some(&i) = self.free.front() {
            if self.has_room(i) {
                match self.ask(i, now) {
                    Next::Send { .. } => self.flush(i),
                    next => return next,
                }
            }
            self.free.pop_front();
            self.is_listed[i] = false;
            if self.has_room(i) {
                self.list(i);
            }
        }
        Next::Wait { until: Duration::MAX }
    }

    /// Makes the next request on a connection with room, if one is due.
    fn ask(&mut self, i: usize, now: Instant) -> Next {
        let next = self.schedule.next(now.saturating_duration_since(self.begun));
        if let Next::Send { due } = next {
            self.connections[i].ask(self.requests, self.begun + due, now);
        }
        next
    }

    fn flush(&mut self, i: usize) {
        if let Err(failure) = self.connections[i].flush() {
            self.fail(i, failure);
        }
    }

    fn fail(&mut self, i: usize, failure: Failure) {
        self.connections[i].fail(failure, |ended| self.recorder.record(i, ended));
        if self.has_room(i) {
            self.list(i);
        }
    }

    /// Waits until sockets are ready, and lists them.
    fn wait(&self, until: Instant, ready: &mut Vec<(usize, PollFlags)>) {
        let watched = self.connections.iter().enumerate().filter_map(|(i, connection)| {
            let flags = if connection.has_output() {
                PollFlags::IN | PollFlags::OUT
            } else {
                PollFlags::IN
            };
            Some((i, PollFd::new(connection.socket()?, flags)))
        });
        let (places, mut descriptors): (Vec<usize>, Vec<PollFd<'_>>) = watched.unzip();
        let timeout = until.saturating_duration_since(Instant::now());
        // It may be interrupted; then no socket is ready.
        let timeout = Timespec::try_from(timeout).ok();
        if poll(&mut descriptors, timeout.as_ref()).is_ok() {
            let events = places.into_iter().zip(descriptors.iter().map(PollFd::revents));
            ready.extend(events.filter(|(_, events)| !events.is_empty()));
        }
    }

    /// A turn with a ready connection: takes its answers and makes its next requests.
    fn serve(&mut self, i: usize, events: PollFlags) {
        let connection = &mut self.connections[i];
        let mut outcome = Ok(());
        if connection.has_output() {
            outcome = connection.continue_to_write();
        }
        if !(events - PollFlags::OUT).is_empty() {
            outcome =
                outcome.and_then(|()| connection.receive(|ended| self.recorder.record(i, ended)));
        }
        if let Err(failure) = outcome {
            return self.fail(i, failure);
        }
        let now = Instant::now();
        while self.has_room(i) && matches!(self.ask(i, now), Next::Send { .. }) {}
        if self.has_room(i) {
            self.list(i);
        }
        self.flush(i);
    }

    /// Gives up overdue requests, and ends the pauses that are over.
    fn sweep(&mut self, now: Instant) {
        for i in 0..self.connections.len() {
            let oldest = self.connections[i].asked.front();
            if oldest.is_some_and(|asked| asked.sent + self.load.deadline <= now) {
                self.fail(i, Failure::TimedOut);
            }
            if self.connections[i].wake(now) {
                self.list(i);
            }
        }
    }
}

impl Recorder<'_> {
    fn record(&mut self, connection: usize, (asked, received, outcome): Ended) {
        let answer = Answer {
            kind: asked.choice.kind,
            toy: self.requests.name(asked.choice.toy),
            connection,
            due: asked.due,
            sent: asked.sent,
            received,
            outcome,
        };
        self.summary.count(answer.kind, answer.latency(), outcome);
        (self.observe)(&answer);
    }
}
