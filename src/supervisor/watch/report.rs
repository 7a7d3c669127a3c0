//! The status of a service of any kind. Read by [`watch`](super), stored by the board.

use crate::monitoring::status::{CatalogStatus, FrontendStatus, OrderStatus, Status};
use serde::Deserialize;

/// The status of any service.
pub type ServiceStatus = Status<Own>;

/// The part of the status that depends on the kind of service.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Own {
    Frontend(FrontendStatus),
    Order(OrderStatus),
    Catalog(CatalogStatus),
}

/// A status for tests.
#[cfg(test)]
pub fn example(own: Own) -> ServiceStatus {
    ServiceStatus {
        service: "a service".to_owned(),
        pid: 7,
        uptime_ms: 1,
        started_unix_ms: 0,
        memory_bytes: None,
        open_files: None,
        sessions: crate::monitoring::status::Sessions::default(),
        requests: vec![],
        traces: crate::monitoring::status::Traces::default(),
        events: vec![],
        own,
    }
}
