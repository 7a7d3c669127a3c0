//! What a server speaks: bytes in, bytes out. Services implement [`Protocol`]; `worker` calls it.

use super::channel::Caller;

/// What a server speaks, without any I/O: requests are cut out of bytes and answered into bytes.
///
/// `serve` runs on a worker thread and may block while it asks other services, but only with a
/// deadline. The other methods must be quick.
pub trait Protocol: Send + Sync + 'static {
    /// What one connection remembers between its requests.
    type Session: Send + 'static;

    /// The first bytes of a client are here.
    fn open(&self, caller: Caller) -> Self::Session;

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
    /// What was appended is the last that this connection says.
    Close,
}
