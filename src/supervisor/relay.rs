//! Prints the output of the services, with the name of the service before each line.
//!
//! A thread for each pipe splits the output of a service into whole lines, so that lines of two services never mix.
//! One more thread writes all lines to standard output ([`Lines`]), so that a blocked standard output delays neither
//! a service nor `run-all`.

use super::service::ServiceId;
use crate::error::{Error, Result};
use crate::output::{Lines, Writer};
use crate::stop::VitalThread;
use std::fmt::Display;
use std::io::{self, IsTerminal, Read};
use std::sync::{LazyLock, OnceLock};

/// The longest unfinished line that is kept; a longer line is split.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The width of names in a store of three replicas with one of everything else.
const NAME_WIDTH_MIN: usize = "frontend".len();

/// Whether lines have colours (<https://no-color.org>).
static COLOUR: LazyLock<bool> =
    LazyLock::new(|| io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());

/// All lines are written here, behind names of this width. Lines before the call of [`open`] are lost.
static LINES: OnceLock<(Lines, usize)> = OnceLock::new();

/// Starts the output thread, for these services. Called once, by `run-all`, which keeps the result until its end.
pub(super) fn open(services: impl Iterator<Item = ServiceId>) -> Result<Writer> {
    let widths = services.map(|id| id.to_string().len());
    let width = widths.max().unwrap_or_default().max(NAME_WIDTH_MIN);
    let writer = Writer::start("output", io::stdout(), |lines| {
        say(&format!("{lines} lines were dropped because they could not be written"));
    })
    .map_err(|error| Error::unavailable(format!("cannot start the output thread: {error}")))?;
    LINES.get_or_init(|| (writer.lines().clone(), width));
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
    if let Some((all, _)) = LINES.get() {
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

/// A name, as wide as the widest.
pub(super) fn padded(name: impl Display) -> String {
    let width = LINES.get().map_or(NAME_WIDTH_MIN, |(_, width)| *width);
    format!("{:width$}", name.to_string())
}

fn prefix(name: &str) -> String {
    let padded = padded(name);
    if !*COLOUR {
        return format!("{padded} │ ");
    }
    // The colours of ANSI X3.64 that are legible on a dark and on a light background.
    let colour = match name.split_once(' ').unwrap_or((name, "")) {
        ("order", id) => [32, 35, 34][id.parse().unwrap_or(0) % 3],
        ("catalog", _) => 33,
        ("frontend", _) => 36,
        _ => 1,
    };
    format!("\x1b[{colour}m{padded} │\x1b[0m ")
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
