//! Takes the changes from the catalog, on a thread of its own. While the catalog does not answer,
//! the lease runs out and the cache is bypassed.

use super::products::Products;
use crate::catalogs::Catalogs;
use crate::error::{Error, Result};
use crate::protocol::ask;
use crate::protocol::catalog::{Changes, Peer};
use crate::stop::VitalThread;
use crate::trace::{Recorder, Scope};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// For one call; the catalog holds it back for 100 ms at most. After it the lease is nearly over.
const DEADLINE: Duration = Duration::from_millis(350);
/// The pause before a new subscription.
const PAUSE: Duration = Duration::from_millis(50);

/// The thread. Dropping it stops and joins it.
pub struct Subscription {
    stopping: Arc<AtomicBool>,
    _thread: VitalThread,
}

impl Subscription {
    /// Subscribes at the active one of these catalogs.
    pub fn start(
        catalogs: Arc<Catalogs>,
        products: Arc<Products>,
        recorder: Arc<Recorder>,
    ) -> Result<Subscription> {
        let stopping = Arc::new(AtomicBool::new(false));
        let subscriber = Subscriber { catalogs, products, recorder, stopping };
        let stopping = subscriber.stopping.clone();
        let thread = VitalThread::start("subscription", move || subscriber.run())?;
        Ok(Subscription { stopping, _thread: thread })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

struct Subscriber {
    catalogs: Arc<Catalogs>,
    products: Arc<Products>,
    recorder: Arc<Recorder>,
    stopping: Arc<AtomicBool>,
}

impl Subscriber {
    fn run(&self) {
        let (mut was_up, mut before) = (true, None);
        while !self.stopping.load(Ordering::Relaxed) {
            match self.listen(&mut before) {
                Ok(()) => return,
                Err((error, was_subscribed)) => {
                    if was_up || was_subscribed {
                        tracing::warn!(
                            "not subscribed to changes at the catalog; cache disabled: {error}"
                        );
                    }
                    was_up = false;
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    /// Begins a subscription and takes changes until it is over, or this process is stopping. `before` is the last
    /// subscription that was answered. The error says whether there was an answer at all.
    fn listen(&self, before: &mut Option<u64>) -> Result<(), (Error, bool)> {
        // This number was never used, so no late duplicate of a call belongs to it.
        let subscription = fastrand::u64(..);
        self.products.unsubscribe();
        let mut acknowledged = None;
        let stopping = || self.stopping.load(Ordering::Relaxed);
        while !stopping() {
            let replaces = before.filter(|before| *before != subscription);
            let question = Peer::Changes { subscription, acknowledged, replaces };
            let sent = Instant::now();
            let catalog = self.catalogs.active();
            let abandoned = || stopping() || catalog.is_replaced();
            let answer = ask(catalog.peers(), &question, sent + DEADLINE, &abandoned);
            let changes: Changes = match answer {
                Ok(changes) => changes,
                Err(_) if stopping() => break,
                Err(error) => return Err((error, acknowledged.is_some())),
            };
            *before = Some(subscription);
            let is_sampled = !changes.traces.is_empty();
            let scope = || Scope::new(self.recorder.clone(), changes.traces.clone());
            let _entered = is_sampled.then(|| scope().enter());
            if !self.products.take_changes(subscription, &changes, sent) {
                let error = Error::unavailable("an answer came after the lease was over");
                return Err((error, acknowledged.is_some()));
            }
            if acknowledged.is_none() {
                tracing::info!("subscribed to changes at the catalog; cache enabled");
            }
            acknowledged = Some(changes.up_to);
        }
        Ok(())
    }
}
