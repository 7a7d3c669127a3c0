//! The front-end's peer address: health, status, metrics, and other front-ends that join. Not for customers.

use super::election::Election;
use super::products::Products;
use crate::endpoint::Handler;
use crate::http::{Request, Responder};
use crate::monitoring::status::{FrontendStatus, Kind};
use crate::monitoring::{Asked, Monitored};
use crate::protocol::frontend::Peer;
use crate::protocol::{answer, question, web};
use std::sync::Arc;

/// What is shown there.
pub struct Shown {
    /// Whose view.
    pub election: Arc<Election>,
    /// Whose cache.
    pub products: Arc<Products>,
}

impl Monitored for Shown {
    type Own = FrontendStatus;

    fn own(&self) -> FrontendStatus {
        FrontendStatus {
            view: self.election.view(),
            led: self.election.is_led(),
            controls: self.election.controls(),
            cache: self.products.cache_status(),
        }
    }

    fn healthy(&self, responder: Responder<'_>) -> u16 {
        web::healthy(responder, "front-end")
    }
}

/// The peer address: what every service says about itself, and other front-ends join.
pub struct Peers(pub Arc<Election>);

impl Handler for Peers {
    fn frame(&self, payload: &[u8], output: &mut Vec<u8>) -> Asked {
        let outcome = match question(payload) {
            Ok(Peer::HealthCheck) => answer(Ok(()), output),
            Ok(Peer::Join) => answer(self.0.join(), output),
            Err(error) => answer::<()>(Err(error), output),
        };
        Asked::one(Kind::Other, outcome)
    }

    fn http(&self, request: &Request<'_>, _: &[&str], responder: Responder<'_>) -> Asked {
        Asked::one(Kind::Other, web::no_such_path(request, responder, "GET, HEAD"))
    }
}
