//! What a server speaks: bytes in, bytes out. Services implement [`Protocol`]; `worker` calls it.

use super::channel::Caller;
use std::task::Waker;
use std::time::Instant;

/// What a server speaks, without any I/O: requests are cut out of bytes and answered into bytes.
///
/// `serve` runs on a worker thread and may block while it asks other services, but only with a
/// deadline. It may also answer later ([`Progress::Later`]): then the request waits without a thread. The
/// other methods must be quick.
pub trait Protocol: Send + Sync + 'static {
    /// What one connection remembers between its requests.
    type Session: Send + 'static;

    /// The first bytes of a client are here. `waker` is for answers that come later.
    fn open(&self, caller: Caller, waker: Waker) -> Self::Session;

    /// Answers the first request in `input` if it is whole, by appending to `output`. Never called
    /// with an empty `input`, and after [`Progress::NeedMore`] only once there are more bytes.
    fn serve(&self, session: &mut Self::Session, input: &[u8], output: &mut Vec<u8>) -> Progress;

    /// A request did not arrive whole within its deadline. Last words may be appended before the
    /// connection is closed.
    fn expired(&self, session: &mut Self::Session, output: &mut Vec<u8>);

    /// `serve` panicked; what it had appended is gone. Last words may be appended before the
    /// connection is closed.
    fn panicked(&self, session: &mut Self::Session, output: &mut Vec<u8>);
}

/// What became of the bytes given to [`Protocol::serve`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// They hold no whole request yet. Something may have been appended all the same, such as
    /// HTTP's `100 Continue`; it is sent at once.
    NeedMore,
    /// The first `bytes` of them were a request, and its answer was appended.
    Served {
        /// Where the next request begins. At least 1.
        bytes: usize,
    },
    /// The first of them is a whole request, and its answer is not there yet. `serve` is called with the
    /// same bytes, and perhaps more, once the session's waker is woken, or at `until`; perhaps without a
    /// reason, too. What was appended is sent at once.
    Later {
        /// When to call in any case.
        until: Instant,
    },
    /// What was appended is the last that this connection says.
    Close,
}
