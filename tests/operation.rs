//! What an operator relies on: a service that is asked to end finishes its requests, and a service without
//! free open files lets new clients wait, and loses nothing.

mod support;

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::Id::{self, Catalog, Frontend, Order};
use support::{ALL, Cluster, Customer, PATIENCE, REPLICAS, wait_until};
use toystore::error::Result;
use toystore::model::{Epoch, Principal};
use toystore::net::{Rpc, Transport};
use toystore::protocol::catalog::{Peer, Reconcile, Reconciled, Standing};
use toystore::protocol::{ask, wanted};

/// Whether a thread of the service's request address is busy.
fn is_busy(store: &Cluster, id: Id) -> bool {
    let (_, status) = Customer::of(store.peer_address(id)).get("/status");
    status["data"]["sessions"]["busy"].as_u64().expect("a number") > 0
}

#[test]
fn who_is_asked_to_end_answers_what_it_has_begun() {
    // Slow enough that the signal arrives while the purchase is in flight, at all three.
    let mut store = Cluster::open(&["--catalog-delay-ms=1000"]);
    store.await_in_sync();
    let leader = Order(store.leader());
    for (number, id) in (1..).zip([Catalog, leader, Frontend]) {
        let mut customer = store.customer(Frontend);
        let (status, answer) = thread::scope(|scope| {
            let purchase = scope.spawn(move || customer.buy("Tux", 1));
            wait_until("the purchase is under way", || is_busy(&store, Catalog));
            assert_eq!(store.end(id).code(), Some(0), "{id:?} ends well");
            assert!(TcpStream::connect(store.address(id)).is_err(), "{id:?} takes no more");
            // The leader asks the catalog once more, whether the sale is durable.
            if id == Catalog {
                store.start(id);
            }
            purchase.join().expect("there is an answer")
        });
        assert_eq!((status, &answer["data"]["order_number"]), (200, &number.into()), "{id:?}");
        if id != Catalog {
            store.start(id);
        }
        store.leader();
    }
    store.await_agreement();
    assert_eq!(store.assert_conserved(), 3, "each was bought once");
}

/// A front-end with a low limit of open files. It is ended with its test.
struct Scarce(Child);

impl Scarce {
    fn start(store: &Cluster, files: u32) -> Scarce {
        let plain = store.command(Frontend, &[]);
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")]);
        limited.arg(plain.get_program()).args(plain.get_args()).env_clear();
        limited.current_dir(store.path("")).stdin(Stdio::piped());
        let said = fs::File::create(store.path("frontend.log")).expect("a file");
        let scarce = Scarce(limited.stderr(said).spawn().expect("a process"));
        wait_until("the front-end is ready", || store.is_ready(Frontend));
        scarce
    }

    fn runs(&mut self) -> bool {
        self.0.try_wait().expect("it is our child").is_none()
    }

    /// The number of its open files.
    fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.0.id())).expect("it runs").count()
    }

    /// Its processor time, in ticks of 10 ms.
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("it runs");
        // After the name, which is in parentheses, the 12th and 13th field: user and system.
        let (_, fields) = stat.rsplit_once(") ").expect("a name");
        fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks")).sum()
    }
}

impl Drop for Scarce {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).ok();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn without_open_files_new_customers_wait_and_the_store_goes_on() {
    const FILES: u32 = 128;
    let mut store = Cluster::closed(&[]);
    for id in ALL.into_iter().filter(|id| *id != Frontend) {
        store.start(id);
    }
    let mut scarce = Scarce::start(&store, FILES);
    let mut early = store.customer(Frontend);
    early.buy_one("Tux");
    store.await_in_sync();

    // Calls to the catalog, whose connections stay open: they count as open files, too.
    let before = scarce.open_files();
    store.pause(Catalog);
    thread::scope(|scope| {
        for mut customer in [(); 5].map(|()| store.customer(Frontend)) {
            scope.spawn(move || customer.get("/products"));
        }
        wait_until("five calls are under way", || scarce.open_files() >= before + 10);
        store.resume(Catalog);
    });

    let connect = |_| TcpStream::connect(store.address(Frontend)).expect("the backlog has room");
    let crowd: Vec<TcpStream> = (0..2 * FILES).map(connect).collect();
    let says_so = || store.log(Frontend).contains("new connections wait");
    wait_until("it logs why connections wait", says_so);
    let left = FILES as usize - scarce.open_files();
    assert!(left + 4 >= FILES as usize / 4, "customers leave a quarter of the files, not {left}");
    assert!(store.is_ready(Frontend), "customers do not keep out who comes to the peer address");

    let (before, begun) = (scarce.ticks(), Instant::now());
    thread::sleep(Duration::from_secs(1));
    let (used, passed) = (scarce.ticks() - before, begun.elapsed());
    assert!(u128::from(used) * 10 < passed.as_millis() / 2, "it spins: {used} ticks in {passed:?}");

