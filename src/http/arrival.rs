//! Finds the end of a response among the bytes received so far. Used by [`super::Client`], and by the load test,
//! which reads many responses at once and needs little more than their status.

use super::body::Body;
use super::framing::{Framing, Persistence};
use super::refusal::Refusal;
use httparse::{ParserConfig, Status};
use std::mem::MaybeUninit;

/// The longest head of a response, in bytes, and the most headers in it.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;

/// The head of a response, as far as it concerns the rest.
pub(super) struct Head {
    pub status: u16,
    /// The length of the head.
    pub bytes: usize,
    /// `None` if the body ends with the connection.
    pub body: Option<Body>,
    /// Whether the connection stays open after it.
    pub persists: bool,
}

impl Head {
    /// The head at the start of `received`, or `None` while it is incomplete. The error says
    /// what is wrong with it.
    pub(super) fn parse(received: &[u8], method: &str) -> Result<Option<Head>, String> {
        let mut slots = [MaybeUninit::uninit(); HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut []);
        let parser = ParserConfig::default();
        let parsing = parser.parse_response_with_uninit_headers(&mut parsed, received, &mut slots);
        let bytes = match parsing {
            Ok(Status::Complete(bytes)) => bytes,
            Ok(Status::Partial) if received.len() <= HEAD_BYTES_MAX => return Ok(None),
            Ok(Status::Partial) => return Err("the response's head is too long".to_owned()),
            Err(error) => return Err(format!("the response is malformed: {error}")),
        };
        let (Some(status), Some(minor)) = (parsed.code, parsed.version) else { return Ok(None) };
        let framing = Framing::of(parsed.headers)?;
        let is_bodiless = method == "HEAD" || status < 200 || matches!(status, 204 | 304);
        let body =
            if is_bodiless { Some(Body::fixed(bytes, 0)) } else { framing.response_body(bytes)? };
        let persists = framing.persistence(minor) != Persistence::Close;
        Ok(Some(Head { status, bytes, body, persists }))
    }
}

/// A complete response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its status.
    pub status: u16,
    /// Its length, body included: the next one begins there.
    pub bytes: usize,
    /// Whether the connection stays open after it.
    pub persists: bool,
}

impl Arrival {
    /// The first response in `received`, to any method except HEAD; `None` while it is incomplete. The
    /// error says what is wrong with it. Needs no allocation unless it is chunked.
    pub fn first(received: &[u8]) -> Result<Option<Arrival>, String> {
        let Some(head) = Head::parse(received, "GET")? else { return Ok(None) };
        let mut body = head.body.ok_or("the response does not say where it ends")?;
        let end = body.end(received)?;
        Ok(end.map(|bytes| Arrival { status: head.status, bytes, persists: head.persists }))
    }
}

/// The error for a response that breaks a rule that it shares with requests.
impl From<Refusal> for String {
    fn from(refusal: Refusal) -> String {
        format!("the response is malformed: {}", refusal.message)
    }
}
