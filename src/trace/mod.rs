//! Traces: where the time of a request goes, in every service. `docs/tracing.md` shows what comes out.
//!
//! ```text
//!  request ─▶ recorder: sampled? ─▶ scope ─▶ steps and calls ─▶ spans ─▶ ring ◀── GET /traces ── collector
//!                                    │                            └────▶ export ─▶ OTLP
//!                                    └─ frames carry the contexts to the next service's scope
//! ```
//!
//! * [`context`] (pure): `traceparent`, in headers and frames.
//! * [`span`], [`ring`] (pure): what was done, and the last of it in each process.
//! * [`recorder`]: which requests are sampled; the spans of a service.
//! * [`scope`]: for which requests a thread works, and the steps of that work.
//! * [`traced`]: a request, or what no request asks for, from its begin to its end.
//! * [`trails`]: hands scopes over to the threads that pass entries on.
//! * [`timing`] (pure): the short form, `Server-Timing`.
//! * [`tree`], [`path`] (pure): the spans of all services put together, and the critical path.
//! * [`text`], [`chrome`] (pure): a trace for a terminal, and for Perfetto.
//! * [`export`]: sends spans elsewhere, as [`otlp`] (pure) writes them.

pub mod context;
pub mod span;
pub mod ring;
pub mod timing;
pub mod scope;
pub mod trails;
pub mod recorder;
pub mod traced;
pub mod tree;
pub mod path;
pub mod text;
pub mod chrome;
pub mod otlp;
pub mod export;

pub use recorder::Recorder;
pub use scope::Scope;
pub use span::{Kind, Span};
pub use traced::Traced;
