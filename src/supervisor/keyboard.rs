//! Reads the lines that are typed at the terminal while the store is open. Never blocks.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use std::io::{self, IsTerminal};

/// More bytes without a line end are dropped.
const LINE_BYTES_MAX: usize = 1_024;

/// The terminal that `run-all` was started from.
pub(super) struct Keyboard {
    /// An unfinished line.
    typed: Vec<u8>,
}

impl Keyboard {
    /// The keyboard, if both standard input and standard output are a terminal.
    pub(super) fn attached() -> Option<Keyboard> {
        let attached = io::stdin().is_terminal() && io::stdout().is_terminal();
        attached.then(|| Keyboard { typed: Vec::new() })
    }

    /// The lines that were typed since the last call.
    pub(super) fn lines(&mut self) -> Vec<String> {
        let mut chunk = [0; LINE_BYTES_MAX];
        if !is_readable() {
            return Vec::new();
        }
        // Read without the buffer of `io::stdin`: `poll` does not see bytes that are left in it.
        let count = rustix::io::read(io::stdin(), &mut chunk).unwrap_or(0);
        self.typed.extend_from_slice(&chunk[..count]);
        if self.typed.len() > LINE_BYTES_MAX && !self.typed.contains(&b'\n') {
            self.typed.clear();
        }
        let Some(end) = self.typed.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let whole: Vec<u8> = self.typed.drain(..=end).collect();
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }
}

/// Whether a read would not block. False in the background, where a read would stop this process.
fn is_readable() -> bool {
    let stdin = io::stdin();
    if tcgetpgrp(&stdin).is_ok_and(|foreground| foreground != getpgrp()) {
        return false;
    }
    let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
    poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}
