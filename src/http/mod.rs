//! HTTP/1.1 over bytes (RFC 9110 and RFC 9112). It uses no socket on the server's side, and knows no toys.
//!
//! The server gives a [`Http1`] the bytes received so far. It answers the first
//! request among them, once it is complete, through a handler:
//!
//! ```text
//! input ─▶ head ──▶ body ──▶ Request ─▶ handler ─▶ Responder ─▶ output
//!           │        │ (incomplete: NeedMore, and perhaps 100 Continue)
//!           └─ Refusal: 400 408 413 414 417 431 501 505, then close
//! ```
//!
//! * `head`: parses and checks the lines up to the empty one; `fault`: the error message for a malformed head.
//! * `framing`: the headers that say where the request ends; `body`: finds that end.
//! * `message`: the request as the handler sees it; `form`: decodes the escapes in it.
//! * `response`: writes the response; `link`: the header that names the next page of a list.
//! * [`Client`]: the client's side; `arrival`: finds the end of a response.
//!
//! - If the end of a request is ambiguous, the request is refused and the connection closed; nothing is
//!   guessed. A proxy in front might guess differently, and then a request could be smuggled.
//! - A request needs no allocation, unless its body is chunked: a request is slices of the input,
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
