//! Reads certificate files, and reads them again at SIGHUP, after a renewal.
//! Open connections keep their certificates; new connections use what was read last.

use crate::error::Result;
use crate::signals::SignalThread;
use parking_lot::RwLock;
use signal_hook::consts::SIGHUP;
use std::sync::Arc;

/// A value that was read from files, and how to read it again.
pub(in crate::net) struct Reloadable<T> {
    read: Box<dyn Fn() -> Result<T> + Send + Sync>,
    current: RwLock<Arc<T>>,
}

impl<T> Reloadable<T> {
    /// Reads it for the first time.
    pub(in crate::net) fn new(
        read: impl Fn() -> Result<T> + Send + Sync + 'static,
    ) -> Result<Arc<Reloadable<T>>> {
        let current = RwLock::new(Arc::new(read()?));
        Ok(Arc::new(Reloadable { read: Box::new(read), current }))
    }

    /// The value that was read last.
    pub(in crate::net) fn current(&self) -> Arc<T> {
        Arc::clone(&self.current.read())
    }
}

/// A value that can be read again, of any type.
pub(in crate::net) trait Reload: Send + Sync {
    /// Reads it again; on failure the previous value stays.
    fn reload(&self) -> Result<()>;
}

impl<T: Send + Sync> Reload for Reloadable<T> {
    fn reload(&self) -> Result<()> {
        let fresh = Arc::new((self.read)()?);
        *self.current.write() = fresh;
        Ok(())
    }
}

/// Reads all of them again at each SIGHUP, until the thread is dropped.
pub(in crate::net) fn reload_at_hangup(all: Vec<Arc<dyn Reload>>) -> Result<SignalThread> {
    SignalThread::start("reloader", &[SIGHUP], move |_| reload(&all))
}

fn reload(all: &[Arc<dyn Reload>]) {
    match all.iter().try_for_each(|one| one.reload()) {
        Ok(()) if all.is_empty() => tracing::info!("no certificates to read again"),
        Ok(()) => tracing::info!("read the certificates again; new connections use them"),
        Err(error) => tracing::error!("{error}; the certificates read before stay in use"),
    }
}
