//! Starts a store for an experiment, with the settings of the experiment, on free ports and
//! with new data, and sends loads to it.
//!
//! - The data is in the directory of the results, on disk and not in memory, so that syncs take their real time. It
//!   is removed when the store closes; the log of the services stays, in `services.log`.
//! - Unless an experiment changes it, stores have plenty of every toy, restock once an hour, and do not log
//!   requests.

use super::measured::Measured;
use crate::loadtest::{self, Load, Pace, Span, Summary, Workload};
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use toystore::client::api::{Api, Keys};
use toystore::client::measurements::{Kind, Measurements};
use toystore::config::{Config, Engine, Instance, all_flags};
use toystore::error::{Error, Result};
use toystore::http::Client;
use toystore::model::{FrontendId, Item, Quantity};
use toystore::monitoring::status::FrontendStatus;
use toystore::output;
use toystore::protocol::web::Data;
use toystore::stop::Stop;
use toystore::supervisor::{Opened, Output, Store};

/// How often each point is measured in a full evaluation.
const ROUNDS: usize = 3;

/// Deadline for an answer, and for an expected change of the store.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long the evaluation measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Some minutes.
    Full,
    /// Less than a minute, as a test.
    Quick,
}

/// Runs experiments.
pub struct Lab {
    directory: PathBuf,
    stop: Stop,
    bar: ProgressBar,
    size: Size,
    /// The seed of all random choices.
    pub seed: u64,
}

impl Lab {
    /// A lab that writes into this directory.
    pub fn new(directory: &Path, stop: Stop, size: Size, seed: u64) -> Lab {
        let style = ProgressStyle::with_template("{msg:52} {wide_bar} {pos}/{len}");
        let bar = ProgressBar::new(0).with_style(style.expect("the template is well-formed"));
        Lab { directory: directory.to_owned(), stop, bar, size, seed }
    }

