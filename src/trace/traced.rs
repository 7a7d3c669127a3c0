//! Something that is traced from its begin to its end: a sampled request of a customer, or what no request asks for. Made
//! by the front-end's sessions, the election, and the replicas that take office or catch up.

use super::context::{Context, SpanId, TraceId};
use super::recorder::{Part, Recorder};
use super::scope::Scope;
use super::span::{Kind, Note};
use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

/// A request that is sampled, or something that no request asks for, from its begin until it is dropped.
#[derive(Debug)]
pub struct Traced {
    recorder: Arc<Recorder>,
    context: Context,
    parent: Option<SpanId>,
    name: Cow<'static, str>,
    kind: Kind,
    start: Instant,
    error: Option<String>,
    notes: Vec<Note>,
}

impl Traced {
    /// A request that began at `start` and came with this `traceparent`. `None` if it is not sampled.
    pub fn request(
        recorder: &Arc<Recorder>,
        name: &'static str,
        traceparent: Option<&str>,
        start: Instant,
    ) -> Option<Traced> {
        let sent = traceparent.and_then(Context::parse);
        let is_sampled = sent.is_some_and(|(_, is_sampled)| is_sampled) || recorder.samples(start);
        let sent = sent.map(|(context, _)| context);
        is_sampled.then(|| Traced::begin(recorder, name, Kind::Request, sent, start))
    }

    /// Something that no request asks for began at `start`. It is always traced, because it is rare.
    pub fn background(recorder: &Arc<Recorder>, name: &'static str, start: Instant) -> Traced {
        Traced::begin(recorder, name, Kind::Background, None, start)
    }

    /// The same, in a trace that another service began.
    pub fn background_of(
        trace: Option<TraceId>,
        recorder: &Arc<Recorder>,
        name: &'static str,
        start: Instant,
    ) -> Traced {
        let mut traced = Traced::background(recorder, name, start);
        traced.context.trace = trace.unwrap_or(traced.context.trace);
        traced
    }

    fn begin(
        recorder: &Arc<Recorder>,
        name: &'static str,
        kind: Kind,
        sent: Option<Context>,
        start: Instant,
    ) -> Traced {
        let trace = sent.map_or_else(|| TraceId::of(fastrand::u128(..)), |sent| sent.trace);
        let context = Context { trace, span: SpanId::of(fastrand::u64(..)) };
        let (recorder, parent, name) = (recorder.clone(), sent.map(|sent| sent.span), name.into());
        let (error, notes) = (None, Vec::new());
        Traced { recorder, context, parent, name, kind, start, error, notes }
    }

    /// For what is done on its behalf.
    pub fn scope(&self) -> Scope {
        Scope::new(self.recorder.clone(), vec![self.context])
    }

    /// Its trace.
    pub fn trace(&self) -> TraceId {
        self.context.trace
    }

    /// Adds what is known of it.
    pub fn note(&mut self, name: &'static str, value: impl Display) {
        self.notes.push((name.into(), value.to_string()));
    }

    /// It failed, for this reason.
    pub fn fail(&mut self, why: impl Display) {
        self.error = Some(why.to_string());
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        let Traced { context, parent, ref name, kind, start, ref notes, .. } = *self;
        let (end, error) = (Instant::now(), self.error.take());
        self.recorder.record(Part { context, parent, name, kind, start, end, error, notes });
    }
}
