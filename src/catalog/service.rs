//! The running catalog: the stock behind a read-write lock, its two addresses, its threads.
//!
//! A change is made and appended to the journal under the write lock. The sync and
//! the wait for the caches come after, in parallel, without any lock. So writers that come together
//! share a sync. The leader's purchases are answered before the sync, and it asks for `durable` next; so
//! the journal and the order logs are synced at the same time. Readers do not wait for the disk, except for a toy that
//! has just changed: a query never shows a change that is not on disk yet.
//!
//! With a database there may be other catalogs, of which one is active. No answer leaves this one unless it was certainly
//! the active one when the answer was ready ([`Catalog::stands`]).
//!
//! Locks: the stock's, then the journal's inner one or the subscribers'. A change is published under
//! the stock's lock, so that a change which is visible in the stock is always published.

use super::file;
use super::journal::Journal;
use super::record::Record;
use super::restock::Restocker;
use super::shelf::Shelf;
use super::slowness::{self, Slowness};
use super::stock::{Restocked, Stock};
use super::subscribers::Subscribers;
use super::table;
use crate::blocking::Blocking;
use crate::config::{self, Config, Engine};
use crate::endpoint::{Endpoint, Handler};
use crate::error::{Error, Result};
use crate::http::{Request as HttpRequest, Responder};
use crate::model::{CatalogId, Epoch, Item, OrderNumber, Principal, Toy, ToyName};
use crate::monitoring::status::{CatalogStatus, Kind, Outcome};
use crate::monitoring::{Asked, Monitor, Monitored};
use crate::net::{Clients, Limits, Server, Transport};
use crate::protocol::catalog::{
    ANSWER_TOYS_MAX, Books, Incarnation, PAGE_TOYS_MAX, Peer, Put, Reconcile, Reconciled, Request,
    Reserved, Settle, Sold,
};
use crate::protocol::purchase::Purchase;
use crate::protocol::web::{self, ShownToy};
use crate::protocol::{self, question};
use crate::stop::{Stop, crash};
use crate::storage::Directory;
use crate::storage::database::Database;
use crate::trace::export::Exporter;
use crate::trace::{Recorder, scope};
use parking_lot::RwLock;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Runs the catalog of this id until `stop`. With a database it listens at no address before it is the active one.
pub fn run(config: &Config, id: CatalogId, stop: &Stop) -> Result<()> {
    let Config { catalog: settings, .. } = config;
    let own = settings.instance(id)?;
    be_alone(config)?;
    let transport = Transport::of(config, Principal::Catalog)?;
    let slowness = Arc::new(Slowness::new(settings.delay));
    let signalled = slowness::change_by_signal(slowness.clone())?;
    let directory = Directory::open(&own.data)?;
    let Some((mut stock, journal, subscribers)) = load(config, &directory, stop)? else {
        return Ok(());
    };
    stock.begin(Incarnation(fastrand::u64(..)));
    let catalog = Arc::new(Catalog {
        stock: RwLock::new(stock),
        journal,
        subscribers,
        slowness,
        restock_to: settings.restock_to,
        must_reset: AtomicBool::new(settings.reset_stock),
    });
    let which = match settings.restock {
        config::Restock::SoldOut => Restocked::SoldOut,
        config::Restock::All => Restocked::All,
    };
    let limits = Limits { threads: settings.threads, ..Limits::default() };
    let kinds = &[Kind::Query, Kind::List, Kind::Purchase, Kind::Other];
    let recorder = Recorder::new("catalog", config.trace.sample);
    let exporter = Exporter::start(&recorder, &config.trace)?;
    let monitor = Arc::new(Monitor::new(recorder, catalog.clone(), kinds));
    let customers = Arc::new(Endpoint::requests(Customers(catalog.clone()), monitor.clone()));
    let peers = Arc::new(Endpoint::peers(Peers(catalog.clone()), monitor.clone()));
    let (peer, request) = (transport.listen(&own.peer), transport.listen(&own.listen));
    let peer_limits =
        Limits { threads: settings.peer_threads, clients: Clients::Services, ..Limits::default() };
    let peer_server = Server::start("peer", peer, peers, peer_limits)?;
    let server = Server::start("request", request, customers, limits)?;
    let reloader = transport.reload_at_hangup()?;
    monitor.watch(server.watch());
    let stock = catalog.clone();
    let restocker = Restocker::start(settings.restock_every, move || stock.restock(which))?;
    let (at, for_peers) = (server.listening_on(), peer_server.listening_on());
    tracing::info!("listening on {at}, for peers on {for_peers}");
    // Another catalog may take the log of a database also from one that has nothing to write.
    let look_every = match config.storage.engine {
        Engine::Files => Duration::from_secs(3_600),
        Engine::Database => Duration::from_millis(100),
    };
    while !stop.wait(look_every) {
        catalog.sync(0);
    }
    drop(restocker);
    drop(signalled);
    catalog.close();
    server.stop();
    peer_server.stop();
    drop(reloader);
    drop(exporter);
    tracing::info!("closed");
    Ok(())
}

