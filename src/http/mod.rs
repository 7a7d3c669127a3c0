//! HTTP/1.1 over bytes (RFC 9110 and RFC 9112); knows no socket on the server's side, and no toy.
//!
//! The server shows a [`Connection`] the bytes received so far; the connection answers the first
//! request among them, once it is whole, through a handler:
//!
//! ```text
//! input ─▶ head ──▶ body ──▶ Request ─▶ handler ─▶ Responder ─▶ output
//!           │        │ (not whole: NeedMore, and perhaps 100 Continue)
//!           └─ Refusal: 400 408 413 414 417 431 501 505, then close
//! ```
//!
//! `head` splits and judges the lines up to the empty one, and `fault` words what is wrong with
//! them; `body` finds the end of what follows; `message` is what a handler sees, `form` decodes the
//! escapes in it; `response` writes the answer. [`Client`] is the other side of the wire.
//!
//! - Whatever leaves in doubt where a request ends is refused and the connection closed; nothing is
//!   guessed. A guess that differs from the guess of a proxy in front is a smuggled request.
//! - A request costs no allocation, unless its body is chunked: a request is slices of the input,
//!   and a response is appended to the output.
//! - Every part has a limit: head, target, number of headers, body, chunk lines, trailers.

mod message;
mod form;
mod refusal;
mod head;
mod fault;
mod body;
mod response;
mod connection;
mod client;

pub use client::{Client, Response};
pub use connection::Connection;
pub use form::{form_pairs, percent_encode};
pub use message::Request;
pub use response::{Responder, error_body};

/// The most bytes that one request can take: a server that has buffered as many has a whole
/// request, or has been told to close.
pub const REQUEST_BYTES_MAX: usize = head::HEAD_BYTES_MAX + body::WIRE_BYTES_MAX;
