//! Prints the output of the services, with the name of the service before each line.
//!
//! A thread for each pipe splits the output of a service into whole lines, so that lines of two services never mix.
//! One more thread writes all lines to standard output ([`Lines`]), so that a blocked standard output delays neither
//! a service nor `run-all`.

use crate::error::{Error, Result};
use crate::output::{Lines, Writer};
use crate::stop::VitalThread;
use std::io::{self, IsTerminal, Read};
use std::sync::{LazyLock, OnceLock};

/// The longest unfinished line that is kept; a longer line is split.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The widest name is that of replica 10 and above.
const NAME_WIDTH: usize = "order 10".len();

/// Whether lines have colours (<https://no-color.org>).
static COLOUR: LazyLock<bool> =
    LazyLock::new(|| io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());

/// All lines are written here. Lines before the call of [`open`] are lost.
static LINES: OnceLock<Lines> = OnceLock::new();

/// Starts the output thread. Called once, by `run-all`, which keeps the result until its end.
pub(super) fn open() -> Result<Writer> {
    let writer = Writer::start("output", io::stdout(), |lines| {
        say(&format!("{lines} lines were dropped because they could not be written"));
    })
    .map_err(|error| Error::unavailable(format!("cannot start the output thread: {error}")))?;
    LINES.get_or_init(|| writer.lines().clone());
    Ok(writer)
}

/// Starts a thread that copies `pipe` until the service has ended, which closes the pipe. The caller
/// joins the thread.
pub(super) fn start(name: &str, pipe: impl Read + Send + 'static) -> Result<VitalThread> {
    let prefix = prefix(name);
    VitalThread::start(format!("relay {name}"), move || copy(pipe, &prefix))
}

/// Prints a line of the supervisor.
pub(super) fn say(text: &str) {
    pass_on(format!("{text}\n").as_bytes(), &prefix("run-all"));
}

fn copy(mut pipe: impl Read, prefix: &str) {
    let mut held = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => held.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        }
        let whole = match held.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => last + 1,
            None if held.len() < LINE_BYTES_MAX => continue,
            None => held.len(),
        };
        pass_on(&held[..whole], prefix);
        held.drain(..whole);
    }
    pass_on(&held, prefix);
}

fn pass_on(lines: &[u8], prefix: &str) {
    if let Some(all) = LINES.get() {
        all.push(&prefixed(lines, prefix));
    }
}

fn prefixed(lines: &[u8], prefix: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.len() * 5 / 4);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        out.push(b'\n');
    }
    out
}

fn prefix(name: &str) -> String {
    if !*COLOUR {
        return format!("{name:NAME_WIDTH$} │ ");
    }
    // The colours of ANSI X3.64 that are legible on a dark and on a light background.
    let colour = match name.split_once(' ') {
        Some((_, id)) => [32, 35, 34][id.parse().unwrap_or(0) % 3],
        None if name == "catalog" => 33,
        None if name == "frontend" => 36,
        None => 1,
    };
    format!("\x1b[{colour}m{name:NAME_WIDTH$} │\x1b[0m ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_gets_its_name_and_an_end() {
        for (lines, expected) in [
            ("", ""),
            ("a\n", "x │ a\n"),
            ("a\n\nb\n", "x │ a\nx │ \nx │ b\n"),
            ("a\nunfinished", "x │ a\nx │ unfinished\n"),
        ] {
            assert_eq!(prefixed(lines.as_bytes(), "x │ "), expected.as_bytes(), "{lines:?}");
        }
    }
}
