//! Which connection a worker serves next. Connections wait here without a thread: *parked*, until the
//! operating system's poller reports them or a deadline passes, or *queued*, until a worker takes them.
//!
//! There is no separate polling thread. A worker that finds the queue empty becomes the poller, if no other
//! worker polls. It puts all events into the queue, stops polling, and serves like the others. So under
//! load few threads sleep or are woken.
//!
//! * No worker is woken while as many are awake as there are cores.
//! * A worker that waits (see [`crate::blocking`]) is not counted as awake, and wakes another if tasks wait
//!   or no worker polls.
//! * At most [`Limits::threads`] workers serve at the same time. There is one more, so that one can poll.
//! * A connection is put into `parked` and registered in the poller under one lock, so that its event,
//!   which may come at once, finds it there. A connection that waits for its answer is not registered: its waker
//!   takes it out.
//! * A connection that becomes ready while all threads serve makes the server saturated.

use super::connection::{Awaits, Connection, Place};
use super::limits::Limits;
use super::saturation::Saturation;
use super::tls::refusal::Refusals;
use crate::blocking::Pool;
use parking_lot::{Condvar, Mutex, MutexGuard};
use polling::{Events, Poller};
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// The state of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauges {
    /// Number of threads.
    pub threads: usize,
    /// Number of connections.
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
    /// There is something to read, or the end of the input.
    Readable,
    /// There is room to write.
    Writable,
    /// What it waits for did not come in time, or the server stops.
    Overdue,
    /// It has requests that were received but not served in its last turn.
    Unserved,
    /// The answer that it waits for may be there.
    Woken,
}

/// A connection, and why it is given to a worker.
pub(super) type Task<S> = (Box<Connection<S>>, Reason);

pub(super) struct Scheduler<S> {
    pub(super) limits: Limits,
    pub(super) poller: Arc<Poller>,
    pub(super) saturation: Saturation,
    pub(super) refusals: Refusals,
    parked: Mutex<Slab<Box<Connection<S>>>>,
    queue: Mutex<Queue<S>>,
    /// Workers wait here for a task, or to become the poller.
    wake_up: Condvar,
    /// The events of the poller. The worker that holds the lock polls.
    events: Mutex<Events>,
    /// Workers that run: they neither wait nor sleep.
    awake: AtomicUsize,
    /// Their maximum: one for each core.
    awake_max: usize,
    /// The length of the queue, readable without its lock.
    queued: AtomicUsize,
    /// Workers with a connection.
    serving: AtomicUsize,
    /// All connections: parked, queued or with a worker.
    pub(super) open: Arc<AtomicUsize>,
    is_stopping: AtomicBool,
}

struct Queue<S> {
    /// With the time from which each waits.
    tasks: VecDeque<(Task<S>, Instant)>,
    /// Workers that wait in `wake_up` and have not been woken.
    asleep: usize,
    /// The server has stopped.
    is_closed: bool,
}

