//! A frame, the unit of messages between services: a 4-byte big-endian length and that many bytes of payload.
//!
//! * A payload has at most [`FRAME_BYTES_MAX`] bytes. That is less than 2^24, so the first byte of
//!   a frame is always 0x00. No HTTP request begins with 0x00, so one port can serve both.

use super::socket::is_transient;
use super::target::Stream;
use super::tls::session::PLAIN_ALERT;
use crate::error::{Error, Result};
use std::io::{self, ErrorKind};
use std::net::TcpStream;

/// The longest payload, far above any message: catch-up is sent in parts below 1 MiB.
pub const FRAME_BYTES_MAX: usize = 8 << 20;
const _: () = assert!(FRAME_BYTES_MAX < 1 << 24, "the first byte of a frame must be 0x00");

const LENGTH_BYTES: usize = 4;

/// The first frame in `input`: its payload, and the length of the frame in bytes. None while it is
/// incomplete.
pub fn split(input: &[u8]) -> Result<Option<(&[u8], usize)>> {
    if input.first() == Some(&PLAIN_ALERT[0]) {
        return Err(Error::invalid("the other end uses TLS: is [tls] set here?"));
    }
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

pub(super) fn too_long(length: usize) -> Error {
    Error::invalid(format!("frame of {length} bytes, at most {FRAME_BYTES_MAX} are allowed"))
}

/// A connection on which frames are sent and received, outside of a server.
///
/// Sending and receiving usually do one system call each. They fail with `WouldBlock` when that was not
/// enough, because of a timeout on the socket or a long frame. Nothing is lost then: the caller
/// checks its deadline and tries again.
pub struct Frames {
    stream: Stream,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Frames {
    /// Sends and receives frames on `stream`.
    pub fn new(stream: impl Into<Stream>) -> Frames {
        Frames { stream: stream.into(), input: Vec::new(), output: Vec::new() }
    }

    /// The socket, to set its timeouts or to shut it down.
    pub fn stream(&self) -> &TcpStream {
        self.stream.socket()
    }

    /// Whether a part of a frame has been received.
    pub fn is_midway(&self) -> bool {
        !self.input.is_empty()
    }

    /// Sends one frame. After `WouldBlock`, continue with [`Frames::flush`].
    pub fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        put(&mut self.output, |output| {
            output.extend_from_slice(payload);
            Ok(())
        })
        .map_err(invalid)?;
        self.flush()
    }

    /// Sends the rest of a frame that was sent in part.
    pub fn flush(&mut self) -> io::Result<()> {
        match self.stream.send(&mut self.output) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ErrorKind::WouldBlock.into()),
            Err(error) => Err(error),
        }
    }

    /// Receives the payload of the next frame; None when the peer closed before its first byte.
    pub fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(payload) = self.take_received()? {
            return Ok(Some(payload));
        }
        match self.stream.receive(&mut self.input).map_err(passing)? {
            0 if self.input.is_empty() => Ok(None),
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => self.take_received()?.map(Some).ok_or(ErrorKind::WouldBlock.into()),
        }
    }

    fn take_received(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some((payload, bytes)) = split(&self.input).map_err(invalid)? else {
            return Ok(None);
        };
        let payload = payload.to_vec();
        self.input.drain(..bytes);
        Ok(Some(payload))
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// One error kind for the different kinds that systems use for a timeout, and for an interrupting signal.
fn passing(error: io::Error) -> io::Error {
    if is_transient(&error) { ErrorKind::WouldBlock.into() } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        put(&mut output, |output| {
            output.extend_from_slice(payload);
            Ok(())
        })
        .unwrap();
        output
    }

    proptest! {
        #[test]
        fn frames_are_split_where_they_were_put_together(
            payloads in vec(vec(any::<u8>(), 0..300), 1..5),
        ) {
            let bytes: Vec<u8> = payloads.iter().flat_map(|payload| frame(payload)).collect();
            let mut rest = &bytes[..];
            for payload in &payloads {
                let (found, consumed) = split(rest).unwrap().unwrap();
                prop_assert_eq!(found, &payload[..]);
                prop_assert_eq!(split(&rest[..consumed - 1]).unwrap(), None);
                prop_assert_eq!(rest[0], 0);
                rest = &rest[consumed..];
            }
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn the_longest_payload_passes_and_one_byte_more_does_not() {
        let longest = frame(&vec![7; FRAME_BYTES_MAX]);
        assert_eq!(longest[0], 0);
        assert!(split(&longest).unwrap().is_some());

        let mut output = b"before".to_vec();
        let too_long = put(&mut output, |output| {
            output.resize(output.len() + FRAME_BYTES_MAX + 1, 7);
            Ok(())
        });
        assert!(matches!(too_long, Err(Error::Invalid { .. })));
        assert_eq!(output, b"before");

        let length = u32::try_from(FRAME_BYTES_MAX + 1).unwrap();
        assert!(split(&length.to_be_bytes()).is_err());
        assert!(split(b"GET / HTTP/1.1").is_err());
    }
}
