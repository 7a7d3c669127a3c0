//! What lies between the bytes of a connection and its socket: nothing, or TLS. Both ends of a
//! connection use it, so that the rest of [`net`](super) need not know which of the two it is.

use super::socket::{read_spinning, sent};
use super::tls::session::Session;
use crate::model::Principal;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Which of the two it is, for a protocol that has a word for each (`http:`, `https:`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Readable by everybody on the way.
    Plain,
    /// Encrypted.
    Tls,
}

/// Who has connected to a server, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// How it came in.
    pub way: Way,
    /// Whether it is the operator: it has the certificate of the operator's programs, or it speaks plainly and
    /// from this machine.
    pub is_operator: bool,
}

impl From<Way> for Caller {
    /// Somebody of whom nothing is known.
    fn from(way: Way) -> Caller {
        Caller { way, is_operator: false }
    }
}

/// The way of the bytes of one connection.
pub(super) enum Channel {
    /// As they are.
    Plain,
    /// Encrypted. Boxed, because most connections are plain and have no use for the room.
    Tls(Box<Session>),
}

impl Channel {
    /// Reads from the socket once, and puts what that brings behind what `input` holds; 0 is the end.
    /// Looks for as long as `look` before it goes to sleep. Fails with `WouldBlock` when what came is
    /// not enough for anything yet.
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

    /// Sends of `output` what the socket takes, and removes it there. Returns whether nothing is left
    /// to be sent; what is left may be here and no longer in `output`.
    pub(super) fn send(&mut self, socket: &TcpStream, output: &mut Vec<u8>) -> io::Result<bool> {
        match self {
            Channel::Plain if output.is_empty() => Ok(true),
            Channel::Plain => {
                let sent = sent((&*socket).write(output))?;
                output.drain(..sent);
                Ok(output.is_empty())
            }
            Channel::Tls(session) => session.send(socket, output),
        }
    }

    /// Says that nothing more will be sent.
    pub(super) fn say_goodbye(&mut self, socket: &TcpStream) -> io::Result<()> {
        match self {
            Channel::Plain => Ok(()),
            Channel::Tls(session) => session.say_goodbye(socket),
        }
    }

    /// Whether the two ends have yet to agree on how to speak.
    pub(super) fn is_handshaking(&self) -> bool {
        match self {
            Channel::Plain => false,
            Channel::Tls(session) => session.is_handshaking(),
        }
    }

    /// Who is at the other end, at the address `peer`. Only known once they have agreed on how to speak.
    pub(super) fn caller(&self, peer: SocketAddr) -> Caller {
        match self {
            Channel::Plain => {
                Caller { way: Way::Plain, is_operator: peer.ip().to_canonical().is_loopback() }
            }
            Channel::Tls(session) => {
                Caller { way: Way::Tls, is_operator: session.is_with(Principal::Tool) }
            }
        }
    }

    /// Frees what memory it can while nothing arrives.
    pub(super) fn release_buffers(&mut self) {
        if let Channel::Tls(session) = self {
            session.release_buffers();
        }
    }
}

/// How much is read at once: the more is there already, the more.
fn room(held: usize) -> usize {
    const ROOM_BYTES_MIN: usize = 4 << 10;
    const ROOM_BYTES_MAX: usize = 256 << 10;
    held.clamp(ROOM_BYTES_MIN, ROOM_BYTES_MAX)
}
