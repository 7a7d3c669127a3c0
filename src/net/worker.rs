//! One turn of a thread with a connection: serve what was received, send the answers, read on.
//!
//! A turn ends when the connection is parked, queued again, or closed, which is to drop it.
//!
//! * Requests that arrive together are answered together, with one write.
//! * While there are threads for everyone, a thread stays for the next request and waits for it in a
//!   read; only silence ends the turn. When connections outnumber threads, every turn ends with the answer.
//! * A panic in the protocol closes that connection and nothing else.

use super::connection::{Awaits, Connection, Received};
use super::protocol::{Progress, Protocol};
use super::scheduler::{Reason, Scheduler, Task};
use super::tls::refusal;
use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// Bytes of answers after which pending requests wait until those are sent.
const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// Bytes of a request that no protocol of ours comes near.
const INPUT_BYTES_MAX: usize = 17 << 20;

/// One of the server's threads.
pub(super) struct Worker<P: Protocol> {
    pub(super) protocol: Arc<P>,
    pub(super) scheduler: Arc<Scheduler<P::Session>>,
}

/// What a worker serves. Boxed, because it moves between threads all the time.
type Boxed<P> = Box<Connection<<P as Protocol>::Session>>;

impl<P: Protocol> Worker<P> {
    pub(super) fn run(&self) {
        while let Task::Turn(connection, reason) = self.scheduler.next() {
            self.turn(connection, reason);
        }
    }

    fn turn(&self, mut connection: Boxed<P>, reason: Reason) {
        if reason == Reason::Overdue {
            if connection.awaits() != Some(Awaits::Rest) {
                return;
            }
            self.expire(&mut connection);
        }
        let mut is_readable = reason == Reason::Readable;
        let mut served = 0;
        loop {
            self.serve(&mut connection, &mut served);
            match connection.flush() {
                Ok(true) => {}
                Ok(false) => return self.scheduler.park(connection, Awaits::Room),
                Err(error) => return self.lost(&connection, &error),
            }
            if connection.is_ending() {
                return self.drain(connection);
            }
            let must_yield = !self.scheduler.limits.stays
                || self.scheduler.saturation.is_saturated()
                || self.is_turn_over(served);
            if connection.is_unseen {
                if must_yield {
                    return self.scheduler.queue(connection, Reason::Unserved);
                }
                continue;
            }
            let awaits = connection.next_wait();
            if !is_readable {
                if awaits != Awaits::Rest && self.scheduler.is_stopping() {
                    connection.end();
                    return self.drain(connection);
                }
                if must_yield {
                    return self.scheduler.park(connection, awaits);
                }
            }
            is_readable = false;
            match connection.receive() {
                Ok(Received::Bytes) => {}
                Ok(Received::Nothing) => {
                    // Not what it was, if this ended the handshake.
                    let awaits = connection.next_wait();
                    return self.scheduler.park(connection, awaits);
                }
                Ok(Received::End) => return,
                Err(error) => return self.lost(&connection, &error),
            }
        }
    }

    /// Whether others wait and this session has had its share.
    fn is_turn_over(&self, served: u32) -> bool {
        served >= self.scheduler.limits.turn_requests_max && self.scheduler.queued() > 0
    }

    /// Answers what was received, until the rest is no whole request, or the output is full, or
    /// the turn is over.
    fn serve(&self, connection: &mut Connection<P::Session>, served: &mut u32) {
        let mut used = 0;
        while connection.is_unseen
            && connection.output.len() < OUTPUT_BYTES_MAX
            && !self.is_turn_over(*served)
        {
            match self.serve_one(connection, used) {
                Progress::Served { bytes } => {
                    used += bytes;
                    *served += 1;
                    connection.is_unseen = used < connection.input.len();
                    self.scheduler.saturation.count(&mut connection.last_window);
                }
                Progress::NeedMore => connection.is_unseen = false,
                Progress::Close => return connection.end(),
            }
        }
        if used > 0 {
            connection.served(used);
        }
        if !connection.is_unseen && !connection.input.is_empty() {
            self.wait_for_rest(connection);
        }
    }

    /// Asks the protocol for the answer to the first request after `used` bytes of the input.
    fn serve_one(&self, connection: &mut Connection<P::Session>, used: usize) -> Progress {
        let answered = connection.output.len();
        let serving = catch_unwind(AssertUnwindSafe(|| {
            let Connection { session, input, output, .. } = connection;
            let progress = self.protocol.serve(session, &input[used..], output);
            if let Progress::Served { bytes } = progress {
                assert!(bytes > 0 && used + bytes <= input.len(), "served {bytes} bytes");
            }
            progress
        }));
        serving.unwrap_or_else(|panic| {
            let peer = connection.peer();
            tracing::error!(peer, panic = panic_text(&*panic), "a request panicked");
            connection.output.truncate(answered);
            self.say_last_words(connection, P::panicked);
            Progress::Close
        })
    }

    /// A part of a request is there. A sender who is too slow, or never ends, is cut off.
    fn wait_for_rest(&self, connection: &mut Connection<P::Session>) {
        connection.wait_for(Awaits::Rest, &self.scheduler.limits);
        if connection.input.len() > INPUT_BYTES_MAX {
            connection.end();
        } else if connection.is_overdue(Instant::now()) {
            self.expire(connection);
        }
    }

    fn expire(&self, connection: &mut Connection<P::Session>) {
        tracing::debug!(peer = connection.peer(), "a request did not arrive in time");
        self.say_last_words(connection, P::expired);
        connection.end();
    }

    fn say_last_words(
        &self,
        connection: &mut Connection<P::Session>,
        speak: fn(&P, &mut P::Session, &mut Vec<u8>),
    ) {
        let answered = connection.output.len();
        let speaking = catch_unwind(AssertUnwindSafe(|| {
            speak(&self.protocol, &mut connection.session, &mut connection.output);
        }));
        if speaking.is_err() {
            connection.output.truncate(answered);
        }
    }

    /// Everything is said: discards what still comes in, until the client closes.
    fn drain(&self, mut connection: Boxed<P>) {
        if let Err(error) = connection.shut_down() {
            return self.lost(&connection, &error);
        }
        connection.wait_for(Awaits::Close, &self.scheduler.limits);
        loop {
            match connection.discard() {
                Ok(Received::Bytes) if connection.is_overdue(Instant::now()) => return,
                Ok(Received::Bytes) if !self.scheduler.saturation.is_saturated() => {}
                Ok(Received::Bytes | Received::Nothing) => {
                    return self.scheduler.park(connection, Awaits::Close);
                }
                Ok(Received::End) => return,
                Err(error) => return self.lost(&connection, &error),
            }
        }
    }

    /// Clients come and go as they like, so that is no error. That TLS refused one may be.
    fn lost(&self, connection: &Connection<P::Session>, error: &io::Error) {
        let peer = connection.peer();
        let Some(line) = refusal::line(&peer, error) else {
            return tracing::debug!(peer, %error, "a client is gone");
        };
        // The same host comes back from another port each time.
        let host = peer.rsplit_once(':').map_or(&*peer, |(host, _)| host);
        if self.scheduler.refusals.is_news(&line.replace(&peer, host)) {
            tracing::warn!("{line}");
        } else {
            tracing::debug!("{line}");
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}
