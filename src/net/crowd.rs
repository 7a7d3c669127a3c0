//! Whether connections outnumber threads, which decides how a thread treats a silent connection:
//! with threads for everyone it stays for the next request, in a crowd it leaves at once.
//!
//! It becomes crowded the moment a connection is ready and no thread is free. It is over when in a
//! whole window no more connections were active than there are threads. Without that delay it would
//! come and go with every request.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};

/// How crowded a server is. The numbers steer speed, not correctness, so relaxed order is enough.
pub(super) struct Crowd {
    threads: usize,
    is_crowded: AtomicBool,
    window: AtomicU32,
    active: AtomicUsize,
}

impl Crowd {
    pub(super) fn new(threads: usize) -> Crowd {
        Crowd {
            threads,
            is_crowded: AtomicBool::new(false),
            window: AtomicU32::new(1),
            active: AtomicUsize::new(0),
        }
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.is_crowded.load(Relaxed)
    }

    /// A connection was ready and no thread was free.
    pub(super) fn no_thread_was_free(&self) {
        if !self.is_crowded() {
            self.is_crowded.store(true, Relaxed);
        }
    }

    /// A connection was active. `last_window` is where it remembers when it was last counted.
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
            self.is_crowded.store(false, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(crowd: &Crowd, last_windows: &mut [u32]) {
        for window in last_windows {
            crowd.count(window);
        }
    }

    #[test]
    fn a_crowd_ends_only_after_a_window_with_threads_for_everyone() {
        let crowd = Crowd::new(2);
        let mut seen = [0; 3];
        assert!(!crowd.is_crowded());

        crowd.no_thread_was_free();
        count(&crowd, &mut seen);
        crowd.next_window(0);
        assert!(crowd.is_crowded(), "three were active, there are two threads");

        count(&crowd, &mut seen[..2]);
        count(&crowd, &mut seen[..1]);
        crowd.next_window(1);
        assert!(crowd.is_crowded(), "one still waits");

        count(&crowd, &mut seen[..2]);
        count(&crowd, &mut seen[..1]);
        crowd.next_window(0);
        assert!(!crowd.is_crowded(), "two were active, one of them twice");
    }
}
