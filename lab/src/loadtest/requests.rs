//! The bytes of every request, rendered once. Only the idempotency key of a purchase is made when it is
//! sent.

use super::customer::Choice;
use toystore::client::api::Keys;
use toystore::client::measurements::Kind;
use toystore::http::percent_encode;
use toystore::model::{Item, Quantity, ToyName};

/// The requests for all toys.
#[derive(Debug)]
pub struct Requests(Vec<OfToy>);

/// The requests for one toy.
#[derive(Debug)]
struct OfToy {
    name: String,
    query: Vec<u8>,
    /// A purchase, up to its key.
    buy: Vec<u8>,
    /// The bytes after the key.
    buy_rest: Vec<u8>,
}

impl Requests {
    /// The requests to a store at `address` with these toys.
    pub fn new(address: &str, toys: &[ToyName]) -> Requests {
        Requests(toys.iter().map(|name| OfToy::new(address, name)).collect())
    }

    /// The number of toys.
    pub fn toys(&self) -> usize {
        self.0.len()
    }

    /// The name of a toy.
    pub fn name(&self, toy: usize) -> &str {
        &self.0[toy].name
    }

    /// Appends a request to the output.
    pub fn write(&self, choice: Choice, keys: &mut Keys, output: &mut Vec<u8>) {
        let requests = &self.0[choice.toy];
        if choice.kind == Kind::Buy {
            output.extend_from_slice(&requests.buy);
            output.extend_from_slice(keys.make().as_bytes());
            output.extend_from_slice(&requests.buy_rest);
        } else {
            output.extend_from_slice(&requests.query);
        }
    }
}

impl OfToy {
    fn new(address: &str, name: &ToyName) -> OfToy {
        let quantity = Quantity::try_from(1).expect("1 is a quantity");
        let item = Item { name: name.clone(), quantity };
        let body = serde_json::to_string(&item).expect("an item has string keys");
        let target = percent_encode(name);
        let query = format!("GET /products/{target} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let buy = format!("POST /orders HTTP/1.1\r\nHost: {address}\r\nIdempotency-Key: ");
        let buy_rest = format!(
            "\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        OfToy {
            name: name.to_string(),
            query: query.into_bytes(),
            buy: buy.into_bytes(),
            buy_rest: buy_rest.into_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purchase_has_a_key_of_its_own_and_everything_else_is_as_rendered() {
        let requests = Requests::new(
            "toys:80",
            &["Tux".parse().expect("a name"), "Lego, red".parse().expect("a name")],
        );
        let (mut keys, mut output) = (Keys::new().of_session(3), Vec::new());
        requests.write(Choice { kind: Kind::Query, toy: 1 }, &mut keys, &mut output);
        let mut key = || {
            let mut output = Vec::new();
            requests.write(Choice { kind: Kind::Buy, toy: 1 }, &mut keys, &mut output);
            let text = String::from_utf8(output).expect("text");
            let rest = "\r\nContent-Type: application/json\r\nContent-Length: 33\r\n\r\n\
                        {\"name\":\"Lego, red\",\"quantity\":1}";
            let text = text.strip_suffix(rest).expect("the rest");
            let head = "POST /orders HTTP/1.1\r\nHost: toys:80\r\nIdempotency-Key: ";
            text.strip_prefix(head).expect("the head").to_owned()
        };
        assert_ne!(key(), key());
        let query = b"GET /products/Lego%2C%20red HTTP/1.1\r\nHost: toys:80\r\n\r\n";
        assert_eq!(output, query);
    }
}
