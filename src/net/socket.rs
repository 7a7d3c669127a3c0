//! Reading from and writing to a socket with timeouts, for both ends of a connection.
//!
//! To put a thread to sleep and to wake it costs more than all else that a cached query does, and if
//! the core went to sleep as well, ten times more. When requests follow each other closely, the next
//! bytes are there sooner than that. So a reader looks for [`SPIN`] first, and between two looks
//! gives way to whoever wants to run.

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// How long it pays to look: about what a sleep and a wake-up cost together.
pub(super) const SPIN: Duration = Duration::from_micros(50);

/// The steps in which a caller that waits looks at its deadline and whether it still wants the answer.
pub(super) const TICK: Duration = Duration::from_millis(25);

/// Reads once, like `read`, up to `room` bytes behind what `input` holds. Looks for as long as `look`
/// before it goes to sleep.
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

/// What a write has sent: nothing, if it failed only for want of room.
pub(super) fn sent(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if is_passing(&error) => Ok(0),
        other => other,
    }
}

/// Whether a read or write failed only because nothing could be moved before the timeout (or for a
/// signal): it may be tried again.
pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
