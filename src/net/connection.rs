//! One accepted connection: a socket, the bytes not yet served, the bytes not yet sent, what it waits for, and
//! the deadline of that wait.
//!
//! * The socket blocks, with a timeout of [`Limits::stay`] for reading. So the usual request costs one `send` and
//!   one `recv` (and before it some checks without bytes, see `socket`). A client that is silent costs a thread no
//!   more than that timeout, and one that does not read nothing: answers are sent without waiting for room.
//! * A connection that waits for a request without a thread has no buffers: 10,000 need little memory.
//! * Closing takes three steps (RFC 9112 section 9.6): send the final response and shut down the
//!   sending side; discard further input; close when the client has closed. If the server closed at
//!   once, with bytes unread, the kernel would reset the connection, and the client would lose the
//!   answer.

use super::channel::{Caller, Channel};
use super::limits::Limits;
use super::socket::{Pace, WithoutWaiting, is_transient};
use super::watched::Watched;
use parking_lot::Mutex;
use polling::Event;
use std::io::{self, Read};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What a connection waits for. Each wait has a deadline, counted from where it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaits {
    /// The next message of the TLS handshake.
    Handshake,
    /// The first byte of the next request.
    Request,
    /// The rest of a request.
    Rest,
    /// The answer to the request at the front, which the protocol gives later.
    Answer,
    /// The client to read, so that there is room for more output.
    Room,
    /// The client to close, after the final response.
    Close,
}

/// Where a connection is. The waker of its session reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// With a worker, or queued, or parked for another reason than its answer.
    Elsewhere,
    /// The same, and it was woken since then: its next wait for an answer ends at once.
    Woken,
    /// It waits for its answer, under this key.
    Parked(usize),
}

/// The phases of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Requests are served.
    Open,
    /// No more requests are served; the output is sent.
    Ending,
    /// Everything is sent; input is discarded until the client closes.
    Draining,
}

/// The result of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    Bytes,
    /// Nothing yet.
    Nothing,
    /// The client has closed its side.
    End,
}

pub(super) struct Connection<S> {
    socket: Watched<TcpStream>,
    /// The client's address. The socket no longer knows it once the client has disconnected.
    pub(super) peer: SocketAddr,
    channel: Channel,
    /// Present once the first bytes have arrived.
    pub(super) session: Option<S>,
    /// Likewise: where the session's waker finds this connection.
    pub(super) place: Option<Arc<Mutex<Place>>>,
    /// Received and not yet served.
    pub(super) input: Vec<u8>,
    /// Whether `input` has bytes that the protocol has not seen.
    pub(super) is_unseen: bool,
    /// The answer to its first request comes later: `input` is given to the protocol again at this time, or when
    /// woken.
    pub(super) answer_until: Option<Instant>,
    /// Not yet sent.
    pub(super) output: Vec<u8>,
    /// Of its requests.
    pub(super) pace: Pace,
    stage: Stage,
    awaits: Option<(Awaits, Instant)>,
    /// When it was last counted as active; belongs to [`super::saturation::Saturation`].
    pub(super) last_window: u32,
    _place: OpenCount,
}

impl<S> Connection<S> {
    /// Takes over an accepted socket, with its timeouts set.
    pub(super) fn new(
        socket: Watched<TcpStream>,
        peer: SocketAddr,
        channel: Channel,
        place: OpenCount,
    ) -> Connection<S> {
        Connection {
            socket,
            peer,
            channel,
            session: None,
            place: None,
            input: Vec::new(),
            is_unseen: false,
            answer_until: None,
            output: Vec::new(),
            pace: Pace::new(),
            stage: Stage::Open,
            awaits: None,
            last_window: 0,
            _place: place,
        }
    }

    /// Who the client is, once bytes from it have arrived.
    pub(super) fn caller(&self) -> Caller {
        self.channel.caller(self.peer)
    }

    /// Reads once.
    pub(super) fn receive(&mut self) -> io::Result<Received> {
        let result = self.channel.receive(&self.socket, &mut self.input, self.pace.look());
        if result.as_ref().is_ok_and(|bytes| *bytes > 0) {
            self.is_unseen = true;
            self.pace.arrived();
        }
        received(result)
    }

