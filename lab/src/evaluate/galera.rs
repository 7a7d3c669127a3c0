//! A database for experiment 7: three Galera nodes on this machine, started by `deploy/database/start`; and the client that
//! the store is measured beside, which makes one transaction for each purchase.

use super::measured::Measured;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use toystore::address;
use toystore::config;
use toystore::error::{Error, Result};
use toystore::storage::database::{Connection, Options, Refusal};

const NODES: [u32; 3] = [1, 2, 3];

/// Longer than this counts as no answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// The tables of the client: ten toys, and orders that the database numbers.
const TABLES: [&str; 4] = [
    "CREATE DATABASE IF NOT EXISTS toystore_plain",
    "CREATE TABLE IF NOT EXISTS toystore_plain.toys (id INT PRIMARY KEY, quantity BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS toystore_plain.orders (
        number BIGINT AUTO_INCREMENT PRIMARY KEY, toy INT NOT NULL, quantity INT NOT NULL)",
    "INSERT IGNORE INTO toystore_plain.toys
        VALUES (0,1e9),(1,1e9),(2,1e9),(3,1e9),(4,1e9),(5,1e9),(6,1e9),(7,1e9),(8,1e9),(9,1e9)",
];

/// The nodes. Dropping it ends them and removes their data.
pub struct Galera {
    directory: PathBuf,
}

impl Galera {
    /// Whether it is installed.
    pub fn is_installed() -> bool {
        Path::new("/usr/lib/galera/libgalera_smm.so").exists()
    }

    /// Starts the nodes, with new data below `parent`.
    pub fn start(parent: &Path) -> Result<Galera> {
        let galera = Galera { directory: parent.join("database") };
        let start = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/database/start");
        let log = parent.join("database.log");
        let failed = |why| Error::storage(&start, "cannot start a database", why);
        let output = File::create(&log).map_err(failed)?;
        // The nodes inherit the output, so it is no pipe.
        let mut command = Command::new(&start);
        command.arg(&galera.directory).stdin(Stdio::null()).stderr(Stdio::null()).stdout(output);
        let status = command.status().map_err(failed)?;
        if status.success() {
            return Ok(galera);
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        Err(Error::storage(&start, "cannot start a database", said.trim_end()))
    }

    /// How a store uses it.
    pub fn settings(&self) -> Result<config::Database> {
        let flags = self.directory.join("flags");
        let text = fs::read_to_string(&flags).map_err(|e| Error::storage(&flags, "no flags", e))?;
        let mut settings = config::Database::default();
        for flag in text.split_whitespace() {
            match flag.split_once('=') {
                Some(("--database-addresses", value)) => {
                    settings.addresses = value.split(',').map(str::to_owned).collect();
                }
                Some(("--database-password-file", value)) => {
                    settings.password_file = Some(value.into());
                }
                _ => {}
            }
        }
        Ok(settings)
    }

    /// `kill -9`.
    pub fn kill(&self, node: u32) {
        let pid = fs::read_to_string(self.directory.join(format!("node-{node}/pid"))).ok();
        let pid = pid.and_then(|pid| Pid::from_raw(pid.trim().parse().ok()?));
        // It may have ended.
        pid.map(|pid| kill_process(pid, Signal::KILL).ok());
    }

    /// Purchases of this many clients at the first node, each in a transaction of its own.
    pub fn sell(&self, clients: usize, duration: Duration) -> Result<Measured> {
        let mut connection = self.connect()?;
        for statement in TABLES {
            connection.run(statement).map_err(|e| refused(&e))?;
        }
        let until = Instant::now() + duration;
        let sold: Result<Vec<Vec<Duration>>> = thread::scope(|scope| {
            let shops: Vec<_> = (0..clients).map(|_| scope.spawn(|| self.shop(until))).collect();
            let ended = shops.into_iter().map(|shop| {
                shop.join().unwrap_or_else(|_| Err(Error::invalid("a client panicked")))
            });
            ended.collect()
        });
        Ok(Measured::of_latencies(sold?.concat(), duration))
    }

    fn shop(&self, until: Instant) -> Result<Vec<Duration>> {
        let mut connection = self.connect()?;
        let mut latencies = Vec::new();
        loop {
            let begun = Instant::now();
            if begun >= until {
                return Ok(latencies);
            }
            let toy = fastrand::u32(..10);
            while let Err(error) = buy(&mut connection, toy) {
                // Another client's transaction came first.
                if !matches!(error, Refusal::Code(1205 | 1213, _)) {
                    return Err(refused(&error));
                }
            }
            latencies.push(begun.elapsed());
        }
    }

    fn connect(&self) -> Result<Connection> {
        let settings = self.settings()?;
        let (node, options) =
            (address::parts(&settings.addresses[0]), Options::of(&settings, ANSWER_TIME_MAX)?);
        Connection::open(&options, node, None, ANSWER_TIME_MAX).map_err(|e| refused(&e))
    }
}

/// One round trip.
fn buy(connection: &mut Connection, toy: u32) -> Result<(), Refusal> {
    let text = format!(
        "BEGIN; UPDATE toystore_plain.toys SET quantity = quantity - 1 WHERE id = {toy} AND quantity >= 1; \
         INSERT INTO toystore_plain.orders (toy, quantity) VALUES ({toy}, 1); COMMIT"
    );
    connection.run(&text)
}

fn refused(error: &Refusal) -> Error {
    Error::unavailable(format!("the database refused: {error}"))
}

impl Drop for Galera {
    fn drop(&mut self) {
        for node in NODES {
            self.kill(node);
        }
        // Files that stay are harmless.
        let _ = fs::remove_dir_all(&self.directory);
    }
}
