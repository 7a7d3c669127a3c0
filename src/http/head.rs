//! Parses and checks the head of a request: the request line and the header lines.
//!
//! `httparse` splits it and checks the syntax. This file checks the limits and the meaning of
//! target, Host and Expect. `framing` reads the headers that say where the request ends.
//!
//! A head that arrives in parts is parsed again with each part. The limit on heads bounds the cost:
//! even byte by byte it is far cheaper than the reads of those bytes.
//!
//! - A head that passed has one way to find the end of its body (RFC 9112 §6.3).
//! - `httparse` accepts a bare LF as the end of a line, which §2.2 allows, but no bare CR.

use super::body::Body;
use super::fault;
use super::framing::{Framing, Persistence};
use super::message::Request;
use super::refusal::Refusal;
use crate::net::{Caller, Scheme};
use httparse::{Header, Status};
use std::mem::MaybeUninit;

/// The longest head, in bytes; the same limit as in nginx and Node.js.
pub(super) const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The longest target, in bytes; RFC 9112 §3 recommends at least 8000.
pub(super) const TARGET_BYTES_MAX: usize = 8 * 1024;
/// The most header lines; curl sends three, browsers twenty.
pub(super) const HEADERS_MAX: usize = 64;
/// The methods that a request may have (RFC 9110 §9.3, RFC 5789), except CONNECT.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"];
const _: () = assert!(TARGET_BYTES_MAX < HEAD_BYTES_MAX);

/// Where the parser puts the header lines, on the caller's stack.
pub(super) type Slots<'a> = [MaybeUninit<Header<'a>>; HEADERS_MAX];

/// A head that has passed every check.
pub(super) struct Head<'a> {
    /// The request, without its body.
    pub request: Request<'a>,
    /// Where its body ends.
    pub body: Body,
    /// Whether the connection stays open after it.
    pub persistence: Persistence,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// The head at the start of `input`, or `None` while it is incomplete. Empty lines before it
/// are skipped (RFC 9112 §2.2).
pub(super) fn parse<'a>(
    input: &'a [u8],
    caller: Caller,
    slots: &'a mut Slots<'a>,
) -> Result<Option<Head<'a>>, Refusal> {
    let mut parsed = httparse::Request::new(&mut []);
    let head_bytes = match parsed.parse_with_uninit_headers(input, slots) {
        Ok(Status::Complete(bytes)) => bytes,
        Ok(Status::Partial) => return check_size(input).map(|()| None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(431, format!("more than {HEADERS_MAX} header lines")));
        }
        Err(error) => return Err(fault::explain(input, error)),
    };
    check_size(&input[..head_bytes])?;
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Ok(None);
    };
    let headers: &'a [Header<'a>] = parsed.headers;
    check_method(method)?;
    let (path, query) = split_target(method, target, caller.scheme)?;
    let framing = Framing::of(headers)?;
    check_host(framing.host, minor)?;
    Ok(Some(Head {
        request: Request { method, path, query, headers, body: &[], caller },
        body: framing.request_body(head_bytes, minor)?,
        persistence: framing.persistence(minor),
        expects_continue: check_expect(framing.expect, minor)?,
    }))
}

/// Refuses a head, complete or not, that is already too long.
fn check_size(head: &[u8]) -> Result<(), Refusal> {
    if head.len() <= TARGET_BYTES_MAX {
        return Ok(());
    }
    let mut words = head.trim_ascii_start().split(|byte| matches!(byte, b' ' | b'\n'));
    if words.nth(1).is_some_and(|target| target.len() > TARGET_BYTES_MAX) {
        return Err(Refusal::new(414, format!("target is longer than {TARGET_BYTES_MAX} bytes")));
    }
    if head.len() > HEAD_BYTES_MAX {
        return Err(Refusal::new(431, format!("head is longer than {HEAD_BYTES_MAX} bytes")));
    }
    Ok(())
}

