//! A whole store for one test: five real processes, each with its own data directory, on addresses
//! that no other process uses.
//!
//! - A cluster has a loopback address of its own (on Linux all of 127.0.0.0/8 is loopback), so that
//!   neither a parallel test nor a client's source port takes a port that was found free.
//! - No process outlives its test: a cluster kills its processes when it is dropped. If the
//!   test itself is killed, the services see the end of their standard input, and end.
//! - The output of a service goes to a file; the files are shown when the test fails.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod galera;
pub mod interrupt;
pub mod output;
pub mod run_all;
pub mod two_front_ends;

use rustix::net::{Shutdown, shutdown};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use toystore::certs;
use toystore::config::Config;
use toystore::error::Result;
use toystore::http::Client;
use toystore::model::Principal;
use toystore::net::Transport;
use toystore::protocol::order::{Health, Peer};
use toystore::protocol::{ask, wanted};

/// Much longer than anything here takes; a test that reaches it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A service of the store, in the order of their start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Id {
    Catalog,
    Order(u32),
    Frontend,
}
use Id::{Catalog, Frontend, Order};

pub const REPLICAS: [u32; 3] = [1, 2, 3];
pub const ALL: [Id; 5] = [Catalog, Order(1), Order(2), Order(3), Frontend];

impl Id {
    fn program(self) -> &'static str {
        match self {
            Catalog => "catalog",
            Order(_) => "order",
            Frontend => "frontend",
        }
    }

    /// The section of its settings, as flags write it; also the name of its directory.
    pub fn section(self) -> String {
        match self {
            Catalog => "catalog".into(),
            Order(id) => format!("order-{id}"),
            Frontend => "frontend".into(),
        }
    }
}

/// The store.
pub struct Cluster {
    directory: TempDir,
    /// The flags of every program of this store.
    flags: Vec<String>,
    services: BTreeMap<Id, Service>,
    /// The test's connections to the services.
    transport: Transport,
}

/// The place of a service.
pub struct Place {
    pub listen: String,
    pub peer: String,
    /// The network namespace that simulates its machine, if it is not this one.
    pub machine: Option<String>,
}

struct Service {
    place: Place,
    process: Option<Child>,
}

impl Cluster {
    /// A store with these settings, of which no process runs yet. It restocks only if a flag says so.
    pub fn closed(settings: &[&str]) -> Cluster {
        let mut ports = reserve(&own_host(), 2 * ALL.len()).into_iter();
        let mut port = || ports.next().expect("two for each");
        Cluster::at(|_| Place { listen: port(), peer: port(), machine: None }, settings)
    }

    /// The same, with each service at a place of its own.
    pub fn at(mut place_of: impl FnMut(Id) -> Place, settings: &[&str]) -> Cluster {
        let directory = tempfile::tempdir().expect("a directory");
        let mut flags = ["--frontend-access-log=false", "--catalog-restock-every-ms=600000000"]
            .map(str::to_owned)
            .to_vec();
        let mut services = BTreeMap::new();
        for id in ALL {
            let place = place_of(id);
            let (section, data) = (id.section(), directory.path().join(id.section()));
            flags.push(format!("--{section}-listen={}", place.listen));
            flags.push(format!("--{section}-data={}", data.display()));
            flags.push(format!("--{section}-peer={}", place.peer));
            services.insert(id, Service { place, process: None });
        }
        flags.push(format!("--client-address={}", services[&Frontend].place.listen));
        flags.extend(settings.iter().copied().map(str::to_owned));
        let transport = Transport::of(&Config::default(), Principal::Tool).expect("plain");
        Cluster { directory, flags, services, transport }
    }

    /// The same, with certificates: its services use mutual TLS.
    pub fn secured(settings: &[&str]) -> Cluster {
        let mut cluster = Cluster::closed(settings);
        cluster.secure();
        cluster
    }

    /// Makes certificates for a store that is closed: from now on its services use mutual TLS.
    pub fn secure(&mut self) {
        let mut config = self.config();
        let certificates = self.path("certs");
        certs::make(&config, &certificates, 1).expect("certificates");
        self.flags.push(format!("--tls-directory={}", certificates.display()));
        config.tls.directory = Some(certificates);
        self.transport = Transport::of(&config, Principal::Tool).expect("certificates");
    }

