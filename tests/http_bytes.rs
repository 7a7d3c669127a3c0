//! HTTP/1.1 as bytes in, bytes out: which requests are accepted, which are refused with which status, and where
//! requests end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use proptest::prelude::*;
use std::borrow::Cow;
use std::fmt::Write;
use std::time::Instant;
use toystore::http::{Http1, Request, Responder, error_body, form_pairs, percent_encode};
use toystore::net::{Progress, Scheme};

const HEAD_BYTES_MAX: usize = 16 * 1024;
const TARGET_BYTES_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 64;
const BODY_BYTES_MAX: usize = 64 * 1024;

/// A handler that answers with what it received.
fn echo(request: &Request<'_>, responder: Responder<'_>) {
    let mut told = request.method.to_owned();
    for segment in request.segments() {
        write!(told, " /{}", segment.unwrap_or("?".into())).unwrap();
    }
    for pair in request.query() {
        let (name, value) = pair.unwrap_or_default();
        write!(told, " {name}={value}").unwrap();
    }
    write!(told, " {}", String::from_utf8_lossy(request.body)).unwrap();
    responder.send(200, &[], told.trim_end().as_bytes());
}

/// One response, taken apart.
#[derive(Debug, PartialEq)]
struct Answer {
    progress: Progress,
    status: u16,
    /// The head's lines but for `Date`.
    lines: Vec<String>,
    body: String,
}

