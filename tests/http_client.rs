//! The HTTP client with correct servers, with malformed answers, and with servers that close the connection.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use toystore::error::Error;
use toystore::http::{Client, Http1};
use toystore::net::{Progress, Scheme};

const DEADLINE: Duration = Duration::from_secs(10);

/// A server on a free port that has one behaviour per connection, and ends after the last one.
struct Server {
    address: String,
    thread: JoinHandle<()>,
}

impl Server {
    fn start<P: FnOnce(TcpStream) + Send + 'static>(parts: Vec<P>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let play = move || {
            for part in parts {
                let (stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(DEADLINE)).unwrap();
                part(stream);
            }
        };
        let thread = thread::Builder::new().name("server".into()).spawn(play).unwrap();
        Server { address, thread }
    }

    /// Answers one request, then closes the connection.
    fn saying(response: &'static [u8]) -> Server {
        Server::start(vec![move |stream: TcpStream| {
            let mut stream = stream;
            read_request(&mut stream);
            stream.write_all(response).unwrap();
        }])
    }

    fn client(&self) -> Client {
        Client::new(&self.address, DEADLINE)
    }

    fn join(self) {
        self.thread.join().unwrap();
    }
}

/// Reads up to the end of a head; the tests' servers expect no bodies.
fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        request.push(byte[0]);
    }
    String::from_utf8(request).unwrap()
}

#[test]
fn responses_are_read_to_their_end() {
    let cases: [(&str, &[u8], u16, &str); 9] = [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, "abc"),
        ("GET", b"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", 404, ""),
        (
            "GET",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            200,
            "abc",
        ),
        ("GET", b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end"),
        ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, "abc"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 200, ""),
        (
            "POST",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx",
            201,
            "x",
        ),
        ("POST", b"HTTP/1.1 409 Conflict\r\nContent-Length: 3\r\n\r\nabcd", 409, "abc"),
    ];
    for (method, bytes, status, body) in cases {
        let server = Server::saying(bytes);
        let response = server.client().send(method, "/", &[], b"").unwrap();
        assert_eq!(
            (response.status, response.body),
            (status, body.into()),
            "{method}: {}",
            String::from_utf8_lossy(bytes)
        );
        server.join();
    }
}

#[test]
fn a_response_in_pieces_is_put_together() {
    let server = Server::start(vec![|mut stream: TcpStream| {
        read_request(&mut stream);
        stream.set_nodelay(true).unwrap();
        let head = "HTTP/1.1 200 OK\r\nX-A:  b \r\nTransfer-Encoding: chunked\r\n\r\n";
        for byte in format!("{head}3\r\nabc\r\n0\r\n\r\n").bytes() {
            stream.write_all(&[byte]).unwrap();
        }
    }]);
    let response = server.client().send("GET", "/", &[], b"").unwrap();
    assert_eq!(response.body, b"abc");
    assert_eq!((response.header("x-a"), response.header("x-b")), (Some("b"), None));
    server.join();
}