    /// Adds a flag for all programs that are started from now on.
    pub fn add_flag(&mut self, flag: String) {
        self.flags.push(flag);
    }

    /// Its addresses, as a configuration.
    pub fn config(&self) -> Config {
        let mut config = Config::default();
        let both = |id| (self.address(id).to_owned(), self.peer_address(id).to_owned());
        (config.catalog.first.listen, config.catalog.first.peer) = both(Catalog);
        (config.frontend.first.listen, config.frontend.first.peer) = both(Frontend);
        for (id, replica) in &mut config.order.replicas {
            (replica.listen, replica.peer) = both(Order(id.0));
        }
        config
    }

    /// A store with these settings, whose processes all run, and which has a leader.
    pub fn open(settings: &[&str]) -> Cluster {
        let mut cluster = Cluster::closed(settings);
        cluster.start_all();
        cluster
    }

    /// Starts all services, and waits for a leader.
    pub fn start_all(&mut self) {
        for id in ALL {
            self.start(id);
        }
        self.leader();
    }

    /// `kill -9` for all services at once.
    pub fn kill_all(&mut self) {
        for id in ALL {
            self.kill(id);
        }
    }

    /// Starts a service and waits until it answers.
    pub fn start(&mut self, id: Id) {
        self.start_with(id, &[]);
    }

    /// Starts a service with settings of its own.
    pub fn start_with(&mut self, id: Id, settings: &[&str]) {
        self.spawn(id, settings);
        wait_until(&format!("{id:?} is ready"), || {
            self.assert_runs(id);
            self.is_ready(id)
        });
    }

    /// Starts a service without waiting for it.
    pub fn spawn(&mut self, id: Id, settings: &[&str]) {
        let log = OpenOptions::new().append(true).create(true).open(self.log_path(id));
        let process =
            self.command(id, settings).stderr(log.expect("a file")).spawn().expect("a process");
        let before = self.service(id).process.replace(process);
        assert!(before.is_none(), "{id:?} runs already");
    }

    /// The command that starts a service, in a session of its own, as in a user's terminal: Linux
    /// schedules each session as a group (`sched_autogroup`), and measurements depend on it.
    pub fn command(&self, id: Id, settings: &[&str]) -> Command {
        // A replica that is not configured has no place.
        let machine = self.services.get(&id).and_then(|service| service.place.machine.as_ref());
        // It is replaced by the program, so the process id stays the same.
        let mut session = Command::new("setsid");
        if let Some(machine) = machine {
            session.args(["ip", "netns", "exec", machine]);
        }
        session.arg(program(id.program()));
        let mut command = self.told(session);
        if let Order(id) = id {
            command.args(["--id", &id.to_string()]);
        }
        command.arg("--exit-with-parent").args(settings).stdin(Stdio::piped());
        command
    }

    /// The command that runs a program with this store's flags.
    pub fn program(&self, name: &str) -> Command {
        self.told(Command::new(program(name)))
    }