    /// Where the report is written.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// One of the two, by size.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        match self.size {
            Size::Full => full,
            Size::Quick => quick,
        }
    }

    /// A sentence about how points are measured.
    pub fn pace(&self, each: Duration) -> String {
        let seconds = each.as_secs_f64();
        match self.size {
            Size::Full => {
                format!("{seconds} s at each point, {ROUNDS} times; the median run is shown.")
            }
            Size::Quick => format!("{seconds} s at each point."),
        }
    }

    /// Begins an experiment of this number of steps: shows a bar at a terminal, else prints a line.
    pub fn begin(&self, title: &str, steps: usize) {
        self.bar.reset();
        self.bar.set_length(steps as u64);
        self.bar.set_message(title.to_owned());
        if self.bar.is_hidden() {
            output::complain(title);
        }
    }

    /// Ends a step. An error if the evaluation was interrupted.
    pub fn step(&self) -> Result<()> {
        self.bar.inc(1);
        if self.stop.wait(Duration::ZERO) { Err(interrupted()) } else { Ok(()) }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Writes a file with this number of toys, for stores of this lab.
    pub fn toys(&self, count: usize) -> Result<PathBuf> {
        let path = self.directory.join("toys.csv");
        let rows = (1..=count).map(|n| format!("Toy {n},{n},100\n"));
        let text: String =
            std::iter::once("name,price,quantity\n".to_owned()).chain(rows).collect();
        fs::write(&path, text).map_err(|e| Error::storage(&path, "cannot write it", e))?;
        Ok(path)
    }

    /// Opens a store, and waits until it has a leader and all replicas are in sync.
    pub fn open(&self, settings: impl FnOnce(&mut Config)) -> Result<OpenStore> {
        let data = fresh_directory(&self.directory)?;
        let mut config = plain_config(&data)?;
        settings(&mut config);
        let output = Output::Appended(self.directory.join("services.log"));
        let flags = [all_flags(&config), vec![front_ends_file(&config, &data)?]].concat();
        let store = Store::closed(&config, &flags, &output)?;
        let mut open = OpenStore { store, config, data };
        if open.store.open(&self.stop)? == Opened::Interrupted {
            return Err(interrupted());
        }
        open.await_in_sync()?;
        Ok(open)
    }

    /// Measures all cases in several rounds. For each case and kind of request the median round counts.
    /// A disturbance of the machine affects many cases of one round, but not all rounds of one case.
    /// Returns the results by case.
    pub fn rounds<C: Copy>(
        &self,
        title: &str,
        cases: &[C],
        mut measure: impl FnMut(C) -> Result<Vec<(Kind, Measured)>>,
    ) -> Result<Vec<(C, Kind, Measured)>> {
        let rounds = self.pick(ROUNDS, 1);
        self.begin(title, rounds * cases.len());
        let mut runs = vec![Vec::new(); cases.len()];
        for _ in 0..rounds {
            for (case, runs) in cases.iter().zip(&mut runs) {
                runs.extend(measure(*case)?);
                self.step()?;
            }
        }
        let mut all = Vec::new();
        for (case, runs) in cases.iter().zip(runs) {
            for kind in Summary::KINDS {
                let of_kind = runs.iter().filter(|(other, _)| *other == kind);
                let typical = Measured::typical(of_kind.map(|(_, run)| *run).collect());
                all.extend(typical.map(|measured| (*case, kind, measured)));
            }
        }
        Ok(all)
    }

    /// Measures a closed loop of this duration. Returns each kind of request that succeeded.
    pub fn measure(
        &self,
        store: &OpenStore,
        workload: Workload,
        connections: usize,
        duration: Duration,
    ) -> Result<Vec<(Kind, Measured)>> {
        let load = self.load(store, workload, connections, duration);
        // The first requests are slower, because connections have to be made. They are not measured.
        let warm_up = Load { span: Span::For(duration / 10), ..load.clone() };
        loadtest::run(&warm_up, &mut |_| {})?;
        let summary = loadtest::run(&load, &mut |_| {})?;
        let kinds = Summary::KINDS.into_iter();
        Ok(kinds.filter_map(|kind| Some((kind, Measured::of(&summary, kind)?))).collect())
    }

    /// A load in a closed loop.
    pub fn load(
        &self,
        store: &OpenStore,
        workload: Workload,
        connections: usize,
        duration: Duration,
    ) -> Load {
        Load {
            addresses: vec![store.config.frontend.first.listen.clone()],
            workload,
            pace: Pace::Closed,
            span: Span::For(duration),
            connections,
            pipeline: 1,
            seed: self.seed,
            deadline: PATIENCE,
        }
    }
}

/// An open store. Dropping it closes the store and removes its data.
pub struct OpenStore {
    /// Its services.
    pub store: Store,
    /// Its settings.
    pub config: Config,
    data: PathBuf,
}

impl OpenStore {
    /// The front-end's status.
    pub fn status(&self) -> Result<FrontendStatus> {
        let response = Client::new(&self.config.frontend.first.peer, PATIENCE).send(
            "GET",
            "/status",
            &[],
            b"",
        )?;
        serde_json::from_slice::<Data<FrontendStatus>>(&response.body)
            .map(|body| body.data)
            .map_err(|e| Error::invalid(format!("the front-end's status cannot be read: {e}")))
    }

