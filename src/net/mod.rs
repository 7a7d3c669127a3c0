//! Bytes, threads and sockets: the server that all services use, and the frames that they exchange.
//! Knows neither HTTP nor toys.
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
//! A connection is in exactly one place at a time: parked, queued, or with a worker. That place owns it, so a
//! connection needs no lock. No file imports one that imports it. In the order of reading, from the top:
//!
//! * [`server`]: starting and stopping one.
//! * `acceptor`: the thread that accepts, and closes connections that waited too long.
//! * `worker`: one turn of a thread with a connection: read, serve, write.
//! * `scheduler`: where connections wait without a thread, and which worker polls.
//! * [`listeners`]: listening at every address that a host has.
//! * `saturation`: whether connections outnumber threads.
//! * `connection`: a socket, its unserved and unsent bytes, what it waits for, and until when.
//! * [`protocol`]: the protocol of a server: bytes of requests in, bytes of answers out.
//! * [`limits`]: threads, connections and deadlines of a server.
//! * `file_limit`: how many of the open files connections may use.
//! * `watched`: a socket registered with the operating system's poller.
//!
//! The calling side:
//!
//! * [`transport`]: how one process calls services and is called: by plain TCP or by TLS.
//! * [`rpc`]: calls: persistent connections, deadlines, one retry.
//! * [`frame`]: a length and a payload, the unit of messages between services.
//! * [`target`]: the address and identity of a server; connecting to it.
//!
//! Both sides:
//!
//! * [`resolver`]: looks names up, with a deadline.
//! * `channel`: plain, or `tls`, between bytes and a socket.
//! * `socket`: a read that checks for bytes a few times before it sleeps.

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

pub use channel::{Caller, Scheme};
pub use limits::{Clients, Limits};
pub use protocol::{Progress, Protocol};
pub use resolver::Resolver;
pub use rpc::Rpc;
pub use scheduler::Gauges;
pub use server::{Server, Watch};
pub use target::Target;
pub use transport::Transport;