    /// Adds this store's flags to a command. Neither the environment of the test nor the configuration
    /// file of the repository is used.
    fn told(&self, mut command: Command) -> Command {
        command.args(&self.flags).env_clear().current_dir(self.directory.path());
        // To find `ip`.
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// `kill -9`.
    pub fn kill(&mut self, id: Id) {
        let mut process = self.take(id);
        process.kill().expect("it runs");
        process.wait().expect("it is our child");
    }

    /// Asks a service to end, and waits until it has.
    pub fn end(&mut self, id: Id) -> ExitStatus {
        let mut process = self.take(id);
        signal(&process, Signal::TERM);
        finish(&mut process)
    }

    /// Waits for a service that ends by itself.
    pub fn await_end(&mut self, id: Id) -> ExitStatus {
        finish(&mut self.take(id))
    }

    /// Closes the whole store, the last started first.
    pub fn close(&mut self) {
        for id in ALL.into_iter().rev() {
            if self.services[&id].process.is_some() {
                assert_eq!(self.end(id).code(), Some(0), "{id:?} ends well");
            }
        }
    }

    /// Pauses a service.
    pub fn pause(&self, id: Id) {
        self.signal(id, Signal::STOP);
    }

    /// Resumes a paused service.
    pub fn resume(&self, id: Id) {
        self.signal(id, Signal::CONT);
    }

    /// Sends a service a signal.
    pub fn signal(&self, id: Id, which: Signal) {
        signal(self.services[&id].process.as_ref().expect("it runs"), which);
    }

    /// The process of a service.
    pub fn pid(&self, id: Id) -> u32 {
        self.services[&id].process.as_ref().expect("it runs").id()
    }

    /// The request address of a service.
    pub fn address(&self, id: Id) -> &str {
        &self.services[&id].place.listen
    }

    /// The peer address of a service.
    pub fn peer_address(&self, id: Id) -> &str {
        &self.services[&id].place.peer
    }

    /// Whether a service was started, and was not ended by the test.
    pub fn is_started(&self, id: Id) -> bool {
        self.services[&id].process.is_some()
    }

    /// The status of a service that has ended by itself, if it has. Then it may be started again.
    pub fn reap(&mut self, id: Id) -> Option<ExitStatus> {
        let service = self.service(id);
        let status = service.process.as_mut()?.try_wait().expect("it is our child")?;
        service.process = None;
        Some(status)
    }

    /// Keeps the directory when this store is dropped.
    pub fn keep(&mut self) -> PathBuf {
        self.directory.disable_cleanup(true);
        self.directory.path().to_owned()
    }

    /// The data directory of a service.
    pub fn data(&self, id: Id) -> PathBuf {
        self.path(&id.section())
    }

    /// A path in the directory of this store.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The output of a service so far.
    pub fn log(&self, id: Id) -> String {
        fs::read_to_string(self.log_path(id)).unwrap_or_default()
    }

    /// A customer of a service: usually of the front-end.
    pub fn customer(&self, id: Id) -> Customer {
        Customer::of(self.address(id))
    }

    /// A user of a service's request address, with the operator's certificate.
    pub fn operator(&self, id: Id) -> Customer {
        let target = self.transport.target(self.address(id)).expect("it is configured");
        Customer(Client::new(target, PATIENCE))
    }

    /// A user of a service, with the certificate of another principal.
    pub fn with_certificate_of(&self, principal: Principal, id: Id) -> Customer {
        let mut config = self.config();
        config.tls.directory = Some(self.path("certs"));
        let transport = Transport::of(&config, principal).expect("certificates");
        let target = transport.target(self.address(id)).expect("it is configured");
        Customer(Client::new(target, PATIENCE))
    }

    /// Sends a frame to a service's request address.
    pub fn ask<T: DeserializeOwned>(&self, id: Id, question: &impl Serialize) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        ask(&self.transport.rpc(self.address(id))?, question, deadline, &wanted)
    }

    /// Sends a frame to a replica's peer address, as its leader would.
    pub fn ask_peer<T: DeserializeOwned>(&self, replica: u32, question: &Peer) -> Result<T> {
        let peer = self.transport.rpc(self.peer_address(Order(replica)))?;
        ask(&peer, question, Instant::now() + Duration::from_secs(1), &wanted)
    }

    /// The health of a replica, if it answers.
    pub fn health(&self, replica: u32) -> Option<Health> {
        self.ask_peer(replica, &Peer::HealthCheck).ok()
    }

    /// Waits for a leader that answers, and returns its id.
    pub fn leader(&self) -> u32 {
        wait_for("a leader", || {
            let health = REPLICAS.map(|id| self.health(id));
            let view = health.iter().flatten().filter_map(|health| health.view.clone());
            let view = view.max_by_key(|view| view.epoch)?;
            let led = health.iter().flatten().any(|health| {
                health.id == view.leader && !health.starting && health.view.as_ref() == Some(&view)
            });
            led.then_some(view.leader.0)
        })
    }

    /// The highest number of orders that any replica knows to be committed.
    pub fn committed(&self) -> u64 {
        let health = REPLICAS.into_iter().filter_map(|id| self.health(id));
        health.map(|health| health.committed.0).max().unwrap_or(0)
    }

