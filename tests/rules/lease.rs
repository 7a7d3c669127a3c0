//! The lease of a log, with its row in memory ([`candidates`](super::candidates)): never do two processes have it at one
//! moment, and somebody gets it when the writer is gone.

use super::candidates::Candidates;
use proptest::prelude::*;
use std::time::Duration;
use toystore::model::{Identity, Moment};
use toystore::storage::database::lease::{LEASE, LOOK, Watch};
use toystore::storage::database::row::Row;

#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    Go(usize),
    Lose(usize),
    Late,
}

fn follow(candidates: &mut Candidates, step: Step) {
    match step {
        Step::Wait(ms) => candidates.wait(Duration::from_millis(ms)),
        Step::Go(n) => candidates.go(n),
        Step::Lose(n) => candidates.lose(n),
        Step::Late => drop(candidates.arrive_late()),
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..150_u64).prop_map(Step::Wait),
        1 => (390..420_u64).prop_map(Step::Wait),
        16 => (0..3_usize).prop_map(Step::Go),
        1 => (0..3_usize).prop_map(Step::Lose),
        1 => Just(Step::Late),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn two_never_have_the_lease(steps in prop::collection::vec(step(), 1..250)) {
        let mut candidates = Candidates::new(3);
        for step in steps {
            follow(&mut candidates, step);
            let with_lease = candidates.with_lease();
            prop_assert!(with_lease.len() <= 1, "at {:?}: {with_lease:?}", candidates.now());
        }
    }

    #[test]
    fn the_lease_of_a_lost_writer_ends(steps in prop::collection::vec(step(), 1..250)) {
        let mut candidates = Candidates::new(3);
        for step in steps {
            follow(&mut candidates, step);
        }
        let gone = candidates.now();
        let (lost, live): (Vec<usize>, Vec<usize>) = (0..3).partition(|n| candidates.is_writer(*n));
        while !live.iter().any(|n| candidates.is_writer(*n)) {
            for &n in &live {
                candidates.go(n);
                while candidates.is_asking(n) {
                    candidates.go(n);
                }
            }
            candidates.wait(LOOK);
            let now = candidates.now();
            prop_assert!(now <= gone + LEASE + 8 * LOOK, "nobody has taken the log of {lost:?}");
        }
    }
}

#[test]
fn a_log_that_was_given_back_is_taken_at_once_and_one_that_changes_never() {
    let at = |ms| Moment::after(Duration::from_millis(ms));
    let row =
        |beat, writer: &str| Row { term: 3, writer: Identity(writer.into()), position: 9, beat };
    assert!(Watch::default().saw(&row(1, ""), at(0)));
    let mut watch = Watch::default();
    assert!((0..100).all(|n| !watch.saw(&row(n / 7, "us"), at(50 * n))));
    assert!(watch.has_seen(&row(14, "us")) && !watch.has_seen(&row(15, "us")));
    // No answer for a while: the writer may have had none either.
    let mut watch = Watch::default();
    assert!(!watch.saw(&row(1, "us"), at(0)) && !watch.saw(&row(1, "us"), at(3_000)));
    assert!(!watch.saw(&row(1, "us"), at(3_350)) && watch.saw(&row(1, "us"), at(3_400)));
}