fn answer(progress: Progress, output: &[u8]) -> Answer {
    let text = str::from_utf8(output).expect("the tests' answers are text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let lines = head.split("\r\n").filter(|line| !line.starts_with("Date: "));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    let status = lines[0]["HTTP/1.1 ".len()..][..3].parse().unwrap();
    Answer { progress, status, lines, body: body.to_owned() }
}

fn serve(input: &[u8]) -> Answer {
    let mut output = Vec::new();
    let progress = Http1::new(Scheme::Plain).serve(input, &mut output, echo);
    answer(progress, &output)
}

/// Gives a connection the input byte by byte, up to the first answer.
fn serve_slowly(input: &[u8]) -> Answer {
    let mut connection = Http1::new(Scheme::Plain);
    let mut output = Vec::new();
    for end in 1..=input.len() {
        let progress = connection.serve(&input[..end], &mut output, echo);
        if progress != Progress::NeedMore {
            return answer(progress, &output);
        }
        assert_eq!(output, b"", "an answer, but NeedMore");
    }
    panic!("no answer to {:?}", String::from_utf8_lossy(input));
}

fn get(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{headers}\r\n")
}

fn chunked(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

/// A request that is refused, with the status and a part of the message.
type Refused = (Cow<'static, str>, u16, &'static str);

fn refused_request_lines() -> Vec<Refused> {
    vec![
        ("\x16\x03\x01".into(), 400, "byte 0x16 in the method"),
        ("\0\0\0\x10".into(), 400, "byte 0x00 in the method"),
        ("\rGET / HTTP/1.1\r\n\r\n".into(), 400, "byte 0x0d in the method"),
        (" GET / HTTP/1.1\r\n\r\n".into(), 400, "space before the method"),
        ("G(T / HTTP/1.1\r\n\r\n".into(), 400, "byte 0x28 in the method"),
        ("GET  / HTTP/1.1\r\n\r\n".into(), 400, "no target"),
        ("GET /\x01 HTTP/1.1\r\n\r\n".into(), 400, "byte 0x01 in the target"),
        ("GET /\t HTTP/1.1\r\n\r\n".into(), 400, "byte 0x09 in the target"),
        ("GET /  HTTP/1.1\r\n\r\n".into(), 400, "expected HTTP/1.1"),
        ("GET / HTTP/1.1 \r\n\r\n".into(), 400, "expected HTTP/1.1"),
        ("GET / HTTP/1.1\r\r\n\r\n".into(), 400, "expected HTTP/1.1"),
        ("GET / http/1.1\r\n\r\n".into(), 400, "expected HTTP/1.1"),
        ("GET /\r\n".into(), 505, "HTTP/0.9"),
        ("GET / HTTP/1.2\r\n\r\n".into(), 505, "HTTP/1.2 is not supported"),
        ("GET / HTTP/2.0\r\n\r\n".into(), 505, "HTTP/2.0 is not supported"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505, "HTTP/2.0 is not supported"),
        ("GET x HTTP/1.1\r\nHost: h\r\n\r\n".into(), 400, "must begin with / or http://"),
        ("GET * HTTP/1.1\r\nHost: h\r\n\r\n".into(), 400, "must begin with / or http://"),
        ("GET https://h/ HTTP/1.1\r\nHost: h\r\n\r\n".into(), 400, "must begin with"),
        ("GET http:///x HTTP/1.1\r\nHost: h\r\n\r\n".into(), 400, "malformed host"),
        ("GET http://a@h/x HTTP/1.1\r\nHost: h\r\n\r\n".into(), 400, "malformed host"),
        ("GET /#top HTTP/1.1\r\nHost: h\r\n\r\n".into(), 400, "fragment"),
        ("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n".into(), 501, "CONNECT"),
        ("BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n".into(), 501, "BREW is unknown, expected one of"),
        ("get / HTTP/1.1\r\nHost: h\r\n\r\n".into(), 501, "get is unknown; it is written GET"),
    ]
}

fn refused_headers() -> Vec<Refused> {
    let mut cases: Vec<Refused> = vec![
        ("GET / HTTP/1.1\r\n Host: h\r\n\r\n".into(), 400, "header line 1: it is folded"),
        (get("A: b\r\n c\r\n").into(), 400, "header line 3: it is folded"),
        (get("A: b\r\n\tc\r\n").into(), 400, "header line 3: it is folded"),
        (get("A : b\r\n").into(), 400, "header line 2: space before the colon"),
        (get("A\t: b\r\n").into(), 400, "header line 2: space before the colon"),
        (get("A b: c\r\n").into(), 400, "header line 2: byte 0x20 in the name"),
        (get("A(b): c\r\n").into(), 400, "header line 2: byte 0x28 in the name"),
        (get("A\r\n").into(), 400, "header line 2: no colon"),
        (get(": b\r\n").into(), 400, "header line 2: no name"),
        (get("A: b\rc\r\n").into(), 400, "header line 2: bare CR"),
        (get("A: b\r\r\n").into(), 400, "header line 2: bare CR"),
        (get("A: b\0c\r\n").into(), 400, "header line 2: control byte 0x00"),
        (get("A: b\x7fc\r\n").into(), 400, "header line 2: control byte 0x7f"),
        // RFC 9112 §3.2.
        ("GET / HTTP/1.1\r\n\r\n".into(), 400, "Host is missing"),
        ("GET http://h/ HTTP/1.1\r\n\r\n".into(), 400, "Host is missing"),
        (get("host: h\r\n").into(), 400, "host comes more than once"),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n".into(), 400, "more than once"),
        // RFC 9112 §6.
        (get("Content-Length: 1\r\nContent-Length: 2\r\n").into(), 400, "more than once"),
        (get("Content-Length: 5\r\nContent-Length: 5\r\n").into(), 400, "more than once"),
        (get("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n").into(), 400, "both"),
        ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), 400, "HTTP/1.0"),
        (get("Transfer-Encoding: gzip\r\n").into(), 501, "chunked"),
        (get("Transfer-Encoding: gzip, chunked\r\n").into(), 501, "chunked"),
        (get("Transfer-Encoding: chunked, chunked\r\n").into(), 501, "chunked"),
        (get("Transfer-Encoding: xchunked\r\n").into(), 501, "chunked"),
        (get("Transfer-Encoding: \x0bchunked\r\n").into(), 400, "control byte 0x0b"),
        (get("Content-Length: 65537\r\n").into(), 413, "65536 bytes"),
        (get("Content-Length: 65537\r\nExpect: 100-continue\r\n").into(), 413, "65536 bytes"),
        (get("Expect: 200-ok\r\n").into(), 417, "100-continue"),
    ];
    for length in ["", "-1", "+5", "5, 5", "5 5", "0x5", "1e3", "5;", "99999999999999999999999"] {
        let request = get(&format!("Content-Length: {length}\r\n"));
        cases.push((request.into(), 400, "Content-Length must be a decimal number"));
    }
    for host in
        ["a b", "a@b", "a/b", "a?b", "a:b:80", ":80", "h:x", "h:123456", "[::1", "[]", "a[b]"]
    {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        cases.push((request.into(), 400, "header Host is malformed"));
    }
    cases
}

