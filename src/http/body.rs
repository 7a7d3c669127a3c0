//! Finds the end of a body, fixed (by Content-Length) or chunked (RFC 9112 §7.1).
//!
//! Like a head, a body is parsed in the buffer of received bytes, again after each
//! read. Complete chunks are decoded once and kept, so the cost is proportional to the length of the body.
//!
//! - Chunk lines end in CRLF only, and their extensions hold no control bytes: a parser that accepts more
//!   allows request smuggling. Extensions and trailers are otherwise ignored.

use super::refusal::Refusal;
use httparse::Status;

/// The longest body of a request, in bytes; an order takes a hundred.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
/// A chunk of one byte takes six bytes (`1 CR LF x CR LF`), so this is enough for any
/// body in any chunks, but not for endless extensions.
const WIRE_BYTES_PER_BODY_BYTE: usize = 8;
/// The longest line before a chunk, with its extensions.
const CHUNK_LINE_BYTES_MAX: usize = 256;
/// The longest trailer section, and the most lines in it.
const TRAILER_BYTES_MAX: usize = 4 * 1024;
const TRAILERS_MAX: usize = 16;

/// A body, complete or not, in a buffer that begins with its message.
pub(super) enum Body {
    /// The bytes from `start` to `end`.
    Fixed {
        /// The end of the head.
        start: usize,
        /// The end of the message.
        end: usize,
    },
    /// Chunks, the last of which is empty.
    Chunked(Chunks),
}

/// A chunked body, as far as it has been decoded.
pub(super) struct Chunks {
    /// Where in the buffer the first chunk begins.
    start: usize,
    /// Where in the buffer the next chunk begins.
    next: usize,
    /// The chunks before it, joined; at most `bytes_max`.
    decoded: Vec<u8>,
    bytes_max: usize,
}

impl Body {
    /// A body of `length` bytes after a head that ends at `start`.
    pub(super) fn fixed(start: usize, length: usize) -> Body {
        Body::Fixed { start, end: start + length }
    }

    /// A body whose length a Content-Length states: digits and nothing else (RFC 9110 §8.6), no
    /// sign, no list, no white space.
    pub(super) fn of_length(start: usize, value: &[u8], bytes_max: usize) -> Result<Body, Refusal> {
        let is_number = value.iter().all(u8::is_ascii_digit);
        let text = str::from_utf8(value).ok().filter(|_| is_number);
        match text.and_then(|text| text.parse::<usize>().ok()) {
            Some(length) if length <= bytes_max => Ok(Body::fixed(start, length)),
            Some(_) => Err(Refusal::new(413, format!("body is longer than {bytes_max} bytes"))),
            None => Err(Refusal::malformed("Content-Length must be a decimal number")),
        }
    }

    /// A chunked body of at most `bytes_max` bytes after a head that ends at `start`.
    pub(super) fn chunked(start: usize, bytes_max: usize) -> Body {
        Body::Chunked(Chunks { start, next: start, decoded: Vec::new(), bytes_max })
    }

    /// Where in `buffer` the message ends, or `None` while it is incomplete.
    pub(super) fn end(&mut self, buffer: &[u8]) -> Result<Option<usize>, Refusal> {
        match self {
            Body::Fixed { end, .. } => Ok((*end <= buffer.len()).then_some(*end)),
            Body::Chunked(chunks) => chunks.end(buffer),
        }
    }

    /// The bytes of a complete body.
    pub(super) fn bytes<'a>(&'a self, buffer: &'a [u8]) -> &'a [u8] {
        match self {
            Body::Fixed { start, end } => &buffer[*start..*end],
            Body::Chunked(chunks) => &chunks.decoded,
        }
    }
}

impl Chunks {
    /// Decodes the complete chunks. The last one is not consumed, so this may be called again.
    fn end(&mut self, buffer: &[u8]) -> Result<Option<usize>, Refusal> {
        let bytes_max = self.bytes_max;
        let too_long = || {
            Refusal::new(
                413,
                format!("body is longer than {bytes_max} bytes, or in too many chunks"),
            )
        };
        loop {
            if self.next - self.start > self.bytes_max * WIRE_BYTES_PER_BODY_BYTE {
                return Err(too_long());
            }
            let rest = &buffer[self.next..];
            let Some((line_bytes, size)) = chunk_line(rest)? else { return Ok(None) };
            if size == 0 {
                let trailer_bytes = trailer(&rest[line_bytes..])?;
                return Ok(trailer_bytes.map(|bytes| self.next + line_bytes + bytes));
            }
            if size > self.bytes_max - self.decoded.len() {
                return Err(too_long());
            }
            let Some((chunk, after)) = rest[line_bytes..].split_at_checked(size) else {
                return Ok(None);
            };
            match after {
                [b'\r', b'\n', ..] => {}
                [] | [b'\r'] => return Ok(None),
                _ => return Err(Refusal::malformed("a chunk is not followed by CRLF")),
            }
            self.decoded.extend_from_slice(chunk);
            self.next += line_bytes + chunk.len() + 2;
        }
    }
}

/// The length of a chunk's line and the size it states: hexadecimal digits, then perhaps
/// extensions after a `;`.
fn chunk_line(bytes: &[u8]) -> Result<Option<(usize, usize)>, Refusal> {
    let Some(newline) = bytes.iter().take(CHUNK_LINE_BYTES_MAX).position(|b| *b == b'\n') else {
        return match bytes.len() {
            0..CHUNK_LINE_BYTES_MAX => Ok(None),
            _ => Err(Refusal::malformed("a chunk's line is too long")),
        };
    };
    let line = bytes[..newline].strip_suffix(b"\r");
    let line = line.ok_or_else(|| Refusal::malformed("a chunk's line ends in a bare LF"))?;
    if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(Refusal::malformed("a chunk's line has a control byte"));
    }
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extensions) = line.split_at(digits);
    let is_extension = matches!(extensions.trim_ascii_start(), [b';', ..]);
    let size = str::from_utf8(digits).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
    match size {
        Some(size) if extensions.is_empty() || is_extension => Ok(Some((newline + 1, size))),
        _ => Err(Refusal::malformed("a chunk's size must be a hexadecimal number")),
    }
}

/// The length of the trailer section, with the empty line that ends it.
fn trailer(bytes: &[u8]) -> Result<Option<usize>, Refusal> {
    let too_long = || Refusal::new(431, "the trailer section is too long");
    let mut slots = [httparse::EMPTY_HEADER; TRAILERS_MAX];
    match httparse::parse_headers(bytes, &mut slots) {
        Ok(Status::Complete((length, _))) if length <= TRAILER_BYTES_MAX => Ok(Some(length)),
        Ok(Status::Partial) if bytes.len() <= TRAILER_BYTES_MAX => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(too_long()),
        Err(error) => Err(Refusal::malformed(format!("trailer section: {error}"))),
    }
}
