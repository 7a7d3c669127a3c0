//! The calling side of a service: persistent connections, deadlines, one retry.
//!
//! A call takes an idle connection or opens one, writes one frame, reads one frame, and puts the
//! connection back. There is one call at a time on a connection, so answers need no numbers.
//!
//! * A call that fails before anything was sent is [`Error::Unreachable`], or [`Error::Unavailable`] if its server may
//!   still run. Both are definite. After something was sent it is [`Error::Unanswered`]: the request may have been done.
//! * The peer may have closed an idle connection, by restarting for example. A call that finds its
//!   connection closed before the first byte of an answer is sent once more, on a new connection.
//!   The request may then be done twice. That is safe, because every message between our services may be
//!   repeated. The other idle connections are as old as that one and are dropped.
//! * A connection whose call failed is closed, because its answer may still arrive.
//! * The usual call is one `send` and one `recv` that returns bytes. The socket's timeouts, set
//!   once, are the intervals at which a waiting call checks its deadline and `abandoned`.

use super::frame::{self, FRAME_BYTES_MAX, Frames};
use super::socket::TICK;
use super::target::{Target, Timeouts};
use super::tls::refusal;
use crate::blocking::Blocking;
use crate::error::{Error, Result};
use parking_lot::Mutex;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// Calls one server.
pub struct Rpc {
    target: Target,
    /// Connections without a call, the one last used at the end.
    idle: Mutex<Vec<Frames>>,
}

/// An answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its payload.
    pub payload: Vec<u8>,
    /// Whether the request was sent twice, so that it may have been done before the answered one came.
    pub is_repeated: bool,
}

/// Why a call on one connection did not bring an answer.
enum Failure {
    /// Nothing was sent.
    Refused(Error),
    /// The peer closed the connection before it began to answer.
    Closed(io::Error),
    /// The deadline passed, the caller gave up, or the answer broke off.
    Final(String),
}

impl Rpc {
    /// Calls this server; it connects with the first call. An address alone (host and port) is
    /// called by plain TCP.
    pub fn new(target: impl Into<Target>) -> Rpc {
        Rpc { target: target.into(), idle: Mutex::new(Vec::new()) }
    }

    /// The server's host and port.
    pub fn address(&self) -> &str {
        self.target.address()
    }

    /// Sends one frame with this payload and returns the answer. While it waits, it calls
    /// `abandoned` about 40 times a second, and gives up if that is true.
    pub fn call(
        &self,
        request: &[u8],
        deadline: Instant,
        abandoned: &dyn Fn() -> bool,
    ) -> Result<Reply> {
        self.begin(request.to_vec(), deadline, abandoned).finish()
    }

