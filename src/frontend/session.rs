//! Serves one client connection: read, route, answer. The server calls it on one of ten threads; a
//! session keeps its thread while it is busy (F4), but a purchase whose answer comes later waits without one.

use super::orders::{Orders, PendingPurchase};
use super::products::Products;
use super::router::{Route, route};
use crate::diagnostics::ACCESS;
use crate::error::{Error, Result};
use crate::http::{Http1, Request, Responder, percent_encode};
use crate::model::OrderNumber;
use crate::monitoring::status::{Kind, Outcome};
use crate::monitoring::{Asked, RequestMetrics};
use crate::net::{Caller, Progress, Protocol};
use crate::pages::{self, STOREFRONT};
use crate::protocol::web::{self, Receipt, ShownOrder, ShownToy};
use crate::trace::span::ORDER_NUMBER;
use crate::trace::{Kind as SpanKind, Recorder, Traced, scope};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};
use tracing::Level;

/// What is served at the front-end's address.
pub struct CustomerServer {
    products: Arc<Products>,
    orders: Arc<Orders>,
    /// Where requests are counted.
    requests: Arc<RequestMetrics>,
    recorder: Arc<Recorder>,
    sessions: AtomicU64,
}

/// One client connection.
pub struct Session {
    /// Its name in the access log, for requests that bring no `Session-ID`.
    id: u64,
    http: Http1,
    at_hand: AtHand,
}

/// The request at hand, while its answer is not there.
struct AtHand {
    waker: Waker,
    /// The purchase that it asks for.
    pending: Option<PendingPurchase>,
    /// Where its time goes, if it is sampled.
    traced: Option<Traced>,
}

impl CustomerServer {
    /// Serves queries from `products` and purchases through `orders`.
    pub fn new(
        products: Arc<Products>,
        orders: Orders,
        requests: Arc<RequestMetrics>,
        recorder: Arc<Recorder>,
    ) -> CustomerServer {
        let (orders, sessions) = (Arc::new(orders), AtomicU64::new(0));
        CustomerServer { products, orders, requests, recorder, sessions }
    }

    /// Answers one request. Returns what it asked for, and the status; `None` if the answer comes later.
    fn answer(
        &self,
        request: &Request<'_>,
        responder: Responder<'_>,
        at_hand: &mut AtHand,
        started: Instant,
    ) -> Option<(Kind, u16)> {
        let route = route(request);
        if let Some(name) = route.as_ref().ok().and_then(Route::name)
            && at_hand.traced.is_none()
        {
            at_hand.traced = self.sample(name, request, started);
        }
        let _entered = at_hand.traced.as_ref().map(|traced| traced.scope().enter());
        Some(match route {
            Ok(Route::Toy(name)) => {
                let toy = self.products.toy(&name);
                let responder = timed(responder, started);
                let status = match toy {
                    Ok(body) => web::ok(responder, &body),
                    Err(error) => web::refuse(responder, &read_failed(error)),
                };
                (Kind::Query, status)
            }
            Ok(Route::Toys { after, limit }) => {
                let page = self.products.page(after, limit);
                (Kind::List, list(timed(responder, started), page, limit))
            }
            Ok(Route::Buy) => {
                let Some(bought) = self.buy(request, at_hand) else {
                    let pending = at_hand.pending.as_ref();
                    responder.later(pending.map_or_else(Instant::now, PendingPurchase::deadline));
                    return None;
                };
                if let (Some(traced), Ok(number)) = (&mut at_hand.traced, &bought) {
                    traced.note(ORDER_NUMBER, number);
                }
                let responder = timed(responder, started);
                let receipt = bought
                    .map(|order_number| Receipt { order_number })
                    .map_err(|error| web::advise(request, buy_failed(error)));
                (Kind::Buy, web::respond(responder, &receipt))
            }
            Ok(Route::Order(number)) => {
                let order = self.orders.look_up(number).map(ShownOrder::from).map_err(read_failed);
                (Kind::Order, web::respond(timed(responder, started), &order))
            }
            Ok(Route::Health) => (Kind::Other, web::healthy(responder, "front-end")),
            Ok(Route::Page) => (Kind::Other, show(&[""], request, responder)),
            Ok(Route::Asset(file)) => (Kind::Other, show(&["assets", &file], request, responder)),
            Ok(Route::Nowhere) => {
                (Kind::Other, web::no_such_path(request, responder, "GET, HEAD, POST"))
            }
            Ok(Route::WrongMethod(allowed)) => {
                (Kind::Other, web::wrong_method(request, responder, allowed))
            }
            Err(error) => (Kind::Other, web::refuse(responder, &error)),
        })
    }

    /// Begins to trace a request, if it is sampled.
    fn sample(
        &self,
        name: &'static str,
        request: &Request<'_>,
        started: Instant,
    ) -> Option<Traced> {
        let traceparent = request.header("traceparent").ok().flatten();
        let mut traced = Traced::request(&self.recorder, name, traceparent, started)?;
        traced.scope().record("read the request", SpanKind::Step, started, &[]);
        traced.note("http.request.method", request.method);
        traced.note("url.path", request.path);
        Some(traced)
    }

