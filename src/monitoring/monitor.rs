//! Answers `GET /health`, `/status` and `/metrics` for every service. The only place that
//! knows these paths; [`endpoint`](crate::endpoint) calls it first.

use super::metrics::{self, Measured};
use super::process;
use super::requests::RequestMetrics;
use super::status::{Kind, Sessions, Status};
use crate::http::{Request, Responder};
use crate::net::Watch;
use crate::protocol::web;
use crate::trace;
use serde::Serialize;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
    service: String,
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
}

impl Page {
    /// The page at this path, if it is one.
    pub fn at(path: &[&str]) -> Option<Page> {
        match path {
            ["health"] => Some(Page::Health),
            ["status"] => Some(Page::Status),
            ["metrics"] => Some(Page::Metrics),
            _ => None,
        }
    }
}

impl<M: Monitored> Monitor<M> {
    /// The monitor of a service with this name, whose request address answers these kinds of requests.
    pub fn new(
        service: impl Into<String>,
        monitored: Arc<M>,
        kinds: &'static [Kind],
    ) -> Monitor<M> {
        Monitor {
            service: service.into(),
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
            _ => web::wrong_method(request, responder, "GET, HEAD"),
        }
    }

    fn status(&self) -> Status<M::Own> {
        let sessions = self.server.get().map_or_else(Sessions::default, |gauges| gauges().into());
        let started = self.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Status {
            service: self.service.clone(),
            pid: std::process::id(),
            started_unix_ms: millis(started),
            uptime_ms: millis(self.started.elapsed()),
            memory_bytes: process::memory_bytes(),
            open_files: process::open_files(),
            sessions,
            requests: self.requests.requests(),
            events: trace::events(),
            own: self.monitored.own(),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
