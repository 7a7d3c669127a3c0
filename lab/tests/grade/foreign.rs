//! Stores that somebody else started: nothing is known but their URL, and perhaps commands for faults.

use super::support::{Cluster, Id};
use super::{Graded, own_store, rubric, turn};
use std::time::Duration;
use toystore::links::{Condition, Links};

/// The submission of a store at a URL. `more` comes after its toys.
fn at_url(url: &str, more: &str) -> String {
    let template = own_store("", "");
    let (_, toys) = template.split_once("[toys]").expect("toys");
    let (toys, _) = toys.split_once("[restock]").expect("toys come first");
    format!(
        "[api]\nurl = \"http://{url}\"\nkey = \"Idempotency-Key\"\ncodes = {{ not_enough = 409 }}\n\
         [toys]{toys}{more}"
    )
}

/// Commands that pause the catalog of a store, and the capacity of its cache. On a busy machine a look at the cache is
/// often too late, and has to be repeated.
fn pauses(store: &Cluster) -> String {
    let pid = store.pid(Id::Catalog);
    let fault = |name, signal| format!("{name} = [\"kill\", \"-{signal}\", \"{pid}\"]");
    let (pause, resume) = (fault("pause", "STOP"), fault("resume", "CONT"));
    format!(
        "[cache]\ncapacity = 7\n[deadlines]\nfailover_ms = 60000\n[[process]]\nname = \"catalog\"\nrole = \"catalog\"\n\
         faults = {{ {pause}, {resume} }}\n"
    )
}

#[test]
fn a_store_that_runs_already_is_graded_by_its_url() {
    let _turn = turn();
    let checks = ["buy", "look-up", "keep-alive", "cached", "eviction", "order-numbers", "latency"];
    let checks = [&checks[..], &["duplicate-key", "no-oversell", "stock-conserved"]].concat();
    // The third to last sells a toy out; the next one buys another. The last one needs commands.
    let checks = [&checks[..], &["all-restart"]].concat();
    for has_faults in [false, true] {
        let store = Cluster::open(&[]);
        let more = if has_faults { pauses(&store) } else { String::new() };
        let graded = Graded::new(&at_url(store.address(Id::Frontend), &more), &rubric(&checks));
        graded.run();
        let report = graded.report();
        for check in &checks {
            let (verdict, seen) = graded.verdict(check);
            let expected = match *check {
                // Without a fault it is the latency that shows the cache, or does not.
                "cached" if !has_faults => {
                    assert!(seen.contains("the first query of a toy that was bought"), "{seen}");
                    continue;
                }
                "eviction" if !has_faults => "not_graded",
                "all-restart" => "not_graded",
                _ => "passed",
            };
            assert_eq!(verdict, expected, "{check}: {seen}: {report:#}");
        }
        graded.run();
        let (verdict, seen) = graded.verdict("buy");
        assert_eq!(verdict, "not_graded");
        assert!(seen.contains("it has orders already"), "{seen}");
        graded.assert_clean();
    }
}

/// Points that a store has earned do not depend on what else it does wrong; a loss may, so it is not counted twice.
#[test]
fn after_a_loss_a_store_that_cannot_be_made_fresh_gets_points_but_loses_no_more() {
    let _turn = turn();
    let store = Cluster::open(&[]);
    // It answers 400, and has 100 Dolphins. The check that loses points buys Barbies.
    let text = at_url(store.address(Id::Frontend), "")
        .replace("not_enough = 409", "not_enough = 409, malformed = 422")
        .replace("Dolphin = 100", "Dolphin = 90");
    let checks = ["negative", "order-numbers", "stock-conserved", "known-toy"];
    let graded = Graded::new(&text, &rubric(&checks));
    graded.run();
    let verdicts = checks.map(|check| graded.verdict(check));
    let expected = ["lost", "passed", "passed", "not_graded"];
    assert_eq!(verdicts.each_ref().map(|(verdict, _)| verdict.as_str()), expected, "{verdicts:?}");
    let seen = &verdicts[3].1;
    assert!(seen.contains("Dolphin is shown") && seen.contains("what negative saw"), "{seen}");
}

/// Our front-end answers from its cache for less than half a second without the catalog. Here that is too short for
/// all toys of the cache, as on a machine that is busy.
#[test]
fn a_cache_is_seen_though_every_request_takes_long() {
    let _turn = turn();
    let store = Cluster::open(&[]);
    let mut links = Links::at("127.0.0.1");
    let direction = ("grade", "front-end");
    let frontend = store.address(Id::Frontend).parse().expect("an address");
    let link = links.link(direction, frontend).expect("a port");
    links.set([direction], Condition::Slow(Duration::from_millis(80)));
    let checks = ["cached", "eviction"];
    let graded = Graded::new(&at_url(&link.to_string(), &pauses(&store)), &rubric(&checks));
    graded.run();
    let verdicts = checks.map(|check| graded.verdict(check));
    assert!(verdicts.iter().all(|(verdict, _)| verdict == "passed"), "{verdicts:?}");
}
