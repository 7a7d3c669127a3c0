//! What a program writes to standard output and standard error. Nothing else in the sources writes there.
//!
//! * [`print`]: what a program was asked for, on standard output. All of it, or an error.
//! * [`complain`]: a last line on standard error, as far as that takes it.
//! * [`Lines`]: a log, written by a thread of its own, so that nobody ever waits for it.
//!
//! Either may be a pipe that nobody reads, a terminal that stands still (Ctrl-S) or a file on a full disk. Only
//! `print` waits for that.

mod lines;

pub use lines::{Lines, Writer};

use crate::error::{Error, Result};
use signal_hook::consts::SIGPIPE;
use signal_hook::low_level::emulate_default_handler;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// Prints a text. If whoever read standard output has closed it, the process ends here, as other Unix tools do.
pub fn print(text: impl Display) -> Result<()> {
    written(io::stdout().write_all(text.to_string().as_bytes()))
}

/// What came of writing to standard output, once nothing of it waits in memory any more.
pub fn written(outcome: io::Result<()>) -> Result<()> {
    let Err(error) = outcome.and_then(|()| io::stdout().flush()) else { return Ok(()) };
    if error.kind() == ErrorKind::BrokenPipe {
        // Rust ignores this signal, which ends every other program that writes to a closed pipe.
        emulate_default_handler(SIGPIPE).ok();
    }
    Err(Error::storage(Path::new("standard output"), "cannot write to it", error))
}

/// Says a line on standard error. If it cannot be written, it is left at that: the process must be able to end.
pub fn complain(line: impl Display) {
    if let Ok(writer) = Writer::start("complaint", io::stderr(), |_| {}) {
        writer.lines().push(format!("{line}\n").as_bytes());
    }
}
