//! Answers `GET /health`, `/status`, `/metrics` and `/traces` for every service. The only place that
//! knows these paths; [`endpoint`](crate::endpoint) calls it first.

use super::metrics::{self, Measured};
use super::process;
use super::requests::RequestMetrics;
use super::status::{Kind, Sessions, Status};
use crate::diagnostics;
use crate::error::{Error, Result};
use crate::http::{Request, Responder};
use crate::net::Watch;
use crate::protocol::web;
use crate::trace::Recorder;
use crate::trace::Span;
use crate::trace::context::TraceId;
use serde::Serialize;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The most requests in an answer to `GET /traces`.
const TRACES_MAX: usize = 1_000;

/// The part of the monitoring that each service implements.
pub trait Monitored: Send + Sync + 'static {
    /// The part of its status that only this kind of service has.
    type Own: Serialize + Measured;

    /// Its status. Must not wait for anything that customers wait for.
    fn own(&self) -> Self::Own;

    /// Answers `GET /health`: that it is up. Returns the status of the response.
    fn healthy(&self, responder: Responder<'_>) -> u16;
}

/// Collects the status of a service.
pub struct Monitor<M> {
    recorder: Arc<Recorder>,
    monitored: Arc<M>,
    requests: Arc<RequestMetrics>,
    /// The server of the request address, once it has started.
    server: OnceLock<Watch>,
    started: Instant,
    started_at: SystemTime,
}

/// The pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// Whether the service is up.
    Health,
    /// Everything, as JSON.
    Status,
    /// The numbers, for Prometheus.
    Metrics,
    /// Where the time of the last requests went.
    Traces,
    /// All spans of one request.
    Trace(TraceId),
}

impl Page {
    /// The page at this path, if it is one.
    pub fn at(path: &[&str]) -> Option<Page> {
        match path {
            ["health"] => Some(Page::Health),
            ["status"] => Some(Page::Status),
            ["metrics"] => Some(Page::Metrics),
            ["traces"] => Some(Page::Traces),
            ["traces", id] => id.parse().ok().map(Page::Trace),
            _ => None,
        }
    }
}

impl<M: Monitored> Monitor<M> {
    /// The monitor of a service with this recorder, whose request address answers these kinds of requests.
    pub fn new(recorder: Arc<Recorder>, monitored: Arc<M>, kinds: &'static [Kind]) -> Monitor<M> {
        Monitor {
            recorder,
            monitored,
            requests: Arc::new(RequestMetrics::new(kinds)),
            server: OnceLock::new(),
            started: Instant::now(),
            started_at: SystemTime::now(),
        }
    }

    /// The server of the request address has started. The peer address opens first and may be called before this;
    /// until then the status shows no threads and no connections.
    pub fn watch(&self, server: Watch) {
        // There is one, which starts once.
        self.server.set(server).ok();
    }

    /// Where requests at the request address are to be counted.
    pub fn requests(&self) -> Arc<RequestMetrics> {
        Arc::clone(&self.requests)
    }

    /// Where the spans of the service are recorded.
    pub fn recorder(&self) -> &Arc<Recorder> {
        &self.recorder
    }

    /// Answers a request for a page. Returns the status of the response.
    pub fn show(&self, page: Page, request: &Request<'_>, responder: Responder<'_>) -> u16 {
        match (request.method, page) {
            ("GET" | "HEAD", Page::Health) => self.monitored.healthy(responder),
            ("GET" | "HEAD", Page::Status) => web::respond(responder, &Ok(self.status())),
            ("GET" | "HEAD", Page::Metrics) => {
                let text = metrics::text(&self.status());
                responder.send(200, &[("Content-Type", metrics::CONTENT_TYPE)], text.as_bytes());
                200
            }
            ("GET" | "HEAD", Page::Traces) => web::respond(responder, &Ok(self.traces())),
            ("GET" | "HEAD", Page::Trace(id)) => {
                let spans = meanwhile(request)
                    .map(|between| self.recorder.read(|ring| ring.trace(id, between)));
                web::respond(responder, &spans)
            }
            _ => web::wrong_method(request, responder, "GET, HEAD"),
        }
    }

    /// The newest requests that are traced. While somebody asks for them, all requests are.
    fn traces(&self) -> Vec<Span> {
        self.recorder.looked_at();
        self.recorder.read(|ring| ring.outermost(TRACES_MAX))
    }

    fn status(&self) -> Status<M::Own> {
        let sessions = self.server.get().map_or_else(Sessions::default, |gauges| gauges().into());
        let started = self.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Status {
            service: self.recorder.service().to_owned(),
            pid: std::process::id(),
            started_unix_ms: millis(started),
            uptime_ms: millis(self.started.elapsed()),
            memory_bytes: process::memory_bytes(),
            open_files: process::open_files(),
            sessions,
            requests: self.requests.requests(),
            traces: self.recorder.dropped().into(),
            events: diagnostics::events(),
            own: self.monitored.own(),
        }
    }
}

/// From when to when a trace was, so that what happened meanwhile is shown with it: `?from=<ns>&to=<ns>`.
fn meanwhile(request: &Request<'_>) -> Result<(u64, u64)> {
    let mut between = (0, 0);
    for pair in request.query() {
        let (field, value) = pair?;
        let moment = match &*field {
            "from" => &mut between.0,
            "to" => &mut between.1,
            _ => return Err(Error::invalid(format!("query field {field:?}, expected from or to"))),
        };
        let why =
            || Error::invalid(format!("{field} is {value:?}, expected nanoseconds since 1970"));
        *moment = value.parse().map_err(|_| why())?;
    }
    Ok(between)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
