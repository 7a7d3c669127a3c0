//! One end of one TLS connection, between bytes and a blocking socket.
//!
//! - Nothing is left behind: when [`Session::receive`] returns, all that could be decrypted is in the
//!   caller's input. The poller sees the socket only, so what stayed here would wait for ever.
//! - The handshake needs no thread of its own. A received message is answered where it is received; a
//!   connection that waits for the next one waits as for a request, if need be without a thread.
//! - One `receive` is one read of the socket, so the socket's timeout bounds it as that of a plain
//!   connection.

use super::credentials::name_of;
use crate::model::Principal;
use crate::net::socket::{is_passing, read_spinning, sent};
use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// What TLS says to whoever speaks another protocol: an alert, not encrypted, of the kind "fatal" and with
/// the reason "protocol version".
pub(in crate::net) const PLAIN_ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 70];

pub(in crate::net) struct Session {
    tls: Connection,
    /// Whether the callee has to say that it likes our certificate.
    awaits_welcome: bool,
    /// Received from the socket and not decrypted yet: empty between two calls.
    arrived: Vec<u8>,
    /// Whether the other side has said that nothing more comes.
    is_over: bool,
}

impl Session {
    /// The end of the one who was called.
    pub(in crate::net) fn accept(config: Arc<ServerConfig>) -> io::Result<Session> {
        let tls = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(Session::over(tls.into()))
    }

    /// The end of the one who calls, who expects to find `callee`.
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

    /// Whether requests have to wait still.
    ///
    /// In TLS 1.3 the caller is done before the callee has looked at the caller's certificate. Were the
    /// first request sent then, nobody would know whether it was refused before or after it was done.
    /// So a caller with a certificate waits for the callee's first word after the handshake, a session
    /// ticket. No other use is made of it.
    pub(in crate::net) fn is_handshaking(&self) -> bool {
        let is_welcome = match &self.tls {
            Connection::Client(tls) => !self.awaits_welcome || tls.tls13_tickets_received() > 0,
            Connection::Server(_) => true,
        };
        self.tls.is_handshaking() || !is_welcome
    }

    /// The caller's handshake, from its first to its last message, in steps no longer than the socket's
    /// timeouts. After each, `may_go_on` is asked.
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
                Ok(_) => return Err(io::Error::new(ErrorKind::InvalidData, "it speaks unasked")),
                Err(error) if is_passing(&error) => may_go_on()?,
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
        /// The longest there is, so that it takes one read at most times.
        const RECORD_BYTES_MAX: usize = 5 + (16 << 10) + 256;
        if self.is_over {
            return Ok(0);
        }
        let held = input.len();
        if read_spinning(socket, &mut self.arrived, room.max(RECORD_BYTES_MAX), look)? == 0 {
            // Without a goodbye, somebody may have cut the connection to make us believe in an end.
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let decrypted = self.decrypt(input);
        self.arrived.clear();
        // The next message of the handshake, or what was wrong with theirs. It fits into the socket's
        // buffer; what does not is sent with the next answer.
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

    /// Decrypts all that arrived. Only a part of a record stays behind, in `tls`.
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

    /// Has a caller who does not speak TLS know that we do.
    fn object(&self, mut socket: &TcpStream, error: &io::Error) {
        let error = error.get_ref().and_then(|error| error.downcast_ref());
        if self.tls.is_handshaking() && matches!(error, Some(rustls::Error::InvalidMessage(_))) {
            // Who has left already will not miss it.
            let _ = socket.write(&PLAIN_ALERT);
        }
    }

    /// See `Channel::send`.
    pub(in crate::net) fn send(
        &mut self,
        mut socket: &TcpStream,
        output: &mut Vec<u8>,
    ) -> io::Result<bool> {
        loop {
            // It takes up to 64 KiB at a time; nothing at all after a failure, of which it has to tell.
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
    let why = "it hung up in the handshake; it may have logged why";
    io::Error::new(ErrorKind::UnexpectedEof, why)
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
