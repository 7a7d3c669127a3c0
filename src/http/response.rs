//! Writes a response: one append per part to the output, no allocation except the output's growth.
//!
//! Every response has a `Date`, a `Content-Length`, and must not be cached: stock changes with
//! every purchase, and a stale answer from a cache between client and store would look like the store's own.

use super::framing::Persistence;
use serde_json::json;
use std::cell::Cell;
use std::io::Write;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Sends the response to a request, or says that it comes later.
pub struct Responder<'a> {
    pub(super) output: &'a mut Vec<u8>,
    pub(super) manner: Manner,
    /// When the handler is called again.
    pub(super) later: &'a mut Option<Instant>,
    /// The value of the header `Server-Timing`, if it is sent.
    pub(super) timing: Option<String>,
}

/// The properties of the response that the request determines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Whether the connection stays open.
    pub persistence: Persistence,
    /// Whether the body is sent.
    pub content: Content,
}

/// Whether a response's body is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Yes.
    Sent,
    /// No, the method is HEAD (RFC 9110 §9.3.2): only its length is sent.
    Withheld,
}

impl Responder<'_> {
    /// Sends the response. The body is JSON, unless `headers` has another `Content-Type`.
    ///
    /// `status` is final and not 304. With 204 the body is empty. A control byte in a header
    /// is a bug of the handler, and panics.
    pub fn send(self, status: u16, headers: &[(&str, &str)], body: &[u8]) {
        match &self.timing {
            None => write(self.output, self.manner, status, headers, body),
            Some(timing) => {
                let headers = [headers, &[("Server-Timing", timing)]].concat();
                write(self.output, self.manner, status, &headers, body);
            }
        }
    }

    /// The response says where its time went, in the syntax of `Server-Timing`.
    #[must_use]
    pub fn with_timing(self, timing: String) -> Self {
        Responder { timing: Some(timing), ..self }
    }

    /// The response comes later: the handler is called again with the same request, when the session's
    /// waker is woken, or at `until`.
    pub fn later(self, until: Instant) {
        *self.later = Some(until);
    }
}

/// The body of every failure: `{"error":{"code":404,"message":"..."}}` (F2).
pub fn error_body(status: u16, message: &str) -> Vec<u8> {
    json!({ "error": { "code": status, "message": message } }).to_string().into_bytes()
}

/// Appends a response.
pub(super) fn write(
    output: &mut Vec<u8>,
    manner: Manner,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
) {
    // RFC 9110 §8.6: a 204 says nothing about a body, not even that it is empty.
    let has_body = status != 204;
    debug_assert!((200..600).contains(&status) && status != 304 && (has_body || body.is_empty()));
    output.reserve(256 + body.len());
    output.extend_from_slice(b"HTTP/1.1 ");
    push_decimal(output, usize::from(status));
    output.push(b' ');
    output.extend_from_slice(reason(status).as_bytes());
    output.extend_from_slice(b"\r\nDate: ");
    output.extend_from_slice(&date());
    output.extend_from_slice(b"\r\nCache-Control: no-store\r\n");
    if has_body && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        output.extend_from_slice(b"Content-Type: application/json\r\n");
    }
    for (name, value) in headers {
        push_header(output, name, value);
    }
    output.extend_from_slice(match manner.persistence {
        Persistence::Keep => b"",
        Persistence::KeepAndSaySo => b"Connection: keep-alive\r\n",
        Persistence::Close => b"Connection: close\r\n",
    });
    if has_body {
        output.extend_from_slice(b"Content-Length: ");
        push_decimal(output, body.len());
        output.extend_from_slice(b"\r\n");
    }
    output.extend_from_slice(b"\r\n");
    if manner.content == Content::Sent {
        output.extend_from_slice(body);
    }
}

/// Appends a header line.
pub(super) fn push_header(output: &mut Vec<u8>, name: &str, value: &str) {
    let breaks_out = |byte: u8| byte.is_ascii_control();
    assert!(!name.bytes().chain(value.bytes()).any(breaks_out), "control byte in header {name:?}");
    for part in [name, ": ", value, "\r\n"] {
        output.extend_from_slice(part.as_bytes());
    }
}

/// Appends a number in decimal, without `fmt`.
pub(super) fn push_decimal(output: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b"0123456789"[number % 10];
        number /= 10;
        if number == 0 {
            break output.extend_from_slice(&digits[start..]);
        }
    }
}

/// The date in the form of RFC 9110 §5.6.7. Formatting it takes a few
/// hundred instructions, so a thread does it once a second.
fn date() -> [u8; 29] {
    thread_local! {
        static LAST: Cell<(u64, [u8; 29])> = const { Cell::new((u64::MAX, [b' '; 29])) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (last_second, last) = LAST.get();
    if second == last_second {
        return last;
    }
    let mut text = [b' '; 29];
    write!(text.as_mut_slice(), "{}", httpdate::HttpDate::from(now))
        .expect("an HTTP date has 29 characters");
    LAST.set((second, text));
    text
}

/// The phrase after a status, for people only; it may be empty (RFC 9112 §4).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
