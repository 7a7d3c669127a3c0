//! A thread that handles signals other than those that end the process ([`stop`](crate::stop)). Used by the catalog
//! (artificial delay) and by `net` (certificates are read again).

use crate::error::{Error, Result};
use crate::stop::VitalThread;
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::signal_name;

/// The thread. Dropping it stops and joins it.
#[must_use = "dropping it stops it"]
pub struct SignalThread {
    signals: Handle,
    _thread: VitalThread,
}

impl SignalThread {
    /// Starts the thread. It calls `act` with each of these signals that arrives.
    pub fn start(
        name: &str,
        signals: &[i32],
        act: impl FnMut(i32) + Send + 'static,
    ) -> Result<SignalThread> {
        let mut received = Signals::new(signals).map_err(|error| {
            let names: Vec<_> = signals.iter().filter_map(|signal| signal_name(*signal)).collect();
            Error::unavailable(format!("cannot watch for {}: {error}", names.join(" and ")))
        })?;
        let signals = received.handle();
        let thread = VitalThread::start(name, move || received.forever().for_each(act))?;
        Ok(SignalThread { signals, _thread: thread })
    }
}

impl Drop for SignalThread {
    fn drop(&mut self) {
        self.signals.close();
    }
}
