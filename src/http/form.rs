//! Percent-encoding (RFC 3986 §2.1) and forms (`name=Tux&quantity=1`), as in queries and bodies.
//!
//! Stricter than browsers: a `%` without two hexadecimal digits is an error, and so are bytes that are not
//! UTF-8. A `+` is a space in a form and a plus in a path.

use crate::error::{Error, Result};
use std::borrow::Cow;
use std::fmt::Write;

/// The pairs of a form, decoded, in order. A part without `=` is a name with an empty value;
/// empty parts (`a=1&&b=2`) are skipped.
pub fn form_pairs(form: &[u8]) -> impl Iterator<Item = Result<(Cow<'_, str>, Cow<'_, str>)>> {
    form.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty()).map(|piece| {
        let equals = piece.iter().position(|byte| *byte == b'=').unwrap_or(piece.len());
        let (name, value) = piece.split_at(equals);
        Ok((decode(name, b' ')?, decode(value.get(1..).unwrap_or_default(), b' ')?))
    })
}

/// One segment of a path, decoded.
pub(super) fn decode_segment(segment: &str) -> Result<Cow<'_, str>> {
    decode(segment.as_bytes(), b'+')
}

/// Escapes everything except RFC 3986's unreserved characters, so that the result can be used as one
/// segment of a path or as a name or value in a form.
pub fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail");
        }
    }
    encoded
}

fn decode(text: &[u8], plus: u8) -> Result<Cow<'_, str>> {
    let wrong =
        |why| Error::invalid(format!("cannot decode {:?}: {why}", String::from_utf8_lossy(text)));
    let not_utf8 = "it is not UTF-8";
    if !text.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return str::from_utf8(text).map(Cow::Borrowed).map_err(|_| wrong(not_utf8));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => plus,
            b'%' => escaped(bytes.next(), bytes.next())
                .ok_or_else(|| wrong("% must be followed by two hexadecimal digits"))?,
            other => other,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| wrong(not_utf8))
}

fn escaped(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high?)? * 16 + digit(low?)?).ok()
}
