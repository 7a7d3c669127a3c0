//! Text that people write: configuration, initial databases, certificates, the bodies of requests. Editors on Windows
//! put a byte-order mark before it, and end lines in CR LF; some programs for spreadsheets end them in CR. All such
//! text is read by these functions.

use std::fs;
use std::io::{self, ErrorKind};
use std::mem;
use std::path::Path;

/// U+FEFF in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a text file, as [`decode`] does.
pub fn read(path: &Path) -> io::Result<String> {
    decode(&fs::read(path)?)
}

/// The text of these bytes, without a byte-order mark, each line ended in LF. Says which line is not UTF-8.
pub fn decode(bytes: &[u8]) -> io::Result<String> {
    let bytes = without_mark(bytes);
    let invalid = |why: String| io::Error::new(ErrorKind::InvalidData, why);
    if matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
        return Err(invalid("it is UTF-16: save it as UTF-8".into()));
    }
    String::from_utf8(with_line_feeds(bytes)).map_err(|error| {
        let line = line_at(error.as_bytes(), error.utf8_error().valid_up_to());
        invalid(format!("line {line} is not UTF-8: save it as UTF-8"))
    })
}

/// These bytes with LF in the place of each CR LF and each CR.
fn with_line_feeds(bytes: &[u8]) -> Vec<u8> {
    let mut before = 0;
    let feed = |&byte| match (mem::replace(&mut before, byte), byte) {
        (b'\r', b'\n') => None,
        (_, b'\r') => Some(b'\n'),
        _ => Some(byte),
    };
    bytes.iter().filter_map(feed).collect()
}

/// These bytes without a byte-order mark before them.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// The number of the line, counted from 1, that contains the byte at this index.
pub fn line_at(text: &[u8], index: usize) -> u64 {
    1 + text.iter().take(index).filter(|byte| **byte == b'\n').count() as u64
}
