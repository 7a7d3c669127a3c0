//! Where connections wait without a thread: *parked*, until the poller reports them or a deadline
//! passes, or *queued*, until a thread is free.
//!
//! * A connection is put into `parked` and armed in the poller under one lock, so that its event,
//!   which may come at once, finds it there.
//! * The queue has room for every connection there may be, so putting one into it never blocks.
//! * A connection that becomes ready while no thread is free makes the server saturated.

use super::connection::{Awaits, Connection};
use super::limits::Limits;
use super::saturation::Saturation;
use super::tls::refusal::Refusals;
use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use polling::{Events, Poller};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// How a server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauges {
    /// Threads that serve.
    pub threads: usize,
    /// Connections.
    pub open: usize,
    /// Threads with a connection.
    pub busy: usize,
    /// Connections that wait without a thread.
    pub parked: usize,
    /// Connections that wait for a thread.
    pub queued: usize,
}

/// Why a connection is given to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// It was just accepted.
    New,
    /// There is something to read, be it the end.
    Readable,
    /// There is room to write.
    Writable,
    /// What it waits for did not come in time, or the server stops.
    Overdue,
    /// It has requests that were received but not served in its last turn.
    Unserved,
}

/// What a worker takes from the queue.
pub(super) enum Task<S> {
    /// Give this connection a turn.
    Turn(Box<Connection<S>>, Reason),
    /// The server has stopped.
    Leave,
}

pub(super) struct Scheduler<S> {
    pub(super) limits: Limits,
    pub(super) poller: Arc<Poller>,
    pub(super) saturation: Saturation,
    pub(super) refusals: Refusals,
    parked: Mutex<Places<Box<Connection<S>>>>,
    queue_in: Sender<Task<S>>,
    queue_out: Receiver<Task<S>>,
    /// Threads that wait for a task.
    free_threads: AtomicUsize,
    /// Connections, wherever they are.
    pub(super) open: Arc<AtomicUsize>,
    is_stopping: AtomicBool,
}

impl<S> Scheduler<S> {
    pub(super) fn new(limits: Limits) -> io::Result<Scheduler<S>> {
        assert!(limits.threads > 0 && !limits.stay.is_zero(), "checked where they are configured");
        // One more per thread for `Task::Leave`.
        let (queue_in, queue_out) =
            crossbeam_channel::bounded(limits.connections_max + limits.threads);
        Ok(Scheduler {
            poller: Arc::new(Poller::new()?),
            saturation: Saturation::new(limits.threads),
            refusals: Refusals::default(),
            parked: Mutex::new(Places { places: Vec::new(), vacant: Vec::new() }),
            queue_in,
            queue_out,
            free_threads: AtomicUsize::new(0),
            open: Arc::new(AtomicUsize::new(0)),
            is_stopping: AtomicBool::new(false),
            limits,
        })
    }

    /// Lets a connection wait without a thread. One that the poller refuses is closed.
    pub(super) fn park(&self, mut connection: Box<Connection<S>>, what: Awaits) {
        connection.wait_for(what, &self.limits);
        connection.release_buffers();
        let mut parked = self.parked.lock();
        let key = parked.vacancy();
        match connection.watch(key) {
            Ok(()) => parked.put(key, connection),
            Err(error) => tracing::warn!(%error, "cannot watch a connection: it is closed"),
        }
    }

    /// Queues the parked connections that the poller has reported.
    pub(super) fn queue_ready(&self, events: &Events) {
        let mut ready = Vec::with_capacity(events.len());
        let mut parked = self.parked.lock();
        for event in events.iter() {
            let reason = if event.readable { Reason::Readable } else { Reason::Writable };
            ready.extend(parked.take(event.key).map(|connection| (connection, reason)));
        }
        drop(parked);
        self.queue_all(ready);
    }

    /// Queues the parked connections that have waited too long, and when the server stops those
    /// that have not begun a request.
    pub(super) fn queue_overdue(&self, now: Instant) {
        let is_stopping = self.is_stopping();
        let is_over = |connection: &Connection<S>| {
            connection.is_overdue(now)
                || is_stopping
                    && matches!(connection.awaits(), Some(Awaits::Handshake | Awaits::Request))
        };
        let overdue = self.parked.lock().take_all(|connection| is_over(connection));
        self.queue_all(overdue.into_iter().map(|connection| (connection, Reason::Overdue)));
    }

    fn queue_all(&self, ready: impl IntoIterator<Item = (Box<Connection<S>>, Reason)>) {
        for (connection, reason) in ready {
            self.queue(connection, reason);
        }
    }

    /// Gives a connection to the next thread that is free.
    pub(super) fn queue(&self, connection: Box<Connection<S>>, reason: Reason) {
        self.send(Task::Turn(connection, reason));
        if self.queue_out.len() > self.free_threads.load(Ordering::Relaxed) {
            self.saturation.no_thread_was_free();
        }
    }

    fn send(&self, task: Task<S>) {
        // Neither can happen: there is room for everything, and the receiver is in `self`.
        if self.queue_in.try_send(task).is_err() {
            tracing::error!("the queue of ready connections is full: one is closed");
        }
    }

    /// The next task of a worker.
    pub(super) fn next(&self) -> Task<S> {
        self.free_threads.fetch_add(1, Ordering::Relaxed);
        let task = self.queue_out.recv();
        self.free_threads.fetch_sub(1, Ordering::Relaxed);
        task.unwrap_or(Task::Leave)
    }

    /// How many connections wait for a thread.
    pub(super) fn queued(&self) -> usize {
        self.queue_out.len()
    }

    /// From now on idle connections close, and others after their next answer.
    pub(super) fn stop(&self) -> io::Result<()> {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.poller.notify()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Closes every parked connection and sends the workers home.
    pub(super) fn close(&self) {
        let parked = self.parked.lock().take_all(|_| true);
        drop(parked);
        for _ in 0..self.limits.threads {
            self.send(Task::Leave);
        }
    }

    pub(super) fn gauges(&self) -> Gauges {
        let free_threads = self.free_threads.load(Ordering::Relaxed);
        Gauges {
            threads: self.limits.threads,
            open: self.open.load(Ordering::Relaxed),
            busy: self.limits.threads.saturating_sub(free_threads),
            parked: self.parked.lock().count(),
            queued: self.queued(),
        }
    }
}

/// Numbered places. A number is used again once its place is vacant.
struct Places<T> {
    places: Vec<Option<T>>,
    vacant: Vec<usize>,
}

impl<T> Places<T> {
    /// A place to put something.
    fn vacancy(&mut self) -> usize {
        if let Some(&key) = self.vacant.last() {
            return key;
        }
        self.places.push(None);
        self.vacant.push(self.places.len() - 1);
        self.places.len() - 1
    }

    /// Puts something into the vacancy last asked for.
    fn put(&mut self, key: usize, thing: T) {
        assert_eq!(self.vacant.pop(), Some(key), "only a vacant place is filled");
        self.places[key] = Some(thing);
    }

    fn take(&mut self, key: usize) -> Option<T> {
        let thing = self.places.get_mut(key)?.take();
        self.vacant.extend(thing.is_some().then_some(key));
        thing
    }

    fn take_all(&mut self, is_wanted: impl Fn(&T) -> bool) -> Vec<T> {
        let is_wanted = |place: &Option<T>| place.as_ref().is_some_and(&is_wanted);
        let keys: Vec<usize> =
            (0..self.places.len()).filter(|&key| is_wanted(&self.places[key])).collect();
        keys.into_iter().filter_map(|key| self.take(key)).collect()
    }

    fn count(&self) -> usize {
        self.places.len() - self.vacant.len()
    }
}
