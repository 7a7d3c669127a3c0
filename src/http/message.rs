//! A request as its handler sees it: slices of the received bytes, decoded on demand.

use super::form::{decode_segment, form_pairs};
use crate::error::{Error, Result};
use crate::net::Caller;
use httparse::Header;
use std::borrow::Cow;

/// A complete and well-formed request.
pub struct Request<'a> {
    /// The method, as sent: methods are case-sensitive. `HEAD` is answered like `GET`; the
    /// [`Responder`](super::Responder) leaves the body out.
    pub method: &'a str,
    /// The path of the target, still percent-encoded. It begins with `/`, except for `OPTIONS *`,
    /// where it is `*`.
    pub path: &'a str,
    /// The part after the `?`, or "".
    pub(super) query: &'a str,
    /// The header lines, in order.
    pub(super) headers: &'a [Header<'a>],
    /// The body, without its chunks.
    pub body: &'a [u8],
    /// Who sent it.
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

    /// The value of a header that may come once. It is an error if it comes more often or is not
    /// text, so that an unreadable `Idempotency-Key` is not treated as a missing one.
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
