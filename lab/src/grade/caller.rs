//! Sends the requests of the submission's API, and finds the values in the answers. Used by sessions, and
//! by checks of connections.

use super::submission::Submission;
use super::submission::api::{Api, LookUp, split};
use super::submission::template::expand;
use serde_json::Value;
use std::fmt;
use std::time::{Duration, Instant};
use toystore::http::{Client, percent_encode};

/// The longest text of a request or an answer in the evidence.
const SHOWN_MAX: usize = 300;

/// Calls a store.
pub struct Caller<'a> {
    api: &'a Api,
    first_order: u64,
    /// The path before all paths.
    prefix: String,
    address: String,
    deadline: Duration,
    http: Client,
}

/// One request and what came back.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The method, the path and the body.
    pub request: String,
    /// The status and the body, or why there is no answer.
    pub answer: Result<(u16, Vec<u8>), String>,
    /// Whether the request was certainly not carried out.
    pub is_definite: bool,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.took.as_secs_f64() * 1e3;
        match &self.answer {
            Ok((status, body)) => {
                let body = shortened(&String::from_utf8_lossy(body));
                write!(f, "{} → {status} {body} ({ms:.1} ms)", self.request)
            }
            Err(why) => write!(f, "{} → no answer: {why} ({ms:.1} ms)", self.request),
        }
    }
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<T> {
    /// The value.
    Is(T),
    /// A failure with this code.
    Failed(i64),
    /// Neither.
    Unreadable(String),
    /// There is no answer.
    None(String),
}

/// The quantity of a purchase: a number, or a text that is none.
#[derive(Debug, Clone, Copy)]
pub enum Amount<'a> {
    /// A number.
    Number(i64),
    /// Something else.
    Text(&'a str),
}

impl From<u64> for Amount<'_> {
    fn from(number: u64) -> Self {
        Amount::Number(number.cast_signed())
    }
}

/// A purchase.
#[derive(Debug, Clone, Copy)]
pub struct Purchase<'a> {
    /// The toy.
    pub toy: &'a str,
    /// How many.
    pub amount: Amount<'a>,
    /// The customer's key, if the API has one.
    pub key: Option<&'a str>,
}

impl<'a> Caller<'a> {
    /// A caller of the front-end at an address.
    pub fn new(
        submission: &'a Submission,
        (address, prefix): &(String, String),
        deadline: Duration,
    ) -> Caller<'a> {
        Caller {
            api: submission.api(),
            first_order: submission.first_order,
            prefix: prefix.clone(),
            address: address.clone(),
            deadline,
            http: Client::new(address.as_str(), deadline),
        }
    }

    /// Closes its connection; the next request makes another.
    pub fn reconnect(&mut self) {
        self.http = Client::new(self.address.as_str(), self.deadline);
    }

    /// Queries a toy: how many there are.
    pub fn query(&mut self, toy: &str) -> (Exchange, Reply<u64>) {
        let query = self.api.query();
        let exchange = self.send(&query.request, "", &|word| (word == "name").then_some(toy), None);
        let reply = self.reply(&exchange, |body| number_at(body, &query.quantity));
        (exchange, reply)
    }

    /// Buys: the number of the order, counted from 1.
    pub fn buy(&mut self, purchase: &Purchase<'_>) -> (Exchange, Reply<u64>) {
        let buy = self.api.buy();
        let body = body_of(&buy.body, purchase);
        let quantity = purchase.amount.to_string();
        let value = |word: &str| match word {
            "name" => Some(purchase.toy),
            "quantity" => Some(quantity.as_str()),
            _ => None,
        };
        let exchange = self.send(&buy.request, &body, &value, purchase.key);
        let reply = self.numbered(&exchange);
        (exchange, reply)
    }

    /// Sends a purchase whose body ends in its middle.
    pub fn buy_malformed(&mut self, toy: &str) -> (Exchange, Reply<u64>) {
        let buy = self.api.buy();
        let body = body_of(&buy.body, &Purchase { toy, amount: Amount::Number(1), key: None });
        let half: String = body.chars().take(body.chars().count() / 2).collect();
        let exchange =
            self.send(&buy.request, &half, &|word| (word == "name").then_some(toy), None);
        let reply = self.numbered(&exchange);
        (exchange, reply)
    }

    /// Looks an order up by its number, counted from 1: the toy and how many.
    pub fn look_up(&mut self, number: u64) -> (Exchange, Reply<(String, u64)>) {
        let look_up = self.api.look_up();
        let theirs = (number + self.first_order).saturating_sub(1).to_string();
        let value = |word: &str| (word == "number").then_some(theirs.as_str());
        let exchange = self.send(&look_up.request, "", &value, None);
        let reply = self.reply(&exchange, |body| order_at(body, look_up));
        (exchange, reply)
    }

    /// The reply to a purchase: the number of its order, counted from 1.
    fn numbered(&self, exchange: &Exchange) -> Reply<u64> {
        let at = &self.api.buy().number;
        match self.reply(exchange, |body| number_at(body, at)) {
            Reply::Is(number) => match (number + 1).checked_sub(self.first_order) {
                Some(number) if number > 0 => Reply::Is(number),
                _ => Reply::Unreadable(format!(
                    "order {number} is before the first order, {}",
                    self.first_order
                )),
            },
            other => other,
        }
    }

    fn send<'v>(
        &mut self,
        request: &str,
        body: &str,
        value: &dyn Fn(&str) -> Option<&'v str>,
        key: Option<&str>,
    ) -> Exchange {
        let (method, path) = split(request);
        let encoded = expand(path, |word| Some(percent_encode(value(word)?)));
        let target = format!("{}{}", self.prefix, encoded.unwrap_or_else(|_| path.to_owned()));
        let mut headers: Vec<(&str, &str)> =
            self.api.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if !body.is_empty() {
            let is_json = self.api.buy().body.starts_with('{');
            let kind =
                if is_json { "application/json" } else { "application/x-www-form-urlencoded" };
            headers.push(("Content-Type", kind));
        }
        headers.extend(self.api.key.as_deref().zip(key));
        let begun = Instant::now();
        let answer = self.http.send(method, &target, &headers, body.as_bytes());
        let took = begun.elapsed();
        let is_definite = answer.as_ref().err().is_some_and(toystore::error::Error::is_definite);
        let mut request = format!("{method} {target} {}", shortened(body));
        if let Some(key) = key.filter(|_| self.api.key.is_some()) {
            request = format!("{request} (key {key})");
        }
        Exchange {
            request: request.trim_end().to_owned(),
            answer: answer
                .map(|response| (response.status, response.body))
                .map_err(|e| e.to_string()),
            is_definite,
            took,
        }
    }

    fn reply<T>(&self, exchange: &Exchange, value: impl FnOnce(&Value) -> Option<T>) -> Reply<T> {
        let (status, bytes) = match &exchange.answer {
            Ok((status, bytes)) => (*status, bytes),
            Err(why) => return Reply::None(why.clone()),
        };
        let text = String::from_utf8_lossy(bytes);
        // A bare word is a text; most stores send JSON.
        let body =
            serde_json::from_slice(bytes).unwrap_or_else(|_| Value::String(text.trim().into()));
        if let Some(failure) = &self.api.failure
            && let Some(code) = integer_at(&body, &failure.code)
            && !failure.ok.contains(&code)
        {
            return Reply::Failed(code);
        }
        if status >= 400 {
            return Reply::Failed(i64::from(status));
        }
        value(&body).map_or_else(|| Reply::Unreadable(shortened(&text)), Reply::Is)
    }
}

