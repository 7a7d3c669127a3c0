//! One connection of the load: a non-blocking socket, what is to be written to it, what was read from
//! it, and the requests that are under way, which are answered in their order.
//!
//! - It connects when it has something to send. A failure takes all its requests with it; then it
//!   rests for a moment, so that a store that is gone does not keep us busy.
//! - A connection that the store closes while nothing is under way is no failure.

use super::answer::{Failure, Outcome};
use super::customer::{Choice, Customer};
use super::requests::Requests;
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketType, connect, socket};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use toystore::client::api::Keys;
use toystore::http::Arrival;

/// The first size of the input buffer: room for some sixty answers to pipelined queries. It grows for
/// answers that are longer, up to what [`Arrival`] takes for an answer.
const INPUT_BYTES: usize = 16 * 1024;
/// How long a connection rests after a failure.
const REST: Duration = Duration::from_millis(50);

/// A connection and its customer.
pub(super) struct Connection {
    /// `None` before the first request, and after the connection was closed or broke.
    socket: Option<TcpStream>,
    is_connecting: bool,
    customer: Customer,
    keys: Keys,
    /// What is to be written; the first `written` bytes have been.
    output: Vec<u8>,
    written: usize,
    /// What has been read, in the first `filled` bytes.
    input: Vec<u8>,
    filled: usize,
    /// The requests under way, the oldest first.
    pub asked: VecDeque<Asked>,
    rests_until: Option<Instant>,
}

/// A request that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub choice: Choice,
    pub due: Instant,
    pub sent: Instant,
}

/// What came of a request.
pub(super) type Ended = (Asked, Instant, Outcome);

impl Connection {
    pub(super) fn new(customer: Customer, keys: Keys) -> Connection {
        Connection {
            socket: None,
            is_connecting: false,
            customer,
            keys,
            output: Vec::new(),
            written: 0,
            input: vec![0; INPUT_BYTES],
            filled: 0,
            asked: VecDeque::new(),
            rests_until: None,
        }
    }

    /// The socket, if it is to be watched.
    pub(super) fn socket(&self) -> Option<&TcpStream> {
        self.socket.as_ref()
    }

    /// Whether it waits until it can write.
    pub(super) fn has_output(&self) -> bool {
        self.is_connecting || self.written < self.output.len()
    }

    pub(super) fn is_resting(&self) -> bool {
        self.rests_until.is_some()
    }

    /// Ends the rest if it was long enough; whether it did.
    pub(super) fn wake(&mut self, now: Instant) -> bool {
        self.rests_until.take_if(|until| *until <= now).is_some()
    }

    /// Makes up a request; `flush` sends it.
    pub(super) fn ask(&mut self, requests: &Requests, due: Instant, now: Instant) {
        let choice = self.customer.choose();
        requests.write(choice, &mut self.keys, &mut self.output);
        self.asked.push_back(Asked { choice, due, sent: now });
    }

    /// Writes what can be written; connects first if need be.
    pub(super) fn flush(&mut self, address: SocketAddr) -> Result<(), Failure> {
        let Some(socket) = &mut self.socket else {
            self.socket = Some(begin_to_connect(address).map_err(|e| failure_to_connect(&e))?);
            self.is_connecting = true;
            return Ok(());
        };
        if self.is_connecting {
            return Ok(());
        }
        while self.written < self.output.len() {
            match socket.write(&self.output[self.written..]) {
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Failure::Lost),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    /// The socket can be written to: the connection stands, or could not be made.
    pub(super) fn continue_to_write(&mut self, address: SocketAddr) -> Result<(), Failure> {
        if let Some(socket) = self.socket.as_ref().filter(|_| self.is_connecting) {
            match socket.take_error() {
                Ok(None) => self.is_connecting = false,
                Ok(Some(error)) | Err(error) => return Err(failure_to_connect(&error)),
            }
        }
        self.flush(address)
    }

    /// Reads once, and passes on every answer that is whole.
    pub(super) fn receive(&mut self, mut end: impl FnMut(Ended)) -> Result<(), Failure> {
        let Some(socket) = self.socket.as_mut().filter(|_| !self.is_connecting) else {
            return Ok(());
        };
        match socket.read(&mut self.input[self.filled..]) {
            Ok(0) => return Err(Failure::Lost),
            Ok(bytes) => self.filled += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(_) => return Err(Failure::Lost),
        }
        let now = Instant::now();
        let mut start = 0;
        loop {
            match Arrival::first(&self.input[start..self.filled]) {
                Ok(Some(answer)) => {
                    start += answer.bytes;
                    // 100 Continue and its like come before the answer (RFC 9110 §15.2).
                    if answer.status < 200 {
                        continue;
                    }
                    let asked = self.asked.pop_front().ok_or(Failure::Malformed)?;
                    end((asked, now, Outcome::Status(answer.status)));
                    if !answer.persists {
                        return Err(Failure::Lost);
                    }
                }
                Ok(None) => break,
                Err(_) => return Err(Failure::Malformed),
            }
        }
        self.input.copy_within(start..self.filled, 0);
        self.filled -= start;
        if self.filled == self.input.len() {
            self.input.resize(2 * self.filled, 0);
        }
        Ok(())
    }

    /// Closes the connection and passes on what was under way. It rests if that was anything.
    pub(super) fn fail(&mut self, failure: Failure, mut end: impl FnMut(Ended)) {
        let now = Instant::now();
        self.socket = None;
        self.is_connecting = false;
        self.output.clear();
        self.written = 0;
        self.filled = 0;
        if !self.asked.is_empty() {
            self.rests_until = Some(now + REST);
        }
        for asked in self.asked.drain(..) {
            end((asked, now, Outcome::Failed(failure)));
        }
    }
}

/// A socket that connects by itself; it can be written to once it has, or has failed to.
fn begin_to_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let descriptor = socket(family, SocketType::STREAM, None)?;
    fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
    let stream = TcpStream::from(descriptor);
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    match connect(&stream, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(stream),
        Err(error) => Err(error.into()),
    }
}

fn failure_to_connect(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::Refused,
        _ => Failure::Unreachable,
    }
}
