//! A store with two front-ends, for one test: a [`Cluster`] and the process of the second front-end.

use super::Id::Frontend;
use super::{Cluster, Customer, own_host, reserve, signal, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use toystore::http::Client;
use toystore::monitoring::status::{FrontendStatus, Status};

/// A store whose configuration has a second front-end.
pub struct Store {
    pub cluster: Cluster,
    /// Where the second front-end takes customers.
    pub second: String,
    second_peer: String,
    process: Option<Child>,
    /// With its configuration and its data.
    directory: TempDir,
}

impl Store {
    /// Opens it with these settings for all programs.
    pub fn open(settings: &[String]) -> Store {
        let [listen, peer] = <[String; 2]>::try_from(reserve(&own_host(), 2)).expect("two");
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("toystore.toml");
        let data = directory.path().join("frontend-2");
        let second = format!(
            "[frontend.2]\nlisten = \"{listen}\"\npeer = \"{peer}\"\ndata = \"{}\"\n",
            data.display()
        );
        fs::write(&file, second).expect("written");
        let config = format!("--config={}", file.display());
        let mut cluster = Cluster::closed(&[&config]);
        for flag in settings {
            cluster.add_flag(flag.clone());
        }
        cluster.add_flag(format!("--client-address={},{listen}", cluster.address(Frontend)));
        cluster.start_all();
        let mut store =
            Store { cluster, second: listen, second_peer: peer, process: None, directory };
        store.start_second();
        store
    }

    pub fn start_second(&mut self) {
        let mut command = self.cluster.program("frontend");
        command.args(["--id", "2", "--exit-with-parent"]).stdin(Stdio::piped());
        let log = self.cluster.path("frontend-2.log");
        let log = File::options().append(true).create(true).open(log).expect("a file");
        command.stderr(log);
        self.process = Some(command.spawn().expect("a process"));
        wait_until("the second front-end answers", || {
            std::net::TcpStream::connect(&self.second).is_ok()
        });
    }

    pub fn kill_second(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().and_then(|()| process.wait()).expect("it is our child");
    }

    pub fn is_second_started(&self) -> bool {
        self.process.is_some()
    }

    /// The data directory of the second front-end.
    pub fn second_data(&self) -> PathBuf {
        self.directory.path().join("frontend-2")
    }

    pub fn signal_second(&self, which: Signal) {
        signal(self.process.as_ref().expect("it runs"), which);
    }

    /// The status of each front-end, `None` of one that does not answer.
    pub fn statuses(&self) -> [Option<Status<FrontendStatus>>; 2] {
        [self.cluster.peer_address(Frontend), &self.second_peer].map(|address| {
            let mut client = Client::new(address, Duration::from_secs(1));
            let response = client.send("GET", "/status", &[], b"").ok()?;
            let mut body: Value = serde_json::from_slice(&response.body).ok()?;
            serde_json::from_value(body["data"].take()).ok()
        })
    }

    /// A customer of each front-end.
    pub fn customers(&self) -> [Customer; 2] {
        [self.cluster.customer(Frontend), Customer::of(&self.second)]
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill_second();
        }
    }
}
