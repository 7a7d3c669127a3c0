//! A keep-alive HTTP client over one blocking socket, plain or by TLS: customers, health checks and
//! tests use it.
//!
//! One write per request and, in the usual case, one read per response. The whole exchange, from
//! connecting to the last byte, has one deadline.
//!
//! - What fails before anything was sent is definite ([`Error::Unreachable`]); what fails after is
//!   indefinite ([`Error::Unanswered`]).
//! - A kept connection may have been closed by the server while it was idle. A GET or HEAD is then
//!   sent again, once, on a new one. Other methods are not sent again, because the request may have been done
//!   (RFC 9110 §9.2.2).

use super::arrival::{HEAD_BYTES_MAX, Head};
use super::framing::RESPONSE_BODY_BYTES_MAX;
use super::link;
use super::refusal::Refusal;
use super::response::{push_decimal, push_header};
use crate::error::{Error, Result};
use crate::net::target::{Stream, Target, Timeouts};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// A client of one server.
pub struct Client {
    target: Target,
    deadline: Duration,
    /// The connection between two exchanges, if the last exchange left it open.
    idle: Option<Stream>,
    /// The current request. Its memory is used again, and so is the memory of the next two fields.
    request: Vec<u8>,
    /// The part of it that has not been sent.
    unsent: Vec<u8>,
    /// The received bytes of the response.
    received: Vec<u8>,
}

/// A complete response.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The head as received, which `header` searches.
    head: Vec<u8>,
    /// The body, without its chunks.
    pub body: Vec<u8>,
}

/// Why an exchange failed, after the connection was made.
enum Failure {
    /// The server had closed the connection, or did before it answered.
    Closed,
    /// Everything else.
    Broken(String),
}

impl Client {
    /// A client of this server; an address alone (`host:port`) means plain TCP. It connects with
    /// its first request. No exchange takes longer than `deadline`.
    pub fn new(target: impl Into<Target>, deadline: Duration) -> Client {
        Client {
            target: target.into(),
            deadline,
            idle: None,
            request: Vec::new(),
            unsent: Vec::new(),
            received: Vec::new(),
        }
    }

    /// Sends a request and waits for its response, whatever its status. `Host` and
    /// `Content-Length` are added to `headers`; `target` is percent-encoded already.
    pub fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response> {
        self.write_request(method, target, headers, body)?;
        let until = Instant::now() + self.deadline;
        if let Some(stream) = self.idle.take() {
            match self.exchange(stream, method, until) {
                Err(Failure::Closed) if matches!(method, "GET" | "HEAD") => {}
                outcome => return outcome.map_err(|why| self.unanswered(method, target, &why)),
            }
        }
        let stream = self.connect(until)?;
        self.exchange(stream, method, until).map_err(|why| self.unanswered(method, target, &why))
    }

