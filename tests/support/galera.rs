//! A database for one test: three Galera nodes, started by `deploy/database/start`. Only its own processes are ended.

use super::wait_until;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use toystore::config;

pub const NODES: [u32; 3] = [1, 2, 3];

pub struct Galera {
    directory: TempDir,
    options: String,
}

impl Galera {
    pub fn start() -> Galera {
        Galera::start_on(&std::env::temp_dir(), "")
    }

    /// The same, with everything below this directory, and with more options of `mariadbd`.
    pub fn start_on(disk: &Path, options: &str) -> Galera {
        let directory = tempfile::tempdir_in(disk).expect("a directory");
        let galera = Galera { directory, options: options.to_owned() };
        galera.start_all();
        galera
    }

    /// Starts the nodes that do not run, and waits until all are in sync.
    pub fn start_all(&self) {
        let start = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/database/start");
        let log = self.directory.path().join("start.log");
        // The nodes inherit the output, so it is no pipe.
        let output = || fs::File::options().create(true).append(true).open(&log).expect("a file");
        let mut command = Command::new(start);
        command.arg(self.path()).env("OPTIONS", &self.options);
        command.stdout(output()).stderr(output());
        let status = command.status().expect("it is executable");
        assert!(status.success(), "{}", fs::read_to_string(&log).expect("a file"));
        // A node that was paused does not know yet that the others have gone on without it.
        for node in NODES {
            let size = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'wsrep_cluster_size'";
            wait_until("each node counts all", || self.sql(node, size) == NODES.len().to_string());
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("database")
    }

    /// What the programs of the store need.
    pub fn flags(&self) -> Vec<String> {
        let flags = fs::read_to_string(self.path().join("flags")).expect("a file");
        flags.split_whitespace().map(str::to_owned).collect()
    }

    /// The same as settings.
    pub fn settings(&self) -> config::Database {
        let flags = self.flags();
        let value = |name: &str| {
            let mut values = flags.iter().filter_map(|flag| flag.strip_prefix(name));
            values.next().expect("the script writes it").to_owned()
        };
        let addresses = value("--database-addresses=").split(',').map(str::to_owned).collect();
        let password_file = Some(value("--database-password-file=").into());
        config::Database { addresses, password_file, ..config::Database::default() }
    }

    /// Runs statements at a node, as root.
    pub fn sql(&self, node: u32, statements: &str) -> String {
        let mut command = Command::new("mariadb");
        command.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names"]);
        command
            .arg("--socket")
            .arg(self.node(node).join("socket"))
            .arg("--execute")
            .arg(statements);
        let done = command.output().expect("the client is installed");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim_end().to_owned()
    }

    /// `kill -9`.
    pub fn kill(&self, node: u32) {
        let pid = self.pid(node).expect("it runs");
        kill_process(pid, Signal::KILL).expect("it is ours");
        fs::remove_file(self.node(node).join("pid")).expect("it is ours");
        wait_until("it has ended", || has_ended(pid));
    }

    pub fn signal(&self, node: u32, signal: Signal) {
        kill_process(self.pid(node).expect("it runs"), signal).expect("it is ours");
    }

    fn node(&self, node: u32) -> PathBuf {
        self.path().join(format!("node-{node}"))
    }

    fn pid(&self, node: u32) -> Option<Pid> {
        let pid = fs::read_to_string(self.node(node).join("pid")).ok()?;
        Pid::from_raw(pid.trim().parse().ok()?)
    }
}

/// Whether a process, which is not our child, is gone, or waits only for its parent to notice.
fn has_ended(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.map_or(true, |stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}

impl Drop for Galera {
    fn drop(&mut self) {
        for pid in NODES.into_iter().filter_map(|node| self.pid(node)) {
            kill_process(pid, Signal::KILL).ok();
        }
        if std::thread::panicking() {
            eprintln!("the logs of the database are kept: {}", self.path().display());
            self.directory.disable_cleanup(true);
        }
    }
}
