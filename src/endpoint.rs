//! An endpoint: an address of a service that accepts frames and, for requests by hand, HTTP. The first byte
//! shows which: a frame begins with its length, which is below 2^24, so with a zero byte; HTTP begins with a letter.
//! Called by the server of the address.
//!
//! Health, status, metrics and traces are answered by the [`Monitor`]. At the request address every
//! request is counted, at the peer address none: that is traffic between services.

use crate::error::Result;
use crate::http::{Http1, Request, Responder};
use crate::monitoring::monitor::{Monitor, Monitored, Page};
use crate::monitoring::requests::{Asked, RequestMetrics};
use crate::monitoring::status::{Kind, Outcome};
use crate::net::{Caller, Progress, Protocol, frame};
use crate::protocol::{self, web};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

/// The answers of a service at one of its addresses.
pub trait Handler: Send + Sync + 'static {
    /// Answers a frame: its payload is the request; the payload of the answer is appended to `answer`.
    fn frame(&self, question: &[u8], answer: &mut Vec<u8>) -> Asked;

    /// Answers an HTTP request; `path` has the decoded segments of its path.
    fn http(&self, request: &Request<'_>, path: &[&str], responder: Responder<'_>) -> Asked;
}

/// The protocol of a service's address.
pub struct Endpoint<H, M> {
    handler: H,
    monitor: Arc<Monitor<M>>,
    /// Where requests are counted; `None` at a peer address.
    requests: Option<Arc<RequestMetrics>>,
}

impl<H: Handler, M: Monitored> Endpoint<H, M> {
    /// A request address.
    pub fn requests(handler: H, monitor: Arc<Monitor<M>>) -> Endpoint<H, M> {
        let requests = Some(monitor.requests());
        Endpoint { handler, monitor, requests }
    }

    /// A peer address.
    pub fn peers(handler: H, monitor: Arc<Monitor<M>>) -> Endpoint<H, M> {
        Endpoint { handler, monitor, requests: None }
    }

    fn http(&self, request: &Request<'_>, responder: Responder<'_>) -> Asked {
        let segments: Result<Vec<_>> = request.segments().collect();
        let segments = match segments {
            Ok(segments) => segments,
            Err(error) => return Asked::one(Kind::Other, web::refuse(responder, &error)),
        };
        let path: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
        match Page::at(&path) {
            Some(page) => Asked::one(Kind::Other, self.monitor.show(page, request, responder)),
            None => self.handler.http(request, &path, responder),
        }
    }

    fn frame(
        &self,
        input: &[u8],
        output: &mut Vec<u8>,
        queued: Option<Instant>,
    ) -> (Progress, Option<Asked>) {
        let (question, progress) = match frame::split(input) {
            Ok(None) => return (Progress::NeedMore, None),
            Ok(Some((question, bytes))) => (Ok(question), Progress::Served { bytes }),
            Err(error) => (Err(error), Progress::Close),
        };
        let mut asked = None;
        let answered = frame::put(output, |answer| {
            asked = Some(match question {
                Ok(question) => {
                    let _traced = protocol::answering(question, queued, self.monitor.recorder());
                    self.handler.frame(question, answer)
                }
                Err(error) => Asked::one(Kind::Other, protocol::answer::<()>(Err(error), answer)),
            });
            Ok(())
        });
        (if answered.is_ok() { progress } else { Progress::Close }, asked)
    }
}

impl<H: Handler, M: Monitored> Protocol for Endpoint<H, M> {
    type Session = Http1;

    fn open(&self, caller: Caller, _: Waker) -> Http1 {
        Http1::new(caller)
    }

    fn serve(
        &self,
        http: &mut Http1,
        input: &[u8],
        output: &mut Vec<u8>,
        queued: Option<Instant>,
    ) -> Progress {
        let started = Instant::now();
        let (progress, asked) = if input[0] == 0 {
            self.frame(input, output, queued)
        } else {
            let mut asked = None;
            let progress = http.serve(input, output, |request, responder| {
                asked = Some(self.http(request, responder));
            });
            (progress, asked)
        };
        // A malformed request was refused by HTTP, which closes the connection.
        let refused =
            (progress == Progress::Close).then(|| Asked::one(Kind::Other, Outcome::Refused));
        if let Some(requests) = &self.requests
            && let Some(asked) = asked.or(refused)
        {
            requests.count(asked, started.elapsed());
        }
        progress
    }

    fn expired(&self, http: &mut Http1, output: &mut Vec<u8>) {
        http.expired(output);
    }

    fn panicked(&self, http: &mut Http1, output: &mut Vec<u8>) {
        http.panicked(output);
    }
}
