//! What a handler sees of a request: slices of the received bytes, decoded when asked for.

use super::form::{decode_segment, form_pairs};
use crate::error::{Error, Result};
use crate::net::Caller;
use httparse::Header;
use std::borrow::Cow;

/// A whole and well-formed request.
pub struct Request<'a> {
    /// The method, as sent: methods are case-sensitive. `HEAD` is answered like `GET`; the
    /// [`Responder`](super::Responder) leaves the body out.
    pub method: &'a str,
    /// The path of the target, still percent-encoded. It begins with `/`, but for `OPTIONS *`,
    /// where it is `*`.
    pub path: &'a str,
    /// What followed the `?`, or nothing.
    pub(super) query: &'a str,
    /// The header lines in the order they came.
    pub(super) headers: &'a [Header<'a>],
    /// The body, without its chunks.
    pub body: &'a [u8],
    /// Who asks.
    pub caller: Caller,
}

impl<'a> Request<'a> {
    /// The segments of the path, decoded: `/products/Big%20Tux` has `products` and `Big Tux`, and
    /// `/` has one that is empty.
    pub fn segments(&self) -> impl Iterator<Item = Result<Cow<'a, str>>> + use<'a> {
        self.path.strip_prefix('/').unwrap_or(self.path).split('/').map(decode_segment)
    }

    /// The names and values of the query, decoded, in order.
    pub fn query(&self) -> impl Iterator<Item = Result<(Cow<'a, str>, Cow<'a, str>)>> + use<'a> {
        form_pairs(self.query.as_bytes())
    }

    /// The value of a header that may come once. It is an error when it comes more often or is no
    /// text, so that an unreadable `Idempotency-Key` cannot pass for none.
    pub fn header(&self, name: &str) -> Result<Option<&'a str>> {
        let mut values = self.headers(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(Error::invalid(format!("header {name} comes more than once")));
        }
        match str::from_utf8(value) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(Error::invalid(format!("header {name} is not UTF-8"))),
        }
    }

    /// Every value of a header, in order, without the white space around it.
    pub fn headers<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let matching = self.headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name));
        matching.map(|header| header.value)
    }
}
