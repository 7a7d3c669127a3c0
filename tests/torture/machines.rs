//! Five machines and the switch between them, simulated with network namespaces: each has its own network card,
//! address and packet filter, as a real machine has.
//!
//! ```text
//!        10.77.0.100  customers, the test
//!   switch ═╤════════╤════════╤════════╤═══ a bridge, and a cable (veth) to each machine
//!        catalog  order-1  order-2  order-3  frontend
//!       10.77.0.1   .2       .3       .4        .5
//! ```
//!
//! Everything is inside a network namespace in which the test runs itself ([`run_apart`]), with a mount
//! namespace for the names. The kernel removes both with the last process in them, so nothing is
//! left when the test ends, and the real network cannot be reached.

use crate::support::{ALL, Id, Place};
use std::env;
use std::process::{Command, Output, Stdio};

/// Set for a test that runs inside.
const APART: &str = "TOYSTORE_APART";

/// Names of namespaces are files below /run.
const OWN_RUN: &str = "mount -t tmpfs run /run && exec \"$@\"";

/// The commands that are needed.
const TRIAL: &str = "ip netns add trial && ip link add name trial type veth peer name eth0 netns trial \
                     && ip netns exec trial iptables -S && ip netns delete trial";

/// A fault of the network between the machines.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Its cable is pulled.
    Unplugged(Id),
    /// It receives nothing; what it sends arrives.
    Deaf(Id),
    /// What it sends does not arrive; it receives everything.
    Mute(Id),
    /// These two do not reach each other.
    Apart(Id, Id),
    /// One packet in five is lost, in both directions.
    Lossy(Id),
}

/// Runs this test again where it can make machines, and fails if it fails. Returns whether the caller runs
/// there; if not, the test is done.
pub fn run_apart(test: &str) -> bool {
    if env::var_os(APART).is_some() {
        return true;
    }
    let trial = unshare().args(["sh", "-c", TRIAL]).output();
    let refusal = match &trial {
        Ok(trial) if trial.status.success() => None,
        Ok(trial) => Some(String::from_utf8_lossy(&trial.stderr).into_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    };
    if let Some(refusal) = refusal {
        println!("skipped: no network namespaces are to be had here: {}", refusal.trim());
        return false;
    }
    let own = env::current_exe().expect("this test");
    let mut again = unshare();
    again.arg(own).args(["--ignored", "--exact", "--nocapture", test]).env(APART, "1");
    assert!(again.status().expect("it was tried").success(), "it failed there, see above");
    false
}

/// A command in new namespaces; it needs the command's words.
fn unshare() -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--mount"]);
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["sh", "-c", OWN_RUN, "sh"]).stdin(Stdio::null());
    unshare
}

/// Builds the machines. Only for a test that [`run_apart`] has put into empty namespaces.
pub fn build() {
    ip("link set dev lo up");
    ip("link add name switch type bridge");
    ip("addr add 10.77.0.100/24 dev switch");
    ip("link set dev switch up");
    for id in ALL {
        let (name, host) = (id.section(), host(id));
        ip(&format!("netns add {name}"));
        ip(&format!("link add name {name} type veth peer name eth0 netns {name}"));
        ip(&format!("link set dev {name} master switch up"));
        ip(&format!("-n {name} addr add {host}/24 dev eth0"));
        ip(&format!("-n {name} link set dev eth0 up"));
        ip(&format!("-n {name} link set dev lo up"));
    }
}

/// The place of a service.
pub fn place(id: Id) -> Place {
    let host = host(id);
    let (listen, peer) = (format!("{host}:8080"), format!("{host}:9080"));
    Place { listen, peer, machine: Some(id.section()) }
}

/// Injects a fault.
pub fn befall(fault: Fault) {
    match fault {
        Fault::Unplugged(id) => ip(&format!("link set dev {} down", id.section())),
        Fault::Deaf(id) => filter(id, "-A INPUT ! -i lo -j DROP"),
        Fault::Mute(id) => filter(id, "-A OUTPUT ! -o lo -j DROP"),
        Fault::Apart(one, other) => {
            filter(one, &format!("-A INPUT -s {} -j DROP", host(other)));
            filter(one, &format!("-A OUTPUT -d {} -j DROP", host(other)));
        }
        Fault::Lossy(id) => {
            let one_in_five = "-m statistic --mode random --probability 0.2 -j DROP";
            filter(id, &format!("-A INPUT ! -i lo {one_in_five}"));
            filter(id, &format!("-A OUTPUT ! -o lo {one_in_five}"));
        }
    }
}

/// Heals all faults.
pub fn heal() {
    for id in ALL {
        filter(id, "-F");
        ip(&format!("link set dev {} up", id.section()));
    }
}

/// The address of a machine.
fn host(id: Id) -> String {
    let number = 1 + ALL.iter().position(|other| *other == id).expect("one of the five");
    format!("10.77.0.{number}")
}

fn filter(id: Id, rule: &str) {
    ip(&format!("netns exec {} iptables -w {rule}", id.section()));
}

fn ip(words: &str) {
    assert!(env::var_os(APART).is_some(), "never on the real network");
    let Output { status, stderr, .. } =
        Command::new("ip").args(words.split(' ')).output().expect("it was tried");
    assert!(status.success(), "ip {words}: {}", String::from_utf8_lossy(&stderr));
}
