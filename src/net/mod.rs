//! Bytes, threads, sockets (a stand-in until the branch `net` is merged).

/// What became of the bytes that a connection was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not a whole request yet; output appended so far is flushed.
    NeedMore,
    /// The first `bytes` of the input are answered; go on with the rest.
    Served {
        /// How many bytes of the input were used up.
        bytes: usize,
    },
    /// The answer, if any, is in the output; flush and close.
    Close,
}
