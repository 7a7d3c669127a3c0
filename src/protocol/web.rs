//! The HTTP API of all services: the JSON envelope, the status of
//! each error, and the bodies of requests. The only place that knows status codes, except
//! those of HTTP itself.

use super::catalog::{Put, STOCK_MAX, check_stock};
use crate::error::{Error, Result};
use crate::http::{Request, Responder, error_body, form_pairs, link_to_next};
use crate::model::{Entry, Item, Key, OrderNumber, Price, Quantity, Toy, ToyName};
use crate::text;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};

/// The success envelope.
#[derive(Debug, Serialize, Deserialize)]
pub struct Data<T> {
    /// The result.
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
    pub name: ToyName,
    /// Its price.
    pub price: Price,
    /// The quantity in stock.
    pub quantity: u64,
}

impl From<Toy> for ShownToy {
    fn from(toy: Toy) -> ShownToy {
        ShownToy { name: toy.name, price: toy.price, quantity: toy.quantity }
    }
}

/// Sends the outcome. Like all functions here that send, returns the status, for the access log.
pub fn respond<T: Serialize>(responder: Responder<'_>, outcome: &Result<T>) -> u16 {
    match outcome {
        Ok(data) => ok(responder, &body(data)),
        Err(error) => refuse(responder, error),
    }
}

/// The same after a `PUT`: 201 if it added something (RFC 9110 §9.3.4).
pub fn respond_to_put<T: Serialize>(
    responder: Responder<'_>,
    outcome: &Result<T>,
    is_new: bool,
) -> u16 {
    match outcome {
        Ok(data) if is_new => {
            responder.send(201, &[], &body(data));
            201
        }
        outcome => respond(responder, outcome),
    }
}

/// Sends a page of a list. `next` is the target of the one after it, percent-encoded already.
pub fn page<T: Serialize>(responder: Responder<'_>, items: &[T], next: Option<&str>) -> u16 {
    let link = next.map(link_to_next);
    let headers: Vec<_> = link.iter().map(|link| ("Link", link.as_str())).collect();
    responder.send(200, &headers, &body(&items));
    200
}

/// Sends a body that is in its envelope already.
pub fn ok(responder: Responder<'_>, body: &[u8]) -> u16 {
    responder.send(200, &[], body);
    200
}

/// Sends an error. A temporary one says when to try again.
pub fn refuse(responder: Responder<'_>, error: &Error) -> u16 {
    let status = status(error);
    let headers: &[_] = if status == 503 { &[("Retry-After", "1")] } else { &[] };
    responder.send(status, headers, &error_body(status, &error.to_string()));
    status
}

/// The answer that the service with this name is up.
pub fn healthy(responder: Responder<'_>, service: &str) -> u16 {
    respond(responder, &Ok(json!({ "service": service })))
}

/// A path that does not exist, or `*`, with which a client asks what the server supports (RFC 9110 §9.3.7):
/// `methods`, each for some path.
pub fn no_such_path(request: &Request<'_>, responder: Responder<'_>, methods: &str) -> u16 {
    if request.path == "*" {
        return options(responder, methods);
    }
    responder.send(404, &[], &error_body(404, "no such path"));
    404
}

/// A path that exists, but not for this method. Every path answers OPTIONS.
pub fn wrong_method(request: &Request<'_>, responder: Responder<'_>, allowed: &str) -> u16 {
    if request.method == "OPTIONS" {
        return options(responder, allowed);
    }
    let allowed = format!("{allowed}, OPTIONS");
    let message = format!("method {} is not allowed here, expected {allowed}", request.method);
    responder.send(405, &[("Allow", &allowed)], &error_body(405, &message));
    405
}

fn options(responder: Responder<'_>, allowed: &str) -> u16 {
    responder.send(204, &[("Allow", &format!("{allowed}, OPTIONS"))], b"");
    204
}

