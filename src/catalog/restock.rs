//! Restocks every ten seconds (C3), on a thread of its own.

use crate::error::{Error, Result};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The restocking thread. Dropping it stops and joins it.
pub struct Restocker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Restocker {
    /// Calls `restock` each time `every` has passed.
    pub fn start(every: Duration, restock: impl Fn() + Send + 'static) -> Result<Restocker> {
        let (stop, stopped) = bounded(0);
        let run = move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                restock();
            }
        };
        let thread = thread::Builder::new()
            .name("restock".into())
            .spawn(run)
            .map_err(|e| Error::unavailable(format!("cannot start the restock thread: {e}")))?;
        Ok(Restocker { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Restocker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the restock thread panicked");
        }
    }
}