/// RFC 9112 §7.1.
fn refused_chunks() -> Vec<Refused> {
    let cases = [
        ("x\r\n", 400, "hexadecimal"),
        ("\r\n", 400, "hexadecimal"),
        ("-1\r\n", 400, "hexadecimal"),
        ("+1\r\n", 400, "hexadecimal"),
        ("0x1\r\n", 400, "hexadecimal"),
        (" 1\r\n", 400, "hexadecimal"),
        ("1 \r\n", 400, "hexadecimal"),
        ("1 x\r\n", 400, "hexadecimal"),
        ("10000000000000000\r\n", 400, "hexadecimal"),
        ("ffffffffffffffff\r\n", 413, "65536 bytes"),
        ("10001\r\n", 413, "65536 bytes"),
        ("1\nx\r\n", 400, "bare LF"),
        ("1;a\nx\r\n", 400, "bare LF"),
        ("1;a\rb\r\n", 400, "control byte"),
        ("1\r\nxy\r\n", 400, "not followed by CRLF"),
        ("1\r\nx\n0\r\n", 400, "not followed by CRLF"),
        ("0\r\nA : b\r\n\r\n", 400, "trailer"),
        ("0\r\nA: b\rc\r\n\r\n", 400, "trailer"),
    ];
    cases.map(|(body, status, message)| (chunked(body).into(), status, message)).into()
}

fn refused() -> impl Iterator<Item = Refused> {
    [refused_request_lines(), refused_headers(), refused_chunks()].into_iter().flatten()
}

#[test]
fn refused_requests_get_an_envelope_and_a_closed_connection() {
    for (request, status, message) in refused() {
        let answer = serve(request.as_bytes());
        assert_eq!((answer.status, answer.progress), (status, Progress::Close), "{request:?}");
        assert!(answer.lines.contains(&"Connection: close".to_owned()), "{request:?}");
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["error"]["code"], status, "{request:?}");
        let told = body["error"]["message"].as_str().unwrap();
        assert!(told.contains(message), "{request:?}: {told:?} has no {message:?}");
    }
}

#[test]
fn a_refusal_does_not_depend_on_how_the_bytes_arrive() {
    for (request, status, _) in refused() {
        let answer = serve_slowly(request.as_bytes());
        assert_eq!((answer.status, answer.progress), (status, Progress::Close), "{request:?}");
    }
}

#[test]
fn a_url_in_full_has_the_scheme_that_the_client_connected_with() {
    for (way, own, other) in [(Scheme::Plain, "http", "https"), (Scheme::Tls, "https", "http")] {
        for (scheme, status) in [(own, 200), (&*own.to_uppercase(), 200), (other, 400)] {
            let request = format!("GET {scheme}://h:81/a?b=c HTTP/1.1\r\nHost: h\r\n\r\n");
            let mut output = Vec::new();
            let progress = Http1::new(way).serve(request.as_bytes(), &mut output, echo);
            let answer = answer(progress, &output);
            assert_eq!(answer.status, status, "{way:?} {scheme}: {}", answer.body);
            let expected = match status {
                200 => "GET /a b=c".to_owned(),
                _ => format!("must begin with / or {own}://"),
            };
            assert!(answer.body.contains(&expected), "{way:?} {scheme}: {}", answer.body);
        }
    }
}