    /// Begins to buy, or goes on. `None` if the answer comes later.
    fn buy(&self, request: &Request<'_>, at_hand: &mut AtHand) -> Option<Result<OrderNumber>> {
        let AtHand { waker, pending, .. } = at_hand;
        let begun = || {
            let (key, item) = (web::idempotency_key(request)?, web::item(request)?);
            self.orders.buy(key, item, waker.clone())
        };
        let purchase = match pending.take().map_or_else(begun, Ok) {
            Ok(purchase) => purchase,
            Err(error) => return Some(Err(error)),
        };
        let outcome = purchase.proceed();
        if outcome.is_none() {
            *pending = Some(purchase);
        }
        outcome
    }
}

impl Protocol for CustomerServer {
    type Session = Session;

    fn open(&self, caller: Caller, waker: Waker) -> Session {
        let id = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let at_hand = AtHand { waker, pending: None, traced: None };
        Session { id, http: Http1::new(caller), at_hand }
    }

    fn serve(
        &self,
        session: &mut Session,
        input: &[u8],
        output: &mut Vec<u8>,
        _: Option<Instant>,
    ) -> Progress {
        let logged = tracing::enabled!(target: ACCESS, Level::INFO);
        let Session { id, http, at_hand } = session;
        let pending = at_hand.pending.as_ref();
        let started = pending.map_or_else(Instant::now, PendingPurchase::begun);
        let mut understood = false;
        let progress = http.serve(input, output, |request, responder| {
            understood = true;
            let Some((kind, status)) = self.answer(request, responder, at_hand, started) else {
                return;
            };
            if let Some(mut traced) = at_hand.traced.take() {
                traced.note("http.response.status_code", status);
                if status >= 500 {
                    traced.fail(status);
                }
            }
            let took = started.elapsed();
            self.requests.count(Asked::one(kind, status), took);
            if logged {
                log_access(*id, request, status, took);
            }
        });
        if !understood && progress == Progress::Close {
            let refused = Asked::one(Kind::Other, Outcome::Refused);
            self.requests.count(refused, started.elapsed());
            if logged {
                tracing::info!(target: ACCESS, session = *id, "a malformed request");
            }
        }
        progress
    }

    fn expired(&self, session: &mut Session, output: &mut Vec<u8>) {
        session.http.expired(output);
    }

    fn panicked(&self, session: &mut Session, output: &mut Vec<u8>) {
        session.http.panicked(output);
    }
}

/// Sends a page of toys, and where the next one is. Returns the status.
fn list(responder: Responder<'_>, page: Result<(Vec<ShownToy>, bool)>, limit: usize) -> u16 {
    let (toys, has_more) = match page {
        Ok(page) => page,
        Err(error) => return web::refuse(responder, &read_failed(error)),
    };
    let next = toys
        .last()
        .filter(|_| has_more)
        .map(|last| format!("/products?after={}&limit={limit}", percent_encode(&last.name)));
    web::page(responder, &toys, next.as_deref())
}

/// A response that says where its time went, if its request is sampled.
fn timed(responder: Responder<'_>, started: Instant) -> Responder<'_> {
    match scope::took() {
        Some(took) => responder.with_timing(took.header(started.elapsed())),
        None => responder,
    }
}

/// What a customer is told when a read failed behind the front-end. Which address did not answer is for
/// the log; and nothing was done, whether an answer came or not.
fn read_failed(error: Error) -> Error {
    if !error.is_transient() {
        return error;
    }
    tracing::debug!("a read failed: {error}");
    Error::unavailable("the store cannot look this up at the moment")
}

/// The same of a purchase, which may have been done if its answer did not come.
fn buy_failed(error: Error) -> Error {
    if !error.is_transient() {
        return error;
    }
    tracing::debug!("a purchase failed: {error}");
    if error.is_definite() {
        Error::unavailable("this request bought nothing: the store takes no orders at the moment")
    } else {
        Error::unanswered("the store did not answer in time")
    }
}

/// Sends a file of the shop's page. Returns the status.
fn show(path: &[&str], request: &Request<'_>, responder: Responder<'_>) -> u16 {
    match STOREFRONT.file(path) {
        Some(file) => pages::send(responder, file),
        None => web::no_such_path(request, responder, "GET, HEAD, POST"),
    }
}

/// The access line (F9). What the client sent is escaped: it cannot forge a line.
fn log_access(session: u64, request: &Request<'_>, status: u16, took: Duration) {
    let micros = took.as_micros();
    let thread = thread::current().id();
    let (method, path) = (request.method, request.path);
    if let Ok(Some(id)) = request.header("Session-ID") {
        tracing::info!(target: ACCESS, ?thread, session = ?id, method, ?path, status, micros);
    } else {
        tracing::info!(target: ACCESS, ?thread, session, method, ?path, status, micros);
    }
}
