//! Watches a grading from its own thread: Ctrl-C, the time that it may take, and the number of processes. When one of
//! them ends it, everything that was started is killed, so that whoever waits for an answer sees it soon.

use super::descendants;
use super::submission::Limits;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use toystore::error::{Error, Result};
use toystore::stop::Stop;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);

/// The watch. Dropping it ends its thread.
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    /// Why the grading is over before its end.
    reason: Mutex<Option<String>>,
    /// The process groups of the store, and whether a fault has paused them.
    groups: Mutex<HashMap<Pid, bool>>,
    /// The fewest tasks of the machine since the processes were last counted.
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
        Ok(Watch { shared, thread: Some(thread) })
    }

    /// Why the grading is over, if it is.
    pub fn reason(&self) -> Option<String> {
        self.shared.reason.lock().clone()
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
            let reason = self.look(&limits, deadline, stop);
            if let Some(reason) = reason {
                self.reason.lock().get_or_insert(reason);
                // The store kills its children itself and waits for them; this is for those who wait for an answer.
                descendants::end_all();
            }
        }
    }

    fn look(&self, limits: &Limits, deadline: Instant, stop: &Stop) -> Option<String> {
        let Limits { processes, total_s, .. } = limits;
        if stop.wait(LOOK) {
            self.is_interrupted.store(true, Ordering::Relaxed);
            thread::sleep(LOOK);
            return Some("interrupted".to_owned());
        }
        if Instant::now() > deadline {
            return Some(format!("the grading took longer than {total_s} s (limits.total_s)"));
        }
        let running = self.count(*processes)?;
        Some(format!("it started {running} processes, {processes} are allowed (limits.processes)"))
    }

    /// The number of processes of the store, if there are too many. They are paused while they are counted: processes
    /// that start others without end leave no time to count them. So they are counted only if the tasks of the whole
    /// machine have grown by as many.
    fn count(&self, max: usize) -> Option<usize> {
        let tasks = descendants::tasks_of_machine()?;
        let mut counted = self.tasks.lock();
        let before = counted.map_or(tasks, |before| before.min(tasks));
        let is_due = tasks > before + max;
        *counted = Some(if is_due { tasks } else { before });
        if !is_due {
            return None;
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
            return Some(running);
        }
        for (group, _) in groups.iter().filter(|(_, is_paused)| !**is_paused) {
            signal(group, Signal::CONT);
        }
        None
    }
}
