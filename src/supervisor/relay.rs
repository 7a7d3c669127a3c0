//! Output: what the services say, each line behind the name of who said it.
//!
//! Each pipe of a service has a thread that copies it to standard output in whole lines, as many
//! as there are with one write, so that lines of two services never mix and a busy log costs
//! little.

use std::io::{self, IsTerminal, Read, Write};
use std::sync::LazyLock;
use std::thread::{self, JoinHandle};

/// The longest piece that is held back for its end; a longer line is cut.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The widest name is that of replica 10 and above.
const NAME_WIDTH: usize = "order 10".len();

/// Whether standard output wants colours (<https://no-color.org>).
static COLOUR: LazyLock<bool> =
    LazyLock::new(|| io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());

/// Starts a thread that copies `pipe` until its end, when the service has ended. The caller joins
/// it.
pub(super) fn start(name: &str, pipe: impl Read + Send + 'static) -> io::Result<JoinHandle<()>> {
    let prefix = prefix(name);
    thread::Builder::new().name(format!("relay {name}")).spawn(move || copy(pipe, &prefix))
}

/// A line of the supervisor's own.
pub(super) fn say(text: &str) {
    write_lines(format!("{text}\n").as_bytes(), &prefix("run-all"));
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
        write_lines(&held[..whole], prefix);
        held.drain(..whole);
    }
    write_lines(&held, prefix);
}

/// Writes lines with one call. Nobody can be told if that fails, and the service must not come to
/// wait for it, so it is left at that.
fn write_lines(lines: &[u8], prefix: &str) {
    let _ = io::stdout().lock().write_all(&prefixed(lines, prefix));
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
    // The colours of ANSI X3.64 that are legible on dark and on light.
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
            ("a\nlast words", "x │ a\nx │ last words\n"),
        ] {
            assert_eq!(prefixed(lines.as_bytes(), "x │ "), expected.as_bytes(), "{lines:?}");
        }
    }
}
