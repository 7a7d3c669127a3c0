//! The channel between the bytes of a connection and its socket: plain, or TLS. Both ends of a
//! connection use it, so that the rest of [`net`](super) need not know which of the two it is.

use super::socket::{read_spinning, sent};
use super::tls::session::Session;
use crate::model::Principal;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Plain or TLS, for a protocol that has a name for each (`http:`, `https:`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Not encrypted.
    Plain,
    /// Encrypted.
    Tls,
}

/// Who has connected to a server, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Plain or TLS.
    pub scheme: Scheme,
    /// Whether it is the operator: it has the certificate of the operator's programs, or it uses plain TCP from
    /// this machine.
    pub is_operator: bool,
}

impl From<Scheme> for Caller {
    /// A caller of whom nothing is known.
    fn from(scheme: Scheme) -> Caller {
        Caller { scheme, is_operator: false }
    }
}

/// Reads and writes the bytes of one connection.
pub(super) enum Channel {
    /// Without encryption.
    Plain,
    /// Encrypted. Boxed, because most connections are plain and do not need the memory.
    Tls(Box<Session>),
}

impl Channel {
    /// Reads from the socket once, and appends the bytes to `input`; 0 is the end.
    /// Checks for bytes for as long as `look` before it sleeps. Fails with `WouldBlock` when the bytes that
    /// arrived give no output yet.
    pub(super) fn receive(
        &mut self,
        socket: &TcpStream,
        input: &mut Vec<u8>,
        look: Duration,
    ) -> io::Result<usize> {
        match self {
            Channel::Plain => read_spinning(socket, input, room(input.len()), look),
            Channel::Tls(session) => session.receive(socket, input, room(input.len()), look),
        }
    }

    /// Sends as much of `output` as the socket accepts, and removes it from `output`. Returns whether nothing is
    /// left to be sent; what is left may be in this channel and no longer in `output`.
    pub(super) fn send(
        &mut self,
        mut socket: impl Write,
        output: &mut Vec<u8>,
    ) -> io::Result<bool> {
        match self {
            Channel::Plain if output.is_empty() => Ok(true),
            Channel::Plain => {
                let sent = sent(socket.write(output))?;
                output.drain(..sent);
                Ok(output.is_empty())
            }
            Channel::Tls(session) => session.send(socket, output),
        }
    }

    /// Tells the other end that nothing more will be sent.
    pub(super) fn say_goodbye(&mut self, socket: &TcpStream) -> io::Result<()> {
        match self {
            Channel::Plain => Ok(()),
            Channel::Tls(session) => session.say_goodbye(socket),
        }
    }

    /// Whether the handshake is not finished.
    pub(super) fn is_handshaking(&self) -> bool {
        match self {
            Channel::Plain => false,
            Channel::Tls(session) => session.is_handshaking(),
        }
    }

    /// Who is at the other end, at the address `peer`. Only known after the handshake.
    pub(super) fn caller(&self, peer: SocketAddr) -> Caller {
        match self {
            Channel::Plain => Caller {
                scheme: Scheme::Plain,
                is_operator: peer.ip().to_canonical().is_loopback(),
            },
            Channel::Tls(session) => {
                Caller { scheme: Scheme::Tls, is_operator: session.is_with(Principal::Tool) }
            }
        }
    }

    /// Frees memory while nothing arrives.
    pub(super) fn release_buffers(&mut self) {
        if let Channel::Tls(session) = self {
            session.release_buffers();
        }
    }
}

/// How much is read at once: more if the input already holds much.
fn room(held: usize) -> usize {
    const ROOM_BYTES_MIN: usize = 4 << 10;
    const ROOM_BYTES_MAX: usize = 256 << 10;
    held.clamp(ROOM_BYTES_MIN, ROOM_BYTES_MAX)
}
