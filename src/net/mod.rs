//! Bytes, threads and sockets: the one server behind every service, and the frames they speak.
//! Knows no HTTP and no toy.
//!
//! ```text
//!                            the lobby
//!                 ┌──────────────────────────────┐
//!          accept │                              │ next    read, serve, write
//! poller ────────▶│ parked ──has bytes──▶ queued │──────▶ worker ───────────▶ client
//!                 │   ▲                      ▲   │           │
//!                 └───┼──────────────────────┼───┘           │
//!                     └── silent, or full ───┴─ turn is over ┘
//! ```
//!
//! A connection is in exactly one place at a time, parked, queued or with a worker, and whoever has
//! it owns it. So a connection needs no lock of its own.
//!
//! * [`server`]: what a protocol is, the limits of a server, starting and stopping one.
//! * `worker`: one turn of a thread with a connection: read, serve, write.
//! * `connection`: a socket, its unserved and unsent bytes, and what it waits for until when.
//! * `poller`: the thread that accepts, and moves connections from parked to queued.
//! * `files`: how many of the open files connections may take.
//! * `lobby`: where connections wait without a thread.
//! * `crowd`: whether connections outnumber threads.
//! * `watched`: a socket registered with the operating system's poller.
//! * `soon`: a read that looks a few times before it sleeps.
//! * `channel`: what lies between bytes and a socket: nothing, or `tls`.
//! * [`frame`]: a length and a payload, the unit in which services speak.
//! * [`target`]: a server, as its callers know it; connecting to it.
//! * [`rpc`]: the calling side: persistent connections, deadlines, one retry.
//! * [`transport`]: how one process talks to the services and is talked to: plainly or by TLS.

pub mod server;
mod worker;
mod connection;
mod poller;
mod files;
mod lobby;
mod crowd;
mod watched;
mod soon;
mod channel;
mod tls;
pub mod frame;
pub mod target;
pub mod rpc;
pub mod transport;

pub use channel::Way;
pub use rpc::Rpc;
pub use server::{Clients, Gauges, Limits, Progress, Protocol, Server, Watch};
pub use target::Target;
pub use transport::Transport;
