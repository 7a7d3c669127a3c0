//! One end of one TLS connection, between bytes and a blocking socket.
//!
//! - When [`Session::receive`] returns, all that could be decrypted is in the caller's input. The poller sees
//!   the socket only, so decrypted bytes that stayed here would wait for ever.
//! - The handshake needs no thread of its own. A received message is answered where it is received. A
//!   connection that waits for the next message waits as for a request, if necessary without a thread.
//! - One `receive` is one read of the socket, so the socket's timeout limits it as it limits a plain
//!   connection.

use super::credentials::name_of;
use crate::model::Principal;
use crate::net::socket::{is_transient, read_spinning, sent};
use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// The TLS alert for a caller that uses another protocol: not encrypted, of the kind "fatal", with
/// the reason "protocol version".
pub(in crate::net) const PLAIN_ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 70];

pub(in crate::net) struct Session {
    tls: Connection,
    /// Whether the server must still confirm that it accepts our certificate.
    awaits_welcome: bool,
    /// Received from the socket and not decrypted yet: empty between two calls.
    arrived: Vec<u8>,
    /// Whether the other end has announced the end of its data.
    is_over: bool,
}

impl Session {
    /// The server's end.
    pub(in crate::net) fn accept(config: Arc<ServerConfig>) -> io::Result<Session> {
        let tls = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Session::over(tls.into()))
    }

    /// The caller's end; the server must be `callee`.
    pub(in crate::net) fn call(
        config: Arc<ClientConfig>,
        callee: ServerName<'static>,
    ) -> io::Result<Session> {
        let awaits_welcome = config.client_auth_cert_resolver.has_certs();
        let tls = ClientConnection::new(config, callee).map_err(io::Error::other)?;
        Ok(Session { awaits_welcome, ..Session::over(tls.into()) })
    }

    fn over(tls: Connection) -> Session {
        Session { tls, awaits_welcome: false, arrived: Vec::new(), is_over: false }
    }

    /// Whether the other end has shown the certificate of this principal.
    pub(in crate::net) fn is_with(&self, principal: Principal) -> bool {
        let Some([certificate, ..]) = self.tls.peer_certificates() else { return false };
        let Ok(name) = name_of(principal) else { return false };
        ParsedCertificate::try_from(certificate)
            .is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
    }

    /// Whether requests still have to wait.
    ///
    /// In TLS 1.3 the caller finishes the handshake before the server has checked the caller's certificate. If the
    /// first request were sent then, nobody would know whether it was refused before or after it was done.
    /// So a caller with a certificate waits for the server's first message after the handshake, a session
    /// ticket. The ticket has no other use.
    pub(in crate::net) fn is_handshaking(&self) -> bool {
        let is_welcome = match &self.tls {
            Connection::Client(tls) => !self.awaits_welcome || tls.tls13_tickets_received() > 0,
            Connection::Server(_) => true,
        };
        self.tls.is_handshaking() || !is_welcome
    }

    /// The caller's handshake, from its first to its last message, in steps no longer than the socket's
    /// timeouts. After each step `may_go_on` is called.
    pub(in crate::net) fn shake_hands(
        &mut self,
        socket: &TcpStream,
        may_go_on: &dyn Fn() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut early = Vec::new();
        while self.is_handshaking() {
            self.send(socket, &mut Vec::new())?;
            match self.receive(socket, &mut early, 0, Duration::ZERO) {
                Ok(0) => return Err(hung_up()),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(hung_up()),
                Ok(_) => return Err(io::Error::new(ErrorKind::InvalidData, "unexpected data")),
                Err(error) if is_transient(&error) => may_go_on()?,
                Err(error) => return Err(error),
            }
        }
        self.send(socket, &mut Vec::new()).map(drop)
    }

    /// See `Channel::receive`.
    pub(in crate::net) fn receive(
        &mut self,
        socket: &TcpStream,
        input: &mut Vec<u8>,
        room: usize,
        look: Duration,
    ) -> io::Result<usize> {
        /// The longest record, so that one read is usually enough.
        const RECORD_BYTES_MAX: usize = 5 + (16 << 10) + 256;
        if self.is_over {
            return Ok(0);
        }
        let held = input.len();
        if read_spinning(socket, &mut self.arrived, room.max(RECORD_BYTES_MAX), look)? == 0 {
            // Without TLS's announced end, an attacker may have cut the connection to pretend an end.
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let decrypted = self.decrypt(input);
        self.arrived.clear();
        // The next message of the handshake, or an alert. It fits into the socket's
        // buffer; otherwise the rest is sent with the next answer.
        let answered = self.send(socket, &mut Vec::new());
        if let Err(error) = decrypted {
            self.object(socket, &error);
            return Err(error);
        }
        answered?;
        match input.len() - held {
            0 if self.is_over => Ok(0),
            0 => Err(ErrorKind::WouldBlock.into()),
            bytes => Ok(bytes),
        }
    }

    /// Decrypts all that arrived. At most a part of a record stays in `tls`.
    fn decrypt(&mut self, input: &mut Vec<u8>) -> io::Result<()> {
        let mut arrived = &self.arrived[..];
        while !arrived.is_empty() && !self.is_over {
            self.tls.read_tls(&mut arrived)?;
            let state = self.tls.process_new_packets().map_err(invalid)?;
            self.is_over = state.peer_has_closed();
            let begin = input.len();
            input.resize(begin + state.plaintext_bytes_to_read(), 0);
            self.tls.reader().read_exact(&mut input[begin..])?;
        }
        Ok(())
    }

    /// Tells a caller that does not use TLS that this server does.
    fn object(&self, mut socket: &TcpStream, error: &io::Error) {
        let error = error.get_ref().and_then(|error| error.downcast_ref());
        if self.tls.is_handshaking() && matches!(error, Some(rustls::Error::InvalidMessage(_))) {
            // If the caller has disconnected, the alert is not needed.
            let _ = socket.write(&PLAIN_ALERT);
        }
    }

    /// See `Channel::send`.
    pub(in crate::net) fn send(
        &mut self,
        mut socket: impl Write,
        output: &mut Vec<u8>,
    ) -> io::Result<bool> {
        loop {
            // rustls accepts up to 64 KiB at a time, and nothing after a failure: then only its alert is sent.
            if !output.is_empty() {
                let taken = self.tls.writer().write(output)?;
                output.drain(..taken);
            }
            if self.tls.wants_write() {
                sent(self.tls.write_tls(&mut socket))?;
            }
            if self.tls.wants_write() || output.is_empty() {
                return Ok(!self.tls.wants_write());
            }
        }
    }

    /// See `Channel::say_goodbye`.
    pub(in crate::net) fn say_goodbye(&mut self, socket: &TcpStream) -> io::Result<()> {
        self.tls.send_close_notify();
        self.send(socket, &mut Vec::new()).map(drop)
    }

    pub(in crate::net) fn release_buffers(&mut self) {
        self.arrived = Vec::new();
    }
}

fn hung_up() -> io::Error {
    let why = "connection closed during the handshake; its log may say why";
    io::Error::new(ErrorKind::UnexpectedEof, why)
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
