//! Reading from and writing to a socket with timeouts, for both ends of a connection.
//!
//! To put a thread to sleep and to wake it costs more than all other work of a cached query, and ten times
//! more if the core sleeps as well. When requests follow each other closely, the next bytes arrive sooner than
//! that. So a reader first checks for [`SPIN`] whether bytes have arrived, and yields between two checks. Where they
//! follow each other at longer intervals, as health checks do, it sleeps at once: see [`Pace`].

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// How long checking pays off: about the cost of a sleep and a wake-up together.
pub(super) const SPIN: Duration = Duration::from_micros(50);

/// Checking pays off only where the bytes before came within this time.
const CLOSE: Duration = Duration::from_millis(10);

/// The interval at which a waiting caller checks its deadline and whether it still wants the answer.
pub(super) const TICK: Duration = Duration::from_millis(25);

/// How closely the bytes of one connection follow each other.
pub(super) struct Pace {
    last: Instant,
    /// Between the last bytes and those before.
    pub(super) gap: Duration,
}

impl Pace {
    /// Of a new connection: its first bytes mostly follow at once.
    pub(super) fn new() -> Pace {
        Pace { last: Instant::now(), gap: Duration::ZERO }
    }

    /// Bytes have arrived.
    pub(super) fn arrived(&mut self) {
        let now = Instant::now();
        self.gap = now - self.last;
        self.last = now;
    }

    /// The next gap begins now: before, it was this end that took its time.
    pub(super) fn restart(&mut self) {
        self.last = Instant::now();
    }

    /// How long to check for the next bytes before sleeping.
    pub(super) fn look(&self) -> Duration {
        if self.gap < CLOSE { SPIN } else { Duration::ZERO }
    }
}

/// Writes to a socket as much as there is room for, and never waits for more.
pub(super) struct WithoutWaiting<'a>(pub(super) &'a TcpStream);

impl Write for WithoutWaiting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.0, bytes, SendFlags::DONTWAIT)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads once, like `read`, and appends up to `room` bytes to `input`. Checks for bytes for as long as `look`
/// before it sleeps.
pub(super) fn read_spinning(
    socket: &TcpStream,
    input: &mut Vec<u8>,
    room: usize,
    look: Duration,
) -> io::Result<usize> {
    input.reserve(room);
    let begun = Instant::now();
    while begun.elapsed() < look {
        match recv(socket, spare_capacity(input), RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN) => thread::yield_now(),
            looked => return Ok(looked?.1),
        }
    }
    let (_, bytes) = recv(socket, spare_capacity(input), RecvFlags::empty())?;
    Ok(bytes)
}

/// How much a write has sent: nothing, if it failed only because there was no room.
pub(super) fn sent(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if is_transient(&error) => Ok(0),
        other => other,
    }
}

/// Whether a read or write failed only because of the timeout or a signal: it may be tried again.
pub(super) fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
