//! The names of the services: `catalog`, `order 3`, `frontend`.

use crate::model::ReplicaId;
use std::fmt;

/// A service of the store, in the order of their start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceId {
    /// The catalog.
    Catalog,
    /// A replica of the order service.
    Order(ReplicaId),
    /// The front-end.
    Frontend,
}

impl ServiceId {
    /// Parses the name of a service, or the number of a replica.
    pub fn named(text: &str) -> Option<ServiceId> {
        match text {
            "catalog" => Some(ServiceId::Catalog),
            "frontend" | "front-end" => Some(ServiceId::Frontend),
            replica => {
                let number = replica.strip_prefix("order ").unwrap_or(replica).parse().ok()?;
                Some(ServiceId::Order(ReplicaId(number)))
            }
        }
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceId::Catalog => f.pad("catalog"),
            ServiceId::Order(id) => f.pad(&format!("order {id}")),
            ServiceId::Frontend => f.pad("frontend"),
        }
    }
}
