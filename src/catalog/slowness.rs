//! How slow a database the catalog plays (L4): what each query and purchase takes longer. Configured as
//! `delay_ms`, and changed while the catalog runs by two signals, so that a class can watch the queue
//! grow and go: SIGUSR1 makes it slow, SIGUSR2 sets back what was configured.

use crate::error::Result;
use crate::signals::SignalThread;
use signal_hook::consts::{SIGUSR1, SIGUSR2};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What SIGUSR1 makes each query and purchase take longer.
const SLOW_MS: u64 = 200;

/// The delay of now.
#[derive(Debug)]
pub struct Slowness {
    configured_ms: u64,
    delay_ms: AtomicU64,
}

impl Slowness {
    /// As slow as configured.
    pub fn new(configured: Duration) -> Slowness {
        let configured_ms = u64::try_from(configured.as_millis()).unwrap_or(u64::MAX);
        Slowness { configured_ms, delay_ms: AtomicU64::new(configured_ms) }
    }

    /// What each query and purchase takes longer.
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
            tracing::info!("queries and purchases are not slowed down from now on");
        } else {
            tracing::info!("every query and purchase takes {delay_ms} ms longer from now on");
        }
    }
}

/// From now on, until the thread is dropped, the signals change the slowness.
pub fn change_by_signal(slowness: Arc<Slowness>) -> Result<SignalThread> {
    SignalThread::start("slowness", &[SIGUSR1, SIGUSR2], move |signal| {
        slowness.set(if signal == SIGUSR1 { SLOW_MS } else { slowness.configured_ms });
    })
}
