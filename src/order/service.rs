//! The order service: its two addresses, what is answered there, and the threads of its replica. Called by
//! the program `order`.

use super::buying;
use super::lookup;
use super::node::{Node, Threads};
use super::office;
use super::purchase::Purchases;
use super::recovery;
use super::replication;
use super::shared;
use crate::catalogs::{Catalogs, Watch};
use crate::config::{Config, Engine};
use crate::endpoint::{Endpoint, Handler};
use crate::error::{Error, Result};
use crate::http::{Request as HttpRequest, Responder};
use crate::model::{Item, Key, OrderNumber, Principal, ReplicaId};
use crate::monitoring::status::{Kind, OrderStatus, Outcome};
use crate::monitoring::{Asked, Monitor, Monitored};
use crate::net::{Clients, Limits, Server, Transport};
use crate::protocol::order::{Bought, Peer, Request};
use crate::protocol::web::{self, Receipt, ShownOrder};
use crate::protocol::{Answer, answer, question};
use crate::stop::Stop;
use crate::trace::export::Exporter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Runs replica `id` until `stop`.
pub fn run(config: &Config, id: ReplicaId, stop: &Stop) -> Result<()> {
    let settings = config.order.replica(id)?;
    let transport = Transport::of(config, Principal::Order(id))?;
    let catalogs = Arc::new(Catalogs::of(config, &transport)?);
    let node = Arc::new(Node::load(config, id, catalogs.clone(), stop)?);
    let exporter = Exporter::start(&node.recorder, &config.trace)?;
    let has_own_log = config.storage.engine == Engine::Files;
    if has_own_log {
        recovery::catch_up(&node, config, &transport);
    }
    let limits = Limits { threads: config.order.threads, ..Limits::default() };
    let kinds = &[Kind::Buy, Kind::Order, Kind::Other];
    let monitor = Arc::new(Monitor::new(node.recorder.clone(), node.clone(), kinds));
    let peers = Arc::new(Endpoint::peers(Peers(node.clone()), monitor.clone()));
    let purchases = Purchases::new(node.clone());
    let customers =
        Arc::new(Endpoint::requests(Customers::new(node.clone(), purchases), monitor.clone()));
    let (peer, request) = (transport.listen(&settings.peer), transport.listen(&settings.listen));
    let peer_limits = Limits {
        threads: config.order.peer_threads,
        clients: Clients::Services,
        ..Limits::default()
    };
    let peer_server = Server::start("peer", peer, peers, peer_limits)?;
    let server = Server::start("request", request, customers, limits)?;
    monitor.watch(server.watch());
    let mut threads = Threads::new(node.clone());
    if has_own_log {
        replication::start(&mut threads, config, &transport)?;
    } else {
        shared::start(&mut threads)?;
    }
    office::start(&mut threads)?;
    let watch = Watch::start(&catalogs)?;
    let reloader = transport.reload_at_hangup()?;
    let (at, for_peers) = (server.listening_on(), peer_server.listening_on());
    tracing::info!("listening on {at}, for peers on {for_peers}");
    while !stop.wait(Duration::from_secs(3_600)) {}
    server.stop();
    drop(watch);
    drop(threads);
    peer_server.stop();
    drop(reloader);
    drop(exporter);
    node.hint_committed(OrderNumber(0));
    tracing::info!("closed");
    Ok(())
}

impl Monitored for Node {
    type Own = OrderStatus;

    fn own(&self) -> OrderStatus {
        self.status()
    }

    fn healthy(&self, responder: Responder<'_>) -> u16 {
        web::respond(responder, &Ok(self.health()))
    }
}

/// The request address.
struct Customers {
    node: Arc<Node>,
    purchases: Purchases,
    /// The number of purchases made by hand.
    bought_by_hand: AtomicU64,
}

impl Customers {
    fn new(node: Arc<Node>, purchases: Purchases) -> Customers {
        Customers { node, purchases, bought_by_hand: AtomicU64::new(0) }
    }

    /// A purchase made by hand at this replica's own port (O7).
    fn buy_by_hand(&self, key: Option<Key>, item: Item) -> Result<Bought> {
        let sequence = self.bought_by_hand.fetch_add(1, Ordering::Relaxed) + 1;
        let purchase = buying::by_hand(&self.node.replica.lock(), sequence, key, item)?;
        self.purchases.buy(vec![purchase]).pop().expect("each purchase has an outcome")
    }
}

impl Handler for Customers {
    fn frame(&self, payload: &[u8], output: &mut Vec<u8>) -> Asked {
        let (kind, outcome) = match question(payload) {
            Ok(Request::HealthCheck) => (Kind::Other, answer(Ok(self.node.health()), output)),
            Ok(Request::Buy { purchases }) => {
                let bought = self.purchases.buy(purchases);
                let asked = Asked::each(Kind::Buy, bought.iter().map(Outcome::from));
                answer(Ok(bought.into_iter().map(Answer::from).collect::<Vec<_>>()), output);
                return asked;
            }
            Ok(Request::OrderDetails { number }) => {
                (Kind::Order, answer(lookup::order(&self.node, number), output))
            }
            Err(error) => (Kind::Other, answer::<()>(Err(error), output)),
        };
        Asked::one(kind, outcome)
    }

    fn http(&self, request: &HttpRequest<'_>, path: &[&str], responder: Responder<'_>) -> Asked {
        let (kind, status) = match (request.method, path) {
            ("GET" | "HEAD", ["leader"]) => {
                let view = self.node.replica.lock().view().cloned();
                let view = view.ok_or_else(|| Error::unavailable("no leader was elected yet"));
                (Kind::Other, web::respond(responder, &view))
            }
            ("GET" | "HEAD", ["orders", number]) => {
                let entry = web::order_number(number).and_then(|n| lookup::order(&self.node, n));
                (Kind::Order, web::respond(responder, &entry.map(ShownOrder::from)))
            }
            ("POST", ["orders"]) => {
                let bought = web::idempotency_key(request)
                    .and_then(|key| self.buy_by_hand(key, web::item(request)?));
                let receipt = bought
                    .map(|bought| Receipt { order_number: bought.number })
                    .map_err(|error| web::advise(request, error));
                (Kind::Buy, web::respond(responder, &receipt))
            }
            (_, ["leader"] | ["orders", _]) => {
                (Kind::Other, web::wrong_method(request, responder, "GET, HEAD"))
            }
            (_, ["orders"]) => (Kind::Other, web::wrong_method(request, responder, "POST")),
            _ => (Kind::Other, web::no_such_path(request, responder, "GET, HEAD, POST")),
        };
        Asked::one(kind, status)
    }
}

/// The peer address.
struct Peers(Arc<Node>);

impl Handler for Peers {
    fn frame(&self, payload: &[u8], output: &mut Vec<u8>) -> Asked {
        let node = &self.0;
        let outcome = match question(payload) {
            Ok(Peer::HealthCheck) => answer(Ok(node.health()), output),
            Ok(Peer::UpdateLeader { view }) => {
                answer(node.accept(&view).map(|()| node.health()), output)
            }
            Ok(Peer::Append(append)) => answer(node.append(append), output),
            Ok(Peer::MissedOrders { after, epoch }) => {
                answer(shared::missed(node, after, epoch), output)
            }
            Err(error) => answer::<()>(Err(error), output),
        };
        Asked::one(Kind::Other, outcome)
    }

    fn http(&self, request: &HttpRequest<'_>, _: &[&str], responder: Responder<'_>) -> Asked {
        Asked::one(Kind::Other, web::no_such_path(request, responder, "GET, HEAD"))
    }
}
