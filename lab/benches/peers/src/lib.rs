//! The shop of the axum and the actix-web server: ten toys behind a read-write lock, each with
//! its answer ready to be sent, as in the store's cache. So the benchmark compares how a server handles a request,
//! not JSON.

use serde::Serialize;
use std::collections::HashMap;
use std::env;
use std::sync::RwLock;

#[derive(Serialize)]
struct Data<T> {
    data: T,
}

#[derive(Serialize)]
struct Toy {
    name: &'static str,
    price: f64,
    quantity: u32,
}

/// The toys, and their answers, the same as the store's.
pub struct Shop {
    answers: RwLock<HashMap<&'static str, &'static str>>,
    /// The answer to `GET /products`.
    pub all: &'static str,
}

impl Shop {
    /// The ten toys of a new store.
    pub fn open() -> Shop {
        let prices = [
            ("Tux", 19.9),
            ("Whale", 24.9),
            ("Elephant", 29.5),
            ("Fox", 14.5),
            ("Python", 17.99),
            ("Dolphin", 22.75),
            ("Lego", 49.99),
            ("Barbie", 26.99),
            ("Monopoly", 34.95),
            ("Frisbee", 8.99),
        ];
        let toys = prices.map(|(name, price)| Toy { name, price, quantity: 100 });
        let all = json(&toys);
        let answers = toys.into_iter().map(|toy| (toy.name, json(&toy))).collect();
        Shop { answers: RwLock::new(answers), all }
    }

    /// The answer to `GET /products/<name>`, if there is such a toy.
    pub fn toy(&self, name: &str) -> Option<&'static str> {
        self.answers.read().expect("no panic").get(name).copied()
    }
}

/// The answer for an unknown path.
pub const UNKNOWN: &str = r#"{"error":{"code":404,"message":"unknown toy"}}"#;

/// Where to listen: the first argument.
pub fn address() -> String {
    env::args().nth(1).expect("usage: <program> HOST:PORT")
}

/// Kept until the program ends.
fn json<T: Serialize>(data: &T) -> &'static str {
    serde_json::to_string(&Data { data }).expect("no maps").leak()
}
