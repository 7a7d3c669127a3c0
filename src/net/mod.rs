//! Bytes, threads and sockets: the one server behind every service, and the frames they speak.
//! Knows no HTTP and no toy.
//!
//! ```text
//!                            the scheduler
//!                   ┌──────────────────────────────┐
//!            accept │         a worker polls       │ next    read, serve, write
//! acceptor ────────▶│ parked ──has bytes──▶ queued │──────▶ worker ───────────▶ client
//!                   │   ▲                      ▲   │           │
//!                   └───┼──────────────────────┼───┘           │
//!                       └── silent, or full ───┴─ turn is over ┘
//! ```
//!
//! A connection is in exactly one place at a time, parked, queued or with a worker, and whoever has
//! it owns it. So a connection needs no lock of its own. No file imports one that imports it; in the order
//! of reading, from the top:
//!
//! * [`server`]: starting and stopping one.
//! * `acceptor`: the thread that accepts, and looks for connections that waited too long.
//! * `worker`: one turn of a thread with a connection: read, serve, write.
//! * `scheduler`: where connections wait without a thread, and which worker polls.
//! * [`listeners`]: listening at every address that a host has.
//! * `saturation`: whether connections outnumber threads.
//! * `connection`: a socket, its unserved and unsent bytes, and what it waits for until when.
//! * [`protocol`]: what a server speaks: requests are bytes in, answers bytes out.
//! * [`limits`]: threads, connections and deadlines of a server.
//! * `file_limit`: how many of the open files connections may take.
//! * `watched`: a socket registered with the operating system's poller.
//!
//! The calling side:
//!
//! * [`transport`]: how one process talks to the services and is talked to: plainly or by TLS.
//! * [`rpc`]: the calling side: persistent connections, deadlines, one retry.
//! * [`frame`]: a length and a payload, the unit in which services speak.
//! * [`target`]: a server, as its callers know it; connecting to it.
//!
//! Both sides:
//!
//! * [`resolver`]: what names mean, with a deadline.
//! * `channel`: what lies between bytes and a socket: nothing, or `tls`.
//! * `socket`: a read that looks a few times before it sleeps.

mod acceptor;
mod channel;
mod connection;
mod file_limit;
pub mod frame;
pub mod limits;
pub mod listeners;
pub mod protocol;
pub mod resolver;
pub mod rpc;
mod saturation;
mod scheduler;
pub mod server;
mod socket;
pub mod target;
mod tls;
pub mod transport;
mod watched;
mod worker;

pub use channel::{Caller, Way};
pub use limits::{Clients, Limits};
pub use protocol::{Progress, Protocol};
pub use resolver::Resolver;
pub use rpc::Rpc;
pub use scheduler::Gauges;
pub use server::{Server, Watch};
pub use target::Target;
pub use transport::Transport;
