//! What is read from certificate files, and read again while it is used: at SIGHUP, after a renewal.
//! Connections that stand go on as they are; new ones begin with what was read last.

use crate::error::{Error, Result};
use crate::stop::VitalThread;
use parking_lot::RwLock;
use signal_hook::consts::SIGHUP;
use signal_hook::iterator::{Handle, Signals};
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

/// The thread that waits for SIGHUP. Dropping it stops and joins it.
pub struct Reloader {
    signals: Handle,
    _thread: VitalThread,
}

impl Reloader {
    /// Takes over SIGHUP.
    pub(in crate::net) fn start(all: Vec<Arc<dyn Reload>>) -> Result<Reloader> {
        let cannot = |e: std::io::Error| Error::unavailable(format!("cannot watch SIGHUP: {e}"));
        let mut signals = Signals::new([SIGHUP]).map_err(cannot)?;
        let handle = signals.handle();
        let thread = VitalThread::start("reloader", move || {
            signals.forever().for_each(|_| reload(&all));
        })?;
        Ok(Reloader { signals: handle, _thread: thread })
    }
}

fn reload(all: &[Arc<dyn Reload>]) {
    match all.iter().try_for_each(|one| one.reload()) {
        Ok(()) if all.is_empty() => tracing::info!("there are no certificates to read again"),
        Ok(()) => tracing::info!("read the certificates again; new connections begin with them"),
        Err(error) => tracing::error!("{error}; the certificates read before stay in use"),
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        self.signals.close();
    }
}
