//! Health, status and metrics of a service, for people, the cluster page and Prometheus: `GET /health`, `/status` and
//! `/metrics`. The services provide the data, [`endpoint`](crate::endpoint) requests the pages.
//!
//! ```text
//!  endpoint ── GET /status, /metrics ──▶ monitor ──▶ requests   counted where they are answered
//!                                           │   └──▶ process    memory and open files
//!                                           ▼
//!                                        status ──▶ metrics ──▶ exposition
//! ```
//!
//! * [`monitor`]: the paths, and the complete status.
//! * [`requests`]: counts requests and their latencies.
//! * [`metrics`]: the metrics, all computed from the status; `exposition` writes Prometheus' format.
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
