//! A running replica: the pure [`Replica`] behind a lock, its file, its two addresses, its threads.
//!
//! Entries are put into the file under the replica's lock, so that the file has them in the order of
//! the log; they are synced without it. Two conditions wake those who wait: `work` the senders and
//! the office, `progress` the purchases.
//!
//! Locks: `views` (one view at a time goes to disk), then `replica`, then the file's inner one. The
//! replica's lock is held across disk I/O only while a divergent tail is cut off.

use super::file::{Loaded, OrderFile};
use super::leadership::Office;
use super::office;
use super::recovery;
use super::replica::{Replica, Taken};
use super::replication;
use super::sales::{self, Sales};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::http::{Request as HttpRequest, Responder};
use crate::model::{
    CallId, Entry, Epoch, Item, Key, Member, Moment, OrderNumber, Principal, ReplicaId, View,
};
use crate::net::{Clients, Limits, Rpc, Server, Transport};
use crate::protocol::about::{About, Subject};
use crate::protocol::order::{Append, Appended, Bought, Health, Outcome, Peer, Request};
use crate::protocol::port::{Port, Service};
use crate::protocol::purchase::Purchase;
use crate::protocol::status::{Kind, OrderStatus};
use crate::protocol::tally::Asked;
use crate::protocol::web::{self, Receipt, ShownOrder};
use crate::protocol::{answer, question};
use crate::stop::{Stop, VitalThread, crash};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Runs replica `id` until `stop`.
pub fn run(config: &Config, id: ReplicaId, stop: &Stop) -> Result<()> {
    let settings = config.order.replica(id)?;
    let transport = Transport::of(config, Principal::Order(id))?;
    let order = Arc::new(Order::load(config, id, &transport)?);
    recovery::catch_up(&order, config, &transport);
    let limits = Limits { threads: config.order.threads, ..Limits::default() };
    let kinds = &[Kind::Buy, Kind::Order, Kind::Other];
    let about = Arc::new(About::new(format!("order {id}"), order.clone(), kinds));
    let peers = Arc::new(Port::peers(Peers(order.clone()), about.clone()));
    let customers = Arc::new(Port::requests(Customers(order.clone()), about.clone()));
    let (peer, request) = (transport.listen(&settings.peer), transport.listen(&settings.listen));
    let peer_limits = Limits {
        threads: config.order.peer_threads,
        clients: Clients::Services,
        ..Limits::default()
    };
    let peer_server = Server::start("peer", peer, peers, peer_limits)?;
    let server = Server::start("request", request, customers, limits)?;
    about.watch(server.watch());
    let mut threads = Threads { order: order.clone(), running: Vec::new() };
    replication::start(&mut threads, config, &transport)?;
    office::start(&mut threads)?;
    let reloader = transport.reload_at_hangup()?;
    tracing::info!("listening on {}, for peers on {}", server.address(), peer_server.address());
    while !stop.wait(Duration::from_secs(3_600)) {}
    server.stop();
    drop(threads);
    peer_server.stop();
    drop(reloader);
    order.hint_committed(OrderNumber(0));
    tracing::info!("closed");
    Ok(())
}

/// The senders and those of the office. Dropping them stops and joins them.
pub struct Threads {
    order: Arc<Order>,
    running: Vec<VitalThread>,
}

impl Threads {
    pub(super) fn order(&self) -> &Order {
        &self.order
    }

    /// Starts one more, which runs until the order is stopping.
    pub(super) fn start(
        &mut self,
        name: impl Into<String>,
        body: impl FnOnce(&Order) + Send + 'static,
    ) -> Result<()> {
        let order = self.order.clone();
        self.running.push(VitalThread::start(name, move || body(&order))?);
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.order.stopping.store(true, Ordering::Relaxed);
        self.order.work.notify_all();
        self.running.clear();
    }
}

/// The replica and all that is around it.
pub struct Order {
    pub(super) id: ReplicaId,
    pub(super) replica: Mutex<Replica>,
    /// Signalled when the senders or the office may have something to do.
    pub(super) work: Condvar,
    /// Signalled when something was committed, or the role changed.
    pub(super) progress: Condvar,
    pub(super) file: OrderFile,
    pub(super) sales: Sales,
    views: Mutex<()>,
    /// The catalog's request address.
    pub(super) catalog: Rpc,
    /// The catalog's peer address.
    pub(super) catalog_peer: Rpc,
    pub(super) catalog_reachable: AtomicBool,
    pub(super) stopping: AtomicBool,
    started: Instant,
    /// Counts the purchases made by hand.
    calls: AtomicU64,
}

