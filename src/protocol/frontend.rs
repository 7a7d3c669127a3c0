//! What the front-end is asked in frames. Customers speak HTTP to it.

use serde::{Deserialize, Serialize};

/// On the peer address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method_name", rename_all = "snake_case")]
pub enum Peer {
    /// Is the front-end up? Asked by whoever runs its container. Answer: `null`.
    HealthCheck,
}
