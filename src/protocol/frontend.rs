//! The messages of the front-end in frames. Customers use HTTP.

use serde::{Deserialize, Serialize};

/// On the peer address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method_name", rename_all = "snake_case")]
pub enum Peer {
    /// Is the front-end up? Sent by the health check of its container. Answer: `null`.
    HealthCheck,
    /// Another front-end has started. Answer of the one that makes the views: the [`View`](crate::model::View) that was made
    /// for it.
    Join,
}