/// The HTTP status of an error.
pub fn status(error: &Error) -> u16 {
    match error {
        Error::Invalid { .. } => 400,
        Error::UnknownFormat { .. } => 415,
        Error::Forbidden { .. } => 403,
        Error::UnknownToy | Error::UnknownOrder => 404,
        Error::NotEnoughStock | Error::ToyExists => 409,
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

/// Adds advice to the error of a purchase that may have been done. Only a customer who sent a key can
/// repeat the same purchase.
pub fn advise(request: &Request<'_>, error: Error) -> Error {
    let what = match error.of_a_change() {
        Error::Unanswered { what } => what,
        other => return other,
    };
    let advice = match request.header("Idempotency-Key") {
        Ok(None) => "a retry may buy twice; with an Idempotency-Key it does not",
        _ => "retry with the same Idempotency-Key",
    };
    Error::unanswered(format!("{what}; {advice}"))
}

/// The item that a request buys: `{"name":"Tux","quantity":1}`, or the same as a form. The first byte of the body
/// decides which of the two, not `Content-Type`, because `curl -d` always sends the type of a form.
/// A byte-order mark before it is skipped, as RFC 8259 §8.1 allows.
pub fn item(request: &Request<'_>) -> Result<Item> {
    check_format(request, &[JSON, "application/x-www-form-urlencoded"])?;
    let body = text::without_mark(request.body);
    let first = body.trim_ascii_start().first();
    let form = body.contains(&b'=') && !matches!(first, Some(b'{' | b'[' | b'"'));
    if form { item_from_form(body) } else { item_from_json(body) }
}

/// Refuses everybody except the operator. A web page in the operator's browser is not the operator: its requests come
/// from the operator's machine, but with an `Origin` header.
pub fn check_operator(request: &Request<'_>) -> Result<()> {
    if request.caller.is_operator && request.headers("Origin").next().is_none() {
        return Ok(());
    }
    let why = "only the operator may do this: from the catalog's own machine, or where [tls] is set with the \
               tool's certificate; and not from a web page";
    Err(Error::Forbidden { why: why.to_owned() })
}

/// The operator's change of a toy: `{"price":19.9}`, `{"restock":100}` or both; `{"price":19.9,"quantity":100}` to add it.
pub fn put(request: &Request<'_>) -> Result<Put> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        price: Option<Value>,
        restock: Option<Value>,
        quantity: Option<Value>,
    }
    const EXPECTED: &str =
        "expected price, restock or both to change a toy, or price and quantity to add one";
    check_format(request, &[JSON])?;
    let Body { price, restock, quantity } =
        serde_json::from_slice(text::without_mark(request.body))
            .map_err(|error| Error::invalid(format!("{EXPECTED}, as JSON, but {error}")))?;
    let price_of = |value| number("price", &value, "a number ≥ 0 with at most two decimals");
    let stock_of = |field| {
        move |value| {
            let expected = format!("a whole number from 0 to {STOCK_MAX}");
            number(field, &value, &expected).and_then(check_stock)
        }
    };
    let price = price.map(price_of).transpose()?;
    let restock = restock.map(stock_of("restock")).transpose()?;
    let quantity = quantity.map(stock_of("quantity")).transpose()?;
    match (price, restock, quantity) {
        (Some(price), None, Some(quantity)) => Ok(Put::Add { price, quantity }),
        (None, None, _) | (_, _, Some(_)) => Err(Error::invalid(EXPECTED)),
        (price, restock, None) => Ok(Put::Change { price, restock }),
    }
}

/// The body of such a request.
pub fn put_body(put: &Put) -> Vec<u8> {
    let body = match put {
        Put::Add { price, quantity } => json!({ "price": price, "quantity": quantity }),
        Put::Change { price, restock } => {
            let given = [
                ("price", price.map(|price| json!(price))),
                ("restock", restock.map(|n| json!(n))),
            ];
            given
                .into_iter()
                .filter_map(|(field, value)| Some((field.to_owned(), value?)))
                .collect()
        }
    };
    body.to_string().into_bytes()
}

/// The error message in the body of an answer, without the advice that [`Error::Unavailable`] adds again when it is shown.
pub fn refusal(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refused {
        error: Message,
    }
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let Ok(Refused { error: Message { message } }) = serde_json::from_slice(body) else {
        return "no message".to_owned();
    };
    message.strip_suffix("; try again").unwrap_or(&message).to_owned()
}

/// The format of every body.
const JSON: &str = "application/json";

/// Refuses a body whose `Content-Type` is none of these, nor `text/plain`, which programs send that do not know the
/// format.
fn check_format(request: &Request<'_>, formats: &[&str]) -> Result<()> {
    let content_type = request.header("Content-Type")?.unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let mut accepted = formats.iter().chain(&["", "text/plain"]);
    if !accepted.any(|format| media_type.eq_ignore_ascii_case(format)) {
        let expected = formats.join(" or ");
        let why = format!("Content-Type is {media_type}, expected {expected}");
        return Err(Error::UnknownFormat { why });
    }
    match request.header("Content-Encoding")? {
        None | Some("" | "identity") => Ok(()),
        Some(coding) => {
            let why = format!("Content-Encoding is {coding}, expected none");
            Err(Error::UnknownFormat { why })
        }
    }
}

fn item_from_json(body: &[u8]) -> Result<Item> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        name: ToyName,
        quantity: Value,
    }
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        Error::invalid(format!(r#"expected {{"name":"Tux","quantity":1}}, but {error}"#))
    })?;
    let quantity = number("quantity", &body.quantity, &quantities())?;
    Ok(Item { name: body.name, quantity })
}

/// A field that is a number. If it is one in quotes, the error says how to write it.
fn number<T: DeserializeOwned>(field: &str, value: &Value, expected: &str) -> Result<T> {
    T::deserialize(value).map_err(|_| {
        let quoted = value.as_str().filter(|text| text.parse::<Number>().is_ok());
        let advice = quoted.map(|text| format!(": write {text}, not \"{text}\""));
        let advice = advice.unwrap_or_default();
        Error::invalid(format!("{field} is {value}, expected {expected}{advice}"))
    })
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
    let name = ToyName::try_from(name.ok_or_else(missing("name"))?)?;
    let quantity = quantity.ok_or_else(missing("quantity"))?;
    let number = quantity.parse::<u64>().map_err(|_| {
        Error::invalid(format!("quantity is {quantity:?}, expected {}", quantities()))
    })?;
    Ok(Item { name, quantity: Quantity::try_from(number)? })
}

fn quantities() -> String {
    format!("a whole number from 1 to {}", Quantity::MAX)
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

/// The customer's own key for a purchase, if there is one (F8). The header is a string of a structured
/// field (RFC 8941 §3.3.3), in quotes, but most clients leave the quotes out: both are the same key.
pub fn idempotency_key(request: &Request<'_>) -> Result<Option<Key>> {
    let Some(value) = request.header("Idempotency-Key")? else { return Ok(None) };
    let Some(quoted) = value.strip_prefix('"') else { return Key::from_customer(value).map(Some) };
    let malformed = || {
        Error::invalid(format!(
            "Idempotency-Key is {value}, expected one pair of quotes around it or none"
        ))
    };
    let key = unquoted(quoted).ok_or_else(malformed)?;
    Key::from_customer(&key).map(Some)
}

/// The text before the closing quote. Parameters may come after it; they are ignored.
fn unquoted(quoted: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => text.push(characters.next().filter(|c| matches!(c, '"' | '\\'))?),
            other => text.push(other),
        }
    }
    let rest = characters.as_str().trim_start();
    (rest.is_empty() || rest.starts_with(';')).then_some(text)
}
