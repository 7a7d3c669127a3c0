//! Restocks every ten seconds (C3), on a thread of its own.

use crate::error::Result;
use crate::stop::VitalThread;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use std::time::Duration;

/// The restocking thread. Dropping it stops and joins it.
pub struct Restocker {
    /// Dropped first, as the first field, which ends the thread.
    _stop: Sender<()>,
    _thread: VitalThread,
}

impl Restocker {
    /// Calls `restock` each time `every` has passed.
    pub fn start(every: Duration, restock: impl Fn() + Send + 'static) -> Result<Restocker> {
        let (stop, stopped) = bounded(0);
        let thread = VitalThread::start("restock", move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                restock();
            }
        })?;
        Ok(Restocker { _stop: stop, _thread: thread })
    }
}
