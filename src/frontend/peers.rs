//! The front-end's peer address, which is not for customers: how it is doing, as JSON for curl.

use super::election::Election;
use super::products::Products;
use crate::error::Error;
use crate::http::{Request, Responder};
use crate::protocol::port::Service;
use crate::protocol::status::FrontendStatus;
use crate::protocol::{answer, web};
use std::sync::Arc;

/// The peer address.
pub struct Peers {
    /// Whose view is shown.
    pub election: Arc<Election>,
    /// Whose cache is shown.
    pub products: Arc<Products>,
}

impl Peers {
    fn status(&self) -> FrontendStatus {
        FrontendStatus {
            view: self.election.view(),
            led: self.election.is_led(),
            cache: self.products.cache_status(),
        }
    }
}

impl Service for Peers {
    fn frame(&self, _: &[u8], output: &mut Vec<u8>) {
        answer::<()>(Err(Error::invalid("the front-end answers HTTP only")), output);
    }

    fn http(&self, request: &Request<'_>, path: &[&str], responder: Responder<'_>) -> u16 {
        match (request.method, path) {
            ("GET" | "HEAD", ["status"]) => web::respond(responder, &Ok(self.status())),
            ("GET" | "HEAD", ["health"]) => web::healthy(responder, "front-end"),
            (_, ["status" | "health"]) => web::wrong_method(responder, "GET, HEAD"),
            _ => web::no_such_path(responder),
        }
    }
}
