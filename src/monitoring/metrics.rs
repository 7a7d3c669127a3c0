//! `GET /metrics`: a service's [`Status`] in the format of Prometheus. Everything here is computed from the
//! status, so the two pages cannot differ. `docs/metrics.md` explains each metric.
//!
//! Names follow Prometheus' conventions: seconds and bytes, `_total` for counters, a label if there are
//! several values.

pub(super) use super::exposition::CONTENT_TYPE;
use super::exposition::Exposition;
use super::status::{
    CacheStatus, CatalogStatus, FrontendStatus, Kind, LATENCY_BOUNDS, OrderStatus, Outcome,
    Requests, Sessions, Status, Traces,
};
use crate::model::Epoch;
use crate::protocol::catalog::Book;

/// A part of a status that has metrics of its own.
pub trait Measured {
    /// Writes them.
    fn measure(&self, page: &mut Exposition);
}

/// The page of a service.
pub(super) fn text<T: Measured>(status: &Status<T>) -> String {
    let mut page = Exposition::default();
    measure_requests(&status.requests, &mut page);
    status.sessions.measure(&mut page);
    status.own.measure(&mut page);
    status.traces.measure(&mut page);
    page.gauge("toystore_build_info", "Always 1; the label is the version of the program.")
        .each("version", [(env!("CARGO_PKG_VERSION"), 1)]);
    page.gauge("process_start_time_seconds", "When the process started, in seconds since 1970.")
        .is(seconds(status.started_unix_ms));
    if let Some(bytes) = status.memory_bytes {
        page.gauge("process_resident_memory_bytes", "Memory in use by the process.").is(bytes);
    }
    if let Some(files) = status.open_files {
        page.gauge("process_open_fds", "Open files and connections of the process.").is(files);
    }
    page.into_text()
}

fn measure_requests(requests: &[Requests], page: &mut Exposition) {
    let mut took = page.histogram(
        "toystore_request_duration_seconds",
        "Time from a request to its answer, at the request address.",
    );
    for Requests { kind, outcome, latencies, seconds, .. } in requests {
        let labels = [("kind", kind_word(*kind)), ("outcome", outcome_word(*outcome))];
        took.buckets(&labels, &LATENCY_BOUNDS, latencies, *seconds);
    }
}

impl Measured for Sessions {
    fn measure(&self, page: &mut Exposition) {
        let Sessions { threads, busy, open, parked, queued } = *self;
        page.gauge("toystore_threads", "Threads of the request address.").is(threads);
        page.gauge("toystore_threads_busy", "Threads that have a connection.").is(busy);
        page.gauge("toystore_connections_open", "Connections to the request address.").is(open);
        page.gauge(
            "toystore_connections_parked",
            "Connections that wait without a thread for their next request.",
        )
        .is(parked);
        page.gauge("toystore_connections_queued", "Connections that wait for a thread.").is(queued);
    }
}

impl Measured for Traces {
    fn measure(&self, page: &mut Exposition) {
        let Traces { dropped, unsent } = *self;
        page.counter("toystore_spans_dropped_total", "Spans of traces dropped for newer ones.")
            .is(dropped);
        page.counter(
            "toystore_spans_unsent_total",
            "Spans of traces that the collector of [trace] otlp did not get.",
        )
        .is(unsent);
    }
}

impl Measured for CatalogStatus {
    fn measure(&self, page: &mut Exposition) {
        let CatalogStatus { toy_count, sold_out, toys, open_sales, subscribers, delay_ms } = self;
        page.gauge("toystore_toys", "Number of different toys.").is(toy_count);
        page.gauge("toystore_toys_sold_out", "Number of toys that are sold out.").is(sold_out);
        let each =
            |value: fn(&Book) -> i128| toys.iter().map(move |book| (&*book.name, value(book)));
        page.gauge("toystore_toys_in_stock", "Quantity of the toy in stock.")
            .each("toy", each(|book| book.quantity.into()));
        page.counter("toystore_toys_sold_total", "Quantity of the toy sold in orders.")
            .each("toy", each(|book| book.sold.into()));
        page.gauge(
            "toystore_toys_restocked",
            "Quantity of the toy added by restocks; negative if a reset removed more.",
        )
        .each("toy", each(|book| book.restocked.into()));
        page.counter(
            "toystore_toys_withdrawn_total",
            "Quantity of the toy removed by hand, without an order.",
        )
        .each("toy", each(|book| book.withdrawn.into()));
        page.gauge("toystore_open_sales", "Sales that are not known to be committed orders yet.")
            .is(open_sales);
        page.gauge("toystore_subscribers", "Front-ends that are subscribed to changes.")
            .is(subscribers);
        page.gauge(
            "toystore_delay_seconds",
            "Artificial delay of each query and purchase, to simulate a slow database.",
        )
        .is(seconds(*delay_ms));
    }
}

