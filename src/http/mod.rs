//! HTTP/1.1 over bytes (RFC 9110 and RFC 9112); knows no socket on the server's side, and no toy.
//!
//! The server shows a [`Http1`] the bytes received so far; the connection answers the first
//! request among them, once it is whole, through a handler:
//!
//! ```text
//! input ─▶ head ──▶ body ──▶ Request ─▶ handler ─▶ Responder ─▶ output
//!           │        │ (not whole: NeedMore, and perhaps 100 Continue)
//!           └─ Refusal: 400 408 413 414 417 431 501 505, then close
//! ```
//!
//! `head` splits and judges the lines up to the empty one, and `fault` words what is wrong with
//! them; `framing` reads from them where the request ends, and `body` finds that end. `message` is
//! what a handler sees, and `form` decodes the escapes in it; `response` writes the answer, and `link` where the
//! next page of a list is.
//! [`Client`] is the other side of the wire, and `arrival` finds where a response ends there.
//!
//! - Whatever leaves in doubt where a request ends is refused and the connection closed; nothing is
//!   guessed. A guess that differs from the guess of a proxy in front is a smuggled request.
//! - A request costs no allocation, unless its body is chunked: a request is slices of the input,
//!   and a response is appended to the output.
//! - Every part has a limit: head, target, number of headers, body, chunk lines, trailers. A request
//!   is answered or refused before it takes 80 KiB of input, or 600 KiB if in tiny chunks.

mod message;
mod form;
mod link;
mod refusal;
mod head;
mod fault;
mod framing;
mod body;
mod response;
mod http1;
mod arrival;
mod client;

pub use arrival::Arrival;
pub use client::{Client, Response};
pub use form::{form_pairs, percent_encode};
pub use http1::Http1;
pub use link::link_to_next;
pub use message::Request;
pub use response::{Responder, error_body};