#[test]
fn an_answer_without_content_says_nothing_about_a_body() {
    let mut output = Vec::new();
    let input = get("");
    Http1::new(Scheme::Plain).serve(input.as_bytes(), &mut output, |_, responder| {
        responder.send(204, &[("Allow", "GET")], b"");
    });
    let answer = answer(Progress::NeedMore, &output);
    let expected = ["HTTP/1.1 204 No Content", "Cache-Control: no-store", "Allow: GET"];
    assert_eq!((&answer.lines[..], &*answer.body), (&expected.map(str::to_owned)[..], ""));
}

#[test]
fn accepted_requests_reach_the_handler_as_they_were_meant() {
    let cases = [
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET /"),
        ("GET /products/Tux HTTP/1.1\r\nHost: h\r\n\r\n", "GET /products /Tux"),
        ("GET /a/ HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a /"),
        ("GET /a%20b%2Fc/%C3%BC+1 HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a b/c /ü+1"),
        ("GET /ü HTTP/1.1\r\nHost: h\r\n\r\n", "GET /ü"),
        ("GET /%zz/%f/%/%ff HTTP/1.1\r\nHost: h\r\n\r\n", "GET /? /? /? /?"),
        ("GET /x?name=Big+Tux&&b=%26&c HTTP/1.1\r\nHost: h\r\n\r\n", "GET /x name=Big Tux b=& c="),
        ("GET /x?a=b=c?d HTTP/1.1\r\nHost: h\r\n\r\n", "GET /x a=b=c?d"),
        // RFC 9112 §3.2.2 and §3.2.4.
        ("GET http://h:81/a?b=c HTTP/1.1\r\nHost: other\r\n\r\n", "GET /a b=c"),
        ("GET HTTP://h HTTP/1.1\r\nHost: h\r\n\r\n", "GET /"),
        ("GET http://h?b=c HTTP/1.1\r\nHost: h\r\n\r\n", "GET / b=c"),
        ("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "OPTIONS /*"),
        // Known methods are checked by the router.
        ("PATCH /pot HTTP/1.1\r\nHost: h\r\n\r\n", "PATCH /pot"),
        // RFC 9112 §2.2: empty lines before, bare LF.
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET /"),
        ("GET / HTTP/1.1\nHost: h\n\n", "GET /"),
        // Host, in all its shapes; HTTP/1.0 may leave it out.
        ("GET / HTTP/1.1\r\nHOST:h\r\n\r\n", "GET /"),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET /"),
        ("GET / HTTP/1.1\r\nHost: \t127.0.0.1:8081 \r\n\r\n", "GET /"),
        ("GET / HTTP/1.1\r\nHost: [::1]:8081\r\n\r\n", "GET /"),
        ("GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n", "GET /"),
        ("GET / HTTP/1.1\r\nHost: h:\r\n\r\n", "GET /"),
        ("GET / HTTP/1.0\r\n\r\n", "GET /"),
        ("GET / HTTP/1.0\r\nExpect: 200-ok\r\n\r\n", "GET /"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "POST / abc"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 003\r\n\r\nabc", "POST / abc"),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "POST /"),
        ("POST / HTTP/1.1\r\nHost: h\r\n\r\n", "POST /"),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "GET / abc"),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n\
             2\r\nab\r\n01;x=\"y\"\r\nc\r\n1 ;z\r\nd\r\n000\r\nTrailer: t\r\n\r\n",
            "POST / abcd",
        ),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "POST /"),
    ];
    for (request, told) in cases {
        let answer = serve(request.as_bytes());
        assert_eq!((answer.status, answer.body.as_str()), (200, told), "{request:?}");
        assert_eq!(answer, serve_slowly(request.as_bytes()), "{request:?} byte by byte");
        if !request.contains("HTTP/1.0") {
            assert_eq!(answer.progress, Progress::Served { bytes: request.len() }, "{request:?}");
        }
    }
}

fn with_head_of(head_bytes: usize) -> String {
    let rest = get("A: \r\n").len();
    get(&format!("A: {}\r\n", "x".repeat(head_bytes - rest)))
}

fn with_target_of(target_bytes: usize) -> String {
    format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(target_bytes - 1))
}

fn with_headers(lines: usize) -> String {
    get(&"A: b\r\n".repeat(lines - 1))
}

fn with_body_of(body_bytes: usize) -> String {
    let body = "x".repeat(body_bytes);
    format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {body_bytes}\r\n\r\n{body}")
}

fn with_chunk_of(bytes: usize) -> String {
    chunked(&format!("{bytes:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(bytes)))
}

fn with_chunk_line_of(bytes: usize) -> String {
    chunked(&format!("0;{}\r\n\r\n", "x".repeat(bytes - "0;\r\n".len())))
}

fn with_trailer_of(bytes: usize) -> String {
    chunked(&format!("0\r\nA: {}\r\n\r\n", "x".repeat(bytes - "A: \r\n\r\n".len())))
}

fn with_trailers(lines: usize) -> String {
    chunked(&format!("0\r\n{}\r\n", "A: b\r\n".repeat(lines)))
}

/// A request of some size, the largest accepted size, the status for a larger one.
type Limit = (fn(usize) -> String, usize, u16);

#[test]
fn limits_hold_at_the_limit_and_not_one_beyond() {
    let cases: [Limit; 8] = [
        (with_head_of, HEAD_BYTES_MAX, 431),
        (with_target_of, TARGET_BYTES_MAX, 414),
        (with_headers, HEADERS_MAX, 431),
        (with_body_of, BODY_BYTES_MAX, 413),
        (with_chunk_of, BODY_BYTES_MAX, 413),
        (with_chunk_line_of, 256, 400),
        (with_trailer_of, 4 * 1024, 431),
        (with_trailers, 16, 431),
    ];
    for (request, limit, status) in cases {
        let [within, beyond] = [limit, limit + 1].map(|size| serve(request(size).as_bytes()));
        assert_eq!((within.status, beyond.status), (200, status), "limit {limit}: {}", beyond.body);
    }
}

#[test]
fn what_is_too_long_is_refused_before_it_ends() {
    let endless = [
        ("GET /".to_owned() + &"x".repeat(TARGET_BYTES_MAX), 414),
        ("GET / HTTP/1.1\r\nA: ".to_owned() + &"x".repeat(HEAD_BYTES_MAX), 431),
        ("x".repeat(HEAD_BYTES_MAX + 1), 431),
        (chunked(&"0".repeat(256)), 400),
        (chunked(&format!("0\r\nA: {}", "x".repeat(4 * 1024))), 431),
        (chunked(&("1;".to_owned() + &"x".repeat(200) + "\r\nx\r\n").repeat(3000)), 413),
    ];
    for (request, status) in endless {
        assert_eq!(serve(request.as_bytes()).status, status, "{:?}…", &request[..20]);
    }
}

#[test]
fn a_body_in_chunks_of_one_byte_may_be_as_long_as_any() {
    let request = chunked(&("1\r\nx\r\n".repeat(BODY_BYTES_MAX) + "0\r\n\r\n"));
    assert_eq!(serve(request.as_bytes()).body.len(), "POST / ".len() + BODY_BYTES_MAX);
}

#[test]
fn the_connection_goes_on_as_version_and_connection_header_say() {
    let close = Some("Connection: close");
    let cases = [
        ("1.1", "", None),
        ("1.1", "Connection: keep-alive\r\n", None),
        ("1.1", "Connection: enclose\r\n", None),
        ("1.1", "Connection: close\r\n", close),
        ("1.1", "connection: foo , CLOSE,bar\r\n", close),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", close),
        ("1.0", "", close),
        ("1.0", "Connection: close, keep-alive\r\n", close),
        ("1.0", "Connection: Keep-Alive\r\n", Some("Connection: keep-alive")),
    ];
    for (version, headers, told) in cases {
        let answer = serve(format!("GET / HTTP/{version}\r\nHost: h\r\n{headers}\r\n").as_bytes());
        assert_eq!(answer.progress == Progress::Close, told == close, "{version} {headers}");
        let connection = answer.lines.iter().find(|line| line.starts_with("Connection"));
        assert_eq!(connection.map(String::as_str), told, "{version} {headers}");
    }
}

#[test]
fn a_response_has_a_date_a_type_a_length_and_is_not_cached() {
    let mut output = Vec::new();
    Http1::new(Scheme::Plain).serve(get("").as_bytes(), &mut output, |_, responder| {
        responder.send(405, &[("Allow", "GET, HEAD")], b"{}");
    });
    let text = String::from_utf8(output).unwrap();
    let date = text.split("\r\n").find_map(|line| line.strip_prefix("Date: ")).unwrap();
    assert!(httpdate::parse_http_date(date).is_ok(), "{date:?}");
    let expected = "HTTP/1.1 405 Method Not Allowed\r\n\
        Date: ?\r\n\
        Cache-Control: no-store\r\n\
        Content-Type: application/json\r\n\
        Allow: GET, HEAD\r\n\
        Content-Length: 2\r\n\
        \r\n\
        {}";
    assert_eq!(text.replace(date, "?"), expected);
}

#[test]
fn a_handler_may_choose_another_content_type() {
    let mut output = Vec::new();
    let progress =
        Http1::new(Scheme::Plain).serve(get("").as_bytes(), &mut output, |_, responder| {
            responder.send(200, &[("content-type", "text/html")], b"");
        });
    let lines = answer(progress, &output).lines.join("\n").to_lowercase();
    assert_eq!(lines.matches("content-type").count(), 1, "{lines}");
    assert!(lines.contains("content-type: text/html"), "{lines}");
}

#[test]
fn head_is_answered_like_get_but_without_the_body() {
    let head = serve(b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let length = format!("Content-Length: {}", "HEAD /a".len());
    assert!(head.lines.contains(&length), "{:?}", head.lines);
    let refused = serve(b"HEAD /a HTTP/1.1\r\n\r\n");
    assert_eq!((refused.status, refused.body.as_str()), (400, ""));
}

#[test]
fn a_client_that_waits_for_100_continue_is_told_once() {
    let told = b"HTTP/1.1 100 Continue\r\n\r\n";
    for (framing, body) in
        [("Content-Length: 3", "abc"), ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n")]
    {
        let head =
            format!("POST / HTTP/1.1\r\nHost: h\r\n{framing}\r\nExpect: 100-Continue\r\n\r\n");
        let whole = format!("{head}{body}");
        let mut connection = Http1::new(Scheme::Plain);
        let mut output = Vec::new();
        for end in head.len()..whole.len() {
            let progress = connection.serve(&whole.as_bytes()[..end], &mut output, echo);
            assert_eq!((progress, &output[..]), (Progress::NeedMore, &told[..]), "{end} bytes");
        }
        output.clear();
        let progress = connection.serve(whole.as_bytes(), &mut output, echo);
        assert_eq!(answer(progress, &output).body, "POST / abc");

        output.clear();
        connection.serve(head.as_bytes(), &mut output, echo);
        assert_eq!(output, told, "the next request on the connection");
        assert_eq!(serve(whole.as_bytes()).status, 200, "the body was there already");
    }
}

#[test]
fn an_expired_request_gets_408_and_an_idle_connection_nothing() {
    for (input, is_told) in [("", false), ("\r\n", false), ("G", true), (&get("")[..20], true)] {
        let mut connection = Http1::new(Scheme::Plain);
        connection.serve(get("").as_bytes(), &mut Vec::new(), echo);
        let mut output = Vec::new();
        connection.serve(input.as_bytes(), &mut output, echo);
        connection.expired(&mut output);
        assert_eq!(!output.is_empty(), is_told, "{input:?}");
        if is_told {
            let answer = answer(Progress::Close, &output);
            assert_eq!(answer.status, 408, "{input:?}");
            assert!(answer.lines.contains(&"Connection: close".to_owned()), "{input:?}");
        }
    }
    let (mut connection, mut output) = (Http1::new(Scheme::Plain), Vec::new());
    connection.serve(get("").as_bytes(), &mut Vec::new(), echo);
    connection.expired(&mut output);
    assert_eq!(output, b"", "a served request");
}

#[test]
fn a_handler_that_panics_or_sends_nothing_becomes_500() {
    let handlers: [fn(&Request<'_>, Responder<'_>); 2] = [|_, _| panic!("a bug"), |_, _| {}];
    for handler in handlers {
        let (mut connection, mut output) = (Http1::new(Scheme::Plain), Vec::new());
        let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            connection.serve(get("").as_bytes(), &mut output, handler)
        }));
        assert!(served.is_err());
        connection.panicked(&mut output);
        let answer = answer(Progress::Close, &output);
        assert_eq!(answer.status, 500);
        assert!(answer.lines.contains(&"Connection: close".to_owned()));
    }
}

#[test]
fn a_header_that_may_come_once_is_an_error_when_it_comes_twice_or_is_no_text() {
    let request =
        b"GET / HTTP/1.1\r\nHost: h\r\nKey: a\r\nTwice: 1\r\ntwice: 2\r\nBad: \xff\r\n\r\n";
    let mut output = Vec::new();
    Http1::new(Scheme::Plain).serve(request, &mut output, |request, responder| {
        assert_eq!(request.header("KEY"), Ok(Some("a")));
        assert_eq!(request.header("none"), Ok(None));
        assert!(request.header("twice").is_err());
        assert!(request.header("bad").is_err());
        assert_eq!(request.headers("Twice").collect::<Vec<_>>(), [b"1", b"2"]);
        responder.send(200, &[], b"");
    });
    assert_eq!(answer(Progress::NeedMore, &output).status, 200);
}

#[test]
fn an_error_body_is_json_whatever_the_message() {
    let body = error_body(404, "no \"Tux\"\n");
    assert_eq!(body, br#"{"error":{"code":404,"message":"no \"Tux\"\n"}}"#);
}

#[test]
fn a_form_is_decoded_strictly() {
    let pairs = |form: &'static [u8]| form_pairs(form).collect::<Result<Vec<_>, _>>();
    let tux = [("name".into(), "Big Tux".into()), ("quantity".into(), "1".into())];
    assert_eq!(pairs(b"name=Big+Tux&quantity=1").unwrap(), tux);
    assert_eq!(pairs(b"").unwrap(), []);
    for bad in [&b"a=%"[..], b"a=%4", b"a=%4g", b"%+1=a", b"a=%ff", b"a=\xff", b"a=%c3"] {
        assert!(pairs(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
    }
}

/// A valid request, and what its handler received.
fn request() -> impl Strategy<Value = (Vec<u8>, String)> {
    let pieces = proptest::collection::vec("[a-z\r\n0:]{1,20}", 0..4);
    ("GET|POST|PUT|DELETE|PATCH", "[a-z]{0,9}", pieces, any::<bool>(), "(X: [ -~]{0,9}\r\n){0,3}")
        .prop_map(|(method, path, pieces, in_chunks, headers)| {
            let body = pieces.concat();
            let mut request = format!("{method} /{path} HTTP/1.1\r\nHost: h\r\n{headers}");
            if in_chunks {
                request += "Transfer-Encoding: chunked\r\n\r\n";
                for piece in &pieces {
                    write!(request, "{:x}\r\n{piece}\r\n", piece.len()).unwrap();
                }
                request += "0\r\n\r\n";
            } else {
                write!(request, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
            }
            (request.into_bytes(), format!("{method} /{path} {body}").trim_end().to_owned())
        })
}

proptest! {
    #[test]
    fn a_request_cut_anywhere_is_waited_for_and_then_answered((request, told) in request()) {
        let answer = serve_slowly(&request);
        prop_assert_eq!(&answer, &serve(&request));
        prop_assert_eq!(answer.body, told);
        prop_assert_eq!(answer.progress, Progress::Served { bytes: request.len() });
    }

    #[test]
    fn pipelined_requests_are_answered_one_by_one_in_order(
        requests in proptest::collection::vec(request(), 1..5),
        step in 1..50_usize,
    ) {
        let input: Vec<u8> = requests.iter().flat_map(|(request, _)| request.clone()).collect();
        let mut connection = Http1::new(Scheme::Plain);
        let (mut start, mut arrived, mut told) = (0, 0, Vec::new());
        // Each response comes when the handler is asked for the second time.
        let mut is_there = true;
        while start < input.len() {
            let mut output = Vec::new();
            let answer_later = |request: &Request<'_>, responder: Responder<'_>| {
                is_there = !is_there;
                if is_there { echo(request, responder) } else { responder.later(Instant::now()) }
            };
            match connection.serve(&input[start..arrived], &mut output, answer_later) {
                Progress::Later { .. } => prop_assert_eq!(output, b""),
                Progress::Served { bytes } => {
                    start += bytes;
                    told.push(answer(Progress::Close, &output).body);
                }
                Progress::NeedMore => {
                    prop_assert!(arrived < input.len(), "waits for what will not come");
                    arrived = input.len().min(arrived + step);
                }
                Progress::Close => prop_assert!(false, "closed"),
            }
        }
        let expected: Vec<String> = requests.into_iter().map(|(_, told)| told).collect();
        prop_assert_eq!(told, expected);
    }

    #[test]
    fn arbitrary_bytes_neither_panic_nor_use_up_what_is_not_there(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let progress = Http1::new(Scheme::Plain).serve(&bytes, &mut Vec::new(), echo);
        if let Progress::Served { bytes: used } = progress {
            prop_assert!(used <= bytes.len());
        }
    }

    #[test]
    fn a_damaged_request_neither_panics_nor_uses_up_what_is_not_there(
        (mut request, _) in request(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for (place, byte) in damage {
            let place = place.index(request.len());
            request[place] = byte;
        }
        let mut connection = Http1::new(Scheme::Plain);
        for end in 0..=request.len() {
            match connection.serve(&request[..end], &mut Vec::new(), echo) {
                Progress::NeedMore => continue,
                Progress::Served { bytes } => prop_assert!(bytes <= end),
                Progress::Later { .. } | Progress::Close => {}
            }
            break;
        }
    }

    #[test]
    fn any_name_survives_percent_encoding(name in any::<String>()) {
        let encoded = percent_encode(&name);
        let request = format!("GET /{encoded}?{encoded}={encoded} HTTP/1.1\r\nHost: h\r\n\r\n");
        let mut output = Vec::new();
        Http1::new(Scheme::Plain).serve(request.as_bytes(), &mut output, |request, responder| {
            let segments: Vec<_> = request.segments().map(Result::unwrap).collect();
            assert_eq!(segments, [name.as_str()]);
            let pairs: Vec<_> = request.query().map(Result::unwrap).collect();
            assert_eq!(pairs, [(Cow::from(name.as_str()), Cow::from(name.as_str()))]);
            responder.send(200, &[], b"");
        });
        prop_assert!(output.starts_with(b"HTTP/1.1 200 "));
    }
}