    /// A replica's log, byte for byte.
    pub fn orders_csv(&self, replica: u32) -> Vec<u8> {
        fs::read(self.data(Order(replica)).join("orders.csv")).unwrap_or_default()
    }

    /// Waits until all replicas are in sync, by their own status.
    pub fn await_in_sync(&self) {
        wait_until("all replicas are in sync", || self.is_in_sync());
    }

    /// Whether all replicas are in sync, by their own status.
    pub fn is_in_sync(&self) -> bool {
        REPLICAS.into_iter().all(|id| {
            let view = self.health(id).and_then(|health| health.view);
            view.is_some_and(|view| view.in_sync.len() == REPLICAS.len())
        })
    }

    /// Waits until all replicas are in sync and their logs are the same, byte for byte (O4). For a
    /// store without customers.
    pub fn await_agreement(&self) {
        self.await_in_sync();
        wait_until("all replicas have the same log", || self.logs_agree());
    }

    /// Waits until the leader has settled every purchase at the catalog, which it does after it has answered the
    /// customers.
    pub fn await_settled(&self) {
        let mut catalog = Customer::of(self.peer_address(Catalog));
        wait_until("every purchase is settled", || {
            catalog.get("/status").1["data"]["open_sales"] == 0
        });
    }

    /// Whether the logs are the same, byte for byte.
    pub fn logs_agree(&self) -> bool {
        let logs = REPLICAS.map(|id| self.orders_csv(id));
        logs[0] == logs[1] && logs[1] == logs[2]
    }

    /// Stock is conserved (O5): of each toy there were 100, some are left, and the others are in orders,
    /// which are numbered from 1 without gap (O1). True if nothing was restocked or withdrawn.
    /// Returns the number of orders.
    pub fn assert_conserved(&self) -> u64 {
        let mut customer = self.customer(Frontend);
        let mut found: BTreeMap<String, u64> = BTreeMap::new();
        let mut orders = 0;
        while let (200, order) = customer.get(&format!("/orders/{}", orders + 1)) {
            orders += 1;
            assert_eq!(order["data"]["number"], orders);
            let name = order["data"]["name"].as_str().expect("a name").to_owned();
            *found.entry(name).or_default() +=
                order["data"]["quantity"].as_u64().expect("a number");
        }
        let (status, toys) = customer.get("/products");
        assert_eq!(status, 200, "{toys}");
        for toy in toys["data"].as_array().expect("a list") {
            let sold = found.remove(toy["name"].as_str().expect("a name")).unwrap_or(0);
            assert_eq!(toy["quantity"].as_u64().expect("a number") + sold, 100, "{toy}");
        }
        assert!(found.is_empty(), "orders of unknown toys: {found:?}");
        orders
    }

    /// Whether a service answers.
    pub fn is_ready(&self, id: Id) -> bool {
        // Customers may need another protocol than services.
        let address = if id == Frontend { self.peer_address(id) } else { self.address(id) };
        let target = self.transport.target(address).expect("it is configured");
        let mut client = Client::new(target, Duration::from_secs(1));
        client.send("GET", "/health", &[], b"").is_ok_and(|response| response.status == 200)
    }

    fn assert_runs(&mut self, id: Id) {
        let process = self.service(id).process.as_mut().expect("it was started");
        let ended = process.try_wait().expect("it is our child");
        assert!(ended.is_none(), "{id:?} has ended: {}", ended.expect("seen"));
    }

    fn service(&mut self, id: Id) -> &mut Service {
        self.services.get_mut(&id).expect("there are all five")
    }

    fn take(&mut self, id: Id) -> Child {
        self.service(id).process.take().expect("it runs")
    }

    fn log_path(&self, id: Id) -> PathBuf {
        self.path(&format!("{}.log", id.section()))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.services.values_mut().filter_map(|service| service.process.as_mut()) {
            // It may have ended by itself.
            process.kill().and_then(|()| process.wait()).ok();
        }
        if thread::panicking() {
            for id in ALL {
                eprintln!("--- {id:?}:\n{}", self.log(id));
            }
        }
    }
}

/// A customer by HTTP, on one kept-alive connection.
pub struct Customer(Client);