impl fmt::Display for Amount<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Number(number) => write!(f, "{number}"),
            Amount::Text(text) => f.write_str(text),
        }
    }
}

/// The body of a purchase, escaped as JSON or as a form.
fn body_of(template: &str, purchase: &Purchase<'_>) -> String {
    let is_json = template.starts_with('{');
    let quantity = purchase.amount.to_string();
    // A text in the place of a number is a JSON string, in quotes.
    let is_quoted = template.contains("\"{quantity}\"");
    let value = |word: &str| match (word, is_json) {
        ("name", true) => Some(json_escaped(purchase.toy)),
        ("name", false) => Some(percent_encode(purchase.toy)),
        ("quantity", false) => Some(percent_encode(&quantity)),
        ("quantity", true) => Some(match purchase.amount {
            Amount::Text(text) if !is_quoted => format!("\"{}\"", json_escaped(text)),
            Amount::Text(_) | Amount::Number(_) => json_escaped(&quantity),
        }),
        _ => None,
    };
    expand(template, value).unwrap_or_else(|_| template.to_owned())
}

fn json_escaped(text: &str) -> String {
    let quoted = Value::String(text.to_owned()).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The toy of an order that was looked up, and how many.
pub fn order_at(body: &Value, at: &LookUp) -> Option<(String, u64)> {
    let name = body.pointer(&at.name)?.as_str()?;
    Some((name.to_owned(), number_at(body, &at.quantity)?))
}

/// A whole number that is not negative: `7`, `7.0`, `"7"`.
pub fn number_at(body: &Value, at: &str) -> Option<u64> {
    integer_at(body, at).and_then(|number| u64::try_from(number).ok())
}

fn integer_at(body: &Value, at: &str) -> Option<i64> {
    let value = body.pointer(at)?;
    let text = value.as_str().map_or_else(|| value.to_string(), |text| text.trim().to_owned());
    text.strip_suffix(".0").unwrap_or(&text).parse().ok()
}

/// A text in one line, shortened.
pub fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_escaped_as_what_it_is() {
        let json = r#"{"name": "{name}", "quantity": {quantity}}"#;
        let quoted = r#"{"name": "{name}", "quantity": "{quantity}"}"#;
        let form = "name={name}&quantity={quantity}";
        let (number, text) = (Amount::Number(-1), Amount::Text("three"));
        for (template, amount, body) in [
            (json, number, r#"{"name": "a\"b", "quantity": -1}"#),
            (json, text, r#"{"name": "a\"b", "quantity": "three"}"#),
            (quoted, number, r#"{"name": "a\"b", "quantity": "-1"}"#),
            (quoted, text, r#"{"name": "a\"b", "quantity": "three"}"#),
            (form, number, "name=a%22b&quantity=-1"),
        ] {
            assert_eq!(body_of(template, &Purchase { toy: "a\"b", amount, key: None }), body);
        }
    }

    #[test]
    fn a_number_may_be_in_quotes_or_bare() {
        for (body, at, number) in [
            (r#"{"data":{"quantity":7}}"#, "/data/quantity", Some(7)),
            (r#"{"data":{"quantity":"7"}}"#, "/data/quantity", Some(7)),
            ("7", "", Some(7)),
            ("7.0", "", Some(7)),
            (r#"" 7.0 ""#, "", Some(7)),
            ("7.5", "", None),
            ("true", "", None),
            ("-7", "", None),
            (r#"{"data":7}"#, "/data/quantity", None),
        ] {
            let body = serde_json::from_str(body).expect("JSON");
            assert_eq!(number_at(&body, at), number, "{body}");
        }
    }
}
