//! One turn of a thread with a connection: serve what was received, send the answers, read more.
//!
//! ```text
//!  Unserved ─▶ Serve ──▶ Send ─┬─ all answers sent, enough threads ─────────▶ Stay ─┐
//!  Woken ──────▲ ▲             ├─ others wait ───────────────▶ Park or Queue        │
//!                │            ├─ the next answer comes later ▶ Park                │
//!  Readable ─▶ Read            ├─ the client does not read ──▶ Park                 │
//!               │ └────────────┼────────────── bytes ───────────────────────────────┤
//!               └──────────────┼── nothing in time ──────────▶ Park ◀───────────────┤
//!                              │   client disconnected ──────▶ Close ◀──────────────┘
//!  Overdue ──▶ Expire ─▶ Send ─┴─ final response sent ▶ Drain ▶ Park or Close
//!  New, Writable ──────▶ Send
//! ```
//!
//! A turn ends when the connection is parked, queued again, or closed (dropped).
//!
//! * Requests that arrive together are answered together, with one write.
//! * While there are enough threads, a thread stays for the next request and waits for it in a
//!   read; only silence ends the turn. When connections outnumber threads, every turn ends with the answer, and so does
//!   the turn of a connection whose last request came after a silence that no thread would have stayed for.
//! * A panic in the protocol closes that connection and nothing else.

use super::connection::{Awaits, Connection, Place, Received};
use super::protocol::{Progress, Protocol};
use super::scheduler::{Reason, Scheduler};
use super::tls::refusal;
use crate::blocking::{self, Blocking, Pool};
use crate::stop::panic_text;
use parking_lot::Mutex;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// Bytes of answers after which pending requests wait until those are sent.
const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// The most bytes of an incomplete request; far above the longest request of our protocols.
const INPUT_BYTES_MAX: usize = 17 << 20;

/// One of the server's threads.
pub(super) struct Worker<P: Protocol> {
    pub(super) protocol: Arc<P>,
    pub(super) scheduler: Arc<Scheduler<P::Session>>,
}

/// What a worker serves. Boxed, because it moves between threads all the time.
type Boxed<P> = Box<Connection<<P as Protocol>::Session>>;

/// What a turn does next.
enum Step {
    /// Answer what was received.
    Serve,
    /// The rest of a request did not arrive in time: answer that.
    Expire,
    /// Send the answers.
    Send,
    /// Read what has arrived.
    Read,
    /// Wait for the next request.
    Stay,
    /// The server stops: this connection's last answer is sent.
    End,
    /// Discard further input until the client closes.
    Drain,
    /// Back to the end of the queue.
    Queue,
    /// Wait for this without a thread.
    Park(Awaits),
    /// Drop the connection.
    Close,
}

/// What a turn keeps from step to step.
struct Turn {
    /// How many requests it has served.
    served: u32,
    /// Since when the connection waited for this thread, until a request is served.
    queued: Option<Instant>,
}

impl Step {
    /// The first one, for a connection that is given to a worker for this reason and waited for that.
    fn first(reason: Reason, awaited: Option<Awaits>) -> Step {
        match (reason, awaited) {
            (Reason::Unserved | Reason::Woken, _) | (_, Some(Awaits::Answer)) => Step::Serve,
            (Reason::Overdue, Some(Awaits::Rest)) => Step::Expire,
            (Reason::Overdue, _) => Step::Close,
            (Reason::Readable, Some(Awaits::Close)) => Step::Drain,
            (Reason::Readable, _) => Step::Read,
            (Reason::New | Reason::Writable, _) => Step::Send,
        }
    }
}

impl<P: Protocol> Worker<P> {
    pub(super) fn run(&self) {
        blocking::join(Arc::clone(&self.scheduler) as Arc<dyn Pool>);
        while let Some(((connection, reason), since)) = self.scheduler.next() {
            self.turn(connection, reason, since);
            self.scheduler.turn_is_over();
        }
    }

    fn turn(&self, mut connection: Boxed<P>, reason: Reason, since: Instant) {
        let mut turn = Turn { served: 0, queued: Some(since) };
        let mut step = Step::first(reason, connection.awaits());
        loop {
            step = match step {
                Step::Serve => self.serve(&mut connection, &mut turn),
                Step::Expire => self.expire(&mut connection),
                Step::Send => match connection.flush() {
                    Ok(true) => self.after_sending(&connection, turn.served),
                    Ok(false) => Step::Park(Awaits::Room),
                    Err(error) => self.lost(&connection, &error),
                },
                Step::Read => self.read(&mut connection),
                Step::Stay => {
                    turn.queued = None;
                    let _waiting = Blocking::new();
                    self.read(&mut connection)
                }
                Step::End => {
                    connection.end();
                    Step::Drain
                }
                Step::Drain => self.drain(&mut connection),
                Step::Queue => return self.scheduler.queue(connection, Reason::Unserved),
                Step::Park(awaits) => return self.scheduler.park(connection, awaits),
                Step::Close => return,
            }
        }
    }

    /// All answers are sent.
    fn after_sending(&self, connection: &Connection<P::Session>, served: u32) -> Step {
        if connection.is_ending() {
            return Step::Drain;
        }
        let must_yield = !self.scheduler.limits.stays
            || self.scheduler.saturation.is_saturated()
            || connection.pace.gap >= self.scheduler.limits.stay
            || self.is_turn_over(served);
        match connection.next_wait() {
            _ if connection.is_unseen && must_yield => Step::Queue,
            _ if connection.is_unseen => Step::Serve,
            Awaits::Handshake | Awaits::Request if self.scheduler.is_stopping() => Step::End,
            Awaits::Answer => Step::Park(Awaits::Answer),
            awaits if must_yield => Step::Park(awaits),
            _ => Step::Stay,
        }
    }

