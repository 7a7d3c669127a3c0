//! Serves the cluster page. The paths after the token:
//!
//! | request | answer |
//! |---|---|
//! | `GET /`, `GET /assets/<file>` | the page |
//! | `GET /state?event=N&unix_ms=T` | the state of the store, events after N, samples after T |
//! | `GET /traces/<last, slowest, order number or trace id>` | a trace |
//! | `POST /commands`, body `crash 3` | the result of the command |

use super::guard::Guard;
use crate::blocking::Blocking;
use crate::collector::{Collected, Collector};
use crate::error::{Error, Result};
use crate::http::{Http1, Request, Responder, error_body};
use crate::net::{Caller, Progress, Protocol};
use crate::pages::{self, CLUSTER};
use crate::protocol::web;
use crate::supervisor::customers::{CUSTOMERS_MAX, Counts};
use crate::supervisor::watch::board::{Board, Seen, Snapshot};
use crossbeam_channel::{Sender, bounded};
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// Deadline for carrying out a command. The console checks for commands twenty times a second, but not while the store
/// opens.
const DEADLINE: Duration = Duration::from_secs(10);

/// A command line, and the channel for its result.
pub struct Instruction {
    pub line: String,
    pub answer: Sender<Result<String>>,
}

/// The state that the page shows, and the channel for its commands.
pub struct Access {
    pub board: Arc<Board>,
    pub customers: Arc<Mutex<Counts>>,
    pub collector: Collector,
    /// Read by the thread that carries out commands.
    pub instructions: Sender<Instruction>,
}

/// The protocol of the page's address.
pub struct PageServer {
    pub guard: Arc<Guard>,
    pub access: Access,
}

/// The answer to `GET /state`.
#[derive(Serialize)]
struct State {
    #[serde(flatten)]
    store: Snapshot,
    customers: Counts,
    customers_max: usize,
}

impl PageServer {
    fn state(&self, seen: Seen) -> State {
        State {
            store: self.access.board.snapshot(seen),
            customers: *self.access.customers.lock(),
            customers_max: CUSTOMERS_MAX,
        }
    }

    /// Passes a command to the console and waits for its result.
    fn command(&self, line: &[u8]) -> Result<String> {
        let line = str::from_utf8(line).map_err(|_| Error::invalid("a command must be UTF-8"))?;
        let (answer, answered) = bounded(1);
        self.access.instructions.try_send(Instruction { line: line.to_owned(), answer }).map_err(
            |_| Error::unavailable("too many commands at once, or the store is closing"),
        )?;
        let _waiting = Blocking::new();
        answered
            .recv_timeout(DEADLINE)
            .unwrap_or_else(|_| Err(Error::unavailable("the command was not carried out in time")))
    }

    fn trace(&self, which: &str) -> Result<Collected> {
        let which = which.parse()?;
        let _waiting = Blocking::new();
        self.access.collector.collect(which)
    }

    /// Answers one request. Returns the status.
    fn answer(&self, request: &Request<'_>, responder: Responder<'_>) -> u16 {
        let segments: Result<Vec<_>> = request.segments().collect();
        let segments = match segments {
            Ok(segments) => segments,
            Err(error) => return web::refuse(responder, &error),
        };
        let path: Vec<&str> = segments.iter().map(|segment| &**segment).collect();
        let below = match self.guard.admit(request, &path) {
            Ok(below) => below,
            Err(why) => {
                responder.send(403, &[], &error_body(403, why));
                return 403;
            }
        };
        match (request.method, below) {
            // The page's links are relative, so its own path must end in a slash.
            ("GET" | "HEAD", []) => {
                responder.send(308, &[("Location", &format!("{}/", request.path))], b"");
                308
            }
            ("GET" | "HEAD", ["state"]) => {
                web::respond(responder, &seen(request).map(|seen| self.state(seen)))
            }
            ("GET" | "HEAD", ["traces", which]) => web::respond(responder, &self.trace(which)),
            ("POST", ["commands"]) => web::respond(responder, &self.command(request.body)),
            (_, ["commands"]) => web::wrong_method(request, responder, "POST"),
            ("GET" | "HEAD", file) => match CLUSTER.file(file) {
                Some(file) => pages::send(responder, file),
                None => web::no_such_path(request, responder, "GET, HEAD, POST"),
            },
            _ => web::wrong_method(request, responder, "GET, HEAD"),
        }
    }
}

impl Protocol for PageServer {
    type Session = Http1;

    fn open(&self, caller: Caller, _: Waker) -> Http1 {
        Http1::new(caller)
    }

    fn serve(
        &self,
        http: &mut Http1,
        input: &[u8],
        output: &mut Vec<u8>,
        _: Option<Instant>,
    ) -> Progress {
        http.serve(input, output, |request, responder| {
            self.answer(request, responder);
        })
    }

    fn expired(&self, http: &mut Http1, output: &mut Vec<u8>) {
        http.expired(output);
    }

    fn panicked(&self, http: &mut Http1, output: &mut Vec<u8>) {
        http.panicked(output);
    }
}

/// The last event and sample that the page has, from the query.
fn seen(request: &Request<'_>) -> Result<Seen> {
    let mut seen = Seen::default();
    for pair in request.query() {
        let (field, value) = pair?;
        let number = value
            .parse()
            .map_err(|_| Error::invalid(format!("{field} is \"{value}\", expected a number")))?;
        match &*field {
            "event" => seen.event = number,
            "unix_ms" => seen.unix_ms = number,
            _ => {
                return Err(Error::invalid(format!(
                    "query field {field:?}, expected event or unix_ms"
                )));
            }
        }
    }
    Ok(seen)
}