impl Customer {
    /// A customer at this address.
    pub fn of(address: &str) -> Customer {
        Customer(Client::new(address, PATIENCE))
    }

    /// Status and body of the answer to a GET.
    pub fn get(&mut self, target: &str) -> (u16, Value) {
        self.send("GET", target, &[], b"")
    }

    /// Status and body of the answer to a purchase.
    pub fn buy(&mut self, name: &str, quantity: u64) -> (u16, Value) {
        let body = json!({ "name": name, "quantity": quantity }).to_string();
        self.send("POST", "/orders", &[], body.as_bytes())
    }

    /// Buys with an idempotency key. So it may be repeated after a 503, which may mean that the order stands.
    pub fn buy_with_key(&mut self, key: &str, name: &str, quantity: u64) -> (u16, Value) {
        let body = json!({ "name": name, "quantity": quantity }).to_string();
        self.send("POST", "/orders", &[("Idempotency-Key", key)], body.as_bytes())
    }

    /// Buys one, which must succeed; returns the order's number.
    pub fn buy_one(&mut self, name: &str) -> u64 {
        let (status, body) = self.buy(name, 1);
        assert_eq!(status, 200, "{body}");
        body["data"]["order_number"].as_u64().expect("a number")
    }

    /// The quantity of a toy that is left.
    pub fn quantity(&mut self, name: &str) -> u64 {
        let (status, body) = self.get(&format!("/products/{name}"));
        assert_eq!(status, 200, "{body}");
        body["data"]["quantity"].as_u64().expect("a number")
    }

    /// Status and body of the answer to any request.
    pub fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, Value) {
        let response = self.0.send(method, target, headers, body);
        let response = response.unwrap_or_else(|error| panic!("{method} {target}: {error}"));
        (response.status, serde_json::from_slice(&response.body).expect("bodies are JSON (F2)"))
    }
}

/// The program of this name. Cargo puts it into the directory above that of the tests, also when the test is
/// one of the lab's and the program is one of the store's.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let path = test.ancestors().nth(2).expect("it is in target/debug/deps").join(name);
    assert!(path.exists(), "{} is missing: cargo build --workspace --bins", path.display());
    path
}

/// Waits until there is a value, and returns it.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until a condition holds.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

/// Waits for a process to end; kills it if it does not.
pub fn finish(process: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        if let Some(status) = process.try_wait().expect("it is our child") {
            return status;
        }
        if Instant::now() > deadline {
            process.kill().expect("it runs");
            panic!("process {} did not end", process.id());
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to a process.
pub fn signal(process: &Child, signal: Signal) {
    kill_process(Pid::from_child(process), signal).expect("it runs");
    if signal == Signal::STOP {
        wait_until("its threads have stopped", || is_stopped(process.id()));
    }
}

/// Whether no thread of a process runs any more. The first one that sees the signal stops the others, which takes a moment on a
/// busy machine. Where threads cannot be looked at, it is believed.
fn is_stopped(process: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return true };
    threads.filter_map(Result::ok).all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('T'))
    })
}

/// A loopback address that no other process uses, if the system has more than one.
pub fn own_host() -> String {
    static CLUSTERS: AtomicU32 = AtomicU32::new(0);
    if !cfg!(target_os = "linux") {
        return "127.0.0.1".into();
    }
    let clusters = CLUSTERS.fetch_add(1, Ordering::Relaxed);
    let [_, a, b, c] = (std::process::id() * 32 + clusters).to_be_bytes();
    format!("127.{}.{b}.{c}", 1 + a % 250)
}

/// Addresses with free ports.
pub fn reserve(host: &str, count: usize) -> Vec<String> {
    let bind = || TcpListener::bind((host, 0)).expect("a free port");
    // All are held until the last one is found, so that all are different.
    let listeners: Vec<_> = (0..count).map(|_| bind()).collect();
    let free = |listener: &TcpListener| {
        let address = listener.local_addr().expect("bound").to_string();
        // Closing it is not enough: a process that another test is starting has a copy of it until its `exec`.
        shutdown(listener, Shutdown::Both).expect("it listens");
        address
    };
    listeners.iter().map(free).collect()
}
