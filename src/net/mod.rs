//! Bytes, threads and sockets: the one server behind every service, and the frames they speak.
//! Knows no HTTP and no toy.
//!
//! ```text
//!            accept                 ready queue                 serve, write
//! listener ─────────▶ poller ─────────────────────▶ workers ─────────────────▶ client
//!                       ▲   a connection with bytes    │
//!                       └──────────────────────────────┘
//!                         park: silent, or cannot be written to
//! ```
//!
//! * [`server`]: what a protocol is, the limits of a server, starting and stopping one.
//! * `poller`: the thread that accepts, watches parked connections and hands the ready ones out.
//! * `worker`: one turn of a thread with a connection: read, serve, write.
//! * `connection`: a socket with its unread and unwritten bytes and its deadline.
//! * `watch`: a socket registered with the operating system's poller.
//! * [`frame`]: a length and a payload, the unit in which services speak.
//! * [`rpc`]: the calling side: persistent connections, deadlines, one retry.

mod connection;
mod poller;
mod watch;
mod worker;
pub mod frame;
pub mod rpc;
pub mod server;

pub use rpc::Rpc;
pub use server::{Gauges, Limits, Progress, Protocol, Server};
