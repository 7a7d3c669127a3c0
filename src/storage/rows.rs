//! The rows of our files: CSV (RFC 4180), one row per line, its checksum in the last column.
//!
//! ```text
//! number,name,quantity,chain
//! 1,Tux,2,d9608eb6
//! 2,"Lego, red",1,7c2e5f0a
//! ```
//!
//! `chain` is the CRC-32 of the row's bytes before its last comma, as 8 hex digits. It continues the checksum
//! of the row before ([`Chain`]), so that a row that was deleted, repeated, moved, or taken from another file is
//! detected like one that was changed. Files of earlier versions have a column `crc` instead, with an independent
//! checksum of each row; they are read, and [`CsvLog::open`](super::CsvLog::open) rewrites them. Files are read as a
//! stream, in constant memory.
//!
//! - A complete row that is missing at the *end* of a file cannot be detected in the file. Therefore catalog and
//!   leader compare the number of toys sold when the leader takes office.
//! - A row is one line: fields with control characters are refused when they are written.
//! - A *torn tail* is what a crash leaves of rows that were never synced: an unterminated last line, or
//!   a tail with NUL bytes (pages that never reached the disk) and no whole row after its first bad one.
//! - Every other line that is not a row is *damage*: it was not written by our writer.

use crate::error::{Error, Result};
use csv::StringRecord;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The longest row, in bytes, its line end included. A longer one is refused when it is written, so
/// that a reader of a damaged file need not hold more than this.
pub const ROW_BYTES_MAX: usize = 64 * 1024;

/// The format of the rows of a file.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The names of the columns, without `crc`.
    pub columns: &'static [&'static str],
    /// What the operator can do about a damaged file.
    pub remedy: &'static str,
}

impl Table {
    /// The first line of the file.
    pub fn header(&self) -> String {
        self.columns.join(",") + ",chain\n"
    }

    /// Whether an existing file has this format.
    pub fn is_of(&self, path: &Path) -> Result<bool> {
        let file = File::open(path).map_err(|e| Error::storage(path, "cannot open it", e))?;
        let mut line = Vec::new();
        BufReader::new(file.take(ROW_BYTES_MAX as u64))
            .read_until(b'\n', &mut line)
            .map_err(|e| Error::storage(path, "cannot read it", e))?;
        Ok([self.header(), self.unchained_header()].iter().any(|header| header.as_bytes() == line))
    }

    /// The first line of a file of an earlier version, whose rows have independent checksums.
    fn unchained_header(&self) -> String {
        self.columns.join(",") + ",crc\n"
    }
}

/// The checksum of the rows of a file so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chain(u32);

/// What a crash left at the end of a file, and recovery cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornTail {
    /// The line it began at, counted from 1, the header included.
    pub line: u64,
    /// How long it was.
    pub bytes: u64,
}

impl Display for TornTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: dropped {} bytes of an unfinished write", self.line, self.bytes)
    }
}

impl Chain {
    /// Appends one row with its checksum to `out`. Refuses control characters and rows that are too
    /// long; `out` and the chain are then as they were.
    pub fn encode(&mut self, fields: &[&dyn Display], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        for field in fields {
            if let Err(error) = encode_field(field, out) {
                out.truncate(start);
                return Err(error);
            }
            out.push(b',');
        }
        let next = self.after(&out[start..out.len() - 1]);
        out.extend_from_slice(&next.digits());
        out.push(b'\n');
        let bytes = out.len() - start;
        if bytes > ROW_BYTES_MAX {
            out.truncate(start);
            return Err(Error::invalid(format!("row has {bytes} bytes, at most {ROW_BYTES_MAX}")));
        }
        *self = next;
        Ok(())
    }

    /// The chain after a row with this body.
    fn after(self, body: &[u8]) -> Chain {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(body);
        Chain(hasher.finalize())
    }

    fn digits(self) -> [u8; 8] {
        std::array::from_fn(|place| {
            b"0123456789abcdef"[(self.0 >> (28 - 4 * place)) as usize & 0xf]
        })
    }
}

fn encode_field(field: &dyn Display, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    write!(out, "{field}").expect("a Vec takes every write");
    let plain = &out[start..];
    if plain.iter().any(u8::is_ascii_control) {
        let text = String::from_utf8_lossy(plain);
        return Err(Error::invalid(format!("{text:?} holds a control character")));
    }
    if plain.iter().any(|b| matches!(b, b',' | b'"')) {
        let plain = out.split_off(start);
        out.push(b'"');
        for byte in plain {
            if byte == b'"' {
                out.push(b'"');
            }
            out.push(byte);
        }
        out.push(b'"');
    }
    Ok(())
}

