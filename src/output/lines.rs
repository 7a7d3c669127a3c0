//! Lines for standard output or standard error. Threads add them to a buffer in memory, and one thread writes them, so
//! the threads never wait for the output. Lines that cannot be written are dropped and counted; the number is reported
//! when writing works again. Used by `diagnostics` and by `run-all`.

use parking_lot::{Condvar, Mutex, MutexGuard};
use std::io::{self, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The largest buffer: a tenth of a second of the fastest access log.
const BYTES_WAITING_MAX: usize = 4 << 20;

/// How long the writer lets lines gather. Without this pause each line of a busy access log would wake the writer.
const GATHERING: Duration = Duration::from_millis(1);

/// How long the end of a process waits until all lines are written.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// Accepts lines. All clones add to the same [`Writer`].
#[derive(Clone, Default)]
pub struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Signalled when there are lines to write, or when the writer has to end.
    wanted: Condvar,
    /// Signalled when the writer has ended.
    ended: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Lines that were dropped since the last report.
    lost: u64,
    is_ending: bool,
    has_ended: bool,
}

/// Owns the thread that writes. Dropping it writes the rest of the buffer, then ends and joins the thread. If writing
/// blocks for a second, the thread is not joined; it ends with the process.
#[must_use = "dropping it ends the log"]
pub struct Writer {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

impl Lines {
    /// Adds whole lines to the buffer, or drops them if it is full.
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

    /// Waits for lines, lets more of them gather, and swaps them with an empty buffer. Returns `false` at the end.
    fn take(&self, buffer: &mut Vec<u8>) -> bool {
        let mut state = self.0.state.lock();
        while state.waiting.is_empty() && !state.is_ending {
            self.0.wanted.wait(&mut state);
        }
        if !state.is_ending {
            MutexGuard::unlocked(&mut state, || thread::sleep(GATHERING));
        }
        std::mem::swap(&mut state.waiting, buffer);
        state.has_ended = buffer.is_empty();
        if state.has_ended {
            self.0.ended.notify_one();
        }
        !state.has_ended
    }

    /// Counts lines that were not written. After a successful write, returns the number of lost lines.
    fn count_lost(&self, is_written: bool, lines: &[u8]) -> u64 {
        let mut state = self.0.state.lock();
        if is_written {
            return std::mem::take(&mut state.lost);
        }
        state.lost += count(lines);
        0
    }

    /// Writes until the end. Calls `report_lost` with the number of lost lines, when writing works again.
    fn write(&self, mut out: impl Write, report_lost: impl Fn(u64)) {
        let mut buffer = Vec::new();
        while self.take(&mut buffer) {
            let outcome = out.write_all(&buffer).and_then(|()| out.flush());
            let lost = self.count_lost(outcome.is_ok(), &buffer);
            buffer.clear();
            if lost > 0 {
                report_lost(lost);
            }
        }
    }
}

/// For formatters: each call passes whole lines.
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
        report_lost: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Writer> {
        let lines = Lines::default();
        let thread = thread::Builder::new().name(name.to_owned()).spawn({
            let lines = lines.clone();
            move || lines.write(out, report_lost)
        })?;
        Ok(Writer { lines, thread: Some(thread) })
    }

    /// The lines that it writes.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let deadline = Instant::now() + END_TIMEOUT;
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
            // After a panic there is nothing left to write.
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

    /// An output that writes or fails as the test decides, and passes on what was written.
    struct Gate {
        decisions: Receiver<bool>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            match self.decisions.recv() {
                Ok(true) => self.written.send(lines.to_vec()).expect("the test receives"),
                _ => return Err(ErrorKind::StorageFull.into()),
            }
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A writer, the sender of decisions, what it wrote, and the numbers of lost lines.
    fn gated() -> (Writer, Sender<bool>, Receiver<Vec<u8>>, Receiver<u64>) {
        let ((open, decisions), (written, seen), (reported, lost)) =
            (unbounded(), unbounded(), unbounded());
        let report = move |lines| reported.send(lines).expect("the test receives");
        let writer = Writer::start("test", Gate { decisions, written }, report).expect("a thread");
        (writer, open, seen, lost)
    }

    #[test]
    fn a_full_buffer_blocks_no_thread_and_dropped_lines_are_counted() {
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
    fn lines_lost_on_a_full_disk_are_counted_and_the_log_continues() {
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
    fn the_end_waits_for_the_last_lines_but_not_for_ever() {
        let (writer, open, seen, _lost) = gated();
        writer.lines().push(b"last\n");
        open.send(true).expect("it waits");
        drop(writer);
        assert_eq!(seen.try_recv(), Ok(b"last\n".to_vec()));

        let (writer, _open, _seen, _lost) = gated();
        writer.lines().push(b"stuck\n");
        let begun = Instant::now();
        drop(writer);
        assert!(begun.elapsed() < 10 * END_TIMEOUT);
    }
}
