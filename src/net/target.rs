//! The calling side of a connection: how a server is reached, and the connection to it.

use super::channel::Channel;
use super::resolver::Resolver;
use super::socket::{Pace, SPIN, TICK, is_transient};
use super::tls::refusal::{self, Refusals};
use super::tls::reload::Reloadable;
use super::tls::session::Session;
use crate::error::{Error, Result};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A server, as its callers know it: its address, and whether it is called by TLS.
#[derive(Clone)]
pub struct Target {
    address: String,
    resolver: Arc<Resolver>,
    tls: Option<ClientTls>,
}

/// The caller's certificate, and whose certificate the server must have.
#[derive(Clone)]
struct ClientTls {
    config: Arc<Reloadable<ClientConfig>>,
    expected: ServerName<'static>,
    /// The refusals that were logged.
    refusals: Arc<Refusals>,
}

/// How long to try to reach a server.
pub struct Timeouts<'a> {
    /// Until when.
    pub deadline: Instant,
    /// For each of the addresses of a name.
    pub each: Duration,
    /// Called at intervals: whether the caller no longer wants the answer.
    pub abandoned: &'a dyn Fn() -> bool,
}

impl Target {
    /// A server that is called by TLS.
    pub(super) fn secured(
        address: &str,
        config: Arc<Reloadable<ClientConfig>>,
        expected: ServerName<'static>,
    ) -> Target {
        let client_tls = ClientTls { config, expected, refusals: Arc::default() };
        Target { tls: Some(client_tls), ..address.into() }
    }

    /// A server that is called by plain TCP, and whose name is looked up by this resolver.
    pub fn looked_up_by(resolver: Arc<Resolver>, address: &str) -> Target {
        Target { address: address.to_owned(), resolver, tls: None }
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Connects to the first of its addresses that accepts, and does the handshake if it is called by TLS.
    /// If this fails, no request was sent.
    pub fn connect(&self, timeouts: &Timeouts<'_>) -> Result<Stream> {
        let Timeouts { deadline, abandoned, .. } = *timeouts;
        let mut failure = self.unreachable("the name has no address");
        for address in self.resolver.resolve(&self.address, deadline, abandoned)? {
            let connected = timeouts
                .left()
                .and_then(|left| TcpStream::connect_timeout(&address, left.min(timeouts.each)));
            failure = match connected.map(|socket| self.open(socket, timeouts)) {
                Ok(Ok(stream)) => return Ok(stream),
                // It accepts, so it is not down; but it may be paused.
                Ok(Err(error)) if is_transient(&error) => Error::unavailable(format!(
                    "{} accepts connections but does not answer: {error}",
                    self.address
                )),
                Ok(Err(error)) => self.refused(&error),
                Err(error) => self.unreachable(&error.to_string()),
            };
        }
        Err(failure)
    }

    fn refused(&self, error: &io::Error) -> Error {
        let refused = self.unreachable(&refusal::words(error));
        if let Some(ClientTls { refusals, .. }) = &self.tls
            && refusal::is_one(error)
            && refusals.is_news(&refused.to_string())
        {
            tracing::warn!("{refused}");
        }
        refused
    }

    fn unreachable(&self, why: &str) -> Error {
        Error::Unreachable { address: self.address.clone(), why: why.to_owned() }
    }

    fn open(&self, socket: TcpStream, timeouts: &Timeouts<'_>) -> io::Result<Stream> {
        socket.set_nodelay(true)?;
        let Some(ClientTls { config, expected, .. }) = &self.tls else { return Ok(socket.into()) };
        socket.set_read_timeout(Some(TICK))?;
        socket.set_write_timeout(Some(TICK))?;
        let mut session = Session::call(config.current(), expected.clone())?;
        let end = Instant::now() + timeouts.each;
        session.shake_hands(&socket, &|| match timeouts.left() {
            Ok(_) if Instant::now() < end => Ok(()),
            Ok(_) => Err(io::Error::new(ErrorKind::TimedOut, "no TLS handshake in time")),
            Err(error) => Err(error),
        })?;
        let channel = Channel::Tls(Box::new(session));
        Ok(Stream { socket, channel, pace: Pace::new(), look_max: SPIN })
    }
}

impl<A: Into<String>> From<A> for Target {
    /// An address alone is called by plain TCP.
    fn from(address: A) -> Target {
        Target { address: address.into(), resolver: Resolver::of_process(), tls: None }
    }
}

impl Timeouts<'_> {
    fn left(&self) -> io::Result<Duration> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::Error::new(ErrorKind::TimedOut, "no connection in time"));
        }
        if (self.abandoned)() {
            return Err(io::Error::new(ErrorKind::TimedOut, "the caller no longer waits"));
        }
        Ok(left)
    }
}

/// The caller's end of a connection.
pub struct Stream {
    socket: TcpStream,
    channel: Channel,
    pace: Pace,
    /// The longest check for an answer before sleeping.
    look_max: Duration,
}

impl Stream {
    /// The socket, to set its timeouts or to shut it down.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// From now on it sleeps at once when it waits: for callers with many connections.
    pub fn sleep_at_once(&mut self) {
        self.look_max = Duration::ZERO;
    }

    /// Reads once and appends to `input`; 0 is the end. Fails with `WouldBlock` or `TimedOut` when
    /// the bytes that arrived within the socket's timeout give no output yet.
    pub fn receive(&mut self, input: &mut Vec<u8>) -> io::Result<usize> {
        let look = self.pace.look().min(self.look_max);
        let bytes = self.channel.receive(&self.socket, input, look)?;
        self.pace.arrived();
        Ok(bytes)
    }

    /// Sends as much of `output` as the socket accepts within its timeout, and removes it from `output`. Returns
    /// whether nothing is left to be sent; if not, it has to be called again.
    pub fn send(&mut self, output: &mut Vec<u8>) -> io::Result<bool> {
        self.channel.send(&self.socket, output)
    }
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Stream {
        Stream { socket, channel: Channel::Plain, pace: Pace::new(), look_max: SPIN }
    }
}
