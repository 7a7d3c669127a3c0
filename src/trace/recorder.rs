//! Records the spans of one service, and decides which requests are sampled. Each service has one; its spans are read by
//! `GET /traces` and sent on by [`export`](super::export).
//!
//! A request that is not sampled costs one random number and one relaxed load, no lock and no memory.

use super::context::{Context, SpanId};
use super::ring::Ring;
use super::span::{Kind, Note, Span};
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// While somebody asks for the traces this often, every request is sampled.
const LOOKS: Duration = Duration::from_secs(10);

/// The spans of a service.
#[derive(Debug)]
pub struct Recorder {
    service: String,
    /// The share of requests that is sampled.
    sample: f64,
    started: Instant,
    started_unix: u64,
    /// Every request is sampled until then, in nanoseconds since the start.
    looked_at_until: AtomicU64,
    ring: Mutex<Ring>,
    /// To be sent elsewhere.
    export: OnceLock<Sender<Span>>,
    /// Spans that were not sent elsewhere.
    unsent: AtomicU64,
}

impl Recorder {
    /// The recorder of a service with this name, that samples this share of its requests.
    pub fn new(service: impl Into<String>, sample: f64) -> Arc<Recorder> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Arc::new(Recorder {
            service: service.into(),
            sample,
            started: Instant::now(),
            started_unix: nanos(since),
            looked_at_until: AtomicU64::new(0),
            ring: Mutex::default(),
            export: OnceLock::new(),
            unsent: AtomicU64::new(0),
        })
    }

    /// The service.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Whether a request that began at `start` is sampled, apart from what its caller says.
    pub(super) fn samples(&self, start: Instant) -> bool {
        self.is_looked_at(start) || self.sample > 0.0 && fastrand::f64() < self.sample
    }

    fn is_looked_at(&self, now: Instant) -> bool {
        let until = self.looked_at_until.load(Relaxed);
        until > 0 && self.since_start(now) < until
    }

    /// Somebody looks at the traces.
    pub fn looked_at(&self) {
        self.looked_at_until.store(self.since_start(Instant::now() + LOOKS), Relaxed);
    }

    fn since_start(&self, moment: Instant) -> u64 {
        nanos(moment.saturating_duration_since(self.started))
    }

    /// Keeps a span.
    pub(super) fn record(&self, part: Part<'_>) {
        let Part { context, parent, name, kind, start, end, error, notes } = part;
        let unix = |moment| self.started_unix + self.since_start(moment);
        let (start, end) = (unix(start), unix(end));
        let (trace, id) = (context.trace, context.span);
        let (name, notes) = (name.clone(), notes.to_vec());
        let span = Span { trace, id, parent, name, kind, start, end, error, notes };
        if let Some(export) = self.export.get()
            && export.try_send(span.clone()).is_err()
        {
            self.unsent.fetch_add(1, Relaxed);
        }
        self.ring.lock().push(span);
    }

    /// Reads the ring.
    pub fn read<T>(&self, read: impl FnOnce(&Ring) -> T) -> T {
        read(&self.ring.lock())
    }

    /// From now on spans are sent there, too. If it is full, they are dropped and counted.
    pub(super) fn export_to(&self, sender: Sender<Span>) {
        // There is one exporter, which is started once.
        self.export.set(sender).ok();
    }

    /// So many spans were not sent.
    pub(super) fn add_unsent(&self, spans: u64) {
        self.unsent.fetch_add(spans, Relaxed);
    }

    /// The number of spans that were dropped before anybody read them: from the ring, and on their way elsewhere.
    pub fn dropped(&self) -> (u64, u64) {
        (self.ring.lock().dropped(), self.unsent.load(Relaxed))
    }
}

/// A span, as it is recorded.
pub(super) struct Part<'a> {
    pub(super) context: Context,
    pub(super) parent: Option<SpanId>,
    pub(super) name: &'a Cow<'static, str>,
    pub(super) kind: Kind,
    pub(super) start: Instant,
    pub(super) end: Instant,
    pub(super) error: Option<String>,
    pub(super) notes: &'a [Note],
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
