//! The API of a store: requests as templates, where the answers have their values, and how a failure shows.
//! A preset has the requests of a common shape; what the file says overrides it.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The API.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// A common shape.
    #[serde(default)]
    preset: Preset,
    /// Where the front-end answers: `http://host:port`, perhaps with a path.
    pub url: String,
    query: Option<Query>,
    buy: Option<Buy>,
    look_up: Option<LookUp>,
    /// The header that carries the customer's key of a purchase.
    pub key: Option<String>,
    /// Headers of every request.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How a failure shows, if not by its status.
    pub failure: Option<Failure>,
    /// Which code each failure has; any will do if there is none.
    #[serde(default)]
    pub codes: Codes,
    /// The retries that a client must make.
    #[serde(default)]
    pub retries: Retries,
}

/// A common shape of the API.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Preset {
    /// `/products/{name}`
    #[default]
    Path,
    /// `/products?name={name}`
    Query,
    /// `/product/{name}`
    Singular,
}

/// A query of a toy.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// Method and path.
    pub request: String,
    /// Where the answer has the quantity.
    pub quantity: String,
}

/// A purchase.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buy {
    /// Method and path.
    pub request: String,
    /// JSON if it begins with a brace, else a form.
    #[serde(default)]
    pub body: String,
    /// Where the answer has the number of the order.
    pub number: String,
}

/// A look-up of an order.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookUp {
    /// Method and path.
    pub request: String,
    /// Where the answer has the name of the toy.
    pub name: String,
    /// Where it has the quantity.
    pub quantity: String,
}

/// A failure has a value at `code` that is not among `ok`, whatever its status.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Where the answer has the code.
    pub code: String,
    /// The codes of success.
    #[serde(default)]
    pub ok: Vec<i64>,
}

/// The codes of failures.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codes {
    /// A toy that does not exist.
    pub unknown_toy: Option<i64>,
    /// More than there is.
    pub not_enough: Option<i64>,
    /// An order that does not exist.
    pub unknown_order: Option<i64>,
    /// A quantity or body that makes no sense.
    pub malformed: Option<i64>,
}

/// The retries that a client must make.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// How often.
    pub times: u32,
    /// The pause before each, in milliseconds.
    #[serde(default)]
    pause_ms: u64,
}

impl Retries {
    /// The pause before each.
    pub fn pause(&self) -> Duration {
        Duration::from_millis(self.pause_ms)
    }
}

impl Api {
    /// Adds the requests of the preset that the file does not have, and checks all of them.
    pub(super) fn complete(&mut self) -> Result<(), String> {
        let (query, look_up) = match self.preset {
            Preset::Path => ("GET /products/{name}", "GET /orders/{number}"),
            Preset::Query => ("GET /products?name={name}", "GET /orders?number={number}"),
            Preset::Singular => ("GET /product/{name}", "GET /order/{number}"),
        };
        self.query.get_or_insert_with(|| Query {
            request: query.to_owned(),
            quantity: "/data/quantity".to_owned(),
        });
        self.buy.get_or_insert_with(|| Buy {
            request: "POST /orders".to_owned(),
            body: r#"{"name": "{name}", "quantity": {quantity}}"#.to_owned(),
            number: "/data/order_number".to_owned(),
        });
        self.look_up.get_or_insert_with(|| LookUp {
            request: look_up.to_owned(),
            name: "/data/name".to_owned(),
            quantity: "/data/quantity".to_owned(),
        });
        self.check()
    }

    fn check(&self) -> Result<(), String> {
        let Api { url, .. } = self;
        if !url.starts_with("http://") {
            return Err(format!("api.url is {url:?}, expected http://HOST:PORT"));
        }
        let (query, buy, look_up) = (self.query(), self.buy(), self.look_up());
        let requests =
            [("query", &query.request), ("buy", &buy.request), ("look_up", &look_up.request)];
        for (name, request) in requests {
            let (method, path) = split(request);
            let is_method = |byte: u8| byte.is_ascii_uppercase();
            if !path.starts_with('/') || method.is_empty() || !method.bytes().all(is_method) {
                return Err(format!("api.{name}.request is {request:?}, expected GET /PATH"));
            }
            is_sendable(path).map_err(|why| format!("api.{name}.request {why}"))?;
        }
        self.check_headers()?;
        let pointers = [
            ("query.quantity", &query.quantity),
            ("buy.number", &buy.number),
            ("look_up.name", &look_up.name),
            ("look_up.quantity", &look_up.quantity),
        ];
        for (name, pointer) in pointers {
            is_pointer(pointer).map_err(|why| format!("api.{name} {why}"))?;
        }
        self.failure.iter().try_for_each(|failure| {
            is_pointer(&failure.code).map_err(|why| format!("api.failure.code {why}"))
        })
    }

    fn check_headers(&self) -> Result<(), String> {
        for name in self.headers.keys().chain(&self.key) {
            let is_name =
                |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            if name.is_empty() || !name.bytes().all(is_name) {
                return Err(format!(
                    "the name of a header is {name:?}, expected letters, digits and -"
                ));
            }
        }
        let is_broken = |(_, value): &(&String, &String)| value.chars().any(char::is_control);
        match self.headers.iter().find(is_broken) {
            Some((name, value)) => {
                Err(format!("api.headers.{name} is {value:?}, which has a control character"))
            }
            None => Ok(()),
        }
    }

    /// The query of a toy.
    pub fn query(&self) -> &Query {
        self.query.as_ref().expect("completed when it was read")
    }

    /// The purchase.
    pub fn buy(&self) -> &Buy {
        self.buy.as_ref().expect("completed when it was read")
    }

    /// The look-up of an order.
    pub fn look_up(&self) -> &LookUp {
        self.look_up.as_ref().expect("completed when it was read")
    }
}

/// The method and the path of a request.
pub fn split(request: &str) -> (&str, &str) {
    request.split_once(' ').unwrap_or(("", request))
}

/// Whether a path or a URL can be sent as it is.
pub(super) fn is_sendable(text: &str) -> Result<(), String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(format!("has {text:?}: write spaces and other special characters as %20 and so on"))
}

fn is_pointer(text: &str) -> Result<(), String> {
    if text.is_empty() || text.starts_with('/') {
        return Ok(());
    }
    Err(format!("is {text:?}, expected a JSON pointer such as \"/data/quantity\", or \"\""))
}
