//! Every process that a submission started, also one that left its group or whose parent ended: on Linux all of
//! them are descendants of this process, which adopts orphans. Used by the watch and at the end of a store.
//!
//! Where there is no `/proc`, only process groups are known, and this finds nothing.

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// How long killed processes may take to be gone, and paused ones to stop.
const GONE: Duration = Duration::from_secs(5);

/// From now on this process adopts the orphans among its descendants.
pub fn adopt_orphans() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// The descendants that run.
pub fn running() -> Vec<Pid> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for Entry { pid, parent, .. } in processes().filter(|entry| !entry.has_ended) {
        children.entry(parent).or_default().push(pid);
    }
    let mut found = Vec::new();
    let mut open = vec![std::process::id().cast_signed()];
    while let Some(parent) = open.pop() {
        let of_parent = children.remove(&parent).unwrap_or_default();
        found.extend(of_parent.iter().filter_map(|pid| Pid::from_raw(*pid)));
        open.extend(of_parent);
    }
    found
}

/// How many processes and threads the machine has: one small file, however many there are.
pub fn tasks_of_machine() -> Option<usize> {
    // "0.20 0.18 0.12 1/80 11206": running and all tasks.
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    let (_, all) = text.split(' ').nth(3)?.split_once('/')?;
    all.parse().ok()
}

/// Kills all descendants, and waits until none runs.
pub fn end_all() {
    let deadline = Instant::now() + GONE;
    loop {
        let running = running();
        if running.is_empty() || Instant::now() > deadline {
            return;
        }
        for pid in running {
            // It may have ended in the meantime.
            kill_process(pid, Signal::KILL).ok();
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until no process of a killed group runs.
pub fn await_end(group: Pid) {
    await_none(group, |_| true);
}

/// Waits until no thread of a paused group runs. The first one that sees the signal stops the others, which takes a moment on a
/// busy machine.
pub fn await_pause(group: Pid) {
    await_none(group, |entry| {
        let threads = fs::read_dir(format!("/proc/{}/task", entry.pid)).into_iter().flatten();
        let mut states = threads.flatten().filter_map(|thread| Stat::read(&thread.path()));
        states.any(|stat| !matches!(stat.state, 'T' | 't' | 'Z' | 'X'))
    });
}

/// Waits until no process of a group that has not ended is so.
fn await_none(group: Pid, is_so: impl Fn(&Entry) -> bool) {
    let deadline = Instant::now() + GONE;
    let is_left = |entry: Entry| {
        entry.group == group.as_raw_nonzero().get() && !entry.has_ended && is_so(&entry)
    };
    while processes().any(is_left) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(2));
    }
}

/// Forgets the adopted processes that have ended: until then they look as if they ran. Its own children are waited for
/// elsewhere.
pub fn reap(own: &[Pid]) {
    let me = std::process::id().cast_signed();
    let ended = processes().filter(|entry| entry.has_ended && entry.parent == me);
    for pid in ended.filter_map(|entry| Pid::from_raw(entry.pid)) {
        if !own.contains(&pid) {
            // Nobody else waits for it.
            waitpid(Some(pid), WaitOptions::NOHANG).ok();
        }
    }
}

/// A process of this machine.
struct Entry {
    pid: i32,
    parent: i32,
    group: i32,
    has_ended: bool,
}

/// All processes, also those that have ended and were not waited for.
fn processes() -> impl Iterator<Item = Entry> {
    let one = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let Stat { state, parent, group } = Stat::read(&entry.path())?;
        Some(Entry { pid, parent, group, has_ended: matches!(state, 'Z' | 'X') })
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(one)
}

/// What the file `stat` of a process or of a thread says (proc(5)).
struct Stat {
    state: char,
    parent: i32,
    group: i32,
}

impl Stat {
    fn read(directory: &Path) -> Option<Stat> {
        let stat = fs::read_to_string(directory.join("stat")).ok()?;
        // The name of the program is in parentheses and may have any character.
        let (_, rest) = stat.rsplit_once(") ")?;
        let mut fields = rest.split(' ');
        let state = fields.next()?.chars().next()?;
        let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Stat { state, parent, group })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::kill_process_group;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    /// A paused store that answers once more would be charged with a stale answer.
    #[test]
    fn a_group_is_paused_when_no_thread_of_it_runs() {
        let mut busy = Command::new("sh");
        busy.args(["-c", "while :; do :; done & while :; do :; done"]).process_group(0);
        let mut busy = busy.spawn().expect("a shell");
        let group = Pid::from_child(&busy);
        let has_waited = thread::scope(|scope| {
            let waits = scope.spawn(|| await_pause(group));
            thread::sleep(Duration::from_millis(50));
            let has_waited = !waits.is_finished();
            kill_process_group(group, Signal::STOP).expect("it runs");
            has_waited
        });
        let states = processes().filter(|one| one.group == group.as_raw_nonzero().get());
        let states = states.filter_map(|one| Stat::read(Path::new(&format!("/proc/{}", one.pid))));
        let states: String = states.map(|stat| stat.state).collect();
        kill_process_group(group, Signal::KILL).expect("it is there");
        busy.wait().expect("it is ours");
        assert!(has_waited, "it runs");
        assert!(!states.is_empty() && states.chars().all(|state| state == 'T'), "{states}");
    }
}