    // A new view needs a file, and the first calls to a new leader need sockets.
    let leader = store.leader();
    store.pause(Order(leader));
    early.buy_one("Tux");
    assert!(scarce.runs(), "{}", store.log(Frontend));
    assert_eq!(store.log(Frontend).matches("new connections wait").count(), 1, "said once");

    drop(crowd);
    let mut late = store.customer(Frontend);
    late.buy_one("Tux");
    store.resume(Order(leader));
    store.await_agreement();
    assert_eq!(store.assert_conserved(), 3);
}

/// How often the front-end and the replicas lost the catalog, by their logs.
fn losses(store: &Cluster) -> usize {
    let replicas = REPLICAS.map(|id| store.log(Order(id)).matches("cannot be reached").count());
    let bypassed = store.log(Frontend).matches("cache disabled").count();
    bypassed + replicas.iter().sum::<usize>()
}

/// What a leader does every five seconds. This one has no order that is not settled.
fn reconcile(peer: &Rpc, epoch: Epoch, deadline: Instant) -> Result<Reconciled> {
    let Standing { incarnation, settled } = ask(peer, &Peer::Standing, deadline, &wanted)?;
    let (after, entries) = (settled.unwrap_or_default(), vec![]);
    let asked = Reconcile { epoch, incarnation, after, entries };
    ask(peer, &Peer::Reconcile(asked), deadline, &wanted)
}

/// What waits at a peer address for a call that arrives there does not keep that call out, however few
/// threads serve customers.
#[test]
fn the_catalog_answers_its_peers_while_a_leader_reconciles() {
    const RECONCILES: usize = 300;
    let few = ["--catalog-threads=1", "--order-threads=1"];
    let much = ["--catalog-reset-stock", "--catalog-restock-to=1000000"];
    let store = Cluster::open(&[few, much].concat());
    store.await_in_sync();
    store.customer(Frontend).buy_one("Tux");
    let transport = Transport::of(&store.config(), Principal::Tool).expect("plain");
    let peer = transport.rpc(store.peer_address(Catalog)).expect("it is configured");
    let epoch = || store.health(store.leader()).and_then(|health| health.view).map(|v| v.epoch);
    let mut health = Customer::of(store.peer_address(Catalog));
    let (before, done, deadline) =
        (losses(&store), AtomicBool::new(false), Instant::now() + PATIENCE);
    let mut with_open_sales = 0;
    thread::scope(|scope| {
        for mut customer in [(); 4].map(|()| store.customer(Frontend)) {
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    customer.buy_one("Tux");
                }
            });
        }
        let mut current = epoch();
        while with_open_sales < RECONCILES && Instant::now() < deadline {
            let Some(epoch_now) = current else {
                current = epoch();
                continue;
            };
            match reconcile(&peer, epoch_now, deadline) {
                Ok(found) => with_open_sales += usize::from(!found.open.is_empty()),
                Err(_) => current = None,
            }
            assert_eq!(health.get("/health").0, 200);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(with_open_sales > 0, "no reconcile waited for anything");
    let lost = losses(&store) - before;
    // A busy machine may make some health checks late.
    assert!(
        lost * 20 <= with_open_sales,
        "lost the catalog {lost} times in {with_open_sales} reconciles"
    );
}

/// A process that lives on without a thread that it needs would look healthy, and no other process would replace it.
#[test]
fn a_service_without_one_of_its_threads_ends_and_the_store_goes_on() {
    let mut store = Cluster::closed(&[]);
    let now = store.path("now");
    let flag = |thread: &str| format!("--panic-thread={thread}@{}", now.display());
    for id in ALL {
        // The replica with the highest id leads a new store.
        let panic = flag(if id == Order(3) { "office" } else { "" });
        store.start_with(id, &[&panic]);
    }
    let leads = |id| store.health(id).and_then(|health| Some(health.view?.leader.0)) == Some(id);
    wait_until("replica 3 leads", || leads(3));
    for (id, thread) in [
        (Order(3), "office"),
        (Catalog, "restock"),
        (Frontend, "controller"),
        (Frontend, "subscription"),
        (Order(2), "to-replica-1"),
    ] {
        if id != Order(3) {
            store.end(id);
            store.start_with(id, &[&flag(thread)]);
        }
        fs::write(&now, "").expect("a file");
        assert_eq!(store.await_end(id).code(), Some(4), "{id:?} without {thread}");
        let line =
            format!("the thread {thread} panicked: requested by --panic-thread; this process ends");
        assert!(store.log(id).contains(&line), "{}", store.log(id));
        fs::remove_file(&now).expect("it is there");
        if id == Order(3) {
            store.customer(Frontend).buy_one("Tux");
            assert_ne!(store.leader(), 3);
        }
        store.start(id);
        store.customer(Frontend).buy_one("Tux");
    }
}
