//! A running replica, which the service and its threads share: the pure [`Replica`] behind a lock, and what it keeps
//! [durable](Durable). It gives the replica its inputs, and writes what the replica asks for.
//!
//! Entries are appended under the replica's lock, so that file or table has them in the order of
//! the log; they are synced without it. Two conditions wake those who wait: `work` the senders and
//! the office, `progress` the purchases and look-ups.
//!
//! Locks: `views` (one view at a time goes to disk), then `replica`, then the file's or table's inner one. The
//! replica's lock is held across disk I/O only while a divergent tail is cut off.

use super::durable::Durable;
use super::file::{Loaded, OrderFile};
use super::leadership::{HEARTBEAT, Office};
use super::replica::{Replica, Taken};
use super::table::OrderTable;
use crate::catalogs::Catalogs;
use crate::config::{Config, Engine};
use crate::error::{Error, Result};
use crate::model::{Epoch, Member, Moment, OrderNumber, ReplicaId, View};
use crate::monitoring::status::OrderStatus;
use crate::protocol::order::{Append, AppendOutcome, Appended, Health};
use crate::stop::{Stop, VitalThread, crash};
use crate::trace::context::TraceId;
use crate::trace::trails::Trails;
use crate::trace::{Recorder, scope};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The replica, its lock and what it keeps.
pub struct Node {
    pub(super) id: ReplicaId,
    pub(super) replica: Mutex<Replica>,
    /// Signalled when the senders or the office may have something to do.
    pub(super) work: Condvar,
    /// Signalled when something was committed, the role changed, or the leadership was confirmed.
    pub(super) progress: Condvar,
    pub(super) durable: Durable,
    /// The entries of traced purchases.
    pub(super) trails: Trails,
    pub(super) recorder: Arc<Recorder>,
    /// The trace of the election that made the last view, if it is known.
    views: Mutex<Option<TraceId>>,
    /// The catalogs, of which it asks the active one.
    pub(super) catalogs: Arc<Catalogs>,
    /// Whether the database with the log has answered lately; a file always does.
    pub(super) log_reachable: AtomicBool,
    stopping: AtomicBool,
    started: Instant,
}

impl Node {
    /// Takes up what is on the disk, or in the database as soon as that is there.
    pub(super) fn load(
        config: &Config,
        id: ReplicaId,
        catalogs: Arc<Catalogs>,
        stop: &Stop,
    ) -> Result<Node> {
        let (replica, durable) = match config.storage.engine {
            Engine::Files => with_file(config, id)?,
            Engine::Database => with_table(config, id, stop)?,
        };
        Ok(Node {
            id,
            replica: Mutex::new(replica),
            work: Condvar::new(),
            progress: Condvar::new(),
            durable,
            trails: Trails::default(),
            recorder: Recorder::new(format!("order {id}"), config.trace.sample),
            views: Mutex::default(),
            catalogs,
            log_reachable: AtomicBool::new(true),
            stopping: AtomicBool::new(false),
            started: Instant::now(),
        })
    }

    /// This process's clock, as the pure modules want it.
    pub(super) fn now(&self) -> Moment {
        Moment::after(self.started.elapsed())
    }

    /// Whether this process is about to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Waits until the senders or the office may have something to do. While this replica does not lead, only a new
    /// view gives them any.
    pub(super) fn await_work(&self, replica: &mut MutexGuard<'_, Replica>) {
        const CHECK_INTERVAL: Duration = Duration::from_secs(1);
        let longest = if replica.leads().is_some() { HEARTBEAT } else { CHECK_INTERVAL };
        if !self.is_stopping() {
            self.work.wait_for(replica, longest);
        }
    }

    /// Whether this replica leads in this epoch.
    pub(super) fn leads_in(&self, epoch: Epoch) -> bool {
        self.replica.lock().leads() == Some(epoch)
    }

    /// How this replica is.
    pub(super) fn health(&self) -> Health {
        let reaches = self.reaches_all();
        self.replica.lock().health(reaches, self.now())
    }

