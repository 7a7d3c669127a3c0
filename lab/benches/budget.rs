//! The parts of a purchase by a single client: `make bench ARGS="--bench budget"`.
//!
//! ```text
//! client ─ http ─▶ front-end ─ frame ─▶ leader ─ frame ─▶ catalog (reserved)
//!                                         ├─ frame ─▶ catalog ─ sync ∥ changes ─▶ front-end ─┐
//!                                         ├─ sync ───────────────────────────────────────────┤
//!                                         └─ wake ─ frame ─▶ followers ─ sync ───────────────┴─ wake ─▶ answer
//! ```
//!
//! Each part is measured alone, with the store's own server, calls and files but without the services, in turns
//! with whole purchases in a real store. The other side of a call is a process of its own (this program, started once
//! more), which answers at once as the service would. Files are where the store has its own. Of two parallel parts the
//! sum has the longer one. If a purchase takes longer than the sum, the reason has to be found.

#[path = "../../tests/support/mod.rs"]
mod support;
mod measure;

use measure::load::{PATIENCE, buy_one, endless_stock};
use measure::other::{Running, free_address};
use measure::{ROUNDS, Spread, Wanted, float, judge, wanted};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};
use support::{Cluster, Id};
use toystore::endpoint::{Endpoint, Handler};
use toystore::http::{Client, Request as HttpRequest, Responder};
use toystore::model::{
    Entry, Epoch, Identity, Item, Key, Member, OrderNumber, Price, PurchaseId, Quantity, ReplicaId,
    View,
};
use toystore::monitoring::status::{CatalogStatus, Kind};
use toystore::monitoring::{Asked, Monitor, Monitored};
use toystore::net::{Limits, Rpc, Server};
use toystore::order::file::ORDERS;
use toystore::protocol::catalog::{
    Change, Changes, Incarnation, Peer as CatalogPeer, Request as ToCatalog, Reserved, Sold,
};
use toystore::protocol::order::{self, Append, AppendOutcome, Appended, Bought, Peer};
use toystore::protocol::purchase::Purchase;
use toystore::protocol::web::{self, Receipt};
use toystore::protocol::{Answer, answer, ask, question, wanted as still_wanted};
use toystore::storage::CsvLog;
use toystore::trace::Recorder;

/// How long each part is repeated in a round.
const ROUND: Duration = Duration::from_millis(400);

/// The parts of a purchase, in order.
const PARTS: [&str; 7] = [
    "http: client, front-end",
    "frame: front-end, leader (buy)",
    "frame: leader, catalog (purchase)",
    "frame: leader, follower (append)",
    "  ∥ frame: leader, catalog (durable)",
    "journal and logs: wake-ups, four syncs at once",
    "  ∥ frame: catalog, front-end (changes)",
];

/// The time of a purchase if nothing is lost between its parts.
fn sum([http, buy, reserve, append, durable, syncs, changes]: [f64; 7]) -> f64 {
    http + buy + reserve + append.max(durable) + syncs.max(changes)
}

fn main() {
    let Some(words) = wanted() else { return };
    if let [role, address] = &words[..]
        && role == "other-side"
    {
        return other_side(address);
    }
    let directory = tempfile::tempdir().expect("a directory");
    let address = free_address();
    let myself = std::env::current_exe().expect("it runs");
    let log = directory.path().join("other-side.log");
    let _other_side = Running::start(myself, &["--bench", "other-side", &address], &address, &log);
    let store = Cluster::open(&[&endless_stock(directory.path(), 10)]);
    store.await_in_sync();

    let (mut parts, mut wholes) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        parts.push(measure_parts(&address, directory.path()));
        let mut client = Client::new(store.address(Id::Frontend), PATIENCE);
        wholes.push(median_micros(|| assert_eq!(buy_one(&mut client), 200)));
    }
    println!("a purchase by one client, medians in µs; {ROUNDS} rounds in turns\n");
    for (place, name) in PARTS.iter().enumerate() {
        let micros = Spread::of(parts.iter().map(|round: &[f64; 7]| round[place]));
        println!("  {:>7.1}  {name}", micros.median);
    }
    let sums: Vec<f64> = parts.iter().copied().map(sum).collect();
    println!("  {:>7.1}  the sum", Spread::of(sums.iter().copied()).median);
    println!("  {:>7.1}  a purchase\n", Spread::of(wholes.iter().copied()).median);
    judge("a purchase / the sum", &Spread::of_ratios(&wholes, &sums), Wanted::AtMost(1.35));
}

/// Each part alone, in µs, in the order of [`PARTS`].
fn measure_parts(other_side: &str, directory: &Path) -> [f64; 7] {
    let mut client = Client::new(other_side, PATIENCE);
    let http = median_micros(|| assert_eq!(buy_one(&mut client), 200));
    let rpc = Rpc::new(other_side);
    let changes = CatalogPeer::Changes {
        subscription: u64::MAX / 3,
        acknowledged: Some(123_456),
        replaces: None,
    };
    let purchases = vec![purchase()];
    let reserve = ToCatalog::Purchase { epoch: Epoch(1), logged: OrderNumber(123_456), purchases };
    let durable = ToCatalog::Durable { incarnation: Incarnation(u64::MAX / 3), position: 123_456 };
    [
        http,
        frame::<Vec<Answer<Bought>>>(&rpc, &order::Request::Buy { purchases: vec![purchase()] }),
        frame::<Reserved>(&rpc, &reserve),
        frame::<Appended>(&rpc, &Peer::Append(append())),
        frame::<()>(&rpc, &durable),
        sync_at_once(directory, 4),
        frame::<Changes>(&rpc, &changes),
    ]
}

