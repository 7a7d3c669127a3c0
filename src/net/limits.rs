//! The limits of a server: threads, connections, deadlines. Set by the service that starts it.

use std::time::Duration;

/// Who the clients of a server are. It decides who is accepted when open files run short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// Customers: they have to wait first.
    Customers,
    /// Other services, which customers must not block.
    Services,
}

/// The limits of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Worker threads, at least one.
    pub threads: usize,
    /// Open connections. Further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// How many of the files that this process may have open its connections must leave free.
    pub clients: Clients,
    /// For a whole request, from its first byte.
    pub request_deadline: Duration,
    /// For the next request to begin.
    pub idle_deadline: Duration,
    /// For the client to read an answer that did not fit into the kernel's buffers.
    pub write_deadline: Duration,
    /// Whether a thread stays with its session between two requests while there are enough threads:
    /// thread per session. If not, each turn ends with the answers to what was received: thread per
    /// request.
    pub stays: bool,
    /// Requests after which a session that always has another request goes to the end of the queue, if
    /// others wait.
    pub turn_requests_max: u32,
    /// How long a thread that stays waits for the next bytes before it parks the connection. It does not stay where
    /// the bytes before came after a longer silence. Not zero, because zero means no timeout for a socket.
    pub stay: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            threads: 10,
            connections_max: 12_000,
            clients: Clients::Customers,
            request_deadline: Duration::from_secs(10),
            idle_deadline: Duration::from_secs(300),
            write_deadline: Duration::from_secs(10),
            stays: true,
            turn_requests_max: 64,
            stay: Duration::from_millis(10),
        }
    }
}
