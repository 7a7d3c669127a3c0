//! Reading from a socket, for both ends of a connection: look a few times before going to sleep.
//!
//! To put a thread to sleep and to wake it costs more than all else that a cached query does, and if
//! the core went to sleep as well, ten times more. When requests follow each other closely, the next
//! bytes are there sooner than that. So a reader looks for [`SPIN`] first, and between two looks
//! gives way to whoever wants to run.

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use std::io;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// About what a sleep and a wake-up cost together.
const SPIN: Duration = Duration::from_micros(50);

/// Reads once, like `read`, behind what `input` holds. The more that is, the more room there is.
pub(super) fn read_soon(socket: &TcpStream, input: &mut Vec<u8>) -> io::Result<usize> {
    const ROOM_BYTES_MIN: usize = 4 << 10;
    const ROOM_BYTES_MAX: usize = 256 << 10;
    input.reserve(input.len().clamp(ROOM_BYTES_MIN, ROOM_BYTES_MAX));
    let begun = Instant::now();
    loop {
        match recv(socket, spare_capacity(input), RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN) if begun.elapsed() < SPIN => thread::yield_now(),
            Err(Errno::AGAIN) => break,
            looked => return Ok(looked?.1),
        }
    }
    let (_, bytes) = recv(socket, spare_capacity(input), RecvFlags::empty())?;
    Ok(bytes)
}