impl<S> Scheduler<S> {
    pub(super) fn new(limits: Limits) -> io::Result<Scheduler<S>> {
        const EVENTS_MAX: NonZeroUsize = NonZeroUsize::new(1024).expect("is not zero");
        assert!(limits.threads > 0 && !limits.stay.is_zero(), "checked where they are configured");
        Ok(Scheduler {
            poller: Arc::new(Poller::new()?),
            saturation: Saturation::new(limits.threads),
            refusals: Refusals::default(),
            parked: Mutex::new(Slab::new()),
            queue: Mutex::new(Queue { tasks: VecDeque::new(), asleep: 0, is_closed: false }),
            wake_up: Condvar::new(),
            events: Mutex::new(Events::with_capacity(EVENTS_MAX)),
            awake: AtomicUsize::new(limits.threads + 1),
            awake_max: thread::available_parallelism().map_or(1, NonZeroUsize::get),
            queued: AtomicUsize::new(0),
            serving: AtomicUsize::new(0),
            open: Arc::new(AtomicUsize::new(0)),
            is_stopping: AtomicBool::new(false),
            limits,
        })
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> usize {
        self.limits.threads + 1
    }

    /// Parks a connection: it waits without a thread. If the poller refuses it, it is closed.
    pub(super) fn park(&self, mut connection: Box<Connection<S>>, what: Awaits) {
        connection.wait_for(what, &self.limits);
        connection.release_buffers();
        let mut parked = self.parked.lock();
        let vacant = parked.vacant_entry();
        if what != Awaits::Answer {
            if let Err(error) = connection.watch(vacant.key()) {
                return tracing::warn!(%error, "cannot watch a connection; it is closed");
            }
        } else if connection.set_place(Place::Parked(vacant.key())) == Some(Place::Woken) {
            connection.set_place(Place::Elsewhere);
            drop(parked);
            return self.queue(connection, Reason::Woken);
        }
        vacant.insert(connection);
    }

    /// Queues a connection for the next worker.
    pub(super) fn queue(&self, connection: Box<Connection<S>>, reason: Reason) {
        self.queue_all([(connection, reason)]);
    }

    fn queue_all(&self, tasks: impl IntoIterator<Item = Task<S>>) {
        let mut queue = self.queue.lock();
        self.append(&mut queue, tasks);
        if !queue.tasks.is_empty() && self.awake.load(Ordering::SeqCst) < self.awake_max {
            self.wake_one(&mut queue);
        }
    }

    fn append(&self, queue: &mut Queue<S>, tasks: impl IntoIterator<Item = Task<S>>) {
        let now = Instant::now();
        queue.tasks.extend(tasks.into_iter().map(|task| (task, now)));
        self.queued.store(queue.tasks.len(), Ordering::SeqCst);
        let free = self.limits.threads.saturating_sub(self.serving.load(Ordering::Relaxed));
        if queue.tasks.len() > free {
            self.saturation.no_thread_was_free();
        }
    }

    /// Wakes a worker that sleeps, else the one that waits in the poller.
    fn wake_one(&self, queue: &mut Queue<S>) {
        if queue.asleep > 0 {
            queue.asleep -= 1;
            // Counted here, so that no other worker is woken before this one runs.
            self.awake.fetch_add(1, Ordering::SeqCst);
            self.wake_up.notify_one();
        } else if self.events.is_locked()
            && let Err(error) = self.poller.notify()
        {
            tracing::error!(%error, "cannot wake the worker that polls");
        }
    }

    /// The next task of a worker, and since when it waited. `None`: the server has stopped.
    pub(super) fn next(&self) -> Option<(Task<S>, Instant)> {
        let mut queue = self.queue.lock();
        loop {
            if self.serving.load(Ordering::Relaxed) < self.limits.threads
                && let Some(task) = queue.tasks.pop_front()
            {
                self.serving.fetch_add(1, Ordering::Relaxed);
                self.queued.store(queue.tasks.len(), Ordering::SeqCst);
                if !queue.tasks.is_empty() && self.awake.load(Ordering::SeqCst) < self.awake_max {
                    self.wake_one(&mut queue);
                }
                return Some(task);
            }
            if queue.is_closed {
                return None;
            }
            if !self.poll(&mut queue) {
                queue.asleep += 1;
                self.awake.fetch_sub(1, Ordering::SeqCst);
                self.wake_up.wait(&mut queue);
            }
        }
    }

    /// The worker's turn with the connection that [`next`](Scheduler::next) gave it is over.
    pub(super) fn turn_is_over(&self) {
        self.serving.fetch_sub(1, Ordering::Relaxed);
    }

    /// Waits for events and queues their connections; the queue's lock is free meanwhile. False, at once,
    /// if another worker polls.
    fn poll(&self, queue: &mut MutexGuard<'_, Queue<S>>) -> bool {
        let Some(mut events) = self.events.try_lock() else { return false };
        // Under the lock of the queue: otherwise a task could come while this worker still counts as awake, and nobody
        // would be woken for it.
        self.awake.fetch_sub(1, Ordering::SeqCst);
        let ready = MutexGuard::unlocked(queue, || {
            events.clear();
            let waited = self.poller.wait(&mut events, None);
            self.awake.fetch_add(1, Ordering::SeqCst);
            if let Err(error) = waited {
                const PAUSE: Duration = Duration::from_millis(100);
                tracing::error!(%error, "cannot wait for connections");
                thread::sleep(PAUSE);
            }
            self.take_ready(&events)
        });
        self.append(queue, ready);
        // Under the lock of the queue: otherwise a worker could sleep because it sees that another polls.
        drop(events);
        true
    }

    /// Takes out the parked connections that these events belong to.
    fn take_ready(&self, events: &Events) -> Vec<Task<S>> {
        let mut parked = self.parked.lock();
        let taken = events.iter().filter_map(|event| {
            let reason = if event.readable { Reason::Readable } else { Reason::Writable };
            Some((unpark(&mut parked, event.key)?, reason))
        });
        taken.collect()
    }

    /// Queues the parked connections that have waited too long, and when the server stops those
    /// that have not begun a request.
    pub(super) fn queue_overdue(&self, now: Instant) {
        let is_stopping = self.is_stopping();
        let overdue = self.take_parked(|connection| {
            connection.is_overdue(now)
                || is_stopping
                    && matches!(connection.awaits(), Some(Awaits::Handshake | Awaits::Request))
        });
        if !overdue.is_empty() {
            self.queue_all(overdue.into_iter().map(|connection| (connection, Reason::Overdue)));
        }
    }

    fn take_parked(&self, is_wanted: impl Fn(&Connection<S>) -> bool) -> Vec<Box<Connection<S>>> {
        let mut parked = self.parked.lock();
        let wanted = parked.iter().filter(|(_, connection)| is_wanted(connection));
        let keys: Vec<usize> = wanted.map(|(key, _)| key).collect();
        keys.into_iter().filter_map(|key| unpark(&mut parked, key)).collect()
    }

    /// The waker of the connection with this place.
    pub(super) fn waker(self: &Arc<Self>, place: Arc<Mutex<Place>>) -> Waker
    where
        S: Send + 'static,
    {
        Waker::from(Arc::new(Wakeup { scheduler: Arc::downgrade(self), place }))
    }

    /// Called at intervals, so that a wait which was not announced delays others no longer than one interval:
    /// if tasks wait or no worker polls, wakes a worker, however many are awake.
    pub(super) fn sweep(&self, now: Instant) {
        self.queue_overdue(now);
        self.saturation.next_window(self.queued());
        if self.needs_worker() {
            self.wake_one(&mut self.queue.lock());
        }
    }

    fn needs_worker(&self) -> bool {
        self.queued() > 0 || !self.events.is_locked()
    }

    /// How many connections wait for a thread.
    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::SeqCst)
    }

    /// From now on idle connections close, and others after their next answer.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Closes every parked connection and ends the workers.
    pub(super) fn close(&self) {
        drop(self.take_parked(|_| true));
        let mut queue = self.queue.lock();
        queue.is_closed = true;
        queue.asleep = 0;
        self.wake_up.notify_all();
        if let Err(error) = self.poller.notify() {
            tracing::error!(%error, "cannot wake the worker that polls");
        }
    }

    pub(super) fn gauges(&self) -> Gauges {
        Gauges {
            threads: self.limits.threads,
            open: self.open.load(Ordering::Relaxed),
            busy: self.serving.load(Ordering::Relaxed),
            parked: self.parked.lock().len(),
            queued: self.queued(),
        }
    }
}

