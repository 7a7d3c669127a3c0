//! Lines on their way to standard output or standard error: collected in memory by those who have something to
//! say, and written by one thread. Whoever says something never waits. What cannot be written is dropped, counted,
//! and told of when something can be written again.

use parking_lot::{Condvar, Mutex};
use std::io::{self, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// More than this does not wait to be written: a tenth of a second of the fastest access log.
const BYTES_WAITING_MAX: usize = 4 << 20;

/// How long the end of a process waits until everything is written.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// Takes lines. All clones give to the same [`Writer`].
#[derive(Clone, Default)]
pub struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write, or to end.
    wanted: Condvar,
    /// Everything is written.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines that were dropped since the last time that this was told.
    lost: u64,
    is_ending: bool,
    has_ended: bool,
}

/// Owns the thread that writes. Dropping it writes what still waits, and ends and joins the thread; if it cannot
/// write for a second it is left behind, to end with the process.
#[must_use = "dropping it ends the log"]
pub struct Writer {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

impl Lines {
    /// Takes whole lines, or drops them if too many wait already.
    pub fn push(&self, lines: &[u8]) {
        let mut state = self.0.state.lock();
        if state.waiting.len() + lines.len() > BYTES_WAITING_MAX {
            state.lost += count(lines);
            return;
        }
        state.waiting.extend_from_slice(lines);
        drop(state);
        self.0.wanted.notify_one();
    }

    /// The next lines to write, in exchange for an empty buffer; `false` when there will be none.
    fn take(&self, buffer: &mut Vec<u8>) -> bool {
        let mut state = self.0.state.lock();
        while state.waiting.is_empty() && !state.is_ending {
            self.0.wanted.wait(&mut state);
        }
        std::mem::swap(&mut state.waiting, buffer);
        state.has_ended = buffer.is_empty();
        if state.has_ended {
            self.0.ended.notify_one();
        }
        !state.has_ended
    }

    /// Counts what could not be written. Returns how many lines were lost until something was written again.
    fn settle(&self, is_written: bool, lines: &[u8]) -> u64 {
        let mut state = self.0.state.lock();
        if is_written {
            return std::mem::take(&mut state.lost);
        }
        state.lost += count(lines);
        0
    }

    /// Writes until it is to end. `tell` is told how many lines were lost, once something was written again.
    fn write(&self, mut out: impl Write, tell: impl Fn(u64)) {
        let mut buffer = Vec::new();
        while self.take(&mut buffer) {
            let outcome = out.write_all(&buffer).and_then(|()| out.flush());
            let lost = self.settle(outcome.is_ok(), &buffer);
            buffer.clear();
            if lost > 0 {
                tell(lost);
            }
        }
    }
}

/// For who formats into a writer: each call brings whole lines.
impl Write for Lines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.push(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Writer {
    /// Starts a thread of this name that writes to `out`.
    pub fn start(
        name: &str,
        out: impl Write + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Writer> {
        let lines = Lines::default();
        let thread = thread::Builder::new().name(name.to_owned()).spawn({
            let lines = lines.clone();
            move || lines.write(out, tell)
        })?;
        Ok(Writer { lines, thread: Some(thread) })
    }

    /// Where it takes lines from.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let deadline = Instant::now() + END_PATIENCE;
        let Lines(shared) = &self.lines;
        let mut state = shared.state.lock();
        state.is_ending = true;
        shared.wanted.notify_one();
        while !state.has_ended {
            if shared.ended.wait_until(&mut state, deadline).timed_out() {
                return;
            }
        }
        drop(state);
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing more to write.
            thread.join().ok();
        }
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.split_inclusive(|byte| *byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, Sender, unbounded};
    use std::io::ErrorKind;

    /// A place that writes when it is told to, or fails, and shows what was written.
    struct Gate {
        verdicts: Receiver<bool>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            match self.verdicts.recv() {
                Ok(true) => self.written.send(lines.to_vec()).expect("the test looks"),
                _ => return Err(ErrorKind::StorageFull.into()),
            }
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A writer, what lets it write, what it wrote, and how many lines it lost.
    fn gated() -> (Writer, Sender<bool>, Receiver<Vec<u8>>, Receiver<u64>) {
        let ((open, verdicts), (written, seen), (told, lost)) =
            (unbounded(), unbounded(), unbounded());
        let tell = move |lines| told.send(lines).expect("the test looks");
        let writer = Writer::start("test", Gate { verdicts, written }, tell).expect("a thread");
        (writer, open, seen, lost)
    }

    #[test]
    fn nobody_waits_and_what_is_too_much_is_counted() {
        let (writer, open, seen, lost) = gated();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let room = (BYTES_WAITING_MAX / line.len()) as u64;
        let all = 3 * room;
        (0..all).for_each(|_| writer.lines().push(&line));
        open.send(true).expect("it waits");
        open.send(true).expect("it waits");
        let lost = lost.recv().expect("told once it writes again");
        drop(writer);
        let written: u64 = seen.try_iter().map(|lines| count(&lines)).sum();
        assert_eq!(written + lost, all);
        assert!(lost >= room, "{lost} of {all}");
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_counted_and_the_log_goes_on() {
        let (writer, open, seen, lost) = gated();
        open.send(false).expect("it waits");
        writer.lines().push(b"a\nb\n");
        while !open.is_empty() {
            thread::yield_now();
        }
        open.send(true).expect("it waits");
        writer.lines().push(b"c\n");
        assert_eq!((lost.recv(), seen.recv()), (Ok(2), Ok(b"c\n".to_vec())));
    }

    #[test]
    fn an_end_waits_for_what_is_written_but_not_for_ever() {
        let (writer, open, seen, _lost) = gated();
        writer.lines().push(b"last\n");
        open.send(true).expect("it waits");
        drop(writer);
        assert_eq!(seen.try_recv(), Ok(b"last\n".to_vec()));

        let (writer, _open, _seen, _lost) = gated();
        writer.lines().push(b"stuck\n");
        let begun = Instant::now();
        drop(writer);
        assert!(begun.elapsed() < 10 * END_PATIENCE);
    }
}