impl Order {
    fn load(config: &Config, id: ReplicaId, transport: &Transport) -> Result<Order> {
        let settings = config.order.replica(id)?;
        let Loaded { log, view, committed, file } =
            OrderFile::load(&settings.data, config.order.fail)?;
        tracing::info!("{} orders, from {}", log.last(), file.path().display());
        let others = config.order.replicas.keys().copied().filter(|other| *other != id).collect();
        let me = Member { id, identity: file.identity() };
        Ok(Order {
            id,
            replica: Mutex::new(Replica::new(me, others, log, view, committed)),
            work: Condvar::new(),
            progress: Condvar::new(),
            file,
            sales: Sales::new(sales::PATIENCE),
            views: Mutex::new(()),
            catalog: transport.rpc(&config.catalog.listen)?,
            catalog_peer: transport.rpc(&config.catalog.peer)?,
            catalog_reachable: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            started: Instant::now(),
            calls: AtomicU64::new(0),
        })
    }

    /// This process's clock, as the pure modules want it.
    pub(super) fn now(&self) -> Moment {
        self.started.elapsed()
    }

    /// Whether this process is about to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// How this replica is.
    fn health(&self) -> Health {
        let reachable = self.catalog_reachable.load(Ordering::Relaxed);
        self.replica.lock().health(reachable, self.now())
    }

    /// Puts a view on disk, if it is news, and takes up its role in it.
    fn accept(&self, view: &View) -> Result<()> {
        let _one_at_a_time = self.views.lock();
        if !self.replica.lock().is_news(view)? {
            return Ok(());
        }
        self.file.write_view(view).unwrap_or_else(|error| crash(&error));
        self.replica.lock().accept(view.clone(), self.now());
        tracing::info!("{view}");
        self.work.notify_all();
        self.progress.notify_all();
        Ok(())
    }

    /// Takes the leader's entries; acknowledges them when they are on disk.
    fn append(&self, append: Append) -> Result<Appended> {
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
                    return replica.acknowledge(epoch, Outcome::Mismatch(epochs));
                }
                Taken::Entries { cut_after, write_after, last } => {
                    if let Some(number) = cut_after {
                        tracing::warn!(
                            "orders after {number} were never committed: they are set aside in \
                             divergent-{epoch}.csv"
                        );
                        self.file.cut_after(number, epoch).unwrap_or_else(|error| crash(&error));
                    }
                    self.write(&replica, write_after);
                    last
                }
            }
        };
        self.sync(last);
        self.replica.lock().acknowledge(epoch, Outcome::Synced(last))
    }

    fn warn_of_conflict(&self, number: OrderNumber, epoch: Epoch) {
        tracing::warn!(
            "order {number} is committed here, but the leader of epoch {epoch} has another order {number}, as after an \
             unclean election. This replica takes no more orders. To keep the leader's: stop this replica, \
             move {} away, start it again, and it gets all of them. The orders of old are then in that \
             directory only",
            self.file.path().display()
        );
    }

    /// Puts the entries after `number`, which the replica just took, into the file. Called under
    /// the replica's lock. A file that fails ends the process.
    pub(super) fn write(&self, replica: &Replica, number: OrderNumber) {
        let entries = replica.log().between(number, replica.log().last(), usize::MAX);
        self.file.append(entries).unwrap_or_else(|error| crash(&error));
    }

    /// Returns when entries up to `number` are on disk, and the replica knows.
    pub(super) fn sync(&self, number: OrderNumber) {
        match self.file.sync(number) {
            // A newer leader cut the entry meanwhile; the replica will not acknowledge it.
            Ok(()) | Err(Error::Unavailable { .. }) => {}
            Err(error) => crash(&error),
        }
        self.step(|replica| replica.synced(self.file.durable()));
    }

    /// Lets the replica take something in, and wakes the purchases that wait for what came of it.
    pub(super) fn step<T>(&self, step: impl FnOnce(&mut Replica) -> T) -> T {
        let mut replica = self.replica.lock();
        let before = (replica.committed(), replica.office());
        let outcome = step(&mut replica);
        let is_progress = (replica.committed(), replica.office()) != before;
        drop(replica);
        if is_progress {
            self.progress.notify_all();
        }
        outcome
    }

    /// Somebody knows a newer view than the one this replica leads in.
    pub(super) fn step_down(&self, newer: Epoch) {
        let mut replica = self.replica.lock();
        if replica.leads().is_some_and(|epoch| epoch < newer) {
            tracing::warn!("no longer leading: epoch {newer} has begun");
            replica.step_down(newer);
            drop(replica);
            self.progress.notify_all();
        }
    }

    /// Notes on disk how far the log is committed, if that has changed since it was `noted`.
    pub(super) fn hint_committed(&self, noted: OrderNumber) -> OrderNumber {
        let committed = self.replica.lock().committed();
        if committed > noted
            && let Err(error) = self.file.hint_committed(committed)
        {
            tracing::warn!("{error}");
        }
        committed
    }

    /// A purchase made by hand at this replica's own port (O7), which has to lead.
    fn buy_by_hand(&self, key: Option<Key>, item: Item) -> Result<Bought> {
        let epoch = self.replica.lock().epoch();
        let sequence = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let call = CallId { caller: self.id.0, incarnation: epoch, sequence };
        let key = key.unwrap_or_else(|| Key::made(call));
        // Calls by hand run at the same time on ten threads; far fewer than this are unfinished.
        let ack_below = sequence.saturating_sub(1_000);
        self.purchase(&Purchase { epoch, call, ack_below, key, item })
    }

    fn order_details(&self, number: OrderNumber) -> Result<Entry> {
        self.replica.lock().order(number).cloned()
    }
}

