//! Watches a grading from its own thread: Ctrl-C, the time that it may take, and the number of processes. When one of
//! them ends it, everything that was started is killed, so that whoever waits for an answer sees it soon.

use super::descendants;
use super::submission::Limits;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use toystore::error::{Error, Result};
use toystore::stop::Stop;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);

/// Why a grading is over before its end.
#[derive(Debug, Clone, Copy)]
enum End {
    Interrupted,
    /// It took longer than this many seconds.
    Late(u64),
    /// There were more processes than these.
    TooMany(usize),
}

/// The watch. Dropping it ends its thread.
pub struct Watch {
    shared: Arc<Shared>,
    processes_max: usize,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    end: Mutex<Option<End>>,
    /// The process groups of the store, and whether a fault has paused them.
    groups: Mutex<HashMap<Pid, bool>>,
    /// The fewest tasks of the machine beside the processes, since these were last counted.
    tasks: Mutex<Option<usize>>,
    is_interrupted: AtomicBool,
    is_done: AtomicBool,
}

impl Watch {
    /// Begins to watch.
    pub fn start(limits: Limits, stop: Arc<Stop>) -> Result<Watch> {
        let shared = Arc::new(Shared::default());
        let watched = shared.clone();
        let thread = thread::Builder::new().name("watch".into());
        let thread = thread.spawn(move || watched.watch(limits, &stop));
        let thread =
            thread.map_err(|e| Error::unavailable(format!("cannot start a thread: {e}")))?;
        Ok(Watch { shared, processes_max: limits.processes, thread: Some(thread) })
    }

    /// Why the grading is over, if it is.
    pub fn reason(&self) -> Option<String> {
        let end = *self.shared.end.lock();
        end.map(|end| end.to_string())
    }

    /// Whether the store had too many processes: then nothing of it is graded.
    pub fn is_over_limit(&self) -> bool {
        matches!(*self.shared.end.lock(), Some(End::TooMany(_)))
    }

    /// Counts the processes now. Its thread counts them from time to time, so it may see them later.
    pub fn count(&self) {
        if descendants::running().len() > self.processes_max {
            self.shared.end.lock().get_or_insert(End::TooMany(self.processes_max));
        }
    }

    /// A process group of the store runs, or is paused by a fault.
    pub fn add_group(&self, group: Pid, is_paused: bool) {
        self.shared.groups.lock().insert(group, is_paused);
    }

    /// A process group of the store has ended.
    pub fn remove_group(&self, group: Pid) {
        self.shared.groups.lock().remove(&group);
    }

    /// Whether somebody interrupted the program.
    pub fn is_interrupted(&self) -> bool {
        self.shared.is_interrupted.load(Ordering::Relaxed)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Interrupted => f.write_str("interrupted"),
            End::Late(total_s) => {
                write!(f, "the grading took longer than {total_s} s (limits.total_s)")
            }
            End::TooMany(max) => {
                write!(f, "it started more than {max} processes (limits.processes)")
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.is_done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Shared {
    fn watch(&self, limits: Limits, stop: &Stop) {
        let deadline = Instant::now() + Duration::from_secs(limits.total_s);
        while !self.is_done.load(Ordering::Relaxed) {
            if let Some(end) = self.look(&limits, deadline, stop) {
                self.end.lock().get_or_insert(end);
                // The store kills its children itself and waits for them; this is for those who wait for an answer.
                descendants::end_all();
            }
        }
    }

    fn look(&self, limits: &Limits, deadline: Instant, stop: &Stop) -> Option<End> {
        if stop.wait(LOOK) {
            self.is_interrupted.store(true, Ordering::Relaxed);
            thread::sleep(LOOK);
            return Some(End::Interrupted);
        }
        if Instant::now() > deadline {
            return Some(End::Late(limits.total_s));
        }
        self.has_too_many(limits.processes).then_some(End::TooMany(limits.processes))
    }

    /// Whether the store has too many processes. They are paused while they are counted: processes that start others
    /// without end leave no time to count them. So they are counted only if the tasks of the whole machine have grown
    /// by as many.
    fn has_too_many(&self, max: usize) -> bool {
        let Some(tasks) = descendants::tasks_of_machine() else { return false };
        let mut counted = self.tasks.lock();
        let before = counted.map_or(tasks, |before| before.min(tasks));
        *counted = Some(before);
        if tasks <= before.saturating_add(max) {
            return false;
        }
        let groups = self.groups.lock();
        // A group may be gone.
        let signal = |group: &Pid, signal| kill_process_group(*group, signal).ok();
        for group in groups.keys() {
            signal(group, Signal::STOP);
        }
        let running = descendants::running().len();
        if running > max {
            // They stay paused until they are killed, when it is known why.
            return true;
        }
        *counted = Some(tasks.saturating_sub(running));
        for (group, _) in groups.iter().filter(|(_, is_paused)| !**is_paused) {
            signal(group, Signal::CONT);
        }
        false
    }
}