    fn write_request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<()> {
        let breaks_out = |text: &str| text.bytes().any(|byte| byte.is_ascii_control());
        if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid(format!("target {target:?} is not percent-encoded")));
        }
        if let Some((name, _)) = headers.iter().find(|(_, value)| breaks_out(value)) {
            return Err(Error::invalid(format!("header {name} has a control byte")));
        }
        self.request.clear();
        for part in [method, " ", target, " HTTP/1.1\r\n"] {
            self.request.extend_from_slice(part.as_bytes());
        }
        push_header(&mut self.request, "Host", self.target.address());
        for (name, value) in headers {
            push_header(&mut self.request, name, value);
        }
        // RFC 9110 §8.6: a length is sent with every method that may have a body.
        if !body.is_empty() || !matches!(method, "GET" | "HEAD") {
            self.request.extend_from_slice(b"Content-Length: ");
            push_decimal(&mut self.request, body.len());
            self.request.extend_from_slice(b"\r\n");
        }
        self.request.extend_from_slice(b"\r\n");
        self.request.extend_from_slice(body);
        Ok(())
    }

    fn connect(&self, until: Instant) -> Result<Stream> {
        let timeouts = Timeouts { deadline: until, each: self.deadline, abandoned: &|| false };
        let mut stream = self.target.connect(&timeouts)?;
        stream.sleep_at_once();
        Ok(stream)
    }

    /// Sends the current request and reads its response; keeps the connection if that is allowed.
    fn exchange(
        &mut self,
        mut stream: Stream,
        method: &str,
        until: Instant,
    ) -> Result<Response, Failure> {
        self.received.clear();
        self.write(&mut stream, until)?;
        let head = loop {
            match Head::parse(&self.received, method)? {
                // 100 Continue and its like come before the response (RFC 9110 §15.2).
                Some(head) if head.status < 200 => drop(self.received.drain(..head.bytes)),
                Some(head) => break head,
                None => self.read_on(&mut stream, until)?,
            }
        };
        let head_bytes = self.received[..head.bytes].to_vec();
        let Some(mut body) = head.body else {
            while self.read(&mut stream, until)? > 0 {}
            let body = self.received.split_off(head.bytes);
            return Ok(Response { status: head.status, head: head_bytes, body });
        };
        let end = loop {
            match body.end(&self.received)? {
                Some(end) => break end,
                None => self.read_on(&mut stream, until)?,
            }
        };
        // Bytes after the response would be read as the start of the next one.
        if head.persists && end == self.received.len() {
            self.idle = Some(stream);
        }
        let body = body.bytes(&self.received).to_vec();
        Ok(Response { status: head.status, head: head_bytes, body })
    }

    /// Writes the current request.
    fn write(&mut self, stream: &mut Stream, until: Instant) -> Result<(), Failure> {
        self.unsent.clear();
        self.unsent.extend_from_slice(&self.request);
        loop {
            let rest = self.rest(until)?;
            let timeout = stream.socket().set_write_timeout(Some(rest));
            match timeout.and_then(|()| stream.send(&mut self.unsent)) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => return Err(self.failure(&error)),
            }
        }
    }

    /// Reads more of an incomplete response.
    fn read_on(&mut self, stream: &mut Stream, until: Instant) -> Result<(), Failure> {
        match self.read(stream, until)? {
            0 if self.received.is_empty() => Err(Failure::Closed),
            0 => Err(Failure::Broken("the response was cut off".into())),
            _ => Ok(()),
        }
    }

    /// Reads once, until the deadline at most; 0 is the end of the stream.
    fn read(&mut self, stream: &mut Stream, until: Instant) -> Result<usize, Failure> {
        if self.received.len() > HEAD_BYTES_MAX + RESPONSE_BODY_BYTES_MAX {
            return Err(Failure::Broken(format!(
                "the response is longer than {RESPONSE_BODY_BYTES_MAX} bytes"
            )));
        }
        loop {
            let rest = self.rest(until)?;
            let timeout = stream.socket().set_read_timeout(Some(rest));
            match timeout.and_then(|()| stream.receive(&mut self.received)) {
                Ok(bytes) => return Ok(bytes),
                // A signal, or a part of what TLS encrypts as one; or the deadline, as `rest` says next.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut
                    ) => {}
                Err(error) => return Err(self.failure(&error)),
            }
        }
    }

    /// The time until the deadline; never zero, because zero means no timeout for a socket.
    fn rest(&self, until: Instant) -> Result<Duration, Failure> {
        match until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(self.too_late()),
            rest => Ok(rest),
        }
    }

    fn too_late(&self) -> Failure {
        Failure::Broken(format!("no response within {:?}", self.deadline))
    }

    fn failure(&self, error: &std::io::Error) -> Failure {
        match error.kind() {
            ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::UnexpectedEof
                if self.received.is_empty() =>
            {
                Failure::Closed
            }
            _ => Failure::Broken(error.to_string()),
        }
    }

    fn unanswered(&self, method: &str, target: &str, failure: &Failure) -> Error {
        let why = match failure {
            Failure::Closed => "the connection was closed",
            Failure::Broken(why) => why,
        };
        Error::unanswered(format!(
            "{} did not answer {method} {target}: {why}",
            self.target.address()
        ))
    }
}

impl Response {
    /// Where the next page is, if this is one of several: a target at the same server.
    pub fn next_page(&self) -> Option<&str> {
        link::next(self.header("Link")?).filter(|target| target.starts_with('/'))
    }

    /// The value of a header: the first, if it comes more than once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.split(|byte| *byte == b'\n').skip(1);
        let mut fields = lines.filter_map(|line| str::from_utf8(line).ok()?.split_once(':'));
        let (_, value) = fields.find(|(found, _)| found.eq_ignore_ascii_case(name))?;
        Some(value.trim_ascii())
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Failure {
        Failure::Broken(why)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Broken(refusal.into())
    }
}
