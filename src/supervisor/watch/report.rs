//! What a service says of itself, whichever kind of service it is. Read by [`watch`](super), shown by the board.

use crate::monitoring::status::{CatalogStatus, FrontendStatus, OrderStatus, Status};
use serde::Deserialize;

/// What a service says of itself.
pub type ServiceStatus = Status<Own>;

/// What only one kind of service says.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Own {
    Frontend(FrontendStatus),
    Order(OrderStatus),
    Catalog(CatalogStatus),
}

/// What a service might say, for tests.
#[cfg(test)]
pub fn said(own: Own) -> ServiceStatus {
    ServiceStatus {
        service: "a service".to_owned(),
        pid: 7,
        uptime_ms: 1,
        started_unix_ms: 0,
        memory_bytes: None,
        open_files: None,
        sessions: crate::monitoring::status::Sessions::default(),
        requests: vec![],
        events: vec![],
        own,
    }
}
