//! The error message for a head that `httparse` refused.
//!
//! `httparse` stops at the first fault but reports neither the place nor the exact reason, so this parses the
//! lines again to find them. It runs for refused requests only.

use super::refusal::Refusal;

/// The refusal for a head in which `httparse` found `error`.
pub(super) fn explain(input: &[u8], error: httparse::Error) -> Refusal {
    let mut lines = input
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .skip_while(|line| line.is_empty());
    if let Err(refusal) = lines.next().map_or(Ok(()), check_request_line) {
        return refusal;
    }
    for (number, line) in (1..).zip(lines) {
        if let Err(why) = check_header_line(line) {
            return Refusal::malformed(format!("header line {number}: {why}"));
        }
    }
    Refusal::malformed(error.to_string())
}

fn check_request_line(line: &[u8]) -> Result<(), Refusal> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let method = words.next().unwrap_or_default();
    if let Some(byte) = method.iter().find(|byte| !is_token_byte(**byte)) {
        return Err(Refusal::malformed(format!("request line: byte 0x{byte:02x} in the method")));
    }
    if method.is_empty() {
        return Err(Refusal::malformed("request line: space before the method"));
    }
    let Some(target) = words.next().filter(|target| !target.is_empty()) else {
        return Err(Refusal::malformed("request line: no target after the method and one space"));
    };
    if let Some(byte) = target.iter().find(|byte| byte.is_ascii_control()) {
        return Err(Refusal::malformed(format!("request line: byte 0x{byte:02x} in the target")));
    }
    if str::from_utf8(target).is_err() {
        return Err(Refusal::malformed("request line: target is not UTF-8"));
    }
    match words.next() {
        Some(b"HTTP/1.1" | b"HTTP/1.0") => Ok(()),
        // HTTP/0.9 had a request line without a version.
        None => Err(Refusal::new(505, "HTTP/0.9 is not supported, expected HTTP/1.1")),
        Some(version) if is_version(version) => {
            let version = String::from_utf8_lossy(version);
            Err(Refusal::new(505, format!("{version} is not supported, expected HTTP/1.1")))
        }
        Some(_) => Err(Refusal::malformed("request line: expected HTTP/1.1 after the target")),
    }
}

fn check_header_line(line: &[u8]) -> Result<(), String> {
    let name_bytes = line.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(line.len());
    match line.split_at(name_bytes) {
        ([], []) => Ok(()),
        // RFC 9112 §5.2: a server may refuse folded lines with 400.
        ([], [b' ' | b'\t', ..]) => Err("it is folded onto the line before it".into()),
        ([], [b':', ..]) => Err("no name before the colon".into()),
        (_, []) => Err("no colon".into()),
        (_, [b':', value @ ..]) => match value.iter().find(|byte| is_control(**byte)) {
            None => Ok(()),
            Some(b'\r') => Err("bare CR".into()),
            Some(byte) => Err(format!("control byte 0x{byte:02x} in the value")),
        },
        // RFC 9112 §5.1: a server must refuse it.
        (_, [b' ' | b'\t', rest @ ..]) if rest.trim_ascii_start().starts_with(b":") => {
            Err("space before the colon".into())
        }
        (_, [byte, ..]) => Err(format!("byte 0x{byte:02x} in the name")),
    }
}

/// The bytes of a token (RFC 9110 §5.6.2): methods and header names are tokens.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The bytes that no header value may have (RFC 9110 §5.5).
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// Whether this names a version of HTTP, or begins to.
fn is_version(word: &[u8]) -> bool {
    word.strip_prefix(b"HTTP/").is_some_and(|number| {
        !number.is_empty() && number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
    })
}