/// What a catalog begins with.
type Loaded = (Stock, Box<dyn Journal>, Subscribers);

/// The stock, from where the configuration keeps it, and who may have subscribed to its changes. `None` if the process is
/// asked to end before this catalog is the active one.
fn load(config: &Config, directory: &Directory, stop: &Stop) -> Result<Option<Loaded>> {
    let initial = config.catalog.initial.as_deref();
    let (stock, journal, subscribers, place): (_, Box<dyn Journal>, _, _) =
        match config.storage.engine {
            Engine::Files => {
                let (stock, journal) = file::load(directory, initial)?;
                let subscribers = Subscribers::load(directory.file("subscriptions"))?;
                (stock, Box::new(journal), subscribers, directory.path().display().to_string())
            }
            Engine::Database => {
                let database = Database::open(&config.database, &table::SCHEMA, stop)?;
                let Some(loaded) = table::load(&database, initial, stop)? else { return Ok(None) };
                let (stock, journal, subscribers) = loaded;
                (stock, Box::new(journal), subscribers, database.place())
            }
        };
    let (toys, open) = (stock.shelves().len(), stock.open_count());
    tracing::info!("{toys} toys, open sales: {open}, from {place}");
    Ok(Some((stock, journal, subscribers)))
}

/// A stock in files has one catalog.
fn be_alone(config: &Config) -> Result<()> {
    match (config.storage.engine, config.catalog.others.keys().next()) {
        (Engine::Database, _) | (Engine::Files, None) => Ok(()),
        (Engine::Files, Some(id)) => {
            let why = "with storage.engine = \"files\" the stock is in the directory of the only catalog; several need \
                       \"database\"";
            Err(Error::Config { place: format!("catalog.{id}"), why: why.to_owned() })
        }
    }
}

/// The stock, its journal and its subscribers.
pub struct Catalog {
    stock: RwLock<Stock>,
    journal: Box<dyn Journal>,
    subscribers: Subscribers,
    slowness: Arc<Slowness>,
    restock_to: u64,
    /// The stock is to be reset when sales begin. Not before: orders may have to be sold again, which fit only into the
    /// stock that there was.
    must_reset: AtomicBool,
}

impl Catalog {
    /// One toy (C2).
    fn query(&self, name: &str) -> Result<Toy> {
        self.delay();
        let Shelf { toy, changed_at, .. } = self.stock.read().look_up(name)?.clone();
        self.sync(changed_at);
        Ok(toy)
    }

    /// The toys after this one, or the first.
    fn list(&self, after: Option<&ToyName>, limit: usize) -> Result<Vec<Toy>> {
        self.delay();
        let (toys, position) = {
            let stock = self.stock.read();
            let shelves = stock.shelves_after(after)?.iter().take(limit.min(ANSWER_TOYS_MAX));
            let toys: Vec<Toy> = shelves.map(|shelf| shelf.toy.clone()).collect();
            (toys, stock.position())
        };
        self.sync(position);
        Ok(toys)
    }