    /// Sends one frame with this payload. [`Call::finish`] waits for the answer, as [`Rpc::call`] does.
    pub fn begin<'a>(
        &'a self,
        request: Vec<u8>,
        deadline: Instant,
        abandoned: &'a dyn Fn() -> bool,
    ) -> Call<'a> {
        let _waiting = Blocking::new();
        let wanted = Wanted { deadline, abandoned };
        if request.len() > FRAME_BYTES_MAX {
            let sent = Err(Failure::Refused(frame::too_long(request.len())));
            return Call { rpc: self, request, wanted, sent, was_idle: false };
        }
        let idle = self.idle.lock().pop();
        let was_idle = idle.is_some();
        let sent = idle
            .map_or_else(|| self.connect(&wanted), Ok)
            .map_err(Failure::Refused)
            .and_then(|connection| wanted.send(connection, &request));
        Call { rpc: self, request, wanted, sent, was_idle }
    }

    /// Sends a request again, on a new connection, and waits for the answer. The peer may have done the request and
    /// ended before it answered, so even a refused connection does not make the error definite.
    fn call_again(&self, request: &[u8], wanted: &Wanted<'_>) -> Result<Reply> {
        self.idle.lock().clear();
        let connection =
            self.connect(wanted).map_err(|error| Error::unanswered(error.to_string()))?;
        let answer = wanted.send(connection, request).and_then(|sent| self.receive(sent, wanted));
        let payload = answer.map_err(|failure| self.unanswered(failure))?;
        Ok(Reply { payload, is_repeated: true })
    }

    fn receive(&self, mut connection: Frames, wanted: &Wanted<'_>) -> Result<Vec<u8>, Failure> {
        const IDLE_MAX: usize = 64;
        let payload = wanted.receive(&mut connection)?;
        // There must be no bytes after the answer.
        if !connection.is_midway() {
            let mut idle = self.idle.lock();
            if idle.len() < IDLE_MAX {
                idle.push(connection);
            }
        }
        Ok(payload)
    }

    fn connect(&self, wanted: &Wanted<'_>) -> Result<Frames> {
        const CONNECT_DEADLINE: Duration = Duration::from_millis(500);
        let Wanted { deadline, abandoned } = *wanted;
        let stream =
            self.target.connect(&Timeouts { deadline, each: CONNECT_DEADLINE, abandoned })?;
        let socket = stream.socket();
        let ticking =
            socket.set_read_timeout(Some(TICK)).and_then(|()| socket.set_write_timeout(Some(TICK)));
        ticking.map_err(|error| Error::Unreachable {
            address: self.address().to_owned(),
            why: error.to_string(),
        })?;
        Ok(Frames::new(stream))
    }

    fn unanswered(&self, failure: Failure) -> Error {
        let why = match failure {
            Failure::Refused(error) => return error,
            Failure::Closed(error) => refusal::words(&error),
            Failure::Final(why) => why,
        };
        Error::unanswered(format!("{} did not answer: {why}", self.address()))
    }
}

/// A request that was sent, if it could be.
pub struct Call<'a> {
    rpc: &'a Rpc,
    request: Vec<u8>,
    wanted: Wanted<'a>,
    sent: Result<Frames, Failure>,
    /// Whether it was sent on a connection that the peer may have closed before.
    was_idle: bool,
}

impl Call<'_> {
    /// Waits for the answer.
    pub fn finish(self) -> Result<Reply> {
        let _waiting = Blocking::new();
        let Call { rpc, request, wanted, sent, was_idle } = self;
        match sent.and_then(|connection| rpc.receive(connection, &wanted)) {
            Ok(payload) => Ok(Reply { payload, is_repeated: false }),
            Err(Failure::Closed(_)) if was_idle => rpc.call_again(&request, &wanted),
            Err(failure) => Err(rpc.unanswered(failure)),
        }
    }
}

/// Until when an answer is wanted.
struct Wanted<'a> {
    deadline: Instant,
    abandoned: &'a dyn Fn() -> bool,
}

impl Wanted<'_> {
    fn send(&self, mut connection: Frames, request: &[u8]) -> Result<Frames, Failure> {
        let mut sent = connection.send(request);
        while let Err(error) = sent {
            self.may_go_on(error, &connection)?;
            sent = connection.flush();
        }
        Ok(connection)
    }

    fn receive(&self, connection: &mut Frames) -> Result<Vec<u8>, Failure> {
        loop {
            match connection.receive() {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {
                    let why = "connection closed";
                    return Err(Failure::Closed(io::Error::new(ErrorKind::UnexpectedEof, why)));
                }
                Err(error) => self.may_go_on(error, connection)?,
            }
        }
    }

    /// A read or write failed: the call continues if it was only the socket's timeout.
    fn may_go_on(&self, error: io::Error, connection: &Frames) -> Result<(), Failure> {
        match error.kind() {
            ErrorKind::WouldBlock => {}
            _ if connection.is_midway() => return Err(Failure::Final(error.to_string())),
            _ => return Err(Failure::Closed(error)),
        }
        if Instant::now() >= self.deadline {
            return Err(Failure::Final("the deadline passed".into()));
        }
        if (self.abandoned)() {
            return Err(Failure::Final("the caller no longer waits".into()));
        }
        Ok(())
    }
}
