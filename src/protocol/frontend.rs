//! The messages of the front-end in frames. Customers use HTTP.

use serde::{Deserialize, Serialize};

/// On the peer address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method_name", rename_all = "snake_case")]
pub enum Peer {
    /// Is the front-end up? Sent by the health check of its container. Answer: `null`.
    HealthCheck,
}
