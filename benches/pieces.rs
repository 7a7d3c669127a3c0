//! The parts of the code that cost most, each alone: `make bench ARGS="--bench pieces"`, or `-- storage` for those with
//! this word in their name.
//!
//! A structure that grows with each call, such as a log, is measured in batches of a thousand calls from the same
//! start. Each batch gets a copy to which one element was added before the measurement, so that it has room for more.

use criterion::{BatchSize, Criterion, Throughput};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};
use toystore::catalog::shelf::Shelf;
use toystore::catalog::stock::Stock;
use toystore::catalogs::Catalogs;
use toystore::config::Config;
use toystore::error::Error;
use toystore::frontend::cache::{Cache, LEASE};
use toystore::frontend::elector::Elector;
use toystore::frontend::orders::Orders;
use toystore::frontend::products::Products;
use toystore::frontend::router::route;
use toystore::frontend::session::CustomerServer;
use toystore::frontend::views::{Place, Remembered, Views};
use toystore::http::Http1;
use toystore::model::{
    Entry, Epoch, Identity, Item, Key, Member, Moment, OrderNumber, Price, Principal, PurchaseId,
    Quantity, ReplicaId, Toy, View,
};
use toystore::monitoring::RequestMetrics;
use toystore::monitoring::status::Kind;
use toystore::net::{Caller, Limits, Progress, Protocol, Scheme, Server, Transport, frame};
use toystore::order::file::ORDERS;
use toystore::order::log::Log;
use toystore::order::replica::{Replica, Taken};
use toystore::protocol::catalog::{
    Changes, Incarnation, Reconcile, Reconciled, Request, Settle, Standing,
};
use toystore::protocol::order::{self, Append, AppendOutcome, Bought};
use toystore::protocol::purchase::Purchase;
use toystore::protocol::{Answer, answer, question};
use toystore::storage::CsvLog;
use toystore::trace::Recorder;

const QUERY: &[u8] = b"GET /products/Tux HTTP/1.1\r\nHost: 127.0.0.1:8081\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n";
const CALLS: u64 = 1_000;
/// The number of entries in a log before the measurement.
const BEFORE: u64 = 100_000;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    for pieces in [http, query, frames, storage, replication, stock] {
        pieces(&mut criterion);
    }
    criterion.final_summary();
}

fn http(c: &mut Criterion) {
    let mut output = Vec::new();
    let mut connection = Http1::new(Scheme::Plain);
    c.bench_function("http: parse a query, answer nothing", |b| {
        b.iter(|| {
            output.clear();
            connection.serve(QUERY, &mut output, |request, responder| {
                black_box(request);
                responder.send(200, &[], b"");
            })
        });
    });
    c.bench_function("http: parse and route a query", |b| {
        b.iter(|| {
            output.clear();
            connection.serve(QUERY, &mut output, |request, responder| {
                black_box(route(request).is_ok());
                responder.send(200, &[], b"");
            })
        });
    });
}