    /// Waits until all replicas are in sync.
    pub fn await_in_sync(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        // On a database the in-sync set is the leader alone.
        let all = match self.config.storage.engine {
            Engine::Files => self.config.order.replicas.len(),
            Engine::Database => 1,
        };
        // The peer address may open a moment after the request address.
        let view = || self.status().ok().and_then(|status| status.view);
        while view().is_none_or(|view| view.in_sync.len() < all) {
            if Instant::now() > deadline {
                return Err(Error::unavailable(format!("not in sync within {PATIENCE:?}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Makes the first sale. It takes half a second: a catalog that has just started does not know
    /// which leases the process before it granted.
    pub fn await_first_sale(&self) -> Result<()> {
        let measurements = Mutex::default();
        let mut shop = self.shop(&measurements);
        let name = shop.names()?.pop().ok_or_else(|| Error::invalid("the store has no toys"))?;
        let quantity = Quantity::try_from(1)?;
        shop.buy(&Item { name, quantity }).map(drop)
    }

    /// A client that sends single requests.
    pub fn shop<'a>(&self, measurements: &'a Mutex<Measurements>) -> Api<'a> {
        let address = self.config.frontend.first.listen.clone();
        Api::new(
            vec![(&*address).into()],
            &toystore::config::Client::default(),
            Keys::new(),
            measurements,
        )
    }
}

impl Drop for OpenStore {
    fn drop(&mut self) {
        self.store.close(|_, _| {});
        // Files that stay are harmless.
        let _ = fs::remove_dir_all(&self.data);
    }
}

fn interrupted() -> Error {
    Error::invalid("interrupted; there is no report")
}

/// A new directory for the data of one store.
fn fresh_directory(parent: &Path) -> Result<PathBuf> {
    for number in 1.. {
        let path = parent.join(format!("store-{number}"));
        match fs::create_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::storage(&path, "cannot create it", error)),
            Ok(()) => return Ok(path),
        }
    }
    unreachable!("a number that is not taken is found")
}

/// A store on free ports, with data in this directory.
fn plain_config(data: &Path) -> Result<Config> {
    let mut config = Config::default();
    let mut ports = free_addresses(4 + 2 * config.order.replicas.len())?.into_iter();
    let mut address = || ports.next().expect("two for each");
    config.frontend.first.listen = address();
    config.frontend.first.peer = address();
    config.frontend.first.data = data.join("frontend");
    config.frontend.access_log = false;
    config.catalog.first.listen = address();
    config.catalog.first.peer = address();
    config.catalog.first.data = data.join("catalog");
    config.catalog.reset_stock = true;
    config.catalog.restock_to = 1_000_000_000;
    config.catalog.restock_every = Duration::from_secs(3600);
    for (id, replica) in &mut config.order.replicas {
        replica.listen = address();
        replica.peer = address();
        replica.data = data.join(format!("order-{id}"));
    }
    Ok(config)
}

/// The flag with the file that names the front-ends beside the first one: flags cannot add any.
fn front_ends_file(config: &Config, data: &Path) -> Result<String> {
    let table = |(id, instance): (&FrontendId, &Instance)| {
        let Instance { listen, peer, data } = instance;
        let data = data.display().to_string();
        format!("[frontend.{id}]\nlisten = {listen:?}\npeer = {peer:?}\ndata = {data:?}\n")
    };
    let path = data.join("front-ends.toml");
    let text: String = config.frontend.others.iter().map(table).collect();
    fs::write(&path, text).map_err(|e| Error::storage(&path, "cannot write it", e))?;
    Ok(format!("--config={}", path.display()))
}

/// Free addresses. On Linux they are on a loopback host of their own, another one for each call, so that no client
/// connection takes the port of a service that is down for a moment.
pub fn free_addresses(count: usize) -> Result<Vec<String>> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let calls = CALLS.fetch_add(1, Ordering::Relaxed);
    let [_, a, b, c] = std::process::id().wrapping_mul(64).wrapping_add(calls).to_be_bytes();
    let host = if cfg!(target_os = "linux") {
        format!("127.{}.{b}.{c}", 100 + a % 100)
    } else {
        "127.0.0.1".to_owned()
    };
    let bind = || TcpListener::bind((host.as_str(), 0));
    // All are held until the last one is found, so that all are different.
    let listeners: std::io::Result<Vec<_>> = (0..count).map(|_| bind()).collect();
    let addresses = listeners.and_then(|listeners| {
        listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect()
    });
    addresses.map_err(|e| Error::Listen { address: host, why: e.to_string() })
}