    /// The books of the toys after this one, or of the first, as they are on disk.
    fn books(&self, after: Option<&ToyName>) -> Result<Books> {
        let books = {
            let stock = self.stock.read();
            let shelves = stock.shelves_after(after)?;
            stock.books(&shelves[..shelves.len().min(ANSWER_TOYS_MAX)])
        };
        self.sync(books.position);
        Ok(books)
    }

    /// Sells for orders, each for itself. Does not wait for the disk.
    fn purchase(
        &self,
        epoch: Epoch,
        logged: OrderNumber,
        purchases: Vec<Purchase>,
    ) -> Result<Reserved> {
        self.delay();
        let mut stock = {
            let _waiting = scope::wait("wait for the stock");
            self.stock.write()
        };
        stock.synced(self.journal.durable());
        let (reserved, records) = stock.purchase(epoch, logged, purchases)?;
        self.write(&records, &stock);
        Ok(reserved)
    }

    /// Returns when every record up to `position` is on disk and its change out of every cache.
    fn durable(&self, incarnation: Incarnation, position: u64) -> Result<()> {
        let change = {
            let stock = self.stock.read();
            stock.check_durable(incarnation, position)?;
            self.subscribers.last()
        };
        self.complete(position, change);
        Ok(())
    }

    /// Sells by hand (C6).
    fn withdraw(&self, item: Item) -> Result<Sold> {
        let (sold, position, change) = {
            let mut stock = self.stock.write();
            stock.synced(self.journal.durable());
            let (sold, record) = stock.withdraw(item)?;
            let change = self.write(&[record], &stock);
            (sold, stock.position(), change)
        };
        self.complete(position, change);
        Ok(sold)
    }

    /// The operator adds a toy or changes one (C8). Returns when that is on disk and out of every cache, and whether the
    /// toy is new.
    fn put(&self, name: &ToyName, put: Put) -> Result<(Toy, bool)> {
        let (toy, is_changed, position, change) = {
            let mut stock = self.stock.write();
            let (toy, record) = stock.put(name, put)?;
            let change = self.write(record.as_slice(), &stock);
            (toy, record.is_some(), stock.position(), change)
        };
        if is_changed {
            let (price, quantity) = (f64::from(toy.price), toy.quantity);
            tracing::info!("the operator put {name}: {quantity} at {price:.2}");
        }
        // Also for a repetition: the first call may not have finished this.
        self.complete(position, change);
        Ok((toy, matches!(put, Put::Add { .. })))
    }

    /// A leader compares its log with the journal. Its orders are committed without another call here, so their changes
    /// have to be out of every cache before this answers.
    fn reconcile(&self, asked: &Reconcile) -> Result<Reconciled> {
        let (records, position, is_settled) = {
            let mut stock = self.stock.write();
            stock.synced(self.journal.durable());
            let records = stock.reconcile(asked)?;
            self.write(&records, &stock);
            (records, stock.position(), asked.entries.is_empty() && stock.open_count() == 0)
        };
        if is_settled {
            self.sync(position);
        } else {
            self.complete(position, self.subscribers.last());
        }
        let reconciled = self.stock.write().open(asked, position)?;
        if !records.is_empty() {
            let again =
                records.iter().filter(|record| matches!(record, Record::Sale { .. })).count();
            tracing::info!(
                "reconciled with the leader of epoch {}; orders sold again: {again}, open sales: {}",
                asked.epoch,
                reconciled.open.len()
            );
        }
        if self.must_reset.swap(false, Ordering::Relaxed) {
            self.restock(Restocked::Reset);
        }
        Ok(reconciled)
    }

    /// These orders are committed. Not synced: if this record is lost, the next leader settles them again.
    fn settle(&self, asked: Settle) -> Result<()> {
        let mut stock = self.stock.write();
        let record = stock.settle(asked)?;
        self.write(record.as_slice(), &stock);
        Ok(())
    }