/// Takes out a parked connection, if there is one at this key.
fn unpark<S>(parked: &mut Slab<Box<Connection<S>>>, key: usize) -> Option<Box<Connection<S>>> {
    let connection = parked.try_remove(key)?;
    connection.set_place(Place::Elsewhere);
    Some(connection)
}

/// Wakes a connection that waits for its answer. The session owns it, so it must not own the scheduler.
struct Wakeup<S> {
    scheduler: Weak<Scheduler<S>>,
    place: Arc<Mutex<Place>>,
}

impl<S: Send + 'static> Wake for Wakeup<S> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Some(scheduler) = self.scheduler.upgrade() else { return };
        let mut parked = scheduler.parked.lock();
        let mut place = self.place.lock();
        let Place::Parked(key) = *place else {
            *place = Place::Woken;
            return;
        };
        drop(place);
        let woken = unpark(&mut parked, key);
        drop(parked);
        if let Some(connection) = woken {
            scheduler.queue(connection, Reason::Woken);
        }
    }
}

impl<S> Pool for Scheduler<S> {
    fn blocks(&self) {
        self.awake.fetch_sub(1, Ordering::SeqCst);
        if self.needs_worker() {
            self.wake_one(&mut self.queue.lock());
        }
    }

    fn resumes(&self) {
        self.awake.fetch_add(1, Ordering::SeqCst);
    }
}
