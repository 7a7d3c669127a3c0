//! The README is true: its raw HTTP session works as it is printed.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use support::{Cluster, Id, PATIENCE};

/// The README's session: the lines that are typed, up to and including the empty line, and the answer.
fn session() -> (String, String) {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once("$ nc 127.0.0.1 8081\n").expect("there is a session");
    let (session, _) = rest.split_once("```").expect("it ends");
    let (typed, printed) = session.split_once("\n\n").expect("an empty line ends a request");
    (format!("{typed}\n\n"), printed.trim_end().to_owned())
}

/// The same without the date.
fn without_date(answer: &str) -> String {
    let lines = answer.lines().filter(|line| !line.starts_with("Date: "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_session_in_the_readme_works_as_printed() {
    let store = Cluster::open(&[]);
    let (typed, printed) = session();
    let mut connection = TcpStream::connect(store.address(Id::Frontend)).expect("it listens");
    connection.set_read_timeout(Some(PATIENCE)).expect("a socket");
    // As nc sends it: plain line ends.
    connection.write_all(typed.as_bytes()).expect("open");
    let mut answer = Vec::new();
    let mut bytes = [0; 1024];
    while !answer.ends_with(b"}}") {
        let count = connection.read(&mut bytes).expect("an answer within the deadline");
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&bytes[..count]);
    }
    let answer = String::from_utf8(answer).expect("text");
    assert!(answer.contains("\r\nDate: "), "{answer}");
    assert_eq!(without_date(&answer), without_date(&printed));
}
