//! For which sampled requests a thread works, and the steps of that work. A thread that works for none has no scope, and
//! its steps do nothing: they do not read the clock.
//!
//! A request enters its scope at the thread that serves it. Where another thread continues (a batch of purchases, the
//! senders to the followers), the scope is handed over. Several requests may be served by one step: then each gets a span
//! of its own, with the same times.

use super::context::{Context, SpanId, TraceId};
use super::recorder::{Part, Recorder};
use super::span::{Kind, Note};
use super::timing::Took;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A shorter wait, for a thread or the disk, is none: what it waits for was there already.
const WAIT_MIN: Duration = Duration::from_micros(20);

thread_local! {
    static CURRENT: RefCell<Option<Scope>> = const { RefCell::new(None) };
    static TOOK: Cell<Took> = const { Cell::new(Took { order: 0, catalog: 0, disk: 0 }) };
    /// Since when this thread answers a traced frame.
    static ANSWERING: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The requests, each with the span that the next ones hang under.
#[derive(Debug, Clone)]
pub struct Scope {
    recorder: Arc<Recorder>,
    parents: Vec<Context>,
}

/// The scope of this thread.
pub fn current() -> Option<Scope> {
    CURRENT.with_borrow(Clone::clone)
}

/// What was learned since [`Scope::enter`] or the last call of this.
pub fn take_took() -> Took {
    TOOK.take()
}

/// The same so far; `None` if this thread works for no sampled request.
pub fn took() -> Option<Took> {
    CURRENT.with_borrow(Option::is_some).then(|| TOOK.get())
}

/// Another service, or another thread, said where time went.
pub fn add_took(more: Took) {
    let mut took = TOOK.get();
    took += more;
    TOOK.set(took);
}

/// What the answer to a traced frame says; `None` if this thread answers none.
pub fn answering() -> Option<Took> {
    let begun = ANSWERING.get()?;
    let nanos = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let mut took = TOOK.get();
    CURRENT.with_borrow(|scope| {
        took +=
            Took::in_service(scope.as_ref().map_or("", |scope| scope.recorder.service()), nanos);
    });
    Some(took)
}

impl Scope {
    /// Work at a service for these.
    pub fn new(recorder: Arc<Recorder>, parents: Vec<Context>) -> Scope {
        Scope { recorder, parents }
    }

    /// Work for all requests of these scopes, of one service; `None` if there is none.
    pub fn together(scopes: impl IntoIterator<Item = Scope>) -> Option<Scope> {
        scopes.into_iter().reduce(|mut all, scope| {
            all.parents.extend(scope.parents);
            all
        })
    }

    /// The trace of the first.
    pub fn trace(&self) -> Option<TraceId> {
        self.parents.first().map(|context| context.trace)
    }

    /// From now on this thread works for them.
    pub fn enter(self) -> Entered {
        TOOK.take();
        Entered { before: CURRENT.replace(Some(self)) }
    }

    /// Records a step that another thread did, or that was known to be one only later. Returns its spans.
    pub fn record(
        &self,
        name: &'static str,
        kind: Kind,
        start: Instant,
        notes: &[Note],
    ) -> Vec<Context> {
        let end = Instant::now();
        if kind == Kind::Wait && end.saturating_duration_since(start) < WAIT_MIN {
            return Vec::new();
        }
        let own = self.parts();
        for (parent, context) in self.parents.iter().zip(&own) {
            let (context, parent, name, error) = (*context, Some(parent.span), &name.into(), None);
            self.recorder.record(Part { context, parent, name, kind, start, end, error, notes });
        }
        own
    }

    /// New spans, one that hangs under each of the parents.
    fn parts(&self) -> Vec<Context> {
        let part = |parent: &Context| Context { span: SpanId::of(fastrand::u64(..)), ..*parent };
        self.parents.iter().map(part).collect()
    }

    /// Begins to answer a frame that came with this scope.
    pub fn answer(self, name: impl Into<Cow<'static, str>>) -> Step {
        TOOK.take();
        let before = CURRENT.replace(Some(self));
        let mut step = Step::begin(Kind::Request, true, || name.into());
        if let Some(open) = &mut step.0 {
            open.before = before;
            ANSWERING.set(Some(open.start));
        }
        step
    }
}

/// A thread that works for a scope. Dropping it ends that.
#[must_use = "the work ends when it is dropped"]
pub struct Entered {
    before: Option<Scope>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

/// A part of the work of this thread, until it is dropped.
#[must_use = "the step ends when it is dropped"]
pub struct Step(Option<Open>);

struct Open {
    scope: Scope,
    /// Its spans, one for each request.
    own: Vec<Context>,
    name: Cow<'static, str>,
    kind: Kind,
    start: Instant,
    error: Option<String>,
    notes: Vec<Note>,
    /// Whether the steps inside are parts of it; and then, the scope that comes after it.
    is_around: bool,
    before: Option<Scope>,
}

/// A step of this thread's work.
pub fn step(name: &'static str) -> Step {
    Step::begin(Kind::Step, true, || name.into())
}

/// A wait for another thread.
pub fn wait(name: &'static str) -> Step {
    Step::begin(Kind::Wait, true, || name.into())
}

/// A file is synced.
pub fn disk(name: &'static str) -> Step {
    Step::begin(Kind::Disk, true, || name.into())
}

/// A call, at the same time as what this thread does until it is answered.
pub fn call(name: impl FnOnce() -> Cow<'static, str>) -> Step {
    Step::begin(Kind::Call, false, name)
}

impl Step {
    fn begin(kind: Kind, is_around: bool, name: impl FnOnce() -> Cow<'static, str>) -> Step {
        Step(CURRENT.with_borrow_mut(|current| {
            let scope = current.as_ref()?.clone();
            let own = scope.parts();
            let mut before = None;
            if is_around {
                before = current.replace(Scope::new(scope.recorder.clone(), own.clone()));
            }
            let (name, start, error, notes) = (name(), Instant::now(), None, Vec::new());
            Some(Open { scope, own, name, kind, start, error, notes, is_around, before })
        }))
    }

    /// The contexts to be sent with a call.
    pub fn contexts(&self) -> &[Context] {
        self.0.as_ref().map_or(&[], |open| &open.own)
    }

    /// Adds what is known of it.
    pub fn note(&mut self, name: &'static str, value: impl Display) {
        if let Some(open) = &mut self.0 {
            open.notes.push((name.into(), value.to_string()));
        }
    }

    /// It failed, if this is an error.
    pub fn outcome<T, E: Display>(&mut self, outcome: &Result<T, E>) {
        if let (Some(open), Err(error)) = (&mut self.0, outcome) {
            open.error = Some(error.to_string());
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        let Some(mut open) = self.0.take() else { return };
        let end = Instant::now();
        if open.is_around {
            CURRENT.set(open.before.take());
        }
        if open.kind == Kind::Request {
            ANSWERING.set(None);
        }
        let Open { scope, own, name, kind, start, error, notes, .. } = &open;
        let took = end.saturating_duration_since(*start);
        if matches!(*kind, Kind::Wait | Kind::Disk) && took < WAIT_MIN {
            return;
        }
        if *kind == Kind::Disk {
            let disk = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            add_took(Took { disk, ..Took::default() });
        }
        for (parent, context) in scope.parents.iter().zip(own) {
            let (parent, error) = (Some(parent.span), error.clone());
            let (context, kind, start) = (*context, *kind, *start);
            scope.recorder.record(Part { context, parent, name, kind, start, end, error, notes });
        }
    }
}
