//! What is read from certificate files, and read again while it is used: at SIGHUP, after a renewal.
//! Connections that stand go on as they are; new ones begin with what was read last.

use crate::error::Result;
use crate::signals::SignalThread;
use parking_lot::RwLock;
use signal_hook::consts::SIGHUP;
use std::sync::Arc;

/// Something that was read, and how to read it again.
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

    /// What was read last.
    pub(in crate::net) fn current(&self) -> Arc<T> {
        Arc::clone(&self.current.read())
    }
}

/// What can be read again, whatever it is.
pub(in crate::net) trait Reload: Send + Sync {
    /// Reads it again; what was read before stays if that does not work.
    fn reload(&self) -> Result<()>;
}

impl<T: Send + Sync> Reload for Reloadable<T> {
    fn reload(&self) -> Result<()> {
        let fresh = Arc::new((self.read)()?);
        *self.current.write() = fresh;
        Ok(())
    }
}

/// From now on, until the thread is dropped, SIGHUP has all of them read again.
pub(in crate::net) fn reload_at_hangup(all: Vec<Arc<dyn Reload>>) -> Result<SignalThread> {
    SignalThread::start("reloader", &[SIGHUP], move |_| reload(&all))
}

fn reload(all: &[Arc<dyn Reload>]) {
    match all.iter().try_for_each(|one| one.reload()) {
        Ok(()) if all.is_empty() => tracing::info!("there are no certificates to read again"),
        Ok(()) => tracing::info!("read the certificates again; new connections begin with them"),
        Err(error) => tracing::error!("{error}; the certificates read before stay in use"),
    }
}
