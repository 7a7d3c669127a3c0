//! The context of a traced request (W3C Trace Context): its trace, and the span that it hangs under. Pure. In HTTP it
//! is the header `traceparent`, in frames a field with the same text.

use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A trace: everything that is done for one request. Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceId(u128);

/// A span of a trace. Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpanId(u64);

/// Where the spans of a request belong. Only sampled requests have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Context {
    /// The trace.
    pub trace: TraceId,
    /// The span that the next ones hang under.
    pub span: SpanId,
}

impl TraceId {
    /// The trace of a random number.
    pub fn of(random: u128) -> TraceId {
        TraceId(random.max(1))
    }
}

impl SpanId {
    /// The span of a random number.
    pub fn of(random: u64) -> SpanId {
        SpanId(random.max(1))
    }
}

impl Context {
    /// Reads a `traceparent`, and whether its request is sampled. `None` if it is malformed: W3C says to ignore it then.
    /// Later versions may have more fields at the end.
    pub fn parse(traceparent: &str) -> Option<(Context, bool)> {
        let mut fields = traceparent.trim_ascii().splitn(5, '-');
        let [version, trace, span, flags] = [(); 4].map(|()| fields.next().unwrap_or_default());
        let is_of_version = match hex(version, 2)? {
            0x00 => fields.next().is_none(),
            version => version != 0xff,
        };
        let context = Context { trace: trace.parse().ok()?, span: span.parse().ok()? };
        let is_sampled = hex(flags, 2)? & 1 == 1;
        is_of_version.then_some((context, is_sampled))
    }
}

/// A number of exactly so many hexadecimal digits, without capitals.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_number = text.len() == digits && text.bytes().all(is_digit);
    u128::from_str_radix(text, 16).ok().filter(|_| is_number)
}

impl FromStr for TraceId {
    type Err = Error;

    fn from_str(text: &str) -> Result<TraceId, Error> {
        let number = hex(text, 32).filter(|number| *number > 0);
        number.map(TraceId).ok_or_else(|| malformed("a trace id", 32, text))
    }
}

impl FromStr for SpanId {
    type Err = Error;

    fn from_str(text: &str) -> Result<SpanId, Error> {
        let number = hex(text, 16).and_then(|number| u64::try_from(number).ok());
        let number = number.filter(|number| *number > 0);
        number.map(SpanId).ok_or_else(|| malformed("a span id", 16, text))
    }
}

fn malformed(what: &str, digits: usize, text: &str) -> Error {
    Error::invalid(format!(
        "{text:?} is not {what}, expected {digits} hexadecimal digits, not all 0"
    ))
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-01", self.trace, self.span)
    }
}

/// As text in JSON.
macro_rules! as_text {
    ($($type:ty: $read:expr),*) => {$(
        impl TryFrom<String> for $type {
            type Error = Error;

            fn try_from(text: String) -> Result<$type, Error> {
                $read(&text)
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }
    )*};
}

as_text!(TraceId: str::parse, SpanId: str::parse, Context: read_sampled);

fn read_sampled(text: &str) -> Result<Context, Error> {
    let context = Context::parse(text).map(|(context, _)| context);
    context.ok_or_else(|| Error::invalid(format!("{text:?} is not a traceparent")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_w3c_says_and_ignored_if_malformed() {
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        for (text, expected) in [
            (format!("00-{trace}-{span}-01"), Some(true)),
            (format!(" 00-{trace}-{span}-00 "), Some(false)),
            (format!("00-{trace}-{span}-03"), Some(true)),
            (format!("cc-{trace}-{span}-01"), Some(true)),
            (format!("cc-{trace}-{span}-01-what-the-future-brings"), Some(true)),
            (format!("00-{trace}-{span}-01-more"), None),
            (format!("ff-{trace}-{span}-01"), None),
            (format!("0-{trace}-{span}-01"), None),
            (format!("00-{}-{span}-01", trace.to_uppercase()), None),
            (format!("00-{}-{span}-01", "0".repeat(32)), None),
            (format!("00-{trace}-{}-01", "0".repeat(16)), None),
            (format!("00-{trace}-+{}-01", &span[1..]), None),
            (format!("00-{trace}-{span}-1"), None),
            (format!("00-{trace}-{span}"), None),
            (String::new(), None),
        ] {
            let read = Context::parse(&text);
            assert_eq!(read.map(|(_, is_sampled)| is_sampled), expected, "{text:?}");
            if let Some((context, _)) = read {
                assert_eq!(context.to_string(), format!("00-{trace}-{span}-01"));
            }
        }
    }
}