    /// Reads once and discards the bytes.
    pub(super) fn discard(&mut self) -> io::Result<Received> {
        received((&*self.socket).read(&mut [0; 4 << 10]))
    }

    /// Writes the output, mostly with one write, and tells whether that was all of it. It is not when the
    /// client is slow to read.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        let is_all = self.channel.send(WithoutWaiting(&self.socket), &mut self.output)?;
        if is_all && matches!(self.awaits, Some((Awaits::Room, _))) {
            self.awaits = None;
        }
        Ok(is_all)
    }

    /// The first `bytes` of the input were requests, and are served.
    pub(super) fn served(&mut self, bytes: usize) {
        self.input.drain(..bytes);
        self.awaits = None;
    }

    /// No more requests are served; the output is the final response.
    pub(super) fn end(&mut self) {
        self.input.clear();
        self.is_unseen = false;
        self.answer_until = None;
        if self.stage == Stage::Open {
            self.stage = Stage::Ending;
        }
    }

    pub(super) fn is_ending(&self) -> bool {
        self.stage != Stage::Open
    }

    /// Shuts down the sending side.
    pub(super) fn shut_down(&mut self) -> io::Result<()> {
        if self.stage == Stage::Ending {
            self.stage = Stage::Draining;
            self.channel.say_goodbye(&self.socket)?;
            self.socket.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }

    /// It waits for this from now on, if it did not already.
    pub(super) fn wait_for(&mut self, what: Awaits, limits: &Limits) {
        const DRAIN_DEADLINE: Duration = Duration::from_secs(1);
        if self.awaits.is_some_and(|(awaits, _)| awaits == what) {
            return;
        }
        let now = Instant::now();
        let deadline = match what {
            Awaits::Request => now + limits.idle_deadline,
            Awaits::Handshake | Awaits::Rest => now + limits.request_deadline,
            Awaits::Room => now + limits.write_deadline,
            Awaits::Close => now + DRAIN_DEADLINE,
            Awaits::Answer => self.answer_until.unwrap_or(now),
        };
        self.awaits = Some((what, deadline));
    }

    /// What it waits for when everything received was served or is an incomplete request.
    pub(super) fn next_wait(&self) -> Awaits {
        match self.channel.is_handshaking() {
            _ if self.answer_until.is_some() => Awaits::Answer,
            true => Awaits::Handshake,
            false if self.input.is_empty() => Awaits::Request,
            false => Awaits::Rest,
        }
    }

    pub(super) fn awaits(&self) -> Option<Awaits> {
        self.awaits.map(|(awaits, _)| awaits)
    }

    /// Whether it has waited too long.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.awaits.is_some_and(|(_, deadline)| deadline <= now)
    }

    /// Asks the poller to report, under `key`, when it may be able to continue.
    pub(super) fn watch(&mut self, key: usize) -> io::Result<()> {
        let event = match self.awaits() {
            Some(Awaits::Room) => Event::writable(key),
            _ => Event::readable(key),
        };
        self.socket.watch(event)
    }

    /// Sets its place and returns the previous one; `None` if its session has no waker.
    pub(super) fn set_place(&self, place: Place) -> Option<Place> {
        self.place.as_ref().map(|ours| mem::replace(&mut *ours.lock(), place))
    }

    /// Frees the buffers that are empty.
    pub(super) fn release_buffers(&mut self) {
        for buffer in [&mut self.input, &mut self.output] {
            if buffer.is_empty() {
                *buffer = Vec::new();
            }
        }
        self.channel.release_buffers();
    }
}

/// Counts a connection as open for as long as it lives.
pub(super) struct OpenCount(Arc<AtomicUsize>);

impl OpenCount {
    pub(super) fn take(open: &Arc<AtomicUsize>) -> OpenCount {
        open.fetch_add(1, Ordering::Relaxed);
        OpenCount(Arc::clone(open))
    }
}

impl Drop for OpenCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn received(result: io::Result<usize>) -> io::Result<Received> {
    match result {
        Ok(0) => Ok(Received::End),
        Ok(_) => Ok(Received::Bytes),
        Err(error) if is_transient(&error) => Ok(Received::Nothing),
        Err(error) => Err(error),
    }
}
