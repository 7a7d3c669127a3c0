//! Announces to a thread's pool that the thread is about to wait for another service or the disk, so that
//! another thread of the pool works meanwhile. Used around every wait of a request; `net`'s workers are
//! such a pool. On a thread without a pool it does nothing.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// A pool of threads.
pub trait Pool {
    /// A thread begins to wait.
    fn blocks(&self);
    /// It continues.
    fn resumes(&self);
}

thread_local! {
    static POOL: RefCell<Option<Arc<dyn Pool>>> = const { RefCell::new(None) };
    static IS_BLOCKED: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread belongs to `pool`.
pub fn join(pool: Arc<dyn Pool>) {
    POOL.set(Some(pool));
}

/// This thread may wait until this is dropped. A second one inside the first has no effect.
#[must_use = "the wait ends when it is dropped"]
pub struct Blocking {
    is_outermost: bool,
}

impl Blocking {
    /// The wait begins.
    #[expect(clippy::new_without_default, reason = "it does something")]
    pub fn new() -> Blocking {
        let is_outermost = !IS_BLOCKED.replace(true);
        if is_outermost {
            POOL.with_borrow(|pool| pool.iter().for_each(|pool| pool.blocks()));
        }
        Blocking { is_outermost }
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        if self.is_outermost {
            IS_BLOCKED.set(false);
            POOL.with_borrow(|pool| pool.iter().for_each(|pool| pool.resumes()));
        }
    }
}
