//! What a service tells about itself, to people, to the cluster page and to Prometheus: `GET /health`, `/status` and
//! `/metrics`. The services fill it, [`endpoint`](crate::endpoint) asks it.
//!
//! ```text
//!  endpoint ── GET /status, /metrics ──▶ monitor ──▶ requests   counted where they are answered
//!                                           │   └──▶ process    what the system knows of this process
//!                                           ▼
//!                                        status ──▶ metrics ──▶ exposition
//! ```
//!
//! * [`monitor`]: decides the paths, and puts the status together.
//! * [`requests`]: counts requests and their latencies.
//! * [`metrics`]: the metrics, all computed from the status; `exposition` has Prometheus' spelling.
//! * [`status`]: the status of each kind of service.
//! * `process`: memory and open files.

pub mod monitor;
pub mod requests;
pub mod metrics;
mod exposition;
pub mod status;
mod process;

pub use monitor::{Monitor, Monitored};
pub use requests::{Asked, RequestMetrics};
