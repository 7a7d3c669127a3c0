//! One connection of the load: a non-blocking socket, the bytes to write, the bytes that were read,
//! and the requests in flight, which are answered in their order.
//!
//! - It connects when it has something to send. If it fails, all its requests fail. Then it pauses, so that a
//!   store that is down does not keep the load test busy.
//! - If the store closes the connection while no request is in flight, this is not a failure.

use super::answer::{Failure, Outcome};
use super::customer::{Choice, Customer};
use super::requests::Requests;
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, SocketType, connect, socket};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use toystore::client::api::Keys;
use toystore::http::Arrival;

/// The first size of the input buffer: enough for about sixty answers to pipelined queries. It grows for
/// longer answers, up to the limit of [`Arrival`].
const INPUT_BYTES: usize = 16 * 1024;
/// The pause after a failure.
const REST: Duration = Duration::from_millis(50);

/// A connection and its customer.
pub(super) struct Connection {
    /// `None` before the first request, and after the connection was closed or failed.
    socket: Option<TcpStream>,
    /// The addresses of the front-ends, of which the one at `place` is used until it fails.
    addresses: Arc<[SocketAddr]>,
    place: usize,
    is_connecting: bool,
    customer: Customer,
    keys: Keys,
    /// The bytes to write, of which the first `written` are written.
    output: Vec<u8>,
    written: usize,
    /// The input, of which the first `filled` bytes were read.
    input: Vec<u8>,
    filled: usize,
    /// The requests in flight, the oldest first.
    pub asked: VecDeque<Asked>,
    rests_until: Option<Instant>,
}

/// A request in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub choice: Choice,
    pub due: Instant,
    pub sent: Instant,
}

/// A request that has ended.
pub(super) type Ended = (Asked, Instant, Outcome);

impl Connection {
    /// A connection to the front-end at this place, and if it fails, to the next.
    pub(super) fn new(
        customer: Customer,
        keys: Keys,
        addresses: Arc<[SocketAddr]>,
        place: usize,
    ) -> Connection {
        Connection {
            socket: None,
            place: place % addresses.len(),
            addresses,
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

    /// The socket to poll, if there is one.
    pub(super) fn socket(&self) -> Option<&TcpStream> {
        self.socket.as_ref()
    }

    /// Whether it waits until the socket is writable.
    pub(super) fn has_output(&self) -> bool {
        self.is_connecting || self.written < self.output.len()
    }

    pub(super) fn is_resting(&self) -> bool {
        self.rests_until.is_some()
    }

    /// Ends the pause if it was long enough. Returns whether it ended.
    pub(super) fn wake(&mut self, now: Instant) -> bool {
        self.rests_until.take_if(|until| *until <= now).is_some()
    }

    /// Makes the next request; `flush` sends it.
    pub(super) fn ask(&mut self, requests: &Requests, due: Instant, now: Instant) {
        let choice = self.customer.choose();
        requests.write(choice, &mut self.keys, &mut self.output);
        self.asked.push_back(Asked { choice, due, sent: now });
    }

    /// Writes what the socket accepts; connects first if it is not connected.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let Some(socket) = &mut self.socket else {
            let address = self.addresses[self.place];
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

    /// The socket is writable: it has connected, or connecting failed.
    pub(super) fn continue_to_write(&mut self) -> Result<(), Failure> {
        if let Some(socket) = self.socket.as_ref().filter(|_| self.is_connecting) {
            match socket.take_error() {
                Ok(None) => self.is_connecting = false,
                Ok(Some(error)) | Err(error) => return Err(failure_to_connect(&error)),
            }
        }
        self.flush()
    }

    /// Reads once, and passes on every complete answer.
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
                    // 100 Continue and other interim answers come before the answer (RFC 9110 §15.2).
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

    /// Closes the connection and passes on the requests in flight as failed. If there were any, it pauses.
    pub(super) fn fail(&mut self, failure: Failure, mut end: impl FnMut(Ended)) {
        self.place = (self.place + 1) % self.addresses.len();
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

/// A socket that begins to connect. It becomes writable when it is connected or connecting failed.
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