impl Measured for OrderStatus {
    fn measure(&self, page: &mut Exposition) {
        let OrderStatus { health, serves_in, conflict, followers, .. } = self;
        let epoch = health.view.as_ref().map_or(Epoch(0), |view| view.epoch);
        measure_epoch(epoch, page);
        page.gauge("toystore_leading", "1 if this replica leads and serves, else 0.")
            .is(u8::from(serves_in.is_some()));
        page.gauge("toystore_log_last_order", "The last number in the replica's log.")
            .is(health.last);
        page.gauge("toystore_log_committed_order", "The last number known to be committed.")
            .is(health.committed);
        page.gauge(
            "toystore_log_conflict",
            "1 if orders committed here differ from the leader's, so that it accepts no more, else 0.",
        )
        .is(u8::from(conflict.is_some()));
        page.gauge("toystore_catalog_reachable", "1 if the catalog answers this replica, else 0.")
            .is(u8::from(health.catalog_reachable));
        let lags: Vec<_> = followers.iter().map(|each| (each.id.to_string(), each.lag)).collect();
        page.gauge(
            "toystore_follower_lag_orders",
            "From the leader: orders that the replica lacks, at most.",
        )
        .each("replica", lags.iter().map(|(id, lag)| (id.as_str(), lag)));
    }
}

impl Measured for FrontendStatus {
    fn measure(&self, page: &mut Exposition) {
        let FrontendStatus { view, led, controls, cache } = self;
        measure_epoch(view.as_ref().map_or(Epoch(0), |view| view.epoch), page);
        page.gauge("toystore_led", "1 if the leader of the view answers, else 0.")
            .is(u8::from(*led));
        page.gauge("toystore_controls", "1 if this front-end makes the views, else 0.")
            .is(u8::from(*controls));
        page.gauge("toystore_in_sync_replicas", "Replicas that have every committed order.")
            .is(view.as_ref().map_or(0, |view| view.in_sync.len()));
        page.gauge("toystore_leader_id", "Which replica leads; 0 before the first election.")
            .is(view.as_ref().map_or(0, |view| view.leader.0));
        cache.measure(page);
    }
}

impl Measured for CacheStatus {
    fn measure(&self, page: &mut Exposition) {
        let CacheStatus { capacity, toy_count, hits, misses, evictions, invalidations, .. } = self;
        page.gauge(
            "toystore_cache_capacity_toys",
            "Capacity of the cache in toys; 0 if it is off.",
        )
        .is(capacity);
        page.gauge("toystore_cache_toys", "Toys in the cache.").is(toy_count);
        page.counter("toystore_cache_hits_total", "Queries answered from the cache.").is(hits);
        page.counter("toystore_cache_misses_total", "Queries that had to ask the catalog.")
            .is(misses);
        page.counter("toystore_cache_evictions_total", "Toys evicted from the cache.")
            .is(evictions);
        page.counter("toystore_cache_invalidations_total", "Toys dropped because they changed.")
            .is(invalidations);
    }
}

fn measure_epoch(epoch: Epoch, page: &mut Exposition) {
    page.gauge("toystore_epoch", "The epoch of the view; 0 before the first election.").is(epoch);
}

/// Exact: a whole number of milliseconds has three decimals.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Query => "query",
        Kind::List => "list",
        Kind::Buy => "buy",
        Kind::Purchase => "purchase",
        Kind::Order => "order",
        Kind::Other => "other",
    }
}

fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Served => "served",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
    }
}