/// Sends one request and waits for its answer.
fn frame<A: DeserializeOwned>(rpc: &Rpc, question: &impl Serialize) -> f64 {
    median_micros(|| {
        let deadline = Instant::now() + PATIENCE;
        ask::<_, A>(rpc, question, deadline, &still_wanted).expect("it answers");
    })
}

/// Appends and syncs a row in each of this number of logs at the same time, until all are synced.
fn sync_at_once(directory: &Path, logs: usize) -> f64 {
    let directory = tempfile::tempdir_in(directory).expect("a directory");
    let open = |n: usize| {
        let path = directory.path().join(format!("{n}.csv"));
        CsvLog::open(&path, &ORDERS, |_| Ok(())).expect("a new file").0
    };
    let append = |log: &CsvLog| {
        let row = log.append(&[&123_456, &"Tux", &1, &1, &"~0-1-123456"]).expect("it fits");
        log.sync(row).expect("a good disk");
    };
    let mine = open(0);
    thread::scope(|scope| {
        let (done, all_done) = sync_channel(logs);
        let mut others = Vec::new();
        for n in 1..logs {
            let (begin, orders) = sync_channel::<()>(0);
            let (log, done) = (open(n), done.clone());
            others.push(begin);
            // It ends with its sender; the scope joins it.
            scope.spawn(move || {
                for () in orders {
                    append(&log);
                    done.send(()).expect("it is waited for");
                }
            });
        }
        let median = median_micros(|| {
            for begin in &others {
                begin.send(()).expect("it runs");
            }
            append(&mine);
            for _ in &others {
                all_done.recv().expect("it runs");
            }
        });
        drop(others);
        median
    })
}

/// Repeats a part for a round.
fn median_micros(mut once: impl FnMut()) -> f64 {
    let (begun, mut nanos) = (Instant::now(), Vec::new());
    while begun.elapsed() < ROUND {
        let begun = Instant::now();
        once();
        nanos.push(u64::try_from(begun.elapsed().as_nanos()).expect("short"));
    }
    // The first repetitions connect and create.
    let nanos = nanos.into_iter().skip(20).map(float);
    Spread::of(nanos).median / 1_000.0
}

/// Answers everything at once, as the services would, until this process is ended.
fn other_side(address: &str) {
    let monitor =
        Arc::new(Monitor::new(Recorder::new("other", 0.0), Arc::new(OtherSide), &[Kind::Buy]));
    let port = Arc::new(Endpoint::requests(OtherSide, monitor));
    let server = Server::start("other", address, port, Limits::default());
    let _server = server.expect("the address is free");
    loop {
        thread::park();
    }
}

struct OtherSide;

impl Handler for OtherSide {
    fn frame(&self, payload: &[u8], output: &mut Vec<u8>) -> Asked {
        // The payload is read as the service of this request would read it.
        let starts =
            |method: &str| payload[b"{\"method_name\":\"".len()..].starts_with(method.as_bytes());
        let outcome = if starts("buy") {
            let bought = Bought { number: OrderNumber(123_456), version: Some(123_456) };
            let bought = vec![Answer::Data(bought)];
            answer(question::<order::Request>(payload).map(|_| bought), output)
        } else if starts("purchase") {
            let sold = Sold { cost: Price(1990), version: 123_456 };
            let reserved = Reserved {
                incarnation: Incarnation(u64::MAX / 3),
                position: 123_456,
                outcomes: vec![Answer::Data(sold)],
            };
            answer(question::<ToCatalog>(payload).map(|_| reserved), output)
        } else if starts("durable") {
            answer(question::<ToCatalog>(payload).map(|_| ()), output)
        } else if starts("append") {
            let identity = append().view.in_sync[0].identity.clone();
            let appended =
                Appended { identity, outcome: AppendOutcome::Synced(OrderNumber(123_457)) };
            answer(question::<Peer>(payload).map(|_| appended), output)
        } else {
            let change = Change { name: "Tux".parse().expect("a name"), version: 123_456 };
            let changes =
                Changes { up_to: 123_456, invalidate: vec![change], ..Changes::default() };
            answer(question::<CatalogPeer>(payload).map(|_| changes), output)
        };
        Asked::one(Kind::Buy, outcome)
    }

    fn http(&self, request: &HttpRequest<'_>, _: &[&str], responder: Responder<'_>) -> Asked {
        let bought = web::item(request).map(|_| Receipt { order_number: OrderNumber(123_456) });
        Asked::one(Kind::Buy, web::respond(responder, &bought))
    }
}

impl Monitored for OtherSide {
    type Own = CatalogStatus;

    fn own(&self) -> CatalogStatus {
        CatalogStatus::default()
    }

    fn healthy(&self, responder: Responder<'_>) -> u16 {
        web::healthy(responder, "other side")
    }
}

fn purchase() -> Purchase {
    let id = PurchaseId { caller: 0, incarnation: Epoch(1), sequence: 123_456 };
    let item = Item {
        name: "Tux".parse().expect("a name"),
        quantity: Quantity::try_from(1).expect("allowed"),
    };
    Purchase { epoch: Epoch(1), id, ack_below: 123_456, key: Key::made(id), item }
}

fn append() -> Append {
    let member = |id: u32| Member {
        id: ReplicaId(id),
        identity: Identity(format!("0123456789abcdef0123456789abcde{id}")),
    };
    let Purchase { epoch, key, item, .. } = purchase();
    Append {
        view: View { epoch, leader: ReplicaId(3), in_sync: (1..=3).map(member).collect() },
        prev_number: OrderNumber(123_456),
        prev_epoch: epoch,
        entries: vec![Entry { number: OrderNumber(123_457), epoch, key, item }],
        committed: OrderNumber(123_456),
        base: OrderNumber(0),
    }
}
