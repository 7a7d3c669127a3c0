//! The front-end: it serves the customers.
//!
//! ```text
//!  client ──HTTP──▶ session ──▶ router ──▶ products ──▶ cache ──hit──▶ answer
//!                                  │          └──miss──▶ catalog ── toy ──▶ cache, answer
//!                                  ├─────▶ pages ──▶ the storefront, for a browser
//!                                  └─────▶ orders ── buy ──▶ the leader ──▶ answer
//!                                             └ who leads? ── election ◀── health ── every replica
//!  catalog ── changes ──▶ subscription ──▶ cache
//! ```
//!
//! * [`session`]: serves one client connection: read, route, answer.
//! * [`router`] (pure): which request is for what; the only place that knows URLs.
//! * [`products`]: a toy from the cache, or from the catalog, and then into the cache.
//! * [`orders`]: buys and looks up at the leader; if it fails, waits for the next one and tries again.
//! * [`purchases`] (pure): the purchases in flight, and which are sent together.
//! * [`sampled`]: which of the purchases in flight are sampled, and where their time goes.
//! * [`asking`] (pure): after each attempt at the leader, whether to try again, and whether the outcome is known.
//! * [`querying`] (pure): a query is answered from the cache, joins another query's fetch, or begins its own.
//! * [`cache`] (pure): least recently used, versions, lease.
//! * [`controller`] (pure): decides from health reports when a new view is needed, and which.
//! * [`elected`] (pure): the leader of the current view, for all threads.
//! * [`controlling`]: the controller's thread. A view is written before it is sent.
//! * [`views`]: where the last view is written: a file, or a table that all front-ends share.
//! * [`observer`] (pure), [`observing`]: the same in front-ends that make no views: they find them in the replicas' answers.
//! * [`election`]: the leader, for all threads.
//! * [`elector`]: these threads and the health checkers.
//! * [`subscription`]: takes the changes from the catalog.
//! * [`peers`]: the peer address: health, status and metrics.

pub mod session;
pub mod router;
pub mod products;
pub mod orders;
pub mod purchases;
mod sampled;
pub mod asking;
pub mod querying;
pub mod cache;
pub mod controller;
mod controlling;
pub mod views;
pub mod observer;
mod observing;
pub mod elected;
pub mod election;
pub mod elector;
pub mod subscription;
pub mod peers;

use crate::catalogs::{Catalogs, Watch};
use crate::config::{Config, ThreadPer};
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::model::{FrontendId, Principal};
use crate::monitoring::Monitor;
use crate::monitoring::status::Kind;
use crate::net::{Clients, Limits, Server, Transport};
use crate::stop::Stop;
use crate::storage::Directory;
use crate::trace::Recorder;
use crate::trace::export::Exporter;
use elector::Elector;
use peers::{Peers, Shown};
use std::sync::Arc;
use std::time::Duration;
use subscription::Subscription;
use views::Place;

/// Runs the front-end of this id until `stop`.
pub fn run(config: &Config, me: FrontendId, stop: &Stop) -> Result<()> {
    let settings = &config.frontend;
    let own = settings.instance(me)?;
    let transport = Transport::of(config, Principal::Frontend)?;
    let directory = Directory::open(&own.data)?;
    let recorder = Recorder::new("front-end", config.trace.sample);
    let exporter = Exporter::start(&recorder, &config.trace)?;
    let place = Place::of(config, me, &directory, stop)?;
    let elector = Elector::start(config, me, &transport, place, recorder.clone())?;
    let catalogs = Arc::new(Catalogs::of(config, &transport)?);
    let watch = catalogs.are_several().then(|| Watch::start(&catalogs)).transpose()?;
    let products = Arc::new(products::Products::new(catalogs.clone(), settings.cache_capacity));
    let subscription = Subscription::start(catalogs, products.clone(), recorder.clone())?;
    let orders = orders::Orders::new(config, me, &transport, elector.election(), products.clone())?;
    let shown = Arc::new(Shown { election: elector.election(), products: products.clone() });
    let kinds = &[Kind::Query, Kind::List, Kind::Buy, Kind::Order, Kind::Other];
    let monitor = Arc::new(Monitor::new(recorder.clone(), shown, kinds));
    let peers = Arc::new(Endpoint::peers(Peers(elector.election()), monitor.clone()));
    let limits = Limits {
        threads: settings.threads,
        stays: settings.thread_per == ThreadPer::Session,
        connections_max: settings.connections_max,
        request_deadline: settings.request_deadline,
        idle_deadline: settings.idle_deadline,
        ..Limits::default()
    };
    let customer_server =
        Arc::new(session::CustomerServer::new(products, orders, monitor.requests(), recorder));
    let peer_limits =
        Limits { threads: settings.peer_threads, clients: Clients::Services, ..Limits::default() };
    let listen = transport.listen_to_customers(&own.listen);
    let server = Server::start("session", listen, customer_server, limits)?;
    monitor.watch(server.watch());
    // Started after the other, because a load balancer that finds it healthy sends customers to the other.
    let peer = transport.listen(&own.peer);
    let peer_server = Server::start("peer", peer, peers, peer_limits)?;
    let reloader = transport.reload_at_hangup()?;
    let (at, for_peers) = (server.listening_on(), peer_server.listening_on());
    tracing::info!("listening on {at}, for peers on {for_peers}");
    while !stop.wait(Duration::from_secs(3_600)) {}
    server.stop();
    peer_server.stop();
    drop(reloader);
    drop(subscription);
    drop(watch);
    drop(elector);
    drop(exporter);
    tracing::info!("closed");
    Ok(())
}
