//! What a program writes to standard output and standard error. Nothing else in the sources writes there.
//!
//! * [`print`]: the result of a program, on standard output. All of it is written, or there is an error.
//! * [`complain`]: one line on standard error, if it can be written.
//! * [`Lines`]: a log, written by its own thread, so that no other thread waits for it.
//!
//! Either can be a pipe that is not read, a terminal stopped by Ctrl-S or a file on a full disk. Only `print` waits in
//! these cases.

mod lines;

pub use lines::{Lines, Writer};

use crate::error::{Error, Result};
use signal_hook::consts::SIGPIPE;
use signal_hook::low_level::emulate_default_handler;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// Prints a text. If the reader of standard output has closed it, the process ends here, as other Unix tools do.
pub fn print(text: impl Display) -> Result<()> {
    written(io::stdout().write_all(text.to_string().as_bytes()))
}

/// Flushes standard output. Returns the result of the write, or of the flush.
pub fn written(outcome: io::Result<()>) -> Result<()> {
    let Err(error) = outcome.and_then(|()| io::stdout().flush()) else { return Ok(()) };
    if error.kind() == ErrorKind::BrokenPipe {
        // Rust ignores this signal, which ends every other program that writes to a closed pipe.
        emulate_default_handler(SIGPIPE).ok();
    }
    Err(Error::storage(Path::new("standard output"), "cannot write to it", error))
}

/// Prints a line on standard error. If it cannot be written, it is lost: the process must be able to end.
pub fn complain(line: impl Display) {
    if let Ok(writer) = Writer::start("complaint", io::stderr(), |_| {}) {
        writer.lines().push(format!("{line}\n").as_bytes());
    }
}
