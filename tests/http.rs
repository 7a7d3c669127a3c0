//! The front-end over raw sockets: its answers (F1, F2, F8), its refusals (F3), and that no
//! malformed or slow client delays the others.

mod support;

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;
use support::Id::{Catalog, Frontend, Order};
use support::{Cluster, PATIENCE, REPLICAS, wait_until};

const HEAD_BYTES_MAX: usize = 16 * 1024;
const TARGET_BYTES_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 64;
const BODY_BYTES_MAX: usize = 64 * 1024;

/// One connection, byte by byte.
struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
}

/// One response.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Wire {
    fn open(store: &Cluster) -> Wire {
        Wire::to(store.address(Frontend))
    }

    fn to(address: &str) -> Wire {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Wire { stream, received: Vec::new() }
    }

    /// The server may have closed the connection already; the next read shows it.
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).ok();
    }

    /// The next response, its body included.
    fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        let length: usize =
            answer.header("Content-Length").expect("always").parse().expect("digits");
        while self.received.len() < length {
            assert!(self.read() > 0, "the response is cut off: {answer:?}");
        }
        let body: Vec<u8> = self.received.drain(..length).collect();
        answer.body = serde_json::from_slice(&body).expect("bodies are JSON (F2)");
        answer.assert_envelope();
        answer
    }

    /// The next response without its body, as for HEAD.
    fn head(&mut self) -> Answer {
        let end = loop {
            match self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => assert!(self.read() > 0, "closed without an answer: {:?}", self.received),
            }
        };
        let head = String::from_utf8(self.received.drain(..end).collect()).expect("ASCII");
        let status = head["HTTP/1.1 ".len()..][..3].parse().expect("a status");
        let answer = Answer { status, head, body: Value::Null };
        answer.assert_headers();
        answer
    }

    fn read(&mut self) -> usize {
        let mut chunk = [0; 4096];
        let bytes = self.stream.read(&mut chunk).expect("an answer in time");
        self.received.extend_from_slice(&chunk[..bytes]);
        bytes
    }

    fn assert_closed(&mut self) {
        assert_eq!(self.read(), 0, "more than the last words: {:?}", self.received);
    }

    /// Sends a valid request, so the connection stays open.
    fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request);
        self.answer()
    }
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(found, _)| *found == name).map(|(_, value)| value).next()
    }

    /// Stock changes with every purchase: a response has its date, and must not be stored.
    fn assert_headers(&self) {
        assert!(self.header("Date").is_some_and(|date| date.ends_with(" GMT")), "{self:?}");
        let content_type = (self.status != 204).then_some("application/json");
        assert_eq!(self.header("Content-Type"), content_type, "{self:?}");
        assert_eq!(self.header("Cache-Control"), Some("no-store"), "{self:?}");
    }

    /// Data on success; else the status and the error (F2).
    fn assert_envelope(&self) {
        let fields = self.body.as_object().expect("an object");
        let field = if self.status == 200 { "data" } else { "error" };
        assert!(fields.len() == 1 && fields.contains_key(field), "{self:?}");
        if self.status != 200 {
            assert_eq!(self.body["error"]["code"], self.status, "{self:?}");
            assert!(!self.message().is_empty(), "{self:?}");
        }
    }

    fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

fn get(target: &str) -> String {
    get_with(target, "")
}

fn get_with(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n{headers}\r\n")
}

fn post(body: &[u8]) -> Vec<u8> {
    post_with("", body)
}

