//! Real processes and real disks under faults: a nemesis kills, pauses and disconnects services and
//! fails their disks at random, while customers buy. Then a checker reads the answers that the customers
//! got, and the store's disks, and decides whether every promise was kept.
//!
//! ```text
//! load ──HTTP──▶ front-end ══╗
//!   │            catalog  ═══╬═ links, with a condition       nemesis: kill, stop, condition, disk
//!   ▼            replicas ═══╝                                │
//! history ─────────────▶ checker ◀──── orders.csv, audit      ▼ when what may be noticed
//! ```
//!
//! Three tests are not random: a rolling restart (`rolling`), a catalog that loses what was not synced (`unsynced`), and a
//! store on five machines whose network fails (`apart`, on the `machines`; `make test-netns`).
//!
//! `make torture` runs for minutes (`TORTURE_SECONDS`) from a seed (`TORTURE_SEED`). One short round
//! is in every `make test`. It checks safety only, not times, because the machine may be
//! busy.

#[path = "../support/given.rs"]
mod given;
#[path = "../support/mod.rs"]
mod support;

mod history;
mod load;
mod fault;
mod nemesis;
mod rolling;
mod unsynced;
mod machines;
mod apart;

use given::given;
use history::History;
use load::Load;
use nemesis::{Episode, Expect, Nemesis};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};
use support::Cluster;
use support::Id::{Frontend, Order};
use toystore::history::service::{Service, service};
use toystore::history::{Request, checker};
use toystore::order::file;

/// How long the nemesis injects faults in one round of `make torture`.
const ROUND: Duration = Duration::from_secs(30);
/// The time without faults, before and after.
const CALM: Duration = Duration::from_millis(500);
/// The longest time without a purchase when a replica is lost: two seconds, and two more for a machine
/// that is busy with other work.
const GAP_MAX: Duration = Duration::from_secs(4);
/// Further broken promises are counted, not shown.
const LINES_MAX: usize = 20;

/// Two toys sell out soon; the others never do.
const TOYS: [(&str, u64); 8] = [
    ("Tux", 1_000_000),
    ("Whale", 1_000_000),
    ("Elephant", 1_000_000),
    ("Fox", 1_000_000),
    ("Sea \"Lion\", small", 1_000_000),
    ("Dolphin", 1_000_000),
    ("Barbie", 300),
    ("Monopoly", 20),
];

/// The result of a round.
struct Round {
    seed: u64,
    faults: Vec<Episode>,
    service: Service,
    /// Promises that were broken.
    broken: Vec<String>,
    /// The store, which is closed.
    cluster: Cluster,
}

impl Round {
    /// Opens a store, injects faults for a while, and checks.
    fn run(seed: u64, lasting: Duration) -> Round {
        let cluster = Cluster::closed(&["--catalog-initial=initial.csv"]);
        fs::write(cluster.path("initial.csv"), initial_csv()).expect("a file");
        let history = Arc::new(History::begin(&cluster.path("history.jsonl")));
        let mut nemesis = Nemesis::open(cluster, seed, history.clone());
        let load = shop(&nemesis.cluster, seed, &history);
        thread::sleep(CALM);
        let mut outcome = nemesis.rage(Instant::now() + lasting);
        thread::sleep(CALM);
        load.finish();
        outcome = outcome.and_then(|()| nemesis.await_agreement());
        let (cluster, faults) = nemesis.end();
        let mut broken: Vec<String> = outcome.err().into_iter().collect();
        broken.extend(audit(&cluster));

        let requests = history.requests();
        broken.extend(safety(&cluster, &requests));
        let outages = faults.iter().filter(|fault| fault.expect == Expect::Outage);
        let outages: Vec<_> = outages.map(|outage| (outage.start_us, outage.end_us)).collect();
        let service = service(&requests, &outages);
        Round { seed, faults, service, broken, cluster }
    }

    /// Adds to the broken promises what customers should not have noticed. The limits are wide enough for
    /// a machine that is busy with other work.
    fn judge_service(&mut self) {
        let Service { purchases, sale_is_indefinite, longest_gap_us, .. } = self.service;
        let broken = &mut self.broken;
        broken.extend(self.service.noticed.iter().map(|request| format!("noticed: {request}")));
        if sale_is_indefinite * 200 >= purchases {
            broken.push(format!(
                "{sale_is_indefinite} of {purchases} purchases are in doubt to the end"
            ));
        }
        if Duration::from_micros(longest_gap_us) > GAP_MAX {
            broken.push(format!("no purchase was answered for {longest_gap_us} us"));
        }
    }

