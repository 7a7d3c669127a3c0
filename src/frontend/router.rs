//! Which request is for what: (method, path) → [`Route`]. Pure. The only place that knows URLs.

use crate::error::{Error, Result};
use crate::http::Request;
use crate::model::{OrderNumber, ToyName};
use crate::protocol::catalog::PAGE_TOYS_MAX;
use crate::protocol::web::order_number;
use std::borrow::Cow;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// `GET /products/<name>` or `GET /products?name=<name>`.
    Toy(Cow<'a, str>),
    /// `GET /products`, with `?after=<name>` or `&limit=<number>` or both for a page of it (F10).
    Toys {
        /// The toys that follow this one; `None` for the first.
        after: Option<ToyName>,
        /// At most so many.
        limit: usize,
    },
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

impl Route<'_> {
    /// The name of the route in traces; `None` for what is not traced.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Route::Toy(_) => Some("GET /products/{name}"),
            Route::Toys { .. } => Some("GET /products"),
            Route::Buy => Some("POST /orders"),
            Route::Order(_) => Some("GET /orders/{number}"),
            _ => None,
        }
    }
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
        ("products", None) => products(request)?,
        ("orders" | "order", Some(number)) => Route::Order(order_number(&number)?),
        ("orders" | "order", None) if request.method == "POST" => Route::Buy,
        ("orders" | "order", None) => Route::WrongMethod("POST"),
        ("health", None) => Route::Health,
        ("", None) => Route::Page,
        ("assets", Some(file)) => Route::Asset(file),
        _ => Route::Nowhere,
    })
}

/// What `GET /products` asks for with its query: one toy, or a page of all.
fn products<'a>(request: &Request<'a>) -> Result<Route<'a>> {
    let (mut name, mut after, mut limit) = (None, None, None);
    for pair in request.query() {
        let (field, value) = pair?;
        let place = match &*field {
            "name" => &mut name,
            "after" => &mut after,
            "limit" => &mut limit,
            _ => return Err(unexpected(&field)),
        };
        if place.replace(value).is_some() {
            return Err(unexpected(&field));
        }
    }
    match (name, after, limit) {
        (Some(name), None, None) => Ok(Route::Toy(name)),
        (Some(_), _, _) => Err(unexpected("name")),
        (None, after, limit) => Ok(Route::Toys {
            after: after.map(|name| ToyName::try_from(name.into_owned())).transpose()?,
            limit: limit.map_or(Ok(PAGE_TOYS_MAX), |text| page_limit(&text))?,
        }),
    }
}

fn unexpected(field: &str) -> Error {
    let why = "expected name alone, or after and limit, each at most once";
    Error::invalid(format!("query field {field:?}, {why}"))
}

/// How many toys a page has.
fn page_limit(text: &str) -> Result<usize> {
    text.parse().ok().filter(|limit| (1..=PAGE_TOYS_MAX).contains(limit)).ok_or_else(|| {
        let why = format!("expected a whole number from 1 to {PAGE_TOYS_MAX}");
        Error::invalid(format!("limit is {text:?}, {why}"))
    })
}