    /// Whether it reaches what a leader needs.
    fn reaches_all(&self) -> bool {
        self.catalogs.is_reachable() && self.log_reachable.load(Ordering::Relaxed)
    }

    /// What the status page shows of it.
    pub(super) fn status(&self) -> OrderStatus {
        let reaches = self.reaches_all();
        let replica = self.replica.lock();
        let serves = replica.office() == Some(Office::Serving);
        OrderStatus {
            health: replica.health(reaches, self.now()),
            serves_in: replica.leads().filter(|_| serves),
            conflict: replica.conflict(),
            imbalance: replica.imbalance(),
            followers: replica.followers(),
        }
    }

    /// Writes a view to disk if it is new, and takes its role in it.
    pub(super) fn accept(&self, view: &View) -> Result<()> {
        let mut election = self.views.lock();
        if !self.replica.lock().is_news(view)? {
            return Ok(());
        }
        let step = scope::disk("write the view");
        self.durable.write_view(view).unwrap_or_else(|error| crash(&error));
        drop(step);
        *election = scope::current().and_then(|scope| scope.trace());
        self.replica.lock().accept(view.clone(), self.now());
        tracing::info!("{view}");
        self.work.notify_all();
        self.progress.notify_all();
        Ok(())
    }

    /// The trace of the election that made the last view, if it is known.
    pub(super) fn election(&self) -> Option<TraceId> {
        *self.views.lock()
    }

    /// Takes the leader's entries; acknowledges them when they are on disk.
    pub(super) fn append(&self, append: Append) -> Result<Appended> {
        self.accept(&append.view)?;
        let epoch = append.view.epoch;
        let last = {
            let mut replica = self.replica.lock();
            let known = replica.conflict();
            let taken = replica.take(append);
            if let Some(number) = replica.conflict().filter(|_| known.is_none()) {
                self.warn_of_conflict(number, epoch);
            }
            match taken? {
                Taken::Mismatch(epochs) => {
                    return replica.acknowledge(epoch, AppendOutcome::Mismatch(epochs));
                }
                Taken::Entries { cut_after, write_after, last } => {
                    if let Some(number) = cut_after {
                        tracing::warn!(
                            "orders after {number} were never committed: they are set aside in \
                             divergent-{epoch}.csv"
                        );
                        self.durable.cut_after(number, epoch).unwrap_or_else(|error| crash(&error));
                    }
                    self.write(&replica, write_after);
                    last
                }
            }
        };
        self.sync(last);
        self.replica.lock().acknowledge(epoch, AppendOutcome::Synced(last))
    }

    fn warn_of_conflict(&self, number: OrderNumber, epoch: Epoch) {
        tracing::warn!(
            "order {number} is committed here, but the leader of epoch {epoch} has another order {number}, as after an \
             unclean election. This replica takes no more orders. To keep the leader's: stop this replica, \
             move {} away, start it again, and it gets all of them. The orders of old are then in that \
             directory only",
            self.durable.place()
        );
    }

    /// Appends the entries after `number`, which the replica just took. Called under
    /// the replica's lock. A file or database that fails ends the process.
    pub(super) fn write(&self, replica: &Replica, number: OrderNumber) {
        let _step = scope::step("append to the log");
        let entries = replica.log().between(number, replica.log().last(), usize::MAX);
        self.durable.append(entries).unwrap_or_else(|error| crash(&error));
    }

    /// Returns when entries up to `number` are durable, and the replica knows.
    pub(super) fn sync(&self, number: OrderNumber) {
        let step = scope::disk("sync the log");
        let synced = self.durable.sync(number);
        drop(step);
        match synced {
            // A newer leader cut the entry meanwhile; the replica will not acknowledge it.
            Ok(()) | Err(Error::Unavailable { .. }) => {}
            Err(Error::Stale { epoch }) => self.fenced(Epoch(epoch)),
            Err(error) => crash(&error),
        }
        self.step(|replica| replica.synced(self.durable.durable()));
    }

