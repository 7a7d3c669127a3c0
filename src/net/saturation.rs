//! Whether connections outnumber threads (*saturated*), which decides how a thread treats a silent connection:
//! with enough threads it stays for the next request, if saturated it leaves at once.
//!
//! A server becomes saturated when a connection is ready and no thread is free. It stops being saturated when in a
//! whole window no more connections were active than there are threads. Without that delay the state would
//! change with every request.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

/// Whether a server is saturated. The numbers affect speed, not correctness, so relaxed order is enough.
pub(super) struct Saturation {
    threads: usize,
    is_saturated: AtomicBool,
    window: AtomicU32,
    active: AtomicUsize,
}

impl Saturation {
    pub(super) fn new(threads: usize) -> Saturation {
        Saturation {
            threads,
            is_saturated: AtomicBool::new(false),
            window: AtomicU32::new(1),
            active: AtomicUsize::new(0),
        }
    }

    pub(super) fn is_saturated(&self) -> bool {
        self.is_saturated.load(Relaxed)
    }

    /// A connection was ready and no thread was free.
    pub(super) fn no_thread_was_free(&self) {
        if !self.is_saturated() {
            self.is_saturated.store(true, Relaxed);
        }
    }

    /// A connection was active. `last_window` is the window in which it was last counted.
    pub(super) fn count(&self, last_window: &mut u32) {
        let window = self.window.load(Relaxed);
        if *last_window != window {
            *last_window = window;
            self.active.fetch_add(1, Relaxed);
        }
    }

    /// Begins a new window; `queued` connections wait for a thread now.
    pub(super) fn next_window(&self, queued: usize) {
        let active = self.active.swap(0, Relaxed);
        self.window.fetch_add(1, Relaxed);
        if active <= self.threads && queued == 0 {
            self.is_saturated.store(false, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(saturation: &Saturation, last_windows: &mut [u32]) {
        for window in last_windows {
            saturation.count(window);
        }
    }

    #[test]
    fn saturation_ends_only_after_a_window_with_threads_for_everyone() {
        let saturation = Saturation::new(2);
        let mut seen = [0; 3];
        assert!(!saturation.is_saturated());

        saturation.no_thread_was_free();
        count(&saturation, &mut seen);
        saturation.next_window(0);
        assert!(saturation.is_saturated(), "three were active, there are two threads");

        count(&saturation, &mut seen[..2]);
        count(&saturation, &mut seen[..1]);
        saturation.next_window(1);
        assert!(saturation.is_saturated(), "one still waits");

        count(&saturation, &mut seen[..2]);
        count(&saturation, &mut seen[..1]);
        saturation.next_window(0);
        assert!(!saturation.is_saturated(), "two were active, one of them twice");
    }
}
