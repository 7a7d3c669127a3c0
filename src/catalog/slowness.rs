//! The artificial delay of each query and purchase (L4), to simulate a slow database. Configured as
//! `delay_ms`, and changed by two signals while the catalog runs, so that a class can watch the queue
//! grow and shrink: SIGUSR1 switches to a slow database, SIGUSR2 back to the configured delay.

use crate::error::Result;
use crate::signals::SignalThread;
use signal_hook::consts::{SIGUSR1, SIGUSR2};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The delay of each query and purchase after SIGUSR1.
const SLOW_MS: u64 = 200;

/// The current delay.
#[derive(Debug)]
pub struct Slowness {
    configured_ms: u64,
    delay_ms: AtomicU64,
}

impl Slowness {
    /// With the configured delay.
    pub fn new(configured: Duration) -> Slowness {
        let configured_ms = u64::try_from(configured.as_millis()).unwrap_or(u64::MAX);
        Slowness { configured_ms, delay_ms: AtomicU64::new(configured_ms) }
    }

    /// The current delay of each query and purchase.
    pub fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms())
    }

    /// The same in milliseconds.
    pub fn delay_ms(&self) -> u64 {
        self.delay_ms.load(Relaxed)
    }

    fn set(&self, delay_ms: u64) {
        self.delay_ms.store(delay_ms, Relaxed);
        if delay_ms == 0 {
            tracing::info!("artificial delay of queries and purchases: off");
        } else {
            tracing::info!("artificial delay of queries and purchases: {delay_ms} ms");
        }
    }
}

/// The signals change the delay until the thread is dropped.
pub fn change_by_signal(slowness: Arc<Slowness>) -> Result<SignalThread> {
    SignalThread::start("slowness", &[SIGUSR1, SIGUSR2], move |signal| {
        slowness.set(if signal == SIGUSR1 { SLOW_MS } else { slowness.configured_ms });
    })
}
