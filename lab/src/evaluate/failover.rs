//! Experiment 5: the leader is killed and started again, then a follower, while customers arrive at a
//! fixed rate. The experiment measures errors and latencies, and compares the replicas at the end.

use super::chapter::{Chapter, Figure, Table, csv};
use super::clients::name;
use super::lab::{Lab, OpenStore};
use super::plot::Picture;
use super::timeline::{Moment, Outage, Request, Timeline};
use super::words;
use crate::loadtest::{self, Answer, Load, Pace, Summary, Workload};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};
use toystore::audit;
use toystore::client::measurements::Kind;
use toystore::client::report::exact;
use toystore::error::{Error, Result};
use toystore::supervisor::ServiceId;

const RATE: f64 = 200.0;
const CONNECTIONS: usize = 20;

/// How often the front-end's view is read.
const POLL: Duration = Duration::from_millis(5);

/// What is done to a replica, and when: in thousandths of the duration.
struct Deed {
    at: u32,
    what: What,
}

enum What {
    KillLeader,
    KillFollower,
    Restart,
}

const SCRIPT: [Deed; 4] = [
    Deed { at: 170, what: What::KillLeader },
    Deed { at: 340, what: What::Restart },
    Deed { at: 620, what: What::KillFollower },
    Deed { at: 750, what: What::Restart },
];

/// Makes the experiment.
pub fn run(lab: &Lab) -> Result<Chapter> {
    let duration = Duration::from_millis(lab.pick(18_000, 7_500));
    lab.begin("5 Fail-over", 3);
    let mut store = lab.open(|_| {})?;
    store.await_first_sale()?;
    let load = Load {
        pace: Pace::Open { rate: RATE },
        ..lab.load(&store, Workload::Mixed { probability: 0.5 }, CONNECTIONS, duration)
    };
    let begun = Instant::now();
    let mut requests = Vec::new();
    let (mut watch, summary) = thread::scope(|scope| {
        // This thread kills and restarts replicas. It is joined below, when the load is over.
        let killer = scope.spawn(|| Watch::new(begun).follow_script(&mut store, duration));
        let summary = loadtest::run(&load, &mut |answer| requests.push(request(begun, answer)));
        let watch = killer.join().unwrap_or_else(|_| Err(Error::invalid("the script panicked")));
        Ok::<_, Error>((watch?, summary?))
    })?;
    lab.step()?;
    store.await_in_sync()?;
    watch.look(&store)?;
    let Watch { outages, moments, .. } = watch;
    lab.step()?;
    let agreement = agreement(&mut store)?;
    lab.step()?;
    let outages = returned(outages, &moments);
    chapter(&Evidence { requests, summary, outages, moments, agreement, duration })
}

/// Everything that was measured.
struct Evidence {
    requests: Vec<Request>,
    summary: Summary,
    outages: Vec<Outage>,
    moments: Vec<Moment>,
    agreement: Agreement,
    duration: Duration,
}

/// What the closed store has on disk.
struct Agreement {
    orders: u64,
    bytes: usize,
    is_identical: bool,
    problems: Vec<String>,
}

fn request(begun: Instant, answer: &Answer<'_>) -> Request {
    Request {
        due_ms: millis(answer.due.saturating_duration_since(begun)),
        kind: name(answer.kind),
        latency_ms: millis(answer.latency()),
        outcome: match answer.outcome {
            loadtest::Outcome::Status(status) => status.to_string(),
            loadtest::Outcome::Failed(failure) => failure.to_string(),
        },
        is_error: answer.outcome.is_error(),
    }
}

/// To a thousandth of a millisecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The outages of replicas, and the views meanwhile.
struct Watch {
    begun: Instant,
    outages: Vec<Outage>,
    moments: Vec<Moment>,
}

impl Watch {
    fn new(begun: Instant) -> Watch {
        Watch { begun, outages: Vec::new(), moments: Vec::new() }
    }

    fn now_ms(&self) -> f64 {
        millis(self.begun.elapsed())
    }

    /// Kills and restarts replicas at their times.
    fn follow_script(mut self, store: &mut OpenStore, duration: Duration) -> Result<Watch> {
        for deed in SCRIPT {
            self.look_until(store, self.begun + duration * deed.at / 1_000)?;
            match deed.what {
                What::Restart => self.restart(store)?,
                What::KillLeader | What::KillFollower => self.kill(store, &deed.what)?,
            }
        }
        self.look_until(store, self.begun + duration)?;
        Ok(self)
    }