/// A cached query at the front-end, from the bytes of the request to the bytes of the answer.
fn query(c: &mut Criterion) {
    let mut cache = Cache::new(10);
    cache.renew(1, Moment::START, Moment::START);
    for n in 0..10 {
        cache.store(cache.begin_fetch(), &format!("toy {n}"), 1, Arc::<[u8]>::from(&b"body"[..]));
    }
    let names: Vec<String> = (0..10).map(|n| format!("toy {n}")).collect();
    let mut next = names.iter().cycle();
    c.bench_function("cache: hit, another toy each time", |b| {
        b.iter(|| {
            cache.get(next.next().expect("endless"), Moment::after(LEASE / 2)).expect("it is there")
        });
    });

    let directory = tempfile::tempdir().expect("a directory");
    let catalog = Server::start("catalog", "127.0.0.1:0", Arc::new(OneToy), Limits::default());
    let catalog = catalog.expect("a free port");
    let mut config = Config::default();
    config.catalog.first.listen = catalog.address().to_string();
    let transport = Transport::of(&config, Principal::Frontend).expect("plain, on loopback");
    let catalogs = Catalogs::of(&config, &transport).expect("its address is configured");
    let products = Arc::new(Products::new(Arc::new(catalogs), 10));
    let recorder = Recorder::new("front-end", config.trace.sample);
    let elector = Elector::start(
        &config,
        config.frontend.controller,
        &transport,
        Place::File(Views::File(directory.path().join("view.json")), Remembered::default()),
        recorder.clone(),
    );
    let elector = elector.expect("it starts without replicas");
    let orders = Orders::new(
        &config,
        config.frontend.controller,
        &transport,
        elector.election(),
        products.clone(),
    );
    let orders = orders.expect("its addresses are configured");
    let customer_server = CustomerServer::new(
        products.clone(),
        orders,
        Arc::new(RequestMetrics::new(&[Kind::Query])),
        recorder,
    );
    let mut session = customer_server.open(Scheme::Plain.into(), Waker::noop().clone());
    let mut output = Vec::new();
    customer_server.serve(&mut session, QUERY, &mut output, None);
    assert!(output.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&output));
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Keeps the lease, as the subscription would; the end of the scope joins it.
        scope.spawn(|| {
            let changes = Changes { up_to: 0, invalidate: vec![], ..Changes::default() };
            while !over.load(Ordering::Relaxed) {
                products.take_changes(1, &changes, Instant::now());
                thread::sleep(LEASE / 8);
            }
        });
        c.bench_function("front-end: cached query, bytes in, bytes out", |b| {
            b.iter(|| {
                output.clear();
                customer_server.serve(&mut session, QUERY, &mut output, None)
            });
        });
        over.store(true, Ordering::Relaxed);
    });
}

/// A catalog that has a Tux.
struct OneToy;

impl Protocol for OneToy {
    type Session = ();

    fn open(&self, _: Caller, _: Waker) {}

    fn serve(
        &self,
        (): &mut (),
        input: &[u8],
        output: &mut Vec<u8>,
        _: Option<Instant>,
    ) -> Progress {
        let Ok(Some((asked, bytes))) = frame::split(input) else { return Progress::NeedMore };
        let toy = |request| match request {
            Request::Query { name } => {
                Ok(Toy { name: name.parse()?, price: Price(1990), quantity: 7, version: 1 })
            }
            _ => Err(Error::invalid("only queries")),
        };
        let written = frame::put(output, |payload| {
            answer(question(asked).and_then(toy), payload);
            Ok(())
        });
        written.expect("it is short");
        Progress::Served { bytes }
    }

    fn expired(&self, (): &mut (), _: &mut Vec<u8>) {}

    fn panicked(&self, (): &mut (), _: &mut Vec<u8>) {}
}

fn frames(c: &mut Criterion) {
    let buy = order::Request::Buy { purchases: vec![purchase(1)] };
    let put = |output: &mut Vec<u8>| {
        frame::put(output, |payload| {
            serde_json::to_writer(payload, &buy).expect("a Vec takes every write");
            Ok(())
        })
        .expect("it is short");
    };
    let mut output = Vec::new();
    c.bench_function("frame: put a purchase", |b| {
        b.iter(|| {
            output.clear();
            put(&mut output);
        });
    });
    c.bench_function("frame: split and read a purchase", |b| {
        b.iter(|| {
            let (payload, _) = frame::split(&output).expect("short").expect("whole");
            question::<order::Request>(payload).expect("a purchase")
        });
    });
    let mut payload = Vec::new();
    c.bench_function("frame: answer a purchase, read the answer", |b| {
        b.iter(|| {
            payload.clear();
            answer(Ok(Bought { number: OrderNumber(1), version: Some(2) }), &mut payload);
            serde_json::from_slice::<Answer<Bought>>(&payload).expect("an answer")
        });
    });
}

