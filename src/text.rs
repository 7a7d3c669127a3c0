//! Text that people write: configuration, initial databases, certificates, the bodies of requests. Editors on Windows
//! put a byte-order mark before it, and end lines in CR LF. All such text is read by these functions.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

/// U+FEFF in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a text file, without its byte-order mark.
pub fn read(path: &Path) -> io::Result<String> {
    decode(&fs::read(path)?)
}

/// The text of these bytes, without a byte-order mark. Says which line is not UTF-8.
pub fn decode(bytes: &[u8]) -> io::Result<String> {
    let bytes = without_mark(bytes);
    let invalid = |why: String| io::Error::new(ErrorKind::InvalidData, why);
    if matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
        return Err(invalid("it is UTF-16: save it as UTF-8".into()));
    }
    str::from_utf8(bytes).map(str::to_owned).map_err(|error| {
        let line = line_at(bytes, error.valid_up_to());
        invalid(format!("line {line} is not UTF-8: save it as UTF-8"))
    })
}

/// These bytes without a byte-order mark before them.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// The number of the line, counted from 1, that contains the byte at this index.
pub fn line_at(text: &[u8], index: usize) -> u64 {
    1 + text.iter().take(index).filter(|byte| **byte == b'\n').count() as u64
}