    /// Restocks.
    pub fn restock(&self, which: Restocked) {
        let position = {
            let mut stock = self.stock.write();
            let records = stock.restock(which, self.restock_to);
            self.write(&records, &stock);
            for record in &records {
                if let Record::Restock { name, quantity, .. } = record {
                    tracing::info!("restocked {name} to {quantity}");
                }
            }
            stock.position()
        };
        self.subscribers.tell();
        self.sync(position);
    }

    /// Before the service ends: leaders that have received `reserved` ask for `durable` at once, and are still answered.
    fn close(&self) {
        const LONGEST: Duration = Duration::from_millis(100);
        let (last, until) = (self.stock.write().close(), Instant::now() + LONGEST);
        while self.journal.durable() < last && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Journals records that were just applied, and publishes their changes to the caches. Returns the number of the
    /// last published change. A journal that fails ends the process, because memory and disk would differ.
    fn write(&self, records: &[Record], stock: &Stock) -> u64 {
        let step = scope::step("append to the journal");
        self.journal.append(records, stock).unwrap_or_else(|error| crash(&error));
        drop(step);
        self.subscribers.publish(records.iter().filter_map(Record::changed))
    }

    /// Returns when every record up to `position` is on disk and the change `change` out of every cache.
    fn complete(&self, position: u64, change: u64) {
        self.subscribers.tell();
        self.sync(position);
        let _waiting = scope::wait("wait for the caches");
        self.subscribers.await_coverage(change);
    }

    fn sync(&self, position: u64) {
        let _step = scope::disk("sync the journal");
        self.journal.sync(position).unwrap_or_else(|error| crash(&error));
    }

    /// An answer of this catalog, if it stands: also an error says something about the stock. Called when all that it rests
    /// on was done. Whatever was done without the lease may be lost, and another catalog may know better.
    fn stands<T>(&self, answer: Result<T>) -> Result<T> {
        if self.journal.has_lease() {
            return answer;
        }
        Err(Error::unanswered("the catalog that was asked may not be the active one any more"))
    }

    /// Writes an answer that stands.
    fn answer<T: Serialize>(&self, answer: Result<T>, output: &mut Vec<u8>) -> u16 {
        protocol::answer(self.stands(answer), output)
    }

    /// The artificial delay of a slow database, if it is switched on.
    fn delay(&self) {
        let delay = self.slowness.delay();
        if !delay.is_zero() {
            let _step = scope::step("artificial delay");
            let _waiting = Blocking::new();
            thread::sleep(delay);
        }
    }
}

impl Monitored for Catalog {
    type Own = CatalogStatus;

    /// As it is on disk, like everything that is shown.
    fn own(&self) -> CatalogStatus {
        let stock = self.stock.read();
        let shelves = stock.shelves();
        let told = if shelves.len() > PAGE_TOYS_MAX { &[] } else { shelves };
        let (status, position) = (
            CatalogStatus {
                toy_count: shelves.len(),
                sold_out: shelves.iter().filter(|shelf| shelf.toy.quantity == 0).count(),
                toys: told.iter().map(Shelf::book).collect(),
                open_sales: stock.open_count(),
                subscribers: self.subscribers.count(),
                delay_ms: self.slowness.delay_ms(),
            },
            stock.position(),
        );
        drop(stock);
        self.sync(position);
        status
    }