    /// Another replica has taken the shared log from the leadership of this epoch.
    fn fenced(&self, epoch: Epoch) {
        if self.leads_in(epoch) {
            tracing::warn!("no longer leading in epoch {epoch}: another replica has taken the log");
            self.replica.lock().fenced(epoch);
            self.progress.notify_all();
        }
    }

    /// Gives the replica an input, and wakes those who wait for its effect.
    pub(super) fn step<T>(&self, step: impl FnOnce(&mut Replica) -> T) -> T {
        let mut replica = self.replica.lock();
        let progress =
            |replica: &Replica| (replica.committed(), replica.office(), replica.confirmed());
        let before = progress(&replica);
        let outcome = step(&mut replica);
        let is_progress = progress(&replica) != before;
        drop(replica);
        if is_progress {
            self.progress.notify_all();
        }
        outcome
    }

    /// There is a newer view than the one in which this replica leads.
    pub(super) fn step_down(&self, newer: Epoch) {
        let mut replica = self.replica.lock();
        if replica.leads().is_some_and(|epoch| epoch < newer) {
            tracing::warn!("no longer leading: epoch {newer} has begun");
            replica.step_down(newer);
            drop(replica);
            self.progress.notify_all();
        }
    }

    /// Notes on disk how far the log is committed and synced, if that has changed since it was `noted`.
    pub(super) fn hint_committed(&self, noted: OrderNumber) -> OrderNumber {
        let committed = self.replica.lock().committed().min(self.durable.durable());
        if committed > noted
            && let Err(error) = self.durable.hint_committed(committed)
        {
            tracing::warn!("{error}");
        }
        committed
    }
}

/// A replica with a log of its own, in the files of its directory.
fn with_file(config: &Config, id: ReplicaId) -> Result<(Replica, Durable)> {
    let settings = config.order.replica(id)?;
    let Loaded { log, view, committed, file } = OrderFile::load(&settings.data, config.order.fail)?;
    tracing::info!("{} orders, from {}", log.last(), file.path().display());
    let others = config.order.replicas.keys().copied().filter(|other| *other != id).collect();
    let me = Member { id, identity: file.identity() };
    Ok((Replica::new(me, others, log, view, committed), Durable::File(file)))
}

/// A replica that shares its log, in a database.
fn with_table(config: &Config, id: ReplicaId, stop: &Stop) -> Result<(Replica, Durable)> {
    if config.order.fail.is_some() {
        let why =
            "it is a failure of a replica's own log; with engine = \"database\" there is none";
        return Err(Error::Config { place: "--order-fail".to_owned(), why: why.to_owned() });
    }
    let table = OrderTable::open(config, stop)?;
    let me = Member { id, identity: table.identity() };
    let replica = Replica::sharing(me, table.last_view()?);
    tracing::info!("the orders are in the {}", table.place());
    Ok((replica, Durable::Table(table)))
}

/// The threads that work on a replica as long as it runs. Dropping them stops and joins them.
pub struct Threads {
    node: Arc<Node>,
    running: Vec<VitalThread>,
}

impl Threads {
    /// None yet.
    pub(super) fn new(node: Arc<Node>) -> Threads {
        Threads { node, running: Vec::new() }
    }

    /// The replica that they work on.
    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    /// Starts one more, which runs until the replica is stopping.
    pub(super) fn start(
        &mut self,
        name: impl Into<String>,
        body: impl FnOnce(&Node) + Send + 'static,
    ) -> Result<()> {
        let node = self.node.clone();
        self.running.push(VitalThread::start(name, move || body(&node))?);
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.node.stopping.store(true, Ordering::Relaxed);
        // Under the lock no thread is between its look at `stopping` and its wait.
        let replica = self.node.replica.lock();
        self.node.work.notify_all();
        drop(replica);
        self.running.clear();
    }
}
