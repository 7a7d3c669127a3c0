//! Three members of etcd, with Debian's defaults, and puts to their leader.
//!
//! The client is `benches/peers/src/bin/etcd-load.rs`: gRPC on a runtime of as many threads as there are cores.

use super::other::{Running, free_address, peer};
use super::{ROUND, Writes};
use crate::support::wait_for;
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use toystore::http::Client;

pub struct Etcd {
    program: PathBuf,
    leader: String,
    _members: Vec<Member>,
}

struct Member {
    /// Where it takes puts.
    address: String,
    /// Runs as long as it is here.
    _process: Running,
}

impl Etcd {
    /// An error says what is not installed or not built.
    pub fn start(directory: &Path) -> io::Result<Etcd> {
        let built = "its client is not built; `make bench-etcd` builds it, and needs protoc";
        let program = peer("etcd-load").ok_or_else(|| io::Error::other(built))?;
        let members = start_members(directory).map_err(|error| {
            io::Error::new(error.kind(), format!("etcd (Debian: etcd-server): {error}"))
        })?;
        Ok(Etcd { program, leader: leader(&members), _members: members })
    }

    /// One round of puts.
    pub fn put(&self, clients: usize) -> Writes {
        let output = Command::new("setsid")
            .arg(&self.program)
            .args([&self.leader, &clients.to_string(), &ROUND.as_secs_f64().to_string()])
            .output()
            .expect("setsid is installed");
        let said = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<f64> =
            said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [puts, seconds, p50, p99] = numbers[..] else {
            panic!("{said}{}", String::from_utf8_lossy(&output.stderr));
        };
        let [p50, p99] = [p50, p99].map(|micros| Duration::from_secs_f64(micros / 1e6));
        Writes { per_second: puts / seconds, p50, p99 }
    }
}

fn start_members(directory: &Path) -> io::Result<Vec<Member>> {
    let peers = [(); 3].map(|()| format!("http://{}", free_address()));
    let named = |(id, peer): (usize, &String)| format!("member-{id}={peer}");
    let cluster = peers.iter().enumerate().map(named).collect::<Vec<_>>().join(",");
    let start = |(id, peer): (usize, &String)| {
        let address = free_address();
        let clients = format!("http://{address}");
        let data = directory.join(format!("member-{id}"));
        let arguments = [
            "--name",
            &format!("member-{id}"),
            "--data-dir",
            &data.display().to_string(),
            "--listen-peer-urls",
            peer,
            "--initial-advertise-peer-urls",
            peer,
            "--listen-client-urls",
            &clients,
            "--advertise-client-urls",
            &clients,
            "--initial-cluster",
            &cluster,
        ];
        let log = directory.join(format!("member-{id}.log"));
        // Its peer address is open before it has found the other members.
        let process = Running::start("etcd", &arguments, peer.trim_start_matches("http://"), &log)?;
        Ok(Member { address, _process: process })
    };
    peers.iter().enumerate().map(start).collect()
}

/// The address of the leader, once there is one.
fn leader(members: &[Member]) -> String {
    wait_for("a leader of etcd", || {
        members.iter().find_map(|member| {
            let mut client = Client::new(&member.address, Duration::from_secs(1));
            let answer = client.send("POST", "/v3/maintenance/status", &[], b"{}").ok()?;
            let status: Value = serde_json::from_slice(&answer.body).ok()?;
            (status["leader"].is_string() && status["leader"] == status["header"]["member_id"])
                .then(|| member.address.clone())
        })
    })
}
