//! What HTTP requests and answers look like everywhere in the store: the JSON envelope, the status of
//! each error, and the body that says what is bought. The only place that knows status codes, but for
//! those of HTTP itself.

use crate::error::{Error, Result};
use crate::http::{Request, Responder, error_body, form_pairs};
use crate::model::{Entry, Item, Key, OrderNumber, Price, Quantity, TOY_NAME_BYTES_MAX, Toy};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The success envelope.
#[derive(Debug, Serialize, Deserialize)]
pub struct Data<T> {
    /// What was asked for.
    pub data: T,
}

/// `{"data": …}`.
pub fn body<T: Serialize>(data: &T) -> Vec<u8> {
    serde_json::to_vec(&Data { data }).expect("answers have string keys and finite numbers only")
}

/// A toy as customers see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownToy {
    /// Its name.
    pub name: String,
    /// What one of it costs.
    pub price: Price,
    /// How many are left.
    pub quantity: u64,
}

impl From<Toy> for ShownToy {
    fn from(toy: Toy) -> ShownToy {
        ShownToy { name: toy.name, price: toy.price, quantity: toy.quantity }
    }
}

/// Sends what came out. Like all here that send, returns the status, for the access log.
pub fn respond<T: Serialize>(responder: Responder<'_>, outcome: &Result<T>) -> u16 {
    match outcome {
        Ok(data) => ok(responder, &body(data)),
        Err(error) => refuse(responder, error),
    }
}

/// Sends a body that is in its envelope already.
pub fn ok(responder: Responder<'_>, body: &[u8]) -> u16 {
    responder.send(200, &[], body);
    200
}

/// Sends an error. A passing one says when to come again.
pub fn refuse(responder: Responder<'_>, error: &Error) -> u16 {
    let status = status(error);
    let headers: &[_] = if status == 503 { &[("Retry-After", "1")] } else { &[] };
    responder.send(status, headers, &error_body(status, &error.to_string()));
    status
}

/// Says that the service of this name is up.
pub fn healthy(responder: Responder<'_>, service: &str) -> u16 {
    respond(responder, &Ok(json!({ "service": service })))
}

/// A path that nothing is at.
pub fn no_such_path(responder: Responder<'_>) -> u16 {
    responder.send(404, &[], &error_body(404, "no such path"));
    404
}

/// A path that is there, but not for this method.
pub fn wrong_method(responder: Responder<'_>, allowed: &str) -> u16 {
    let message = format!("method not allowed here, expected {allowed}");
    responder.send(405, &[("Allow", allowed)], &error_body(405, &message));
    405
}

pub(super) fn status(error: &Error) -> u16 {
    match error {
        Error::Invalid { .. } => 400,
        Error::UnknownToy | Error::UnknownOrder => 404,
        Error::NotEnoughStock => 409,
        Error::KeyReused => 422,
        Error::Stale { .. }
        | Error::NotLeader { .. }
        | Error::Unavailable { .. }
        | Error::Unreachable { .. }
        | Error::Unanswered { .. } => 503,
        Error::Config { .. }
        | Error::Damaged { .. }
        | Error::Storage { .. }
        | Error::Listen { .. }
        | Error::Service { .. } => 500,
    }
}

/// What a request asks to buy: `{"name":"Tux","quantity":1}`, or the same as a form. What it begins
/// with decides, not its `Content-Type`, because `curl -d` says "form" whatever it sends.
pub fn item(request: &Request<'_>) -> Result<Item> {
    let first = request.body.trim_ascii_start().first();
    let form = request.body.contains(&b'=') && !matches!(first, Some(b'{' | b'[' | b'"'));
    if form { item_from_form(request.body) } else { item_from_json(request.body) }
}

fn item_from_json(body: &[u8]) -> Result<Item> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        name: String,
        quantity: Value,
    }
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        Error::invalid(format!(r#"expected {{"name":"Tux","quantity":1}}, but {error}"#))
    })?;
    let Some(quantity) = body.quantity.as_u64() else {
        return Err(quantity_error(&body.quantity.to_string()));
    };
    Ok(Item { name: toy_name(body.name)?, quantity: Quantity::try_from(quantity)? })
}

fn item_from_form(body: &[u8]) -> Result<Item> {
    let (mut name, mut quantity) = (None, None);
    for pair in form_pairs(body) {
        let (field, value) = pair?;
        let slot = match &*field {
            "name" => &mut name,
            "quantity" => &mut quantity,
            other => return Err(Error::invalid(format!("unknown field {other:?}"))),
        };
        if slot.replace(value.into_owned()).is_some() {
            return Err(Error::invalid(format!("field {field:?} comes more than once")));
        }
    }
    let missing = |field| move || Error::invalid(format!("field {field:?} is missing"));
    let name = toy_name(name.ok_or_else(missing("name"))?)?;
    let quantity = quantity.ok_or_else(missing("quantity"))?;
    let number = quantity.parse::<u64>().map_err(|_| quantity_error(&format!("{quantity:?}")))?;
    Ok(Item { name, quantity: Quantity::try_from(number)? })
}

fn quantity_error(given: &str) -> Error {
    let max = Quantity::MAX;
    Error::invalid(format!("quantity is {given}, expected a whole number from 1 to {max}"))
}

/// A toy's name as a request gives it. Names end up in files of one line a row.
pub fn toy_name(name: String) -> Result<String> {
    if name.is_empty() || name.len() > TOY_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "a toy's name has 1 to {TOY_NAME_BYTES_MAX} bytes without control characters"
        )));
    }
    Ok(name)
}

/// An order number in a path.
pub fn order_number(text: &str) -> Result<OrderNumber> {
    match text.parse() {
        Ok(number) if number > 0 && text.bytes().all(|b| b.is_ascii_digit()) => {
            Ok(OrderNumber(number))
        }
        _ => {
            Err(Error::invalid(format!("order number is {text:?}, expected a whole number from 1")))
        }
    }
}

/// The receipt of a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The order's number.
    pub order_number: OrderNumber,
}

/// An order as customers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownOrder {
    /// Its number.
    pub number: OrderNumber,
    /// What was bought.
    #[serde(flatten)]
    pub item: Item,
}

impl From<Entry> for ShownOrder {
    fn from(entry: Entry) -> ShownOrder {
        ShownOrder { number: entry.number, item: entry.item }
    }
}

/// The customer's own key for a purchase, if there is one (F8).
pub fn idempotency_key(request: &Request<'_>) -> Result<Option<Key>> {
    request.header("Idempotency-Key")?.map(Key::from_customer).transpose()
}