/// The body of a line and its checksum; otherwise why it is not a row.
fn split_checksum(line: &[u8]) -> Result<(&[u8], Chain), &'static str> {
    let row = line.strip_suffix(b"\n").ok_or("the row has no end")?;
    let comma = row.iter().rposition(|&b| b == b',').ok_or("the row has no checksum")?;
    let digits = str::from_utf8(&row[comma + 1..]).ok().filter(|digits| {
        digits.len() == 8 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    });
    let stated = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    Ok((&row[..comma], Chain(stated.ok_or("the checksum is wrong")?)))
}

/// Reads the body of a line as a row of `columns` fields; otherwise says why it is not a row.
fn decode_body(body: &[u8], columns: usize, fields: &mut StringRecord) -> Result<(), String> {
    let text = str::from_utf8(body).map_err(|e| e.to_string())?;
    split_row(text, fields)?;
    if fields.len() != columns {
        return Err(format!("the row has {} fields, expected {columns}", fields.len()));
    }
    Ok(())
}

/// Splits a row at its commas, except those within quotes, where a doubled quote means one quote. Written
/// by hand because a `csv::Reader` per row takes 20 µs, and a reader per file would lose the line numbers.
fn split_row(row: &str, fields: &mut StringRecord) -> Result<(), &'static str> {
    fields.clear();
    let mut rest = Some(row);
    while let Some(text) = rest {
        if let Some(text) = text.strip_prefix('"') {
            let end = closing_quote(text).ok_or("a quote is not closed")?;
            fields.push_field(&text[..end].replace("\"\"", "\""));
            rest = match &text[end + 1..] {
                "" => None,
                after => Some(after.strip_prefix(',').ok_or("a comma is missing after a quote")?),
            };
        } else {
            let (field, after) = text.split_once(',').map_or((text, None), |(f, a)| (f, Some(a)));
            fields.push_field(field);
            rest = after;
        }
    }
    Ok(())
}

/// Where the first quote is that is not doubled.
fn closing_quote(text: &str) -> Option<usize> {
    let mut quotes = text.match_indices('"').map(|(place, _)| place).peekable();
    loop {
        let place = quotes.next()?;
        if quotes.next_if_eq(&(place + 1)).is_none() {
            return Some(place);
        }
    }
}

/// The value in a column of a row, counted from 0.
pub fn field<T: FromStr<Err: Display>>(row: &StringRecord, column: usize) -> Result<T> {
    let text = &row[column];
    text.parse().map_err(|e| Error::invalid(format!("column {}: {text:?}: {e}", column + 1)))
}

/// Reads a file that was written as a whole, row by row. Anything except rows is damage, a torn tail
/// too, and so is a row that `each` refuses: its error becomes the reason.
pub fn read_rows(
    path: &Path,
    table: &Table,
    each: impl FnMut(&StringRecord) -> Result<()>,
) -> Result<()> {
    let mut rows = Rows::open(path, table)?;
    rows.for_each(each)?;
    match rows.torn() {
        Some(torn) => Err(rows.damaged(torn.line, "the file is cut off here")),
        None => Ok(()),
    }
}

/// Reads a log row by row. It may be growing, or end after a crash. Nothing is repaired: a torn
/// tail is returned, and stays in the file. A row that `each` refuses is damage.
pub fn read_log(
    path: &Path,
    table: &Table,
    each: impl FnMut(&StringRecord) -> Result<()>,
) -> Result<Option<TornTail>> {
    let mut rows = Rows::open(path, table)?;
    rows.for_each(each)?;
    Ok(rows.torn())
}

/// Reads the rows of a file, one after the other.
pub(super) struct Rows {
    path: PathBuf,
    table: Table,
    input: BufReader<File>,
    /// The line read last, and its fields.
    line: Vec<u8>,
    fields: StringRecord,
    /// The checksum of the rows so far; `None` in a file of an earlier version.
    chain: Option<Chain>,
    /// The rows read so far, and the bytes up to their end.
    count: u64,
    bytes: u64,
    torn: Option<TornTail>,
}

