//! HTTP on one client connection: takes the bytes received so far, appends the bytes to send.
//!
//! [`Http1::serve`] answers at most one request per call, so that the server can serve another connection
//! between two requests. Pipelined requests wait in the input.
//!
//! - Until a request is served, `serve` is called with the same bytes again, and more after them. This is also so if
//!   the response comes later.
//! - A handler's own errors keep the connection; a refused request closes it.

use super::body::Body;
use super::framing::Persistence;
use super::head;
use super::message::Request;
use super::refusal::Refusal;
use super::response::{self, Content, Manner, Responder, error_body};
use crate::net::{Caller, Progress};
use std::mem::MaybeUninit;

/// The state of a connection between two reads.
pub struct Http1 {
    /// The client.
    caller: Caller,
    /// Whether a part of a request has arrived.
    begun: bool,
    /// The body that is arriving; present once its head was accepted.
    body: Option<Body>,
    /// Whether the current request wants its response's body.
    content: Content,
}

impl Http1 {
    /// A connection on which nothing has arrived yet.
    pub fn new(caller: impl Into<Caller>) -> Http1 {
        Http1 { caller: caller.into(), begun: false, body: None, content: Content::Sent }
    }

    /// Answers the first request in `input`, if it is complete, through `handler`.
    pub fn serve(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        handler: impl FnOnce(&Request<'_>, Responder<'_>),
    ) -> Progress {
        let request = input.trim_ascii_start();
        self.begun = !request.is_empty();
        self.content =
            if request.starts_with(b"HEAD ") { Content::Withheld } else { Content::Sent };
        self.try_serve(input, output, handler).unwrap_or_else(|refusal| {
            self.close_with(&refusal, output);
            Progress::Close
        })
    }

    /// The deadline for the request has passed: 408, if one had begun (RFC 9110 §15.5.9).
    pub fn expired(&mut self, output: &mut Vec<u8>) {
        if self.begun {
            self.close_with(&Refusal::new(408, "the request did not arrive in time"), output);
        }
    }

    /// The handler panicked, and the server removed what it had written: 500.
    pub fn panicked(&mut self, output: &mut Vec<u8>) {
        self.close_with(&Refusal::new(500, "internal error"), output);
    }

    fn try_serve(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        handler: impl FnOnce(&Request<'_>, Responder<'_>),
    ) -> Result<Progress, Refusal> {
        // Its head was accepted before: nothing to parse until the body is complete.
        if let Some(body) = &mut self.body
            && body.end(input)?.is_none()
        {
            return Ok(Progress::NeedMore);
        }
        let mut slots = [const { MaybeUninit::uninit() }; head::HEADERS_MAX];
        let Some(head) = head::parse(input, self.caller, &mut slots)? else {
            return Ok(Progress::NeedMore);
        };
        let body = self.body.get_or_insert(head.body);
        let Some(end) = body.end(input)? else {
            // RFC 9110 §10.1.1. Reached once per request, and not if its length is refused.
            if head.expects_continue {
                output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            return Ok(Progress::NeedMore);
        };

        let request = Request { body: body.bytes(input), ..head.request };
        let manner = Manner { persistence: head.persistence, content: self.content };
        let response_start = output.len();
        let mut later = None;
        handler(&request, Responder { output, manner, later: &mut later, timing: None });
        if let Some(until) = later {
            return Ok(Progress::Later { until });
        }
        assert!(output.len() > response_start, "the handler sent no response");
        self.body = None;
        self.begun = false;
        match head.persistence {
            Persistence::Close => Ok(Progress::Close),
            Persistence::Keep | Persistence::KeepAndSaySo => Ok(Progress::Served { bytes: end }),
        }
    }

    fn close_with(&self, refusal: &Refusal, output: &mut Vec<u8>) {
        let manner = Manner { persistence: Persistence::Close, content: self.content };
        let body = error_body(refusal.status, &refusal.message);
        response::write(output, manner, refusal.status, &[], &body);
    }
}