fn storage(c: &mut Criterion) {
    let memory = Path::new("/dev/shm");
    let (memory, disk) = (memory.is_dir().then_some(memory), std::env::temp_dir());
    for (name, place) in [("memory", memory), ("disk", Some(&*disk))] {
        let Some(place) = place else { continue };
        let directory = tempfile::tempdir_in(place).expect("a directory");
        let path = directory.path().join("orders.csv");
        let (log, _) = CsvLog::open(&path, &ORDERS, |_| Ok(())).expect("a new file");
        let (tux, quantity, epoch, key) = ("Tux", 1, 1, purchase(1).key);
        let append = |number: u64| log.append(&[&number, &tux, &quantity, &epoch, &key]);
        c.bench_function(&format!("storage: append and sync a row, {name}"), |b| {
            b.iter(|| {
                let row = append(123_456).expect("it fits");
                log.sync(row).expect("a good disk");
            });
        });
    }
}

fn replication(c: &mut Criterion) {
    let mut base = Log::default();
    (1..=BEFORE).for_each(|n| base.push(entry(n)).expect("in order"));
    let mut group = c.benchmark_group("order");
    group.throughput(Throughput::Elements(CALLS));
    group.bench_function("log: push", |b| {
        let start = || {
            let mut log = base.clone();
            log.push(entry(BEFORE + 1)).expect("in order");
            (log, numbers().map(entry).collect::<Vec<_>>())
        };
        let push = |(log, entries): &mut (Log, Vec<Entry>)| {
            entries.drain(..).for_each(|entry| log.push(entry).expect("in order"));
        };
        b.iter_batched_ref(start, push, BatchSize::PerIteration);
    });

    let leader = leader(&base);
    group.bench_function("replica: a purchase at the leader of two", |b| {
        let start = || {
            let mut leader = leader.clone();
            sell(&mut leader, &purchase(BEFORE + 1));
            (leader, numbers().map(purchase).collect::<Vec<_>>())
        };
        let sell_all = |(leader, purchases): &mut (Replica, Vec<Purchase>)| {
            for purchase in purchases {
                sell(leader, purchase);
            }
        };
        b.iter_batched_ref(start, sell_all, BatchSize::PerIteration);
    });

    let follower = replica(2, &base);
    group.bench_function("replica: an append at the follower", |b| {
        let start = || {
            let mut follower = follower.clone();
            take(&mut follower, append(BEFORE + 1));
            (follower, numbers().map(append).collect::<Vec<_>>())
        };
        let take_all = |(follower, appends): &mut (Replica, Vec<Append>)| {
            for append in appends.drain(..) {
                take(follower, append);
            }
        };
        b.iter_batched_ref(start, take_all, BatchSize::PerIteration);
    });
}

/// The sequence numbers of the measured calls.
fn numbers() -> impl Iterator<Item = u64> {
    BEFORE + 2..BEFORE + 2 + CALLS
}

fn stock(c: &mut Criterion) {
    let mut group = c.benchmark_group("catalog");
    group.throughput(Throughput::Elements(CALLS));
    for toys in [10, 100_000] {
        let shelf = |n| {
            Shelf::new(
                if n == 0 { "Tux".into() } else { format!("toy {n}") }.parse().expect("a name"),
                Price(1),
                1 << 40,
            )
        };
        let mut base = Stock::new((0..toys).map(shelf).collect(), 0);
        open(&mut base);
        group.bench_function(format!("stock: sell and settle, {toys} toys"), |b| {
            let start = || (base.clone(), (1..=CALLS).map(purchase).collect());
            let sell = |(stock, purchases): &mut (Stock, Vec<Purchase>)| {
                for (before, purchase) in (0..).map(OrderNumber).zip(purchases.drain(..)) {
                    let keys = vec![purchase.key.clone()];
                    black_box(
                        stock.purchase(Epoch(1), before, vec![purchase]).expect("it is open"),
                    );
                    let settle = Settle { after: before, through: before.next(), keys };
                    black_box(stock.settle(settle).expect("without gap"));
                }
            };
            b.iter_batched_ref(start, sell, BatchSize::PerIteration);
        });
    }
}

