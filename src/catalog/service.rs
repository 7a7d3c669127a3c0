//! The running catalog: the stock behind a read-write lock, its two addresses, its threads.
//!
//! A change is made and appended to the journal under the write lock. The sync and
//! the wait for the caches come after, in parallel, without any lock. So writers that come together
//! share a sync. Readers do not wait for the disk, except for a toy that has just changed: a query
//! never shows a change that is not on disk yet.
//!
//! Locks: the stock's, then the journal's inner one or the subscribers'. A change is published under
//! the stock's lock, so that a change which is visible in the stock is always published.

use super::file::{self, Journal};
use super::record::Record;
use super::restock::Restocker;
use super::slowness::{self, Slowness};
use super::stock::{Restocked, Shelf, Stock};
use super::subscribers::Subscribers;
use crate::blocking::Blocking;
use crate::config::{self, Config};
use crate::endpoint::{Endpoint, Handler};
use crate::error::Result;
use crate::http::{Request as HttpRequest, Responder};
use crate::model::{Epoch, Item, Key, Principal, Toy, ToyName};
use crate::monitoring::status::{CatalogStatus, Kind, Outcome};
use crate::monitoring::{Asked, Monitor, Monitored};
use crate::net::{Clients, Limits, Server, Transport};
use crate::protocol::catalog::{
    ANSWER_TOYS_MAX, Books, Office, PAGE_TOYS_MAX, Peer, Put, Request, Sales, Sold,
};
use crate::protocol::purchase::Purchase;
use crate::protocol::web::{self, ShownToy};
use crate::protocol::{Answer, answer, question};
use crate::stop::{Stop, crash};
use crate::storage::Directory;
use parking_lot::RwLock;
use serde_json::json;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Runs a catalog until `stop`.
pub fn run(config: &Config, stop: &Stop) -> Result<()> {
    let Config { catalog: settings, .. } = config;
    let transport = Transport::of(config, Principal::Catalog)?;
    let slowness = Arc::new(Slowness::new(settings.delay));
    let signalled = slowness::change_by_signal(slowness.clone())?;
    let directory = Directory::open(&settings.data)?;
    let (stock, journal) = file::load(&directory, settings.initial.as_deref())?;
    tracing::info!(
        "{} toys, open sales: {}, from {}",
        stock.shelves().len(),
        stock.open_count(),
        directory.path().display()
    );
    let catalog = Arc::new(Catalog {
        stock: RwLock::new(stock),
        journal,
        subscribers: Subscribers::default(),
        slowness,
        restock_to: settings.restock_to,
    });
    if settings.reset_stock {
        catalog.restock(Restocked::Reset);
    }
    let which = match settings.restock {
        config::Restock::SoldOut => Restocked::SoldOut,
        config::Restock::All => Restocked::All,
    };
    let limits = Limits { threads: settings.threads, ..Limits::default() };
    let kinds = &[Kind::Query, Kind::List, Kind::Purchase, Kind::Other];
    let monitor = Arc::new(Monitor::new("catalog", catalog.clone(), kinds));
    let customers = Arc::new(Endpoint::requests(Customers(catalog.clone()), monitor.clone()));
    let peers = Arc::new(Endpoint::peers(Peers(catalog.clone()), monitor.clone()));
    let (peer, request) = (transport.listen(&settings.peer), transport.listen(&settings.listen));
    let peer_limits =
        Limits { threads: settings.peer_threads, clients: Clients::Services, ..Limits::default() };
    let peer_server = Server::start("peer", peer, peers, peer_limits)?;
    let server = Server::start("request", request, customers, limits)?;
    let reloader = transport.reload_at_hangup()?;
    monitor.watch(server.watch());
    let restocker = Restocker::start(settings.restock_every, move || catalog.restock(which))?;
    let (at, for_peers) = (server.listening_on(), peer_server.listening_on());
    tracing::info!("listening on {at}, for peers on {for_peers}");
    while !stop.wait(Duration::from_secs(3_600)) {}
    drop(restocker);
    drop(signalled);
    server.stop();
    peer_server.stop();
    drop(reloader);
    tracing::info!("closed");
    Ok(())
}

/// The stock, its journal and its subscribers.
pub struct Catalog {
    stock: RwLock<Stock>,
    journal: Journal,
    subscribers: Subscribers,
    slowness: Arc<Slowness>,
    restock_to: u64,
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

    /// Sells for orders, each for itself. Returns when that is on disk and out of every cache.
    fn purchase(&self, purchases: Vec<Purchase>) -> Vec<Result<Sold>> {
        self.delay();
        let (sales, position, change) = {
            let mut stock = self.stock.write();
            let mut records = Vec::with_capacity(purchases.len());
            let mut sell_one = |purchase| {
                let (sold, record) = stock.purchase(purchase)?;
                records.extend(record);
                Ok(sold)
            };
            let sales: Vec<_> = purchases.into_iter().map(&mut sell_one).collect();
            let change = self.write(&records, &stock);
            (sales, stock.position(), change)
        };
        if sales.iter().any(Result::is_ok) {
            self.sync(position);
            self.subscribers.await_coverage(change);
        }
        sales
    }

    /// Sells by hand (C6).
    fn withdraw(&self, item: Item) -> Result<Sold> {
        let (sold, position, change) = {
            let mut stock = self.stock.write();
            let (sold, record) = stock.withdraw(item)?;
            let change = self.write(&[record], &stock);
            (sold, stock.position(), change)
        };
        self.sync(position);
        self.subscribers.await_coverage(change);
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
        self.sync(position);
        self.subscribers.await_coverage(change);
        Ok((toy, matches!(put, Put::Add { .. })))
    }