impl Rows {
    /// Opens the file and checks its header.
    pub(super) fn open(path: &Path, table: &Table) -> Result<Rows> {
        let file = File::open(path).map_err(|e| Error::storage(path, "cannot open it", e))?;
        let mut rows = Rows {
            path: path.to_owned(),
            table: *table,
            input: BufReader::with_capacity(ROW_BYTES_MAX, file),
            line: Vec::new(),
            fields: StringRecord::new(),
            chain: Some(Chain::default()),
            count: 0,
            bytes: 0,
            torn: None,
        };
        rows.read_line()?;
        let header = table.header();
        let length = rows.line.len() as u64;
        if rows.line == header.as_bytes() {
            rows.bytes = length;
        } else if rows.line == table.unchained_header().as_bytes() {
            rows.bytes = length;
            rows.chain = None;
        } else if header.as_bytes().starts_with(&rows.line)
            || table.unchained_header().as_bytes().starts_with(&rows.line)
        {
            rows.torn = Some(TornTail { line: 1, bytes: length });
        } else {
            return Err(rows.damaged(1, format!("expected the header {:?}", header.trim_end())));
        }
        Ok(rows)
    }

    /// The next row; `None` at the end and at a torn tail.
    pub(super) fn read(&mut self) -> Result<Option<&StringRecord>> {
        if self.torn.is_some() || !self.read_line()? {
            return Ok(None);
        }
        if let Err(why) = self.decode() {
            self.torn = Some(self.judge_tail(why)?);
            return Ok(None);
        }
        self.count += 1;
        self.bytes += self.line.len() as u64;
        Ok(Some(&self.fields))
    }

    /// Gives all rows to `each`; what it refuses is damage.
    pub(super) fn for_each(
        &mut self,
        mut each: impl FnMut(&StringRecord) -> Result<()>,
    ) -> Result<()> {
        while let Some(fields) = self.read()? {
            if let Err(error) = each(fields) {
                return Err(self.damaged(self.count + 1, error));
            }
        }
        Ok(())
    }

    /// How many rows were read so far.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Where in the file they end; 0 if the header is incomplete.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The checksum of the rows so far; `None` in a file of an earlier version.
    pub(super) fn chain(&self) -> Option<Chain> {
        self.chain
    }

    /// The torn tail that stopped the reading.
    pub(super) fn torn(&self) -> Option<TornTail> {
        self.torn
    }

    pub(super) fn damaged(&self, line: u64, why: impl Display) -> Error {
        Error::Damaged {
            file: self.path.display().to_string(),
            line,
            why: why.to_string(),
            remedy: self.table.remedy.to_owned(),
        }
    }

    /// Reads up to the end of the line, or as much as the longest row; false at the end of the file.
    fn read_line(&mut self) -> Result<bool> {
        self.line.clear();
        let mut input = (&mut self.input).take(ROW_BYTES_MAX as u64);
        match input.read_until(b'\n', &mut self.line) {
            Ok(bytes) => Ok(bytes > 0),
            Err(e) => Err(Error::storage(&self.path, "cannot read it", e)),
        }
    }

    /// Reads the line as a row that continues the chain.
    fn decode(&mut self) -> Result<(), String> {
        let (body, stated) = split_checksum(&self.line)?;
        if self.chain.unwrap_or_default().after(body) != stated {
            return Err(match self.chain {
                None => "the checksum is wrong".into(),
                Some(_) => {
                    "the checksum is wrong: this row was changed, or rows before it were deleted, \
                     repeated or moved"
                        .into()
                }
            });
        }
        decode_body(body, self.table.columns.len(), &mut self.fields)?;
        self.chain = self.chain.map(|_| stated);
        Ok(())
    }

    /// Whether the line may be a row whose checksum continues that of a missing row.
    fn looks_like_a_row(&mut self) -> bool {
        let Ok((body, stated)) = split_checksum(&self.line) else { return false };
        // Only a row of an earlier version can be checked by itself.
        let may_be_right = self.chain.is_some() || Chain::default().after(body) == stated;
        may_be_right && decode_body(body, self.table.columns.len(), &mut self.fields).is_ok()
    }

    /// Reads on from a line that is not a row, to tell a torn tail from damage.
    fn judge_tail(&mut self, why: String) -> Result<TornTail> {
        let mut tail = TornTail { line: self.count + 2, bytes: 0 };
        let (mut has_line_end, mut has_nul, mut has_row) = (false, false, false);
        loop {
            tail.bytes += self.line.len() as u64;
            has_line_end |= self.line.ends_with(b"\n");
            has_nul |= self.line.contains(&0);
            if !self.read_line()? {
                break;
            }
            has_row |= self.looks_like_a_row();
        }
        let is_torn = !has_line_end || (has_nul && !has_row);
        if is_torn { Ok(tail) } else { Err(self.damaged(tail.line, why)) }
    }
}
