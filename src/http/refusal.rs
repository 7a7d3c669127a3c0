//! Why a request is refused before a handler sees it.

/// A status and a message for the customer. The connection closes after it, for where the next
/// request would begin is no longer sure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The status of the response.
    pub status: u16,
    /// What was found, and what was expected.
    pub message: String,
}

impl Refusal {
    /// A refusal with this status.
    pub(super) fn new(status: u16, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into() }
    }

    /// 400: not HTTP/1.1, or not without doubt.
    pub(super) fn malformed(message: impl Into<String>) -> Refusal {
        Refusal::new(400, message)
    }
}