    fn healthy(&self, responder: Responder<'_>) -> u16 {
        web::healthy(responder, "catalog")
    }
}

/// The request address.
struct Customers(Arc<Catalog>);

impl Handler for Customers {
    fn frame(&self, payload: &[u8], output: &mut Vec<u8>) -> Asked {
        let (kind, outcome) = match question(payload) {
            Ok(Request::HealthCheck) => (Kind::Other, self.0.answer(Ok(()), output)),
            Ok(Request::Query { name }) => {
                (Kind::Query, self.0.answer(self.0.query(&name), output))
            }
            Ok(Request::List { after, limit }) => {
                let limit = limit.unwrap_or(ANSWER_TOYS_MAX);
                (Kind::List, self.0.answer(self.0.list(after.as_ref(), limit), output))
            }
            Ok(Request::Books { after }) => {
                (Kind::Other, self.0.answer(self.0.books(after.as_ref()), output))
            }
            Ok(Request::Purchase { epoch, logged, purchases }) => {
                let reserved = self.0.stands(self.0.purchase(epoch, logged, purchases));
                let Ok(Reserved { outcomes, .. }) = &reserved else {
                    return Asked::one(Kind::Purchase, protocol::answer(reserved, output));
                };
                let asked = Asked::each(Kind::Purchase, outcomes.iter().map(Outcome::from));
                protocol::answer(reserved, output);
                return asked;
            }
            Ok(Request::Durable { incarnation, position }) => {
                (Kind::Other, self.0.answer(self.0.durable(incarnation, position), output))
            }
            Err(error) => (Kind::Other, protocol::answer::<()>(Err(error), output)),
        };
        Asked::one(kind, outcome)
    }

    fn http(&self, request: &HttpRequest<'_>, path: &[&str], responder: Responder<'_>) -> Asked {
        let (kind, status) = match (request.method, path) {
            ("GET" | "HEAD", ["query" | "products", name]) => {
                let toy = self.0.stands(self.0.query(name)).map(ShownToy::from);
                (Kind::Query, web::respond(responder, &toy))
            }
            ("PUT", ["products", name]) => {
                let wanted = web::check_operator(request)
                    .and_then(|()| Ok((name.parse::<ToyName>()?, web::put(request)?)));
                let done =
                    wanted.and_then(|(name, wanted)| self.0.stands(self.0.put(&name, wanted)));
                let is_new = done.as_ref().is_ok_and(|(_, is_new)| *is_new);
                let toy = done.map(|(toy, _)| ShownToy::from(toy));
                (Kind::Other, web::respond_to_put(responder, &toy, is_new))
            }
            ("POST", ["buy_qty"]) => {
                let sold = web::item(request).and_then(|item| self.0.stands(self.0.withdraw(item)));
                let shown = sold.map(|sold| json!({ "cost": sold.cost }));
                (Kind::Purchase, web::respond(responder, &shown))
            }
            (_, ["products", _]) => {
                (Kind::Other, web::wrong_method(request, responder, "GET, HEAD, PUT"))
            }
            (_, ["query", _]) => (Kind::Other, web::wrong_method(request, responder, "GET, HEAD")),
            (_, ["buy_qty"]) => (Kind::Other, web::wrong_method(request, responder, "POST")),
            _ => (Kind::Other, web::no_such_path(request, responder, "GET, HEAD, POST, PUT")),
        };
        Asked::one(kind, status)
    }
}

/// The peer address.
struct Peers(Arc<Catalog>);

impl Handler for Peers {
    fn frame(&self, payload: &[u8], output: &mut Vec<u8>) -> Asked {
        let outcome = match question(payload) {
            Ok(Peer::HealthCheck) => self.0.answer(Ok(()), output),
            Ok(Peer::Standing) => self.0.answer(Ok(self.0.stock.read().standing()), output),
            Ok(Peer::Reconcile(asked)) => self.0.answer(self.0.reconcile(&asked), output),
            Ok(Peer::Settle(asked)) => self.0.answer(self.0.settle(asked), output),
            Ok(Peer::Changes { subscription, acknowledged, replaces }) => {
                let changes = self.0.subscribers.changes(subscription, acknowledged, replaces);
                self.0.answer(changes, output)
            }
            Err(error) => protocol::answer::<()>(Err(error), output),
        };
        Asked::one(Kind::Other, outcome)
    }

    fn http(&self, request: &HttpRequest<'_>, _: &[&str], responder: Responder<'_>) -> Asked {
        Asked::one(Kind::Other, web::no_such_path(request, responder, "GET, HEAD"))
    }
}