impl Subject for Order {
    type Own = OrderStatus;

    fn own(&self) -> OrderStatus {
        let reachable = self.catalog_reachable.load(Ordering::Relaxed);
        let replica = self.replica.lock();
        let serves = replica.office() == Some(Office::Serving);
        OrderStatus {
            health: replica.health(reachable, self.now()),
            serves_in: replica.leads().filter(|_| serves),
            conflict: replica.conflict(),
            imbalance: replica.imbalance(),
            followers: replica.followers(),
        }
    }

    fn healthy(&self, responder: Responder<'_>) -> u16 {
        web::respond(responder, &Ok(self.health()))
    }
}

/// The request address.
struct Customers(Arc<Order>);

impl Service for Customers {
    fn frame(&self, payload: &[u8], output: &mut Vec<u8>) -> Asked {
        let order = &self.0;
        let (kind, outcome) = match question(payload) {
            Ok(Request::HealthCheck) => (Kind::Other, answer(Ok(order.health()), output)),
            Ok(Request::Buy(purchase)) => (Kind::Buy, answer(order.purchase(&purchase), output)),
            Ok(Request::OrderDetails { number }) => {
                (Kind::Order, answer(order.order_details(number), output))
            }
            Err(error) => (Kind::Other, answer::<()>(Err(error), output)),
        };
        Asked::one(kind, outcome)
    }

    fn http(&self, request: &HttpRequest<'_>, path: &[&str], responder: Responder<'_>) -> Asked {
        let (kind, status) = match (request.method, path) {
            ("GET" | "HEAD", ["leader"]) => {
                let view = self.0.replica.lock().view().cloned();
                let view = view.ok_or_else(|| Error::unavailable("no leader was elected yet"));
                (Kind::Other, web::respond(responder, &view))
            }
            ("GET" | "HEAD", ["orders", number]) => {
                let entry = web::order_number(number).and_then(|n| self.0.order_details(n));
                (Kind::Order, web::respond(responder, &entry.map(ShownOrder::from)))
            }
            ("POST", ["orders"]) => {
                let bought = web::idempotency_key(request)
                    .and_then(|key| self.0.buy_by_hand(key, web::item(request)?));
                let receipt = bought
                    .map(|bought| Receipt { order_number: bought.number })
                    .map_err(|error| web::advise(request, error));
                (Kind::Buy, web::respond(responder, &receipt))
            }
            (_, ["leader"] | ["orders", _]) => {
                (Kind::Other, web::wrong_method(request, responder, "GET, HEAD"))
            }
            (_, ["orders"]) => (Kind::Other, web::wrong_method(request, responder, "POST")),
            _ => (Kind::Other, web::no_such_path(request, responder)),
        };
        Asked::one(kind, status)
    }
}

/// The peer address.
struct Peers(Arc<Order>);

impl Service for Peers {
    fn frame(&self, payload: &[u8], output: &mut Vec<u8>) -> Asked {
        let order = &self.0;
        let outcome = match question(payload) {
            Ok(Peer::HealthCheck) => answer(Ok(order.health()), output),
            Ok(Peer::UpdateLeader { view }) => {
                answer(order.accept(&view).map(|()| order.health()), output)
            }
            Ok(Peer::Append(append)) => answer(order.append(append), output),
            Ok(Peer::MissedOrders { after, epoch }) => {
                answer(Ok(order.replica.lock().missed(after, epoch)), output)
            }
            Err(error) => answer::<()>(Err(error), output),
        };
        Asked::one(Kind::Other, outcome)
    }

    fn http(&self, request: &HttpRequest<'_>, _: &[&str], responder: Responder<'_>) -> Asked {
        Asked::one(Kind::Other, web::no_such_path(request, responder))
    }
}