/// A leader has taken office at the catalog.
fn open(stock: &mut Stock) {
    let Standing { incarnation, .. } = stock.standing();
    let (after, entries) = (OrderNumber(0), vec![]);
    let asked = Reconcile { epoch: Epoch(1), incarnation, after, entries };
    stock.reconcile(&asked).expect("the first");
    stock.open(&asked, stock.position()).expect("the first");
}

/// One purchase at the leader, with a catalog and followers that have synced everything at once.
fn sell(leader: &mut Replica, purchase: &Purchase) {
    leader.begin(purchase).expect("it leads");
    let number = leader.reserved(purchase, Incarnation(1), 0).expect("it leads");
    let number = number.expect("it has reconciled with this incarnation");
    let appends =
        [2, 1].map(|id| (ReplicaId(id), leader.next_append(ReplicaId(id), Moment::START)));
    leader.synced(number);
    for (id, append) in appends {
        acknowledge(leader, id, append.expect("there is an entry").last());
    }
    leader.outcome(number, &purchase.key).expect("it leads").expect("committed");
}

/// One append at the follower.
fn take(follower: &mut Replica, append: Append) {
    let last = append.last();
    assert!(matches!(follower.take(append), Ok(Taken::Entries { .. })));
    follower.synced(last);
    follower.acknowledge(Epoch(1), AppendOutcome::Synced(last)).expect("the same view");
}

fn acknowledge(leader: &mut Replica, follower: ReplicaId, last: OrderNumber) {
    let identity = member(follower.0).identity;
    let answer = order::Appended { identity, outcome: AppendOutcome::Synced(last) };
    leader.answered(Epoch(1), follower, &answer, Moment::START);
}

/// Replica 3 as a serving leader.
fn leader(log: &Log) -> Replica {
    let mut leader = replica(3, log);
    for id in [1, 2].map(ReplicaId) {
        let append =
            leader.next_append(id, Moment::after(Duration::from_secs(1))).expect("a first one");
        acknowledge(&mut leader, id, append.last());
    }
    leader.duty(Moment::START).expect("to reconcile");
    let standing = Standing { incarnation: Incarnation(1), settled: Some(log.last()) };
    leader.reconcile(Epoch(1), standing).expect("it leads");
    leader.reconciled(Epoch(1), Incarnation(1), Reconciled::default()).expect("the same view");
    leader
}

fn replica(id: u32, log: &Log) -> Replica {
    let others = (1..=3).filter(|other| *other != id).map(ReplicaId).collect();
    let mut replica = Replica::new(member(id), others, log.clone(), None, log.last());
    replica.accept(view(), Moment::START);
    replica
}

fn view() -> View {
    View { epoch: Epoch(1), leader: ReplicaId(3), in_sync: (1..=3).map(member).collect() }
}

fn member(id: u32) -> Member {
    Member { id: ReplicaId(id), identity: Identity(format!("0123456789abcde{id}")) }
}

fn append(number: u64) -> Append {
    Append {
        view: view(),
        prev_number: OrderNumber(number - 1),
        prev_epoch: Epoch(1),
        entries: vec![entry(number)],
        committed: OrderNumber(BEFORE),
        base: OrderNumber(BEFORE),
    }
}

fn entry(number: u64) -> Entry {
    let Purchase { epoch, key, item, .. } = purchase(number);
    Entry { number: OrderNumber(number), epoch, key, item }
}

fn purchase(sequence: u64) -> Purchase {
    let id = PurchaseId { caller: 0, incarnation: Epoch(1), sequence };
    let item = Item {
        name: "Tux".parse().expect("a name"),
        quantity: Quantity::try_from(1).expect("allowed"),
    };
    Purchase { epoch: Epoch(1), id, ack_below: sequence, key: Key::made(id), item }
}