    fn read(&self, connection: &mut Connection<P::Session>) -> Step {
        match connection.receive() {
            Ok(Received::Bytes) => Step::Serve,
            // If this ended the handshake, it waits for something else now.
            Ok(Received::Nothing) => Step::Park(connection.next_wait()),
            Ok(Received::End) => Step::Close,
            Err(error) => self.lost(connection, &error),
        }
    }

    /// Whether others wait and this session has used its share.
    fn is_turn_over(&self, served: u32) -> bool {
        served >= self.scheduler.limits.turn_requests_max && self.scheduler.queued() > 0
    }

    /// Answers what was received, until the rest is an incomplete request, the output is full, or
    /// the turn is over.
    fn serve(&self, connection: &mut Connection<P::Session>, turn: &mut Turn) -> Step {
        let mut used = 0;
        if connection.answer_until.take().is_some() {
            connection.is_unseen = true;
            connection.pace.restart();
        }
        while connection.is_unseen
            && connection.output.len() < OUTPUT_BYTES_MAX
            && !self.is_turn_over(turn.served)
        {
            match self.serve_one(connection, used, turn.queued.take()) {
                Progress::Served { bytes } => {
                    used += bytes;
                    turn.served += 1;
                    connection.is_unseen = used < connection.input.len();
                    self.scheduler.saturation.count(&mut connection.last_window);
                }
                Progress::NeedMore => connection.is_unseen = false,
                Progress::Later { until } => {
                    connection.is_unseen = false;
                    connection.answer_until = Some(until);
                }
                Progress::Close => {
                    connection.end();
                    return Step::Send;
                }
            }
        }
        if used > 0 {
            connection.served(used);
        }
        let is_whole = connection.is_unseen || connection.answer_until.is_some();
        if !is_whole && !connection.input.is_empty() {
            return self.wait_for_rest(connection);
        }
        Step::Send
    }

    /// Asks the protocol for the answer to the first request after `used` bytes of the input.
    fn serve_one(
        &self,
        connection: &mut Connection<P::Session>,
        used: usize,
        queued: Option<Instant>,
    ) -> Progress {
        let answered = connection.output.len();
        let serving = catch_unwind(AssertUnwindSafe(|| {
            if connection.session.is_none() {
                let place = connection.place.insert(Arc::new(Mutex::new(Place::Elsewhere)));
                let waker = self.scheduler.waker(place.clone());
                connection.session = Some(self.protocol.open(connection.caller(), waker));
            }
            connection.set_place(Place::Elsewhere);
            let Connection { session, input, output, .. } = connection;
            let session = session.as_mut().expect("it was opened above");
            let progress = self.protocol.serve(session, &input[used..], output, queued);
            if let Progress::Served { bytes } = progress {
                assert!(bytes > 0 && used + bytes <= input.len(), "served {bytes} bytes");
            }
            progress
        }));
        serving.unwrap_or_else(|panic| {
            let peer = connection.peer;
            tracing::error!(%peer, panic = panic_text(&*panic), "a request panicked");
            connection.output.truncate(answered);
            self.say_last_words(connection, P::panicked);
            Progress::Close
        })
    }

    /// A part of a request is there. If it is too slow or too long, the connection is closed.
    fn wait_for_rest(&self, connection: &mut Connection<P::Session>) -> Step {
        connection.wait_for(Awaits::Rest, &self.scheduler.limits);
        if connection.input.len() > INPUT_BYTES_MAX {
            connection.end();
        } else if connection.is_overdue(Instant::now()) {
            return Step::Expire;
        }
        Step::Send
    }

    fn expire(&self, connection: &mut Connection<P::Session>) -> Step {
        tracing::debug!(peer = %connection.peer, "a request did not arrive in time");
        self.say_last_words(connection, P::expired);
        connection.end();
        Step::Send
    }

    fn say_last_words(
        &self,
        connection: &mut Connection<P::Session>,
        speak: fn(&P, &mut P::Session, &mut Vec<u8>),
    ) {
        let answered = connection.output.len();
        let speaking = catch_unwind(AssertUnwindSafe(|| {
            if let Some(session) = &mut connection.session {
                speak(&self.protocol, session, &mut connection.output);
            }
        }));
        if speaking.is_err() {
            connection.output.truncate(answered);
        }
    }

    /// The final response is sent: discards further input, until the client closes.
    fn drain(&self, connection: &mut Connection<P::Session>) -> Step {
        if let Err(error) = connection.shut_down() {
            return self.lost(connection, &error);
        }
        connection.wait_for(Awaits::Close, &self.scheduler.limits);
        let _waiting = Blocking::new();
        loop {
            match connection.discard() {
                Ok(Received::Bytes) if connection.is_overdue(Instant::now()) => return Step::Close,
                Ok(Received::Bytes) if !self.scheduler.saturation.is_saturated() => {}
                Ok(Received::Bytes | Received::Nothing) => return Step::Park(Awaits::Close),
                Ok(Received::End) => return Step::Close,
                Err(error) => return self.lost(connection, &error),
            }
        }
    }

    /// A client may disconnect at any time, so that is no error. A refusal by TLS may be one.
    fn lost(&self, connection: &Connection<P::Session>, error: &io::Error) -> Step {
        let peer = connection.peer;
        let Some(line) = refusal::line(peer, error) else {
            tracing::debug!(%peer, %error, "client disconnected");
            return Step::Close;
        };
        // The same host uses another port each time.
        let said = line.replace(&peer.to_string(), &peer.ip().to_string());
        if self.scheduler.refusals.is_news(&said) {
            tracing::warn!("{line}");
        } else {
            tracing::debug!("{line}");
        }
        Step::Close
    }
}