fn post_with(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST /orders HTTP/1.1\r\nHost: h\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn chunked(chunks: &str) -> String {
    format!("POST /orders HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
}

fn order_number(answer: &Answer) -> u64 {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["data"]["order_number"].as_u64().expect("a number")
}

/// A head of this many bytes.
fn with_head_of(bytes: usize) -> String {
    let empty = get_with("/products/Tux", "X: \r\n").len();
    get_with("/products/Tux", &format!("X: {}\r\n", "x".repeat(bytes - empty)))
}

/// A target of this many bytes.
fn with_target_of(bytes: usize) -> String {
    let start = "/products?name=Tux";
    get(&format!("{start}{}", "&".repeat(bytes - start.len())))
}

/// A head of this many header lines, Host included.
fn with_headers(lines: usize) -> String {
    get_with("/products/Tux", &"X: x\r\n".repeat(lines - 1))
}

/// A purchase of one Tux in a body of this many bytes.
fn body_of(bytes: usize) -> Vec<u8> {
    let mut body = br#"{"name":"Tux","quantity":1}"#.to_vec();
    body.resize(bytes, b' ');
    body
}

#[test]
fn what_leaves_a_request_in_doubt_is_refused_and_closes_the_connection() {
    let store = Cluster::open(&[]);
    let length = |header: &str| post_with(header, br#"{"name":"Tux","quantity":1}"#);
    let host = |lines: &str| format!("GET /products HTTP/1.1\r\n{lines}\r\n").into_bytes();
    let cases: Vec<(Vec<u8>, u16, &str)> = vec![
        // Heads.
        (b"\x16\x03\x01\x02\0\x01\0".to_vec(), 400, "byte 0x16 in the method"),
        (b"\0\0\0\x02{}".to_vec(), 400, "byte 0x00 in the method"),
        (b"GET /products\r\n\r\n".to_vec(), 505, "HTTP/0.9"),
        (b"GET /products HTTP/2.0\r\n\r\n".to_vec(), 505, "HTTP/2.0"),
        (b"GET /products HTTP/1.1 x\r\nHost: h\r\n\r\n".to_vec(), 400, "expected HTTP/1.1"),
        (b"GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), 400, "byte 0x01 in the target"),
        (b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), 400, "not UTF-8"),
        (get("products").into(), 400, "must begin with /"),
        (get("/products#top").into(), 400, "fragment"),
        (host(""), 400, "Host is missing"),
        (host("Host: a\r\nHost: a\r\n"), 400, "host comes more than once"),
        (host("Host: a b\r\n"), 400, "Host is malformed"),
        (host("Host : a\r\n"), 400, "space before the colon"),
        (host("Host: a\r\nX: a\rb\r\n"), 400, "bare CR"),
        (host("Host: a\r\nX: a\r\n b\r\n"), 400, "folded"),
        (host("Host: a\r\nX: a\0b\r\n"), 400, "control byte 0x00"),
        (host("Host: a\r\nX\r\n"), 400, "no colon"),
        (get_with("/products", "Expect: a miracle\r\n").into(), 417, "100-continue"),
        // Framing.
        (length("Content-Length: 5\r\n"), 400, "content-length comes more than once"),
        (length("Content-Length: 27\r\n"), 400, "content-length comes more than once"),
        (length("Transfer-Encoding: chunked\r\n"), 400, "both Transfer-Encoding and"),
        (get_with("/orders", "Content-Length: -1\r\n").into(), 400, "decimal number"),
        (get_with("/orders", "Content-Length: +1\r\n").into(), 400, "decimal number"),
        (get_with("/orders", "Content-Length: 1, 1\r\n").into(), 400, "decimal number"),
        (get_with("/orders", "Content-Length: 99999999999999999999\r\n").into(), 400, "decimal"),
        (get_with("/orders", "Transfer-Encoding: gzip\r\n").into(), 501, "chunked"),
        (chunked("x\r\n").into(), 400, "hexadecimal"),
        (chunked("1\n{\r\n").into(), 400, "bare LF"),
        (chunked("1\r\n{}\r\n").into(), 400, "not followed by CRLF"),
        // Limits, one more than each.
        (with_target_of(TARGET_BYTES_MAX + 1).into(), 414, "8192 bytes"),
        (with_head_of(HEAD_BYTES_MAX + 1).into(), 431, "16384 bytes"),
        (with_headers(HEADERS_MAX + 1).into(), 431, "64 header lines"),
        (post(&body_of(BODY_BYTES_MAX + 1)), 413, "65536 bytes"),
        (chunked(&format!("{:x}\r\n", BODY_BYTES_MAX + 1)).into(), 413, "65536 bytes"),
    ];
    for (request, status, message) in &cases {
        let mut wire = Wire::open(&store);
        let answer = wire.ask(request);
        let shown = String::from_utf8_lossy(&request[..request.len().min(80)]);
        assert_eq!(answer.status, *status, "{shown:?}: {answer:?}");
        let said = answer.message().to_lowercase();
        assert!(said.contains(&message.to_lowercase()), "{shown:?}: {answer:?}");
        assert_eq!(answer.header("Connection"), Some("close"), "{shown:?}");
        wire.assert_closed();
    }
    assert_eq!(store.assert_conserved(), 0);
}

#[test]
fn a_request_at_a_limit_is_answered() {
    let store = Cluster::open(&[]);
    let mut wire = Wire::open(&store);
    for request in
        [with_target_of(TARGET_BYTES_MAX), with_head_of(HEAD_BYTES_MAX), with_headers(HEADERS_MAX)]
    {
        let answer = wire.ask(&request);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(order_number(&wire.ask(post(&body_of(BODY_BYTES_MAX)))), 1);
    let body = String::from_utf8(body_of(BODY_BYTES_MAX)).expect("ASCII");
    let one_chunk = format!("{BODY_BYTES_MAX:x}\r\n{body}\r\n0\r\n\r\n");
    assert_eq!(order_number(&wire.ask(chunked(&one_chunk))), 2);
    assert_eq!(store.assert_conserved(), 2);
}

#[test]
fn every_path_and_method_has_its_answer() {
    let store = Cluster::open(&[]);
    let mut wire = Wire::open(&store);
    // All on one connection: an error with a status does not close it (F4).
    assert_eq!(order_number(&wire.ask(post(br#"{"name":"Fox","quantity":2}"#))), 1);
    let tux = json!({ "name": "Tux", "price": 19.9, "quantity": 100 });
    let order = json!({ "number": 1, "name": "Fox", "quantity": 2 });
    for (target, data) in [
        ("/products/Tux", &tux),
        ("/products/T%75x", &tux),
        ("/products?name=Tux", &tux),
        ("/products?name=%54ux", &tux),
        ("http://elsewhere/products/Tux", &tux),
        ("/orders/1", &order),
        ("/order/1", &order),
        ("/orders/0001", &order),
    ] {
        let answer = wire.ask(get(target));
        assert_eq!((answer.status, &answer.body["data"]), (200, data), "{target}: {answer:?}");
    }
    let all = wire.ask(get("/products")).body;
    assert!(all["data"].as_array().is_some_and(|toys| toys.len() >= 10 && toys.contains(&tux)));

    for (target, status, message) in [
        ("/products/Snoopy", 404, "product not found"),
        ("/products/tux", 404, "product not found"),
        ("/products/Big%20Tux", 404, "product not found"),
        ("/products/%F0%9F%A6%8A", 404, "product not found"),
        ("/products/", 404, "product not found"),
        ("/products?name=", 404, "product not found"),
        ("/orders/2", 404, "order not found"),
        ("/orders/18446744073709551615", 404, "order not found"),
        ("/orders/18446744073709551616", 400, "whole number"),
        ("/orders/0", 400, "whole number"),
        ("/orders/-1", 400, "whole number"),
        ("/orders/+1", 400, "whole number"),
        ("/orders/1.0", 400, "whole number"),
        ("/orders/one", 400, "whole number"),
        ("/orders/", 400, "whole number"),
        ("//", 404, "no such path"),
        ("/product/Tux", 404, "no such path"),
        ("/Products/Tux", 404, "no such path"),
        ("/products/Tux/", 404, "no such path"),
        ("/products/../orders/1", 404, "no such path"),
        ("/products/%", 400, "hexadecimal"),
        ("/products/%2", 400, "hexadecimal"),
        ("/products/%zz", 400, "hexadecimal"),
        ("/products/%FF", 400, "not UTF-8"),
        ("/products?toy=Tux", 400, "expected name"),
        ("/products?name=Tux&limit=1", 400, "expected name alone"),
        ("/products?limit=1&limit=2", 400, "once"),
        ("/products?limit=0", 400, "from 1 to 1000"),
        ("/products?limit=1001", 400, "from 1 to 1000"),
        ("/products?limit=all", 400, "from 1 to 1000"),
        ("/products?after=Snoopy", 404, "product not found"),
        ("/products?after=", 400, "1 to 100 bytes"),
        ("/products?name=Tux&name=Fox", 400, "once"),
    ] {
        let answer = wire.ask(get(target));
        let expected = answer.status == status && answer.message().contains(message);
        assert!(expected, "{target}: {answer:?}, expected {status} {message}");
    }
    assert_eq!(store.assert_conserved(), 1);
}

#[test]
fn a_list_in_pages_is_the_whole_list_and_each_page_says_where_the_next_is() {
    let mut store = Cluster::closed(&["--catalog-initial=toys.csv"]);
    let toys =
        "name,price,quantity\nYo-yo,1,1\n\"Lego, red\",2,2\n<Tux>; rel=next,3,3\n\u{e4}&=,4,4\n";
    std::fs::write(store.path("toys.csv"), toys).expect("has room");
    store.start(Catalog);
    store.start(Frontend);
    let mut wire = Wire::open(&store);
    let all = wire.ask(get("/products"));
    assert_eq!(all.header("Link"), None, "that is all: {all:?}");
    let all = all.body["data"].as_array().expect("a list").clone();
    assert_eq!(all.len(), 4);
    for limit in 1..=5 {
        let (mut found, mut target) = (Vec::new(), Some(format!("/products?limit={limit}")));
        while let Some(next) = target.take() {
            let page = wire.ask(get(&next));
            let toys = page.body["data"].as_array().expect("a list");
            assert!((1..=limit).contains(&toys.len()), "{next}: {page:?}");
            found.extend(toys.iter().cloned());
            target = page.header("Link").map(|link| {
                let target =
                    link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
                target.expect("a link to the next page").to_owned()
            });
        }
        assert_eq!(found, all, "in pages of {limit}");
    }
}

#[test]
fn every_path_says_which_methods_it_has() {
    let store = Cluster::open(&[]);
    let mut wire = Wire::open(&store);
    for (method, target, allowed) in [
        ("POST", "/products/Tux", "GET, HEAD, OPTIONS"),
        ("DELETE", "/products", "GET, HEAD, OPTIONS"),
        ("PUT", "/orders/1", "GET, HEAD, OPTIONS"),
        ("GET", "/orders", "POST, OPTIONS"),
        ("HEAD", "/order", "POST, OPTIONS"),
        ("OPTIONS", "/orders", "POST, OPTIONS"),
        ("OPTIONS", "/orders/1", "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/assets/theme.css", "GET, HEAD, OPTIONS"),
        ("OPTIONS", "*", "GET, HEAD, POST, OPTIONS"),
    ] {
        wire.send(format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let has_body = !matches!(method, "HEAD" | "OPTIONS");
        let answer = if has_body { wire.answer() } else { wire.head() };
        let expected = if method == "OPTIONS" { 204 } else { 405 };
        let (status, allow) = (answer.status, answer.header("Allow"));
        assert_eq!((status, allow), (expected, Some(allowed)), "{method} {target}: {answer:?}");
    }
    for (id, allowed) in
        [(Catalog, "GET, HEAD, POST, PUT, OPTIONS"), (Order(1), "GET, HEAD, POST, OPTIONS")]
    {
        let mut service = Wire::to(store.address(id));
        service.send("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(service.head().header("Allow"), Some(allowed), "{id:?}");
    }
    for target in ["/*", "/nowhere"] {
        wire.send(format!("OPTIONS {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(wire.answer().status, 404, "{target}");
    }
}

/// A malformed purchase, with the status and a part of the message.
type Refused<'a> = (&'a [u8], u16, &'static str);

const QUANTITIES: &[Refused<'static>] = &[
    (br#"{"name":"Tux","quantity":0}"#, 400, "quantity is 0, expected a whole number from 1"),
    (br#"{"name":"Tux","quantity":-1}"#, 400, "quantity is -1, expected a whole number"),
    (br#"{"name":"Tux","quantity":-0}"#, 400, "expected a whole number"),
    (br#"{"name":"Tux","quantity":0.5}"#, 400, "quantity is 0.5, expected a whole number"),
    (br#"{"name":"Tux","quantity":1.0}"#, 400, "quantity is 1.0, expected a whole number"),
    (br#"{"name":"Tux","quantity":1e3}"#, 400, "expected a whole number"),
    (br#"{"name":"Tux","quantity":1e999}"#, 400, "expected"),
    (br#"{"name":"Tux","quantity":"1"}"#, 400, r#"quantity is "1", expected a whole number"#),
    (br#"{"name":"Tux","quantity":"2"}"#, 400, r#"from 1 to 1000000: write 2, not "2""#),
    (br#"{"name":"Tux","quantity":"two"}"#, 400, r#"quantity is "two", expected a whole number"#),
    (br#"{"name":"Tux","quantity":true}"#, 400, "expected a whole number"),
    (br#"{"name":"Tux","quantity":null}"#, 400, "expected a whole number"),
    (br#"{"name":"Tux","quantity":[1]}"#, 400, "expected a whole number"),
    (br#"{"name":"Tux","quantity":{}}"#, 400, "expected a whole number"),
    (br#"{"name":"Tux","quantity":1000001}"#, 400, "from 1 to 1000000"),
    (br#"{"name":"Tux","quantity":4294967297}"#, 400, "from 1 to 1000000"),
    (br#"{"name":"Tux","quantity":9223372036854775808}"#, 400, "from 1 to 1000000"),
    (br#"{"name":"Tux","quantity":18446744073709551616}"#, 400, "expected a whole number"),
    (br#"{"name":"Tux","quantity":101}"#, 409, "not enough stock"),
    (br#"{"name":"Tux","quantity":1000000}"#, 409, "not enough stock"),
];

const FIELDS: &[Refused<'static>] = &[
    (br#"{"name":"Snoopy","quantity":1}"#, 404, "product not found"),
    (br#"{"name":"","quantity":1}"#, 400, "1 to 100 bytes"),
    (br#"{"name":"Tux\n","quantity":1}"#, 400, "control characters"),
    (br#"{"name":1,"quantity":1}"#, 400, "invalid type"),
    (br#"{"quantity":1}"#, 400, "missing field `name`"),
    (br#"{"name":"Tux"}"#, 400, "missing field `quantity`"),
    (br#"{"name":"Tux","quantity":1,"colour":"red"}"#, 400, "unknown field `colour`"),
    (br#"{"name":"Tux","name":"Fox","quantity":1}"#, 400, "duplicate field `name`"),
    (br#"{"name":"Tux","quantity":1,"quantity":2}"#, 400, "duplicate field `quantity`"),
];

const NO_OBJECTS: &[Refused<'static>] = &[
    (b"", 400, r#"expected {"name":"Tux","quantity":1}"#),
    (b"{}", 400, "missing field"),
    (br#"["Tux",1,2]"#, 400, r#"expected {"name":"Tux","quantity":1}"#),
    (b"null", 400, r#"expected {"name":"Tux","quantity":1}"#),
    (br#"{"name":"Tux","quantity":1"#, 400, r#"expected {"name":"Tux","quantity":1}"#),
    (br#"{"name":"Tux","quantity":1}}"#, 400, "trailing characters"),
    (b"{\"name\":\"T\xffx\",\"quantity\":1}", 400, r#"expected {"name":"Tux","quantity":1}"#),
];

const FORMS: &[Refused<'static>] = &[
    (b"name=Tux&quantity=0", 400, "quantity is 0"),
    (b"name=Tux&quantity=-1", 400, r#"quantity is "-1""#),
    (b"name=Tux&quantity=1.5", 400, r#"quantity is "1.5""#),
    (b"name=Tux&quantity=", 400, r#"quantity is """#),
    (b"name=Tux&quantity=18446744073709551616", 400, "expected a whole number"),
    (b"name=Tux", 400, r#"field "quantity" is missing"#),
    (b"quantity=1", 400, r#"field "name" is missing"#),
    (b"name=Tux&quantity=1&quantity=1", 400, "more than once"),
    (b"name=Tux&quantity=1&colour=red", 400, r#"unknown field "colour""#),
    (b"name=T%ffx&quantity=1", 400, "not UTF-8"),
    (b"name=T%x&quantity=1", 400, "hexadecimal"),
];

#[test]
fn a_purchase_is_what_it_says_or_is_refused_with_what_is_wrong() {
    let store = Cluster::open(&[]);
    let mut wire = Wire::open(&store);
    let long_name = format!(r#"{{"name":"{}","quantity":1}}"#, "x".repeat(101));
    let nested = format!(r#"{{"name":"Tux","quantity":{}1"#, "[".repeat(60_000));
    let large = [
        (long_name.as_bytes(), 400, "1 to 100 bytes"),
        (nested.as_bytes(), 400, "recursion limit"),
    ];
    for (body, status, message) in [QUANTITIES, FIELDS, NO_OBJECTS, FORMS, &large].concat() {
        let answer = wire.ask(post(body));
        let expected = answer.status == status && answer.message().contains(message);
        let body = String::from_utf8_lossy(&body[..body.len().min(80)]);
        assert!(expected, "{body}: {answer:?}, expected {status} {message}");
    }
    let json = br#"{"name":"Tux","quantity":1}"#;
    assert_eq!(store.assert_conserved(), 0, "a refusal writes nothing (O2)");

    let chunks = "8;x=y\r\n{\"name\":\r\n13\r\n\"Tux\",\"quantity\":1}\r\n0\r\nX: y\r\n\r\n";
    let accepted = [
        post(br#"{"name":"Tux","quantity":1}"#),
        post(br#" { "quantity" : 99 , "name" : "\u0046ox" } "#),
        post(b"name=Tux&quantity=1"),
        post(b"quantity=1&name=T%75x&"),
        post(b"\xef\xbb\xbf{\"name\":\"Tux\",\"quantity\":1}"),
        post(b"\xef\xbb\xbfname=Tux&quantity=1"),
        post_with("Content-Type: text/plain\r\n", b"name=Tux&quantity=1"),
        post_with("Content-Type: Application/JSON;charset=utf-8\r\n", json),
        post_with("Content-Type: application/x-www-form-urlencoded\r\n", json),
        post_with("Content-Type: \r\nContent-Encoding: identity\r\n", json),
        chunked(chunks).into(),
        String::from_utf8(post(b"name=Tux&quantity=1"))
            .expect("ASCII")
            .replace("/orders", "/order")
            .into(),
    ];
    for (number, request) in (1..).zip(&accepted) {
        let shown = String::from_utf8_lossy(request);
        assert_eq!(order_number(&wire.ask(request)), number, "{shown}");
    }
    assert_eq!(store.assert_conserved(), accepted.len() as u64);
}

#[test]
fn a_body_in_another_format_is_refused_with_those_that_are_read() {
    let store = Cluster::open(&[]);
    let mut wire = Wire::open(&store);
    let json = br#"{"name":"Tux","quantity":1}"#;
    for (header, message) in [
        (
            "Content-Type: multipart/form-data; boundary=x",
            "Content-Type is multipart/form-data, expected",
        ),
        (
            "Content-Type: application/xml",
            "expected application/json or application/x-www-form-urlencoded",
        ),
        ("Content-Type: text/html; charset=utf-8", "Content-Type is text/html, expected"),
        ("Content-Type: json", "Content-Type is json, expected application/json"),
        ("Content-Encoding: gzip", "Content-Encoding is gzip, expected none"),
    ] {
        let answer = wire.ask(post_with(&format!("{header}\r\n"), json));
        let expected = answer.status == 415 && answer.message().contains(message);
        assert!(expected, "{header}: {answer:?}, expected 415 {message}");
    }
    assert_eq!(store.assert_conserved(), 0);
}

#[test]
fn the_same_key_never_buys_twice_and_gets_the_same_answer() {
    let store = Cluster::open(&[]);
    let mut wire = Wire::open(&store);
    let tux: &[u8] = br#"{"name":"Tux","quantity":3}"#;
    let with_key = |key: &str, body: &[u8]| post_with(&format!("Idempotency-Key: {key}\r\n"), body);
    assert_eq!(order_number(&wire.ask(with_key("a", tux))), 1);
    assert_eq!(order_number(&wire.ask(with_key("b", tux))), 2, "another key is another purchase");
    assert_eq!(order_number(&wire.ask(post(tux))), 3, "and so is no key");
    assert_eq!(order_number(&wire.ask(with_key("a", tux))), 1);
    assert_eq!(order_number(&wire.ask(with_key("a", b"quantity=3&name=Tux"))), 1, "the same asked");
    assert_eq!(order_number(&Wire::open(&store).ask(with_key("a", tux))), 1, "from elsewhere");

    for other in [&b"name=Tux&quantity=4"[..], b"name=Fox&quantity=3"] {
        let answer = wire.ask(with_key("a", other));
        assert_eq!(answer.status, 422, "{answer:?}");
        assert!(answer.message().contains("already used"), "{answer:?}");
    }
    let longest = "k".repeat(100);
    assert_eq!(order_number(&wire.ask(with_key(&longest, tux))), 4);
    for key in [
        "",
        "a b",
        "schlüssel",
        "~0-1-1",
        "\"\"",
        "\"a",
        "\"a\"b",
        "\"~0-1-1\"",
        &format!("{longest}k"),
    ] {
        let answer = wire.ask(with_key(key, tux));
        assert_eq!(answer.status, 400, "{key:?}: {answer:?}");
        assert!(answer.message().contains("Idempotency-Key"), "{key:?}: {answer:?}");
    }
    let twice = post_with("Idempotency-Key: c\r\nIdempotency-Key: c\r\n", tux);
    assert_eq!(wire.ask(twice).status, 400);
    // A refused purchase leaves nothing: its key may be used again.
    assert_eq!(wire.ask(with_key("d", b"name=Tux&quantity=99")).status, 409);
    assert_eq!(order_number(&wire.ask(with_key("d", tux))), 5);

    // All at once: one buys, the others wait for it.
    let numbers: Vec<u64> = thread::scope(|scope| {
        let buyers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| order_number(&Wire::open(&store).ask(with_key("e", tux)))))
            .collect();
        buyers.into_iter().map(|buyer| buyer.join().expect("no panic")).collect()
    });
    assert_eq!(numbers, [6; 8]);
    assert_eq!(store.assert_conserved(), 6);
}

#[test]
fn a_key_with_quotes_is_the_key_without_them() {
    let store = Cluster::open(&[]);
    let mut wire = Wire::open(&store);
    let mut buy = |key: &str| {
        wire.ask(post_with(&format!("Idempotency-Key: {key}\r\n"), b"name=Tux&quantity=1"))
    };
    for (key, number) in [
        ("a", 1),
        (r#""a""#, 1),
        (r#" "a" "#, 1),
        (r#""a";from=here"#, 1),
        (r#""b\"\\""#, 2),
        (r#"b"\"#, 2),
    ] {
        assert_eq!(order_number(&buy(key)), number, "{key}");
    }
    for key in [r#""""#, r#""a"#, r#""a"b"#, r#""~0-1-1""#, r#""\a""#, r#""a b""#] {
        let answer = buy(key);
        assert_eq!(answer.status, 400, "{key}: {answer:?}");
        assert!(answer.message().contains("Idempotency-Key"), "{key}: {answer:?}");
    }
    assert_eq!(store.assert_conserved(), 2);
}

#[test]
fn requests_are_answered_in_order_however_they_arrive() {
    let store = Cluster::open(&[]);
    let buy = |name: &str| post(format!("name={name}&quantity=1").as_bytes());

    // Pipelined: all are sent before the first answer is read.
    let mut wire = Wire::open(&store);
    let requests: Vec<Vec<u8>> = vec![
        get("/products/Tux").into(),
        buy("Tux"),
        get("/products/Tux").into(),
        get("/orders/1").into(),
        get("/nowhere").into(),
        chunked("13\r\nname=Tux&quantity=1\r\n0\r\n\r\n").into(),
        get("/orders/2").into(),
    ];
    wire.send(requests.concat());
    let answers: Vec<Answer> = requests.iter().map(|_| wire.answer()).collect();
    let statuses = answers.iter().map(|answer| answer.status);
    assert_eq!(statuses.collect::<Vec<_>>(), [200, 200, 200, 200, 404, 200, 200]);
    let quantities = [0, 2].map(|i| answers[i].body["data"]["quantity"].as_u64());
    assert_eq!(quantities, [Some(100), Some(99)], "a query sees the purchase before it (F5)");
    assert_eq!(answers[6].body["data"]["number"], 2);
    // More than fit into any buffer; the last one asks to close.
    wire.send(get("/products/Tux").repeat(1_000));
    wire.send(get_with("/products/Tux", "Connection: close\r\n"));
    wire.send(get("/products/Tux"));
    assert!((0..1_000).all(|_| wire.answer().status == 200));
    assert_eq!(wire.answer().header("Connection"), Some("close"));
    wire.assert_closed();

    // Byte by byte, after an empty line.
    let mut wire = Wire::open(&store);
    for byte in [b"\r\n", &buy("Fox")[..]].concat() {
        wire.send([byte]);
    }
    assert_eq!(order_number(&wire.answer()), 3);

    // A client that waits for 100 Continue before it sends the body.
    wire.send(
        "POST /orders HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 19\r\n\r\n",
    );
    let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
    while wire.received.len() < go_on.len() {
        assert!(wire.read() > 0);
    }
    assert_eq!(wire.received.drain(..).collect::<Vec<u8>>(), go_on);
    assert_eq!(order_number(&wire.ask("name=Fox&quantity=1")), 4);

    // HEAD: as GET, but without the body.
    wire.send("HEAD /products/Fox HTTP/1.1\r\nHost: h\r\n\r\n");
    let (head, answer) = (wire.head(), wire.ask(get("/products/Fox")));
    assert_eq!(head.status, 200);
    assert_eq!(head.header("Content-Length"), answer.header("Content-Length"));

    // A session id, for the access log only.
    let answer = wire.ask(get_with("/products/Fox", "Session-ID: a\"b\r\n"));
    assert_eq!(answer.status, 200);

    // HTTP/1.0 needs no Host, and is closed after the answer, unless asked not to.
    wire = Wire::open(&store);
    let answer = wire.ask("GET /products/Fox HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!((answer.status, answer.header("Connection")), (200, Some("keep-alive")));
    assert_eq!(wire.ask("GET /products/Fox HTTP/1.0\r\n\r\n").status, 200);
    wire.assert_closed();
    assert_eq!(store.assert_conserved(), 4);
}

#[test]
fn slow_and_vanishing_clients_cost_the_others_nothing() {
    let settings = ["--frontend-threads=2", "--frontend-request-deadline-ms=1500"];
    let store = Cluster::open(&settings);
    let whole = post(br#"{"name":"Tux","quantity":1}"#);
    let (start, end) = whole.split_at(whole.len() - 1);

    // Far more slow clients than threads: half stop in the head, half in the body.
    let mut slow: Vec<Wire> = (0..8).map(|_| Wire::open(&store)).collect();
    for (i, wire) in slow.iter_mut().enumerate() {
        wire.send(if i % 2 == 0 { start } else { b"GET /prod" });
    }
    let mut customer = store.customer(Frontend);
    assert_eq!(customer.buy_one("Fox"), 1, "the others are served meanwhile");
    // One continues to send single bytes, which does not extend its deadline.
    let dripping = slow.pop().expect("eight");
    let mut drips = dripping.stream.try_clone().expect("a socket");
    thread::scope(|scope| {
        scope.spawn(move || {
            while drips.write_all(b"u").is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        });
        for mut wire in slow.into_iter().chain([dripping]) {
            let answer = wire.answer();
            assert_eq!(answer.status, 408, "{answer:?}");
            wire.stream.shutdown(Shutdown::Both).ok();
        }
    });

    // Clients that leave: before the first byte, within the head, within the body, before the answer.
    for part in [&b""[..], b"GET", start] {
        for _ in 0..4 {
            Wire::open(&store).send(part);
        }
    }
    let before = store.committed();
    for _ in 0..4 {
        Wire::open(&store).send(&whole);
    }
    // A client that only stops sending still waits for its answer.
    let mut wire = Wire::open(&store);
    wire.send(start);
    wire.send(end);
    wire.stream.shutdown(Shutdown::Write).expect("a socket");
    assert_eq!(wire.answer().status, 200);
    wire.assert_closed();
    wait_until("purchases of the vanished are finished", || store.committed() == before + 5);
    assert_eq!(store.assert_conserved(), 6);
}

/// A client without a key cannot retry with the same key, so the error must not say so.
#[test]
fn the_advice_after_an_unanswered_purchase_fits_its_key() {
    let store = Cluster::open(&["--frontend-purchase-deadline-ms=3000"]);
    let buy = |headers| post_with(headers, br#"{"name":"Tux","quantity":1}"#);
    let mut wire = Wire::open(&store);
    assert_eq!(order_number(&wire.ask(buy(""))), 1);
    // A paused catalog receives the question and does not answer.
    store.pause(Catalog);
    for (headers, advice) in [
        ("Idempotency-Key: mine\r\n", "retry with the same Idempotency-Key"),
        ("", "a retry may buy twice; with an Idempotency-Key it does not"),
    ] {
        let answer = wire.ask(buy(headers));
        assert_eq!(answer.status, 503, "{answer:?}");
        let said = answer.message();
        assert!(
            said.contains("the outcome is unknown") && said.ends_with(advice),
            "{headers}: {said}"
        );
    }
}

/// A purchase waits for a leader as long as its deadline says (F7).
#[test]
fn a_purchase_waits_for_a_leader_until_its_deadline() {
    // A store that has just lost its replicas may need seconds to get them back.
    let mut store = Cluster::closed(&["--frontend-purchase-deadline-ms=60000"]);
    store.start(Catalog);
    store.start(Frontend);
    let mut wire = Wire::open(&store);
    wire.send(post(br#"{"name":"Tux","quantity":1}"#));
    wait_until("the front-end says that it has waited for two seconds", || {
        store.log(Frontend).contains("purchases wait")
    });
    for id in REPLICAS {
        store.start(Order(id));
    }
    assert_eq!(order_number(&wire.answer()), 1);
}

#[test]
fn without_backends_the_answer_is_503_and_when_to_come_again() {
    let mut store = Cluster::closed(&["--frontend-purchase-deadline-ms=1000"]);
    store.start(Frontend);
    let mut wire = Wire::open(&store);
    let buy = post(br#"{"name":"Tux","quantity":1}"#);
    let requests: [Vec<u8>; 4] =
        [get("/products/Tux").into(), get("/products").into(), get("/orders/1").into(), buy];
    for request in &requests {
        let answer = wire.ask(request);
        assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("1")), "{answer:?}");
        let said = answer.message();
        assert_eq!(said.matches("try again").count(), 1, "{said}");
        assert!(!said.contains("127.") && !said.contains("the outcome is unknown"), "{said}");
    }
    let long = format!("/products/{}", "x".repeat(101));
    for target in ["/nowhere", "/products/", "/products/%0A", "/products?name=", &long] {
        let status = wire.ask(get(target)).status;
        assert_eq!(status, 404, "what needs nobody is answered, also a name of no toy: {target}");
    }

    store.start(Catalog);
    assert_eq!(wire.ask(get("/products/Tux")).status, 200);
    let answer = wire.ask(&requests[3]);
    assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("1")), "{answer:?}");
    for id in REPLICAS {
        store.start(Order(id));
    }
    assert_eq!(order_number(&wire.ask(&requests[3])), 1, "and later it is done");
    assert_eq!(store.assert_conserved(), 1);
}
