//! A keep-alive HTTP client over one blocking socket: shoppers, health checks and tests use it.
//!
//! One write per request and, in the usual case, one read per response. The whole exchange, from
//! connecting to the last byte, has one deadline.
//!
//! - What fails before anything was sent is definite ([`Error::Unreachable`]); what fails after is
//!   not ([`Error::Unanswered`]).
//! - A kept connection may have been closed by the server while it was idle. A GET or HEAD is then
//!   sent again, once, on a new one; anything else is not, for it may have been done
//!   (RFC 9110 §9.2.2).

use super::arrival::{HEAD_BYTES_MAX, Head};
use super::framing::RESPONSE_BODY_BYTES_MAX;
use super::refusal::Refusal;
use super::response::{push_decimal, push_header};
use crate::error::{Error, Result};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// The size of a read: room for any usual response.
const READ_BYTES: usize = 8 * 1024;

/// A client of one server.
pub struct Client {
    address: String,
    deadline: Duration,
    /// The connection, between two exchanges, if the last one left it open.
    idle: Option<TcpStream>,
    /// The request at hand. Its memory is used again, as is that of the next two.
    request: Vec<u8>,
    /// What has been received of the response.
    received: Vec<u8>,
    /// What one read brings.
    chunk: Box<[u8]>,
}

/// A whole response.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The head as received, which `header` looks through.
    head: Vec<u8>,
    /// The body, without its chunks.
    pub body: Vec<u8>,
}

/// Why an exchange failed, after the connection stood.
enum Failure {
    /// The server had closed the connection, or did before it answered.
    Closed,
    /// Everything else.
    Broken(String),
}

impl Client {
    /// A client of the server at `address` (`host:port`). It connects with its first request.
    /// No exchange takes longer than `deadline`.
    pub fn new(address: &str, deadline: Duration) -> Client {
        Client {
            address: address.to_owned(),
            deadline,
            idle: None,
            request: Vec::new(),
            received: Vec::new(),
            chunk: vec![0; READ_BYTES].into(),
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
        push_header(&mut self.request, "Host", &self.address);
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

    /// Connects to the first of the address's meanings that accepts.
    fn connect(&self, until: Instant) -> Result<TcpStream> {
        let unreachable = |why: String| Error::Unreachable { address: self.address.clone(), why };
        let mut why = "the name has no address".to_owned();
        for address in self.address.to_socket_addrs().map_err(|e| unreachable(e.to_string()))? {
            let rest = until.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                why = format!("no connection within {:?}", self.deadline);
                break;
            }
            let connected = TcpStream::connect_timeout(&address, rest);
            match connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream)) {
                Ok(stream) => return Ok(stream),
                Err(error) => why = error.to_string(),
            }
        }
        Err(unreachable(why))
    }

    /// Sends the request at hand and reads its response; keeps the connection if it may.
    fn exchange(
        &mut self,
        mut stream: TcpStream,
        method: &str,
        until: Instant,
    ) -> Result<Response, Failure> {
        self.received.clear();
        let rest = self.rest(until)?;
        let sent =
            stream.set_write_timeout(Some(rest)).and_then(|()| stream.write_all(&self.request));
        sent.map_err(|error| self.failure(&error))?;

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
        // More than the response would be taken for the start of the next one.
        if head.persists && end == self.received.len() {
            self.idle = Some(stream);
        }
        let body = body.bytes(&self.received).to_vec();
        Ok(Response { status: head.status, head: head_bytes, body })
    }

    /// Reads more of a response that is not whole.
    fn read_on(&mut self, stream: &mut TcpStream, until: Instant) -> Result<(), Failure> {
        match self.read(stream, until)? {
            0 if self.received.is_empty() => Err(Failure::Closed),
            0 => Err(Failure::Broken("the response was cut off".into())),
            _ => Ok(()),
        }
    }

    /// Reads once, until the deadline at most; 0 is the end of the stream.
    fn read(&mut self, stream: &mut TcpStream, until: Instant) -> Result<usize, Failure> {
        if self.received.len() > HEAD_BYTES_MAX + RESPONSE_BODY_BYTES_MAX {
            return Err(Failure::Broken(format!(
                "the response is longer than {RESPONSE_BODY_BYTES_MAX} bytes"
            )));
        }
        loop {
            let rest = self.rest(until)?;
            let read =
                stream.set_read_timeout(Some(rest)).and_then(|()| stream.read(&mut self.chunk));
            match read {
                Ok(bytes) => {
                    self.received.extend_from_slice(&self.chunk[..bytes]);
                    return Ok(bytes);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(&error)),
            }
        }
    }

    /// What is left until the deadline; never zero, which sockets take for "for ever".
    fn rest(&self, until: Instant) -> Result<Duration, Failure> {
        match until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(self.too_late()),
            rest => Ok(rest),
        }
    }

    fn too_late(&self) -> Failure {
        Failure::Broken(format!("nothing came within {:?}", self.deadline))
    }

    fn failure(&self, error: &std::io::Error) -> Failure {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => self.too_late(),
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted
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
        Error::unanswered(format!("{} did not answer {method} {target}: {why}", self.address))
    }
}

impl Response {
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
