//! The unit in which services speak: a 4-byte big-endian length and that many bytes of payload.
//!
//! * A payload has at most [`FRAME_BYTES_MAX`] bytes. That is less than 2^24, so the first byte of a
//!   frame is always 0x00, which no HTTP request begins with: one port can take both.

use crate::error::{Error, Result};
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// The longest payload, far above any message: catch-up is sent in pieces below 1 MiB.
pub const FRAME_BYTES_MAX: usize = 8 << 20;
const _: () = assert!(FRAME_BYTES_MAX < 1 << 24, "the first byte of a frame must be 0x00");

const LENGTH_BYTES: usize = 4;

/// The first frame in `input`: its payload, and the bytes that the frame takes. None while it is
/// not whole.
pub fn split(input: &[u8]) -> Result<Option<(&[u8], usize)>> {
    let Some((length, rest)) = input.split_first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(too_long(length));
    }
    Ok(rest.get(..length).map(|payload| (payload, LENGTH_BYTES + length)))
}

/// Appends one frame to `output`, with the payload that `write` appends. When that fails or is too
/// long, `output` is as it was before.
pub fn put(output: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let start = output.len();
    output.extend_from_slice(&[0; LENGTH_BYTES]);
    let written = write(output).and_then(|()| {
        let length = output.len() - start - LENGTH_BYTES;
        u32::try_from(length)
            .ok()
            .filter(|_| length <= FRAME_BYTES_MAX)
            .ok_or_else(|| too_long(length))
    });
    match written {
        Ok(length) => {
            output[start..start + LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        Err(error) => {
            output.truncate(start);
            Err(error)
        }
    }
}

fn too_long(length: usize) -> Error {
    Error::invalid(format!("frame of {length} bytes, at most {FRAME_BYTES_MAX} are allowed"))
}

/// A connection on which frames are sent and received, outside of a server.
///
/// With timeouts on the socket, an operation that fails with `WouldBlock` has lost nothing: it
/// may be tried again.
pub struct Frames {
    stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Frames {
    /// Speaks frames on `stream`.
    pub fn new(stream: TcpStream) -> Frames {
        Frames { stream, input: Vec::new(), output: Vec::new() }
    }

    /// The socket, to set its timeouts or to shut it down.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether a part of a frame has been received.
    pub fn is_midway(&self) -> bool {
        !self.input.is_empty()
    }

    /// Sends one frame, with one write. After `WouldBlock`, go on with [`Frames::flush`].
    pub fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        put(&mut self.output, |output| {
            output.extend_from_slice(payload);
            Ok(())
        })
        .map_err(io::Error::other)?;
        self.flush()
    }

    /// Sends what is left of frames that could not be sent whole.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            let sent = match self.stream.write(&self.output) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => sent,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.output.drain(..sent);
        }
        Ok(())
    }

    /// Receives the payload of the next frame; None when the peer closed before its first byte.
    pub fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        const READ_BYTES: usize = 16 << 10;
        loop {
            if let Some((payload, bytes)) = split(&self.input).map_err(io::Error::other)? {
                let payload = payload.to_vec();
                self.input.drain(..bytes);
                return Ok(Some(payload));
            }
            let filled = self.input.len();
            self.input.resize(filled + READ_BYTES.max(filled), 0);
            let received = self.stream.read(&mut self.input[filled..]);
            self.input.truncate(filled + *received.as_ref().unwrap_or(&0));
            match received {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
