//! The calling side of a service: persistent connections, deadlines, one retry.

use crate::error::Result;
use std::time::Instant;

/// Calls one server.
pub struct Rpc {
    address: String,
}

impl Rpc {
    /// A caller of the server at `address`; connects when first called.
    pub fn new(address: impl Into<String>) -> Rpc {
        Rpc { address: address.into() }
    }

    /// The server's host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends one frame payload and returns the payload of the answering frame. `abandoned` is
    /// asked every few milliseconds while waiting.
    pub fn call(
        &self,
        request: &[u8],
        deadline: Instant,
        abandoned: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>> {
        let _ = (request, deadline, abandoned);
        unimplemented!()
    }
}
