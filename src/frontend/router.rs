//! Which request is for what: (method, path) → [`Route`]. Pure. The only place that knows URLs.

use crate::error::{Error, Result};
use crate::http::Request;
use crate::model::OrderNumber;
use crate::protocol::web::order_number;
use std::borrow::Cow;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `GET /products/<name>` or `GET /products?name=<name>`.
    Toy(Cow<'a, str>),
    /// `GET /products`.
    Toys,
    /// `POST /orders` or `POST /order`.
    Buy,
    /// `GET /orders/<number>` or `GET /order/<number>`.
    Order(OrderNumber),
    /// `GET /health`.
    Health,
    /// `GET /`.
    Page,
    /// `GET /assets/<file>`, a file that the page needs.
    Asset(Cow<'a, str>),
    /// Nothing is there.
    Nowhere,
    /// Something is there, but for these methods only.
    WrongMethod(&'static str),
}

const READ: &str = "GET, HEAD";

/// Finds the route of a request. An error if its path or query cannot be decoded.
pub fn route<'a>(request: &Request<'a>) -> Result<Route<'a>> {
    let reads = matches!(request.method, "GET" | "HEAD");
    let mut segments = request.segments();
    let first = segments.next().transpose()?.unwrap_or_default();
    let second = segments.next().transpose()?;
    if segments.next().is_some() {
        return Ok(Route::Nowhere);
    }
    Ok(match (&*first, second) {
        ("products", _) | ("health" | "", None) | ("orders" | "order" | "assets", Some(_))
            if !reads =>
        {
            Route::WrongMethod(READ)
        }
        ("products", Some(name)) => Route::Toy(name),
        ("products", None) => named(request)?.map_or(Route::Toys, Route::Toy),
        ("orders" | "order", Some(number)) => Route::Order(order_number(&number)?),
        ("orders" | "order", None) if request.method == "POST" => Route::Buy,
        ("orders" | "order", None) => Route::WrongMethod("POST"),
        ("health", None) => Route::Health,
        ("", None) => Route::Page,
        ("assets", Some(file)) => Route::Asset(file),
        _ => Route::Nowhere,
    })
}

/// The toy that the query names, if any.
fn named<'a>(request: &Request<'a>) -> Result<Option<Cow<'a, str>>> {
    let mut found = None;
    for pair in request.query() {
        match pair? {
            (field, name) if field == "name" && found.is_none() => found = Some(name),
            (field, _) => {
                return Err(Error::invalid(format!("query field {field:?}, expected name, once")));
            }
        }
    }
    Ok(found)
}
