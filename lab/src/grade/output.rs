//! The output of a process: read until its end, so that the process never waits for its reader, and kept up to a
//! bound. Evidence quotes it.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io::{PipeReader, Read};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// The longest line that is kept whole, in bytes.
const LINE_MAX: usize = 2_000;

/// What a line costs beside its text, roughly.
const LINE_COST: usize = 64;

/// The lines of a process, of all its runs.
#[derive(Debug, Clone)]
pub struct Lines(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    /// Lines that came before the first of them and were dropped.
    dropped: usize,
    bytes: usize,
    bytes_max: usize,
}

impl Lines {
    /// No lines yet; at most this many bytes are kept.
    pub fn new(bytes_max: usize) -> Lines {
        Lines(Arc::new(Mutex::new(Kept { bytes_max, ..Kept::default() })))
    }

    /// How many lines there were.
    pub fn count(&self) -> usize {
        let kept = self.0.lock();
        kept.dropped + kept.lines.len()
    }

    /// Whether lines were dropped.
    pub fn is_cut(&self) -> bool {
        self.0.lock().dropped > 0
    }

    /// Whether a line since this one contains a text.
    pub fn contains(&self, since: usize, text: &str) -> bool {
        let kept = self.0.lock();
        let skipped = since.saturating_sub(kept.dropped);
        kept.lines.iter().skip(skipped).any(|line| line.contains(text))
    }

    /// The last lines since this one, at most this many.
    pub fn last(&self, since: usize, count: usize) -> Vec<String> {
        let kept = self.0.lock();
        let skipped = since.saturating_sub(kept.dropped);
        let first = kept.lines.len().saturating_sub(count).max(skipped);
        kept.lines.iter().skip(first).cloned().collect()
    }

    /// Reads a pipe on a thread of its own, until all who write to it have ended. The store joins the thread.
    pub fn read(&self, mut pipe: PipeReader) -> std::io::Result<JoinHandle<()>> {
        let lines = self.clone();
        thread::Builder::new().name("output".into()).spawn(move || {
            let (mut buffer, mut line) = (vec![0; 64 * 1024], Vec::new());
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(bytes) => lines.add(&buffer[..bytes], &mut line),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            lines.add(b"\n", &mut line);
        })
    }

    /// Adds bytes; `line` is the line that has not ended.
    fn add(&self, bytes: &[u8], line: &mut Vec<u8>) {
        let mut kept = self.0.lock();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let room = LINE_MAX.saturating_sub(line.len()).min(text.len());
            line.extend_from_slice(&text[..room]);
            if is_whole {
                if !line.is_empty() {
                    kept.push(String::from_utf8_lossy(line).into_owned());
                }
                line.clear();
            }
        }
    }
}

impl Kept {
    fn push(&mut self, line: String) {
        self.bytes += line.len() + LINE_COST;
        self.lines.push_back(line);
        while self.bytes > self.bytes_max
            && let Some(first) = self.lines.pop_front()
        {
            self.bytes -= first.len() + LINE_COST;
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_flood_is_read_to_its_end_and_its_end_is_kept() {
        let lines = Lines::new(1_000);
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let thread = lines.read(reader).expect("a thread");
        for number in 0..10_000 {
            writeln!(writer, "line {number}").expect("somebody reads");
        }
        write!(writer, "{}", "x".repeat(100_000)).expect("somebody reads");
        drop(writer);
        thread.join().expect("no panic");
        assert_eq!(lines.count(), 10_001);
        assert!(lines.is_cut());
        assert!(lines.last(0, 9).iter().all(|line| line.len() <= LINE_MAX));
    }

    #[test]
    fn only_lines_since_a_start_count() {
        let lines = Lines::new(10_000);
        lines.add(b"ready\nend", &mut Vec::new());
        assert!(lines.contains(0, "ready"));
        assert!(!lines.contains(lines.count(), "ready"));
        assert_eq!(lines.last(0, 9), ["ready"]);
    }
}
