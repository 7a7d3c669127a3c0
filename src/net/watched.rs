//! A socket that can be watched by the operating system's poller (epoll, kqueue).
//!
//! * Every watch reports at most once, so only one thread takes the socket out of the scheduler.
//! * A socket leaves the poller before it is closed. That is the contract of `Poller::add`, and the
//!   one reason for `unsafe` in this crate.

use polling::{AsRawSource, AsSource, Event, Poller};
use std::io;
use std::ops::Deref;
use std::sync::Arc;

/// A socket and its registration.
pub(super) struct Watched<S: AsSource> {
    socket: S,
    poller: Arc<Poller>,
    is_registered: bool,
}

impl<S: AsSource> Watched<S>
where
    for<'a> &'a S: AsRawSource,
{
    pub(super) fn new(socket: S, poller: Arc<Poller>) -> Watched<S> {
        Watched { socket, poller, is_registered: false }
    }

    /// Asks for one report of `event`; it comes at once if the event has already happened.
    pub(super) fn watch(&mut self, event: Event) -> io::Result<()> {
        if self.is_registered {
            return self.poller.modify(&self.socket, event);
        }
        self.register(event)?;
        self.is_registered = true;
        Ok(())
    }

    #[expect(unsafe_code)]
    fn register(&self, event: Event) -> io::Result<()> {
        // SAFETY: the socket must be deleted from the poller before it is dropped. Nothing can move
        // it out of `self`, and `Drop for Watched` deletes it before its field is dropped.
        unsafe { self.poller.add(&self.socket, event) }
    }
}

impl<S: AsSource> Drop for Watched<S> {
    fn drop(&mut self) {
        if self.is_registered
            && let Err(error) = self.poller.delete(&self.socket)
        {
            tracing::debug!(%error, "cannot remove a socket from the poller");
        }
    }
}

impl<S: AsSource> Deref for Watched<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.socket
    }
}
