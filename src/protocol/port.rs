//! An address of a service: frames and, for people with curl, HTTP, told apart by the first byte. A
//! frame begins with its length, which is below 2^24, so with a zero; HTTP begins with a letter.

use super::web;
use crate::error::Result;
use crate::http::{Connection, Request, Responder};
use crate::net::{Progress, Protocol, frame};
use std::net::SocketAddr;

/// What a service answers on one of its addresses.
pub trait Service: Send + Sync + 'static {
    /// The payload of a frame asks; the payload of the answering one is appended to `answer`.
    fn frame(&self, question: &[u8], answer: &mut Vec<u8>);

    /// The same by hand; `path` has the decoded segments of the request's path. Returns the status.
    fn http(&self, request: &Request<'_>, path: &[&str], responder: Responder<'_>) -> u16;
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
            return http.serve(input, output, |request, responder| {
                let segments: Result<Vec<_>> = request.segments().collect();
                match segments {
                    Ok(segments) => {
                        let path: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
                        self.0.http(request, &path, responder)
                    }
                    Err(error) => web::refuse(responder, &error),
                };
            });
        }
        let (asked, progress) = match frame::split(input) {
            Ok(None) => return Progress::NeedMore,
            Ok(Some((question, bytes))) => (Ok(question), Progress::Served { bytes }),
            Err(error) => (Err(error), Progress::Close),
        };
        let answered = frame::put(output, |answer| {
            match asked {
                Ok(question) => self.0.frame(question, answer),
                Err(error) => super::answer::<()>(Err(error), answer),
            }
            Ok(())
        });
        if answered.is_ok() { progress } else { Progress::Close }
    }

    fn expired(&self, http: &mut Connection, output: &mut Vec<u8>) {
        http.expired(output);
    }

    fn panicked(&self, http: &mut Connection, output: &mut Vec<u8>) {
        http.panicked(output);
    }
}
