//! The protocol of a server: bytes in, bytes out. Services implement [`Protocol`]; `worker` calls it.

use super::channel::Caller;
use std::task::Waker;
use std::time::Instant;

/// The protocol of a server, without any I/O: it parses requests from bytes and appends answers to bytes.
///
/// `serve` runs on a worker thread and may block while it asks other services, but only with a
/// deadline, and announced by [`Blocking`](crate::blocking::Blocking). It may also answer later ([`Progress::Later`]): then the request waits without a thread. The
/// other methods must be quick.
pub trait Protocol: Send + Sync + 'static {
    /// What is kept for one connection between its requests.
    type Session: Send + 'static;

    /// The first bytes of a client have arrived. `waker` is for answers that come later.
    fn open(&self, caller: Caller, waker: Waker) -> Self::Session;

    /// Answers the first request in `input` if it is complete, by appending to `output`. Never called
    /// with an empty `input`, and after [`Progress::NeedMore`] only once there are more bytes. `queued`: since when
    /// the connection waited for a thread; `None` if a thread was with it when the bytes came.
    fn serve(
        &self,
        session: &mut Self::Session,
        input: &[u8],
        output: &mut Vec<u8>,
        queued: Option<Instant>,
    ) -> Progress;

    /// A request did not arrive completely within its deadline. A final response may be appended before the
    /// connection is closed.
    fn expired(&self, session: &mut Self::Session, output: &mut Vec<u8>);

    /// `serve` panicked; what it had appended was removed. A final response may be appended before the
    /// connection is closed.
    fn panicked(&self, session: &mut Self::Session, output: &mut Vec<u8>);
}

/// The result of [`Protocol::serve`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The bytes hold no complete request yet. Something may have been appended, such as
    /// HTTP's `100 Continue`; it is sent at once.
    NeedMore,
    /// The first `bytes` of them were a request, and its answer was appended.
    Served {
        /// Where the next request begins. At least 1.
        bytes: usize,
    },
    /// The first of them are a complete request, and its answer comes later. `serve` is called again with the
    /// same bytes, and perhaps more, when the session's waker is woken, or at `until`, and possibly without
    /// either. What was appended is sent at once.
    Later {
        /// When to call at the latest.
        until: Instant,
    },
    /// What was appended is the final response of this connection.
    Close,
}