    /// A new leader takes office. The open purchases that it rolls forward will be answered without
    /// another call here, so their changes have to be out of every cache before this answers.
    fn take_office(&self, epoch: Epoch) -> Result<Office> {
        let (office, position, is_new) = {
            let mut stock = self.stock.write();
            let (open, record) = stock.take_office(epoch)?;
            self.write(record.as_slice(), &stock);
            let sold = Some(stock.sold());
            (Office { open, sold }, stock.position(), record.is_some())
        };
        self.sync(position);
        if !office.open.is_empty() {
            self.subscribers.await_coverage(self.subscribers.last());
        }
        if is_new {
            tracing::info!(
                "the leader of epoch {epoch} took office; open sales: {}",
                office.open.len()
            );
        }
        Ok(office)
    }

    /// These purchases are committed orders. Not synced: if this record is lost, the next leader settles
    /// them again.
    fn settle(&self, epoch: Epoch, keys: Vec<Key>) -> Result<()> {
        let mut stock = self.stock.write();
        let records = stock.settle(epoch, keys)?;
        self.write(&records, &stock);
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
        self.sync(position);
    }

    /// Journals records that were just applied, and publishes their changes to the caches. Returns the number of the
    /// last published change. A journal that fails ends the process, because memory and disk would differ.
    fn write(&self, records: &[Record], stock: &Stock) -> u64 {
        self.journal.append(records, stock.position()).unwrap_or_else(|error| crash(&error));
        self.subscribers.publish(records.iter().filter_map(Record::changed))
    }

    fn sync(&self, position: u64) {
        self.journal.sync(position).unwrap_or_else(|error| crash(&error));
    }

    /// The artificial delay of a slow database, if it is switched on.
    fn delay(&self) {
        let delay = self.slowness.delay();
        if !delay.is_zero() {
            let _waiting = Blocking::new();
            thread::sleep(delay);
        }
    }
}

impl Monitored for Catalog {
    type Own = CatalogStatus;

    /// Reads memory, which may be one sync ahead of the disk: the status must not wait for a slow disk.
    fn own(&self) -> CatalogStatus {
        let stock = self.stock.read();
        let shelves = stock.shelves();
        let told = if shelves.len() > PAGE_TOYS_MAX { &[] } else { shelves };
        CatalogStatus {
            toy_count: shelves.len(),
            sold_out: shelves.iter().filter(|shelf| shelf.toy.quantity == 0).count(),
            toys: told.iter().map(Shelf::book).collect(),
            open_sales: stock.open_count(),
            subscribers: self.subscribers.count(),
            delay_ms: self.slowness.delay_ms(),
        }
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
            Ok(Request::HealthCheck) => (Kind::Other, answer(Ok(()), output)),
            Ok(Request::Query { name }) => (Kind::Query, answer(self.0.query(&name), output)),
            Ok(Request::List { after, limit }) => {
                let limit = limit.unwrap_or(ANSWER_TOYS_MAX);
                (Kind::List, answer(self.0.list(after.as_ref(), limit), output))
            }
            Ok(Request::Books { after }) => {
                (Kind::Other, answer(self.0.books(after.as_ref()), output))
            }
            Ok(Request::Purchase { purchases }) => {
                let sales = self.0.purchase(purchases);
                let asked = Asked::each(Kind::Purchase, sales.iter().map(Outcome::from));
                answer(Ok(sales.into_iter().map(Answer::from).collect::<Sales>()), output);
                return asked;
            }
            Err(error) => (Kind::Other, answer::<()>(Err(error), output)),
        };
        Asked::one(kind, outcome)
    }

    fn http(&self, request: &HttpRequest<'_>, path: &[&str], responder: Responder<'_>) -> Asked {
        let (kind, status) = match (request.method, path) {
            ("GET" | "HEAD", ["query" | "products", name]) => {
                (Kind::Query, web::respond(responder, &self.0.query(name).map(ShownToy::from)))
            }
            ("PUT", ["products", name]) => {
                let wanted = web::check_operator(request)
                    .and_then(|()| Ok((name.parse::<ToyName>()?, web::put(request)?)));
                let done = wanted.and_then(|(name, wanted)| self.0.put(&name, wanted));
                let is_new = done.as_ref().is_ok_and(|(_, is_new)| *is_new);
                let toy = done.map(|(toy, _)| ShownToy::from(toy));
                (Kind::Other, web::respond_to_put(responder, &toy, is_new))
            }
            ("POST", ["buy_qty"]) => {
                let sold = web::item(request).and_then(|item| self.0.withdraw(item));
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
            Ok(Peer::HealthCheck) => answer(Ok(()), output),
            Ok(Peer::TakeOffice { epoch }) => answer(self.0.take_office(epoch), output),
            Ok(Peer::Settle { epoch, keys }) => answer(self.0.settle(epoch, keys), output),
            Ok(Peer::Changes { subscription, acknowledged }) => {
                answer(self.0.subscribers.changes(subscription, acknowledged), output)
            }
            Err(error) => answer::<()>(Err(error), output),
        };
        Asked::one(Kind::Other, outcome)
    }

    fn http(&self, request: &HttpRequest<'_>, _: &[&str], responder: Responder<'_>) -> Asked {
        Asked::one(Kind::Other, web::no_such_path(request, responder, "GET, HEAD"))
    }
}
