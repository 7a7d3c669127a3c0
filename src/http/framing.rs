//! The headers about the connection: where a message ends (RFC 9112 §6.3) and whether the
//! connection stays open after it (§9.3). Requests and responses share them.

use super::body::{BODY_BYTES_MAX, Body};
use super::refusal::Refusal;
use httparse::Header;

/// The longest body of a response, in bytes; a page of toys takes a quarter of it at most.
pub(super) const RESPONSE_BODY_BYTES_MAX: usize = 1024 * 1024;

/// The values of those headers. Each may come once, except Connection, which is a list.
#[derive(Default)]
pub(super) struct Framing<'a> {
    /// Whom the request is for.
    pub host: Option<&'a [u8]>,
    /// What the client expects before it sends the body.
    pub expect: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
    transfer_encoding: Option<&'a [u8]>,
    close: bool,
    keep_alive: bool,
}

/// Whether the connection stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    /// Yes, the default of HTTP/1.1.
    Keep,
    /// Yes, because an HTTP/1.0 client asked for it; the response has to confirm it.
    KeepAndSaySo,
    /// No.
    Close,
}

impl<'a> Framing<'a> {
    /// Selects the headers about the connection.
    pub(super) fn of(headers: &[Header<'a>]) -> Result<Framing<'a>, Refusal> {
        let mut framing = Framing::default();
        for header in headers {
            let is = |name| header.name.eq_ignore_ascii_case(name);
            match header.name.len() {
                4 if is("host") => once(&mut framing.host, header)?,
                6 if is("expect") => once(&mut framing.expect, header)?,
                10 if is("connection") => framing.add_connection(header.value),
                14 if is("content-length") => once(&mut framing.content_length, header)?,
                17 if is("transfer-encoding") => once(&mut framing.transfer_encoding, header)?,
                _ => {}
            }
        }
        Ok(framing)
    }

    /// Connection options other than these two are ignored.
    fn add_connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// HTTP/1.1 stays open unless told to close, HTTP/1.0 closes unless told to stay open.
    pub(super) fn persistence(&self, minor_version: u8) -> Persistence {
        match (minor_version, self.close, self.keep_alive) {
            (1, false, _) => Persistence::Keep,
            (0, false, true) => Persistence::KeepAndSaySo,
            _ => Persistence::Close,
        }
    }

    /// The body of a request whose head ends at `start`; without a length it is empty.
    pub(super) fn request_body(&self, start: usize, minor_version: u8) -> Result<Body, Refusal> {
        if self.transfer_encoding.is_some() && minor_version == 0 {
            return Err(Refusal::malformed("Transfer-Encoding in HTTP/1.0 (RFC 9112 §6.1)"));
        }
        Ok(self.body(start, BODY_BYTES_MAX)?.unwrap_or(Body::fixed(start, 0)))
    }

    /// The body of a response; without a length (`None`) it ends with the connection.
    pub(super) fn response_body(&self, start: usize) -> Result<Option<Body>, Refusal> {
        self.body(start, RESPONSE_BODY_BYTES_MAX)
    }

    fn body(&self, start: usize, bytes_max: usize) -> Result<Option<Body>, Refusal> {
        match (self.transfer_encoding, self.content_length) {
            (Some(_), Some(_)) => {
                Err(Refusal::malformed("both Transfer-Encoding and Content-Length (RFC 9112 §6.1)"))
            }
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Some(Body::chunked(start, bytes_max)))
            }
            (Some(_), None) => {
                Err(Refusal::new(501, "the only Transfer-Encoding known is chunked"))
            }
            (None, Some(length)) => Ok(Some(Body::of_length(start, length, bytes_max)?)),
            (None, None) => Ok(None),
        }
    }
}

/// Stores a header that may come only once. The same length twice is refused too: that is stricter
/// than RFC 9112 §6.3, and simpler.
fn once<'a>(slot: &mut Option<&'a [u8]>, header: &Header<'a>) -> Result<(), Refusal> {
    match slot.replace(header.value) {
        None => Ok(()),
        Some(_) => Err(Refusal::malformed(format!("header {} comes more than once", header.name))),
    }
}
