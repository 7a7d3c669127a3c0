//! The names of the services: `catalog`, `catalog 2`, `order 3`, `frontend`, `frontend 2`.

use crate::model::{CatalogId, FrontendId, ReplicaId};
use std::fmt;

/// A service of the store, in the order of their start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceId {
    /// A catalog.
    Catalog(CatalogId),
    /// A replica of the order service.
    Order(ReplicaId),
    /// A front-end.
    Frontend(FrontendId),
}

impl ServiceId {
    /// The first catalog, which every store has.
    pub const FIRST_CATALOG: ServiceId = ServiceId::Catalog(CatalogId(1));

    /// The first front-end, which every store has.
    pub const FIRST_FRONT_END: ServiceId = ServiceId::Frontend(FrontendId(1));

    /// Parses the name of a service, or the number of a replica.
    pub fn named(text: &str) -> Option<ServiceId> {
        match text {
            "catalog" => Some(ServiceId::FIRST_CATALOG),
            name if name.starts_with("catalog ") => {
                Some(ServiceId::Catalog(CatalogId(name["catalog ".len()..].parse().ok()?)))
            }
            "frontend" | "front-end" => Some(ServiceId::FIRST_FRONT_END),
            name if name.starts_with("front") => {
                let number = name.strip_prefix("frontend ").or(name.strip_prefix("front-end "));
                Some(ServiceId::Frontend(FrontendId(number?.parse().ok()?)))
            }
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
            ServiceId::Catalog(CatalogId(1)) => f.pad("catalog"),
            ServiceId::Catalog(id) => f.pad(&format!("catalog {id}")),
            ServiceId::Order(id) => f.pad(&format!("order {id}")),
            ServiceId::Frontend(FrontendId(1)) => f.pad("frontend"),
            ServiceId::Frontend(id) => f.pad(&format!("frontend {id}")),
        }
    }
}
