//! Why a request is refused before a handler sees it.

/// A status and a message for the customer. The connection closes after it, because the start of the next
/// request is no longer certain.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The status of the response.
    pub status: u16,
    /// The fault, and what was expected.
    pub message: String,
}

impl Refusal {
    /// A refusal with this status.
    pub(super) fn new(status: u16, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into() }
    }

    /// 400: not valid HTTP/1.1, or ambiguous.
    pub(super) fn malformed(message: impl Into<String>) -> Refusal {
        Refusal::new(400, message)
    }
}