    /// Prints the line of this round, and all details if it failed.
    fn report(&mut self) {
        println!("{self}");
        if self.broken.is_empty() {
            return;
        }
        let directory = self.cluster.keep();
        for broken in self.broken.iter().take(LINES_MAX) {
            println!("  {broken}");
        }
        println!("  ({} in all) after these faults:", self.broken.len());
        for fault in &self.faults {
            println!("  {fault}");
        }
        println!("  history, logs and data: {}", directory.display());
        println!("  again: make torture TORTURE_SEED={} TORTURE_SECONDS=1", self.seed);
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Service { requests, purchases, unavailable, unknown, sale_is_indefinite, .. } =
            self.service;
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for fault in &self.faults {
            *kinds.entry(fault.kind()).or_default() += 1;
        }
        let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let verdict = if self.broken.is_empty() { "good" } else { "BROKEN" };
        write!(
            f,
            "seed {}: {} faults ({}); {requests} requests, {purchases} purchases, \
             {unavailable} refused for now, {unknown} unanswered, {sale_is_indefinite} in doubt to the end, \
             {} errors outside outages; longest gap {} ms, slowest {} ms: {verdict}",
            self.seed,
            self.faults.len(),
            kinds.join(", "),
            self.service.noticed.len(),
            self.service.longest_gap_us / 1_000,
            self.service.slowest_us / 1_000,
        )
    }
}

fn initial_csv() -> String {
    let row =
        |(name, count): (&str, u64)| format!("\"{}\",9.9,{count}\n", name.replace('"', "\"\""));
    format!("name,price,quantity\n{}", TOYS.map(row).concat())
}

/// Starts sessions of customers at an open store.
fn shop(store: &Cluster, seed: u64, history: &Arc<History>) -> Load {
    let toys = TOYS.map(|(name, _)| name.to_owned());
    let address = store.address(Frontend).to_owned();
    Load::start(&[address], load::ANSWER, &toys, seed, history)
}

/// Closes a store that is well and has no customers any more. Returns the broken promises, and the errors that
/// customers noticed outside `outages` (from, to).
fn close_and_judge(store: &mut Cluster, history: &History, outages: &[(u64, u64)]) -> Vec<String> {
    store.await_agreement();
    let running = store.program("audit").arg("--running").status();
    assert!(running.expect("a process").success(), "the books of the open store balance");
    store.close();
    let requests = history.requests();
    let mut broken = safety(store, &requests);
    broken.extend(audit(store));
    let service = service(&requests, outages);
    println!(
        "{} requests, {} purchases; longest gap {} ms, slowest {} ms",
        service.requests,
        service.purchases,
        service.longest_gap_us / 1_000,
        service.slowest_us / 1_000,
    );
    broken.extend(service.noticed);
    broken
}

/// The broken promises of a closed store.
fn safety(store: &Cluster, requests: &[Request]) -> Vec<String> {
    let initial = TOYS.map(|(name, count)| (name.to_owned(), count)).into();
    match file::read(&store.data(Order(1))) {
        Ok(disk) => {
            let problems = checker::safety(requests, &initial, &disk.entries);
            problems.iter().map(ToString::to_string).collect()
        }
        Err(error) => vec![error.to_string()],
    }
}

/// What the audit of a closed store finds wrong.
fn audit(cluster: &Cluster) -> Option<String> {
    let audit = cluster.program("audit").stdout(Stdio::piped()).output();
    let audit = audit.expect("a process");
    (!audit.status.success()).then(|| {
        let said = String::from_utf8_lossy(&audit.stdout);
        format!("audit: {said}{}", String::from_utf8_lossy(&audit.stderr))
    })
}

#[test]
fn nothing_is_lost_in_a_short_round() {
    let mut round = Round::run(7, Duration::from_secs(8));
    round.report();
    assert!(round.broken.is_empty(), "promises were broken, see above");
    assert!(round.service.purchases > 0, "nobody bought anything");
}

#[test]
#[ignore = "takes minutes: make torture"]
fn torture() {
    let until = Instant::now() + Duration::from_secs(given("TORTURE_SECONDS").unwrap_or(300));
    let mut seed = given("TORTURE_SEED").unwrap_or(1);
    let mut failed = Vec::new();
    loop {
        let mut round = Round::run(seed, ROUND);
        round.judge_service();
        round.report();
        if !round.broken.is_empty() {
            failed.push(seed);
        }
        if Instant::now() >= until {
            break;
        }
        seed += 1;
    }
    assert!(failed.is_empty(), "rounds with these seeds failed: {failed:?}");
}
