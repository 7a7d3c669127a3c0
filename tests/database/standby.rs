//! Two catalogs on the database: one is active, the other takes over when that is killed, paused or ended, while customers buy.
//! No customer sees old stock, and one that asks a paused catalog gets no answer from it that its successor contradicts.

use crate::history::History;
use crate::load::{ANSWER, Load};
use crate::support::Id::{Catalog, Frontend};
use crate::support::galera::Galera;
use crate::support::{Cluster, finish, own_host, reserve, signal, wait_until};
use crate::{assert_kept, gap};
use rustix::process::Signal;
use std::fs;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use toystore::http::Client;

const TOYS: [&str; 3] = ["Tux", "Fox", "Whale"];
const MANY: u64 = 1_000_000;
/// The purchases that customers make between two faults.
const BUSINESS: usize = 50;
const STANDBY: &str = "standby: another catalog has the lease";

/// A store whose configuration has a second catalog.
struct Store {
    cluster: Cluster,
    /// The second catalog, and where it takes requests.
    second: Option<Child>,
    address: String,
}

impl Store {
    fn open(galera: &Galera) -> Store {
        let [listen, peer] = <[String; 2]>::try_from(reserve(&own_host(), 2)).expect("two");
        let mut cluster = Cluster::closed(&["--catalog-initial=initial.csv", "--config=two.toml"]);
        for flag in galera.flags() {
            cluster.add_flag(flag);
        }
        let toys = TOYS.map(|toy| format!("{toy},10.00,{MANY}\n")).concat();
        let initial = format!("name,price,quantity\n{toys}");
        fs::write(cluster.path("initial.csv"), initial).expect("written");
        let second = format!("[catalog.2]\nlisten = \"{listen}\"\npeer = \"{peer}\"\n");
        fs::write(cluster.path("two.toml"), second).expect("written");
        cluster.start_all();
        let mut store = Store { cluster, second: None, address: listen };
        store.start_second();
        store
    }

    /// The second catalog is started, and waits.
    fn start_second(&mut self) {
        let log = fs::File::create(self.cluster.path("second.log")).expect("a file");
        let mut command = self.cluster.program("catalog");
        command.args(["--id", "2", "--exit-with-parent"]).stdin(Stdio::piped()).stderr(log);
        self.second = Some(command.spawn().expect("a process"));
        wait_until("the second waits", || self.second_log().contains(STANDBY));
    }

    fn second_log(&self) -> String {
        fs::read_to_string(self.cluster.path("second.log")).unwrap_or_default()
    }

    /// The first catalog is started, and waits.
    fn start_first(&mut self) {
        let before = self.cluster.log(Catalog).matches(STANDBY).count();
        self.cluster.spawn(Catalog, &[]);
        let waits = || self.cluster.log(Catalog).matches(STANDBY).count() > before;
        wait_until("the first waits", waits);
    }

    fn signal_second(&self, which: Signal) {
        signal(self.second.as_ref().expect("it runs"), which);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the second catalog:\n{}", self.second_log());
        }
        if let Some(mut second) = self.second.take() {
            second.kill().and_then(|()| second.wait()).ok();
        }
    }
}

#[test]
#[ignore = "needs MariaDB; run by make test-database"]
fn a_standby_takes_over_and_nobody_sees_old_stock() {
    let galera = Galera::start();
    let mut store = Store::open(&galera);
    let history = Arc::new(History::begin(&store.cluster.path("history.jsonl")));
    let toys = TOYS.map(str::to_owned);
    let address = store.cluster.address(Frontend).to_owned();
    let load = Load::start(&[address], ANSWER, &toys, 7, &history);
    history.await_business(BUSINESS);
    let tell_gap = |what: &str, since: u64| {
        history.await_business(BUSINESS);
        println!("{what}: no purchase was answered for {} ms", gap(&history, since));
    };

    let since = history.now_us();
    store.cluster.kill(Catalog);
    tell_gap("the active catalog is killed", since);

    store.start_first();
    let since = history.now_us();
    store.signal_second(Signal::STOP);
    // It waits in the paused catalog's socket.
    let address = store.address.clone();
    let ask = move || {
        Client::new(&*address, Duration::from_secs(30)).send("GET", "/products/Tux", &[], b"")
    };
    let question = thread::Builder::new().name("question".into()).spawn(ask).expect("a thread");
    tell_gap("the active catalog is paused", since);
    store.signal_second(Signal::CONT);
    let answer = question.join().expect("no panic");
    let is_old = answer.as_ref().is_ok_and(|answer| answer.status == 200);
    assert!(!is_old, "a catalog without a lease answered: {answer:?}");
    let mut second = store.second.take().expect("it runs");
    assert_eq!(finish(&mut second).code(), Some(3));
    let said = store.second_log();
    let told = said.matches("another catalog has taken it since; this process ends").count();
    assert!((1..=2).contains(&told), "in the log and on standard error: {said}");

    store.start_second();
    let since = history.now_us();
    assert_eq!(store.cluster.end(Catalog).code(), Some(0));
    tell_gap("the active catalog is ended", since);
    store.start_first();

    load.finish();
    assert_kept(&history, &galera, &toys.map(|toy| (toy, MANY)).into());
    let audit = store.cluster.program("audit").arg("--running").status();
    assert!(audit.expect("a process").success(), "the books agree");
}