#[test]
fn what_is_no_whole_response_is_unanswered() {
    let cases: [(&'static [u8], &str); 8] = [
        (b"", "the connection was closed"),
        (b"HTTP/1.1 200 OK\r\nCont", "cut off"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", "cut off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "cut off"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "malformed"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            "comes more than once",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n", "longer than"),
        (b"220 mail.example.org ESMTP\r\n", "malformed"),
    ];
    for (bytes, why) in cases {
        let server = Server::saying(bytes);
        let error = server.client().send("GET", "/", &[], b"").unwrap_err();
        assert!(matches!(error, Error::Unanswered { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error} has no {why:?}");
        server.join();
    }
}

#[test]
fn a_kept_connection_carries_many_requests() {
    let server = Server::start(vec![|mut stream: TcpStream| {
        for n in 0..3 {
            let request = read_request(&mut stream);
            assert!(
                request.starts_with(&format!("GET /{n} HTTP/1.1\r\nHost: 127.0.0.1:")),
                "{request}"
            );
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").unwrap();
        }
    }]);
    let mut client = server.client();
    for n in 0..3 {
        assert_eq!(client.send("GET", &format!("/{n}"), &[], b"").unwrap().body, b"x");
    }
    server.join();
}

#[test]
fn a_connection_that_is_to_be_closed_is_not_used_again() {
    let responses = [
        "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx, and more than that",
    ];
    for response in responses {
        // The first connection stays open: a second request on it would not be answered.
        let (open, kept) = mpsc::channel();
        let part = move |mut stream: TcpStream| {
            read_request(&mut stream);
            stream.write_all(response.as_bytes()).unwrap();
            open.send(stream).unwrap();
        };
        let server = Server::start(vec![part; 2]);
        let mut client = server.client();
        for _ in 0..2 {
            assert_eq!(client.send("POST", "/", &[], b"").unwrap().body, b"x");
        }
        server.join();
        assert_eq!(kept.try_iter().count(), 2, "connections after {response:?}");
    }
}

/// Answers one request, then closes the idle connection.
fn answer_once(mut stream: TcpStream) {
    read_request(&mut stream);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").unwrap();
}

/// Reads one request and closes without an answer.
fn hang_up(mut stream: TcpStream) {
    read_request(&mut stream);
    stream.shutdown(Shutdown::Both).unwrap();
}

#[test]
fn a_read_on_a_connection_closed_meanwhile_is_sent_again() {
    for method in ["GET", "HEAD"] {
        let server = Server::start(vec![answer_once as fn(TcpStream), answer_once]);
        let mut client = server.client();
        for _ in 0..2 {
            assert_eq!(client.send(method, "/", &[], b"").unwrap().status, 200);
        }
        server.join();
    }
}

#[test]
fn a_read_is_sent_again_only_once() {
    let server = Server::start(vec![answer_once as fn(TcpStream), hang_up]);
    let mut client = server.client();
    client.send("GET", "/", &[], b"").unwrap();
    let error = client.send("GET", "/", &[], b"").unwrap_err();
    assert!(matches!(error, Error::Unanswered { .. }), "{error}");
    server.join();
}

#[test]
fn a_write_on_a_connection_closed_meanwhile_is_unanswered() {
    let server = Server::start(vec![answer_once as fn(TcpStream), answer_once]);
    let mut client = server.client();
    client.send("POST", "/", &[], b"").unwrap();
    let error = client.send("POST", "/", &[], b"").unwrap_err();
    assert!(matches!(error, Error::Unanswered { .. }), "{error}");
    client.send("POST", "/", &[], b"").expect("the next one opens a connection of its own");
    server.join();
}

#[test]
fn nobody_listening_is_unreachable_and_definite() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = Client::new(&address, DEADLINE).send("POST", "/", &[], b"").unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.is_definite(), "{error}");
}

#[test]
fn a_silent_server_is_waited_for_until_the_deadline() {
    // The connection waits in the listener's queue and is not accepted.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut client = Client::new(&address, Duration::from_millis(50));
    let error = client.send("GET", "/", &[], b"").unwrap_err();
    assert!(error.to_string().contains("no response within 50ms"), "{error}");
}

#[test]
fn a_request_that_would_break_out_of_its_line_is_not_sent() {
    let mut client = Client::new("127.0.0.1:1", DEADLINE);
    for (target, header) in [("/a b", "x"), ("/\r\n", "x"), ("/ü", "x"), ("/", "a\r\nb: c")] {
        let error = client.send("GET", target, &[("A", header)], b"").unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{target:?} {header:?}: {error}");
    }
}

/// Serves one connection through [`Http1`], as the front-end does, and answers with the body.
fn mirror(mut stream: TcpStream) {
    let (mut connection, mut input, mut output) =
        (Http1::new(Scheme::Plain), Vec::new(), Vec::new());
    loop {
        let progress = connection.serve(&input, &mut output, |request, responder| {
            let key = request.header("Key").unwrap().unwrap_or("none");
            responder.send(200, &[("Key", key)], request.body);
        });
        stream.write_all(&output).unwrap();
        output.clear();
        match progress {
            Progress::Later { .. } => unreachable!("it answers at once"),
            Progress::Close => return,
            Progress::Served { bytes } => drop(input.drain(..bytes)),
            Progress::NeedMore => {
                let mut chunk = [0; 4096];
                match stream.read(&mut chunk).unwrap() {
                    0 => return,
                    bytes => input.extend_from_slice(&chunk[..bytes]),
                }
            }
        }
    }
}

#[test]
fn client_and_connection_understand_each_other() {
    let server = Server::start(vec![mirror]);
    let mut client = server.client();
    for bytes in [0, 1, 5_000, 64 * 1024] {
        let body = vec![b'x'; bytes];
        let response = client.send("POST", "/orders", &[("Key", "k-1")], &body).unwrap();
        assert_eq!((response.status, response.header("key")), (200, Some("k-1")));
        assert!(response.body == body, "{bytes} bytes came back as {}", response.body.len());
    }
    drop(client);
    server.join();
}