/// Refuses a method that has no meaning anywhere in the store (RFC 9110 §9.1). Whether a known one is
/// allowed depends on the path, which is for the handler to say.
fn check_method(method: &str) -> Result<(), Refusal> {
    if METHODS.contains(&method) {
        return Ok(());
    }
    let capitals = method.to_ascii_uppercase();
    if method == "CONNECT" {
        Err(Refusal::new(501, "CONNECT is for proxies, and this server is not a proxy"))
    } else if METHODS.contains(&&*capitals) {
        Err(Refusal::new(501, format!("method {method} is unknown; it is written {capitals}")))
    } else {
        let known = METHODS.join(", ");
        Err(Refusal::new(501, format!("method {method} is unknown, expected one of {known}")))
    }
}

/// Path and query of a target in any of its forms (RFC 9112 §3.2).
fn split_target<'a>(
    method: &str,
    target: &'a str,
    scheme: Scheme,
) -> Result<(&'a str, &'a str), Refusal> {
    if target.contains('#') {
        return Err(Refusal::malformed("target has a fragment (#), which is never sent"));
    }
    if method == "OPTIONS" && target == "*" {
        return Ok((target, ""));
    }
    let local = if target.starts_with('/') { target } else { after_authority(target, scheme)? };
    let (path, query) = local.split_once('?').unwrap_or((local, ""));
    Ok((if path.is_empty() { "/" } else { path }, query))
}

/// What follows the host in an absolute-form target, which every server must accept (§3.2.2). Its
/// scheme is the one that the client connected with.
fn after_authority(target: &str, scheme: Scheme) -> Result<&str, Refusal> {
    let own = match scheme {
        Scheme::Plain => "http://",
        Scheme::Tls => "https://",
    };
    match target.split_at_checked(own.len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(own) => {
            let (host, local) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            if host.is_empty() || !is_host(host.as_bytes()) {
                return Err(Refusal::malformed("target has a malformed host"));
            }
            Ok(local)
        }
        _ => Err(Refusal::malformed(format!("target must begin with / or {own}"))),
    }
}

/// Exactly one well-formed Host, which HTTP/1.0 may leave out (RFC 9112 §3.2).
fn check_host(host: Option<&[u8]>, minor_version: u8) -> Result<(), Refusal> {
    match host {
        None if minor_version == 0 => Ok(()),
        None => Err(Refusal::malformed("header Host is missing")),
        Some(host) if is_host(host) => Ok(()),
        Some(_) => Err(Refusal::malformed("header Host is malformed, expected host or host:port")),
    }
}

/// Whether the client waits for `100 Continue` (RFC 9110 §10.1.1); HTTP/1.0 has no expectations.
fn check_expect(expect: Option<&[u8]>, minor_version: u8) -> Result<bool, Refusal> {
    match expect {
        Some(value) if minor_version > 0 && !value.eq_ignore_ascii_case(b"100-continue") => {
            Err(Refusal::new(417, "the only expectation known is 100-continue"))
        }
        expect => Ok(minor_version > 0 && expect.is_some()),
    }
}

/// `host`, `host:port` or nothing, where a host is a name, an IPv4 address or a bracketed IPv6
/// address (RFC 3986 §3.2.2). A client that knows no host sends nothing (RFC 9112 §3.2).
fn is_host(value: &[u8]) -> bool {
    let is_name_byte = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(b);
    let is_address_byte = |b: &u8| b.is_ascii_hexdigit() || b":.".contains(b);
    let (host, port) = match value.iter().rposition(|b| *b == b':') {
        Some(colon) if !value.ends_with(b"]") => (&value[..colon], &value[colon + 1..]),
        _ => (value, &b""[..]),
    };
    let is_port = port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
    is_port
        && match host {
            [] => value.is_empty(),
            [b'[', address @ .., b']'] => {
                !address.is_empty() && address.iter().all(is_address_byte)
            }
            name => name.iter().all(is_name_byte),
        }
}
