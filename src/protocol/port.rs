//! An address of a service: frames and, for people with curl, HTTP, told apart by the first byte. A
//! frame begins with its length, which is below 2^24, so with a zero; HTTP begins with a letter.

use crate::http::{Connection, Request, Responder};
use crate::net::{Progress, Protocol, frame};
use std::net::SocketAddr;

/// What a service answers on one of its addresses.
pub trait Service: Send + Sync + 'static {
    /// The payload of a frame asks, the returned one answers.
    fn frame(&self, question: &[u8]) -> Vec<u8>;

    /// The same by hand.
    fn http(&self, request: &Request<'_>, responder: Responder<'_>);
}

/// A service as a server's protocol.
pub struct Port<S>(pub S);

impl<S: Service> Protocol for Port<S> {
    type Session = Connection;

    fn open(&self, _peer: SocketAddr) -> Connection {
        Connection::new()
    }

    fn serve(&self, http: &mut Connection, input: &[u8], output: &mut Vec<u8>) -> Progress {
        if input[0] != 0 {
            return http.serve(input, output, |request, responder| self.0.http(request, responder));
        }
        match frame::split(input) {
            Ok(Some((question, bytes))) => {
                frame::put(output, &self.0.frame(question));
                Progress::Served { bytes }
            }
            Ok(None) => Progress::NeedMore,
            Err(error) => {
                frame::put(output, &super::encode::<()>(Err(error)));
                Progress::Close
            }
        }
    }

    fn expired(&self, http: &mut Connection, output: &mut Vec<u8>) {
        http.expired(output);
    }

    fn panicked(&self, http: &mut Connection, output: &mut Vec<u8>) {
        http.panicked(output);
    }
}