    fn kill(&mut self, store: &mut OpenStore, what: &What) -> Result<()> {
        let view = store.status()?.view.ok_or_else(|| Error::unavailable("no leader"))?;
        let (replica, role) = match what {
            What::KillLeader => (Some(view.leader), "leader"),
            _ => (view.ids().filter(|id| *id != view.leader).max(), "follower"),
        };
        let replica = replica.ok_or_else(|| Error::unavailable("there is no follower"))?;
        let killed_ms = self.now_ms();
        store.store.kill(ServiceId::Order(replica))?;
        let restarted_ms = f64::INFINITY;
        self.outages.push(Outage { replica, role, killed_ms, restarted_ms, member_ms: None });
        Ok(())
    }

    fn restart(&mut self, store: &mut OpenStore) -> Result<()> {
        let now_ms = self.now_ms();
        let outage = self.outages.last_mut().expect("the script kills before it restarts");
        outage.restarted_ms = now_ms;
        store.store.restart(ServiceId::Order(outage.replica))
    }

    fn look_until(&mut self, store: &OpenStore, until: Instant) -> Result<()> {
        while Instant::now() < until {
            self.look(store)?;
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Records the view, if it has changed.
    fn look(&mut self, store: &OpenStore) -> Result<()> {
        let Some(view) = store.status()?.view else { return Ok(()) };
        if self.moments.last().is_none_or(|last| last.view != view) {
            self.moments.push(Moment { at_ms: self.now_ms(), view });
        }
        Ok(())
    }
}

/// Adds when each killed replica was a member of the in-sync set again.
fn returned(mut outages: Vec<Outage>, moments: &[Moment]) -> Vec<Outage> {
    for outage in &mut outages {
        let mut later = moments.iter().filter(|moment| moment.at_ms > outage.restarted_ms);
        let back = later.find(|moment| moment.is_member(outage.replica));
        outage.member_ms = back.map(|moment| moment.at_ms);
    }
    outages
}

/// Closes the store, and compares what the replicas have on disk.
fn agreement(store: &mut OpenStore) -> Result<Agreement> {
    store.store.close(|_, _| {});
    let logs: Result<Vec<Vec<u8>>> = store
        .config
        .order
        .replicas
        .values()
        .map(|replica| {
            let path = replica.data.join("orders.csv");
            fs::read(&path).map_err(|e| Error::storage(&path, "cannot read it", e))
        })
        .collect();
    let logs = logs?;
    let verdict = audit::disk::audit(&store.config)?;
    Ok(Agreement {
        orders: verdict.replicas.iter().map(|(_, last)| last.0).max().unwrap_or(0),
        bytes: logs.iter().map(Vec::len).max().unwrap_or(0),
        is_identical: logs.windows(2).all(|pair| pair[0] == pair[1]),
        problems: verdict.problems,
    })
}

/// The longest time without a successful answer to this kind of request: its start and its length.
fn longest_gap(requests: &[Request], kind: &str) -> (f64, f64) {
    let good = requests.iter().filter(|request| request.kind == kind && !request.is_error);
    let mut answered: Vec<_> = good.map(|request| request.due_ms + request.latency_ms).collect();
    answered.sort_by(f64::total_cmp);
    let gaps = answered.windows(2).map(|pair| (pair[0], pair[1] - pair[0]));
    gaps.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default()
}

/// The longest latency of the requests that were due in this time.
fn worst(requests: &[Request], kind: &str, from_ms: f64, to_ms: f64) -> f64 {
    let due = requests.iter().filter(|r| r.kind == kind && (from_ms..to_ms).contains(&r.due_ms));
    due.map(|request| request.latency_ms).fold(0.0, f64::max)
}

fn chapter(evidence: &Evidence) -> Result<Chapter> {
    let Evidence { requests, outages, moments, duration, .. } = evidence;
    let seconds = duration.as_secs_f64();
    Ok(Chapter {
        id: "failover",
        title: "Fail-over",
        setup: format!(
            "{RATE} customers a second arrive for {seconds} s, whether or not the store keeps up; a latency counts \
             from when the customer arrived. Half of the queries are followed by a purchase. The \
             leader is killed (SIGKILL) and started again, then a follower.",
        ),
        findings: findings(evidence),
        surprises: surprises(evidence),
        figures: vec![Figure {
            name: "5-failover",
            title:
                "Latency of each request, and the leader, while replicas are killed and restarted"
                    .into(),
            caption:
                "A dot per request, at the time when it was due. Shaded: a replica is down. \
                      Below: the leader (dark), replicas in sync (light), replicas not in sync (blank)."
                    .into(),
            picture: Picture::of(&Timeline { requests, outages, moments, seconds })?,
            csv: csv(requests)?,
        }],
        table: table(evidence),
    })
}

fn findings(evidence: &Evidence) -> Vec<String> {
    let Evidence { requests, summary, outages, agreement, .. } = evidence;
    let (errors, unsent) = (summary.errors(), summary.unsent);
    let failed = words::share(errors, summary.requests());
    let noticed = match (errors, unsent) {
        (0, 0) => "customers saw latency only".to_owned(),
        (_, 0) => format!("{failed} of the requests failed"),
        _ => format!("{failed} of the requests failed, and {unsent} could not be sent in time"),
    };
    let gaps = ["query", "buy"].map(|kind| longest_gap(requests, kind).1);
    let mut findings = vec![format!(
        "{} requests, {}: {noticed}. The longest time without an answered query was {:.0} ms, without \
         an answered purchase {:.0} ms (at this rate a query is due every {:.0} ms, a purchase every \
         {:.0} ms). The median purchase took {}, the slowest {}.",
        requests.len(),
        words::count(errors, "error"),
        gaps[0],
        gaps[1],
        1e3 / (RATE * 2.0 / 3.0),
        1e3 / (RATE / 3.0),
        words::time(summary.of(Kind::Buy).quantile(0.5).as_secs_f64() * 1e6),
        words::time(summary.of(Kind::Buy).max().as_secs_f64() * 1e6),
    )];
    findings.extend(outages.iter().map(|outage| {
        let back = outage.member_ms.map_or_else(
            || "it was not in sync again before the load ended".to_owned(),
            |member| format!("it was in sync again {:.1} s after its restart", (member - outage.restarted_ms) / 1e3),
        );
        format!(
            "When the {}, replica {}, was killed, the slowest purchase of the next second took {:.1} ms and the \
             slowest query {:.1} ms; {back}.",
            outage.role,
            outage.replica,
            worst(requests, "buy", outage.killed_ms - 50.0, outage.killed_ms + 1e3),
            worst(requests, "query", outage.killed_ms - 50.0, outage.killed_ms + 1e3),
        )
    }));
    findings.push(if agreement.is_identical && agreement.problems.is_empty() {
        format!(
            "At the end the three orders.csv are identical, byte for byte: {} orders, {} bytes. The \
             audit finds that the books balance.",
            agreement.orders, agreement.bytes
        )
    } else {
        "At the end the logs differ, or the books do not balance; see below.".to_owned()
    });
    findings
}

fn surprises(evidence: &Evidence) -> Vec<String> {
    let Evidence { summary, agreement, .. } = evidence;
    let mut surprises = agreement.problems.clone();
    if !agreement.is_identical {
        surprises.push("the three orders.csv differ".to_owned());
    }
    for (kind, counts) in summary.asked() {
        let bad = counts.statuses.iter().filter(|(status, _)| ![200, 409].contains(*status));
        surprises
            .extend(bad.map(|(status, count)| format!("{kind}: status {status}, {count} times")));
        let failures = counts.failures.iter();
        surprises
            .extend(failures.map(|(failure, count)| format!("{kind}: {failure}, {count} times")));
    }
    if summary.unsent > 0 {
        surprises.push(format!("{} requests were due and not sent", summary.unsent));
    }
    surprises
}

fn table(evidence: &Evidence) -> Table {
    let Evidence { requests, summary, .. } = evidence;
    let row = |kind: Kind| {
        let counts = summary.of(kind);
        let time = |quantile| words::time(counts.quantile(quantile).as_secs_f64() * 1e6);
        let (at, gap) = longest_gap(requests, name(kind));
        vec![
            name(kind).to_owned(),
            counts.succeeded().to_string(),
            counts.errors().to_string(),
            words::rate(exact(counts.succeeded()) / summary.elapsed.as_secs_f64()),
            time(0.5),
            time(0.99),
            words::time(counts.max().as_secs_f64() * 1e6),
            format!("{gap:.0} ms, at {:.1} s", at / 1e3),
        ]
    };
    let head = vec![
        "kind",
        "answered",
        "errors",
        "rate",
        "median",
        "p99",
        "longest",
        "longest gap between answers",
    ];
    Table { head, rows: Summary::KINDS.map(row).to_vec() }
}
