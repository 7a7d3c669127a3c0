//! Which purchases the front-end sends together, and that every purchase that waits is sent.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;
use toystore::error::Error;
use toystore::frontend::purchases::{Batch, Next, PAUSE, PurchasesInFlight};
use toystore::model::{Epoch, FrontendId, Item, Moment, OrderNumber, Quantity};
use toystore::protocol::order::Bought;

const fn ms(n: u64) -> Moment {
    Moment::after(Duration::from_millis(n))
}

fn deadline() -> Moment {
    ms(1_000)
}

/// Begins a purchase; its sequence is its waker.
fn begin(purchases: &mut PurchasesInFlight<u64>, waker: u64) -> u64 {
    purchases.begin(None, item(), deadline(), waker).unwrap()
}

fn item() -> Item {
    Item { name: "Tux".parse().unwrap(), quantity: Quantity::try_from(1).unwrap() }
}

fn asked(purchases: &mut PurchasesInFlight<u64>, sequence: u64) -> Batch {
    match purchases.next(sequence, ms(0)) {
        Next::Ask(batch, _) => batch,
        other => panic!("{other:?}"),
    }
}

fn sequences(purchases: &mut PurchasesInFlight<u64>, batch: &mut Batch) -> Vec<u64> {
    let sent = purchases.to_send(batch, Epoch(2), Epoch(1));
    sent.into_iter().map(|purchase| purchase.id.sequence).collect()
}

#[test]
fn purchases_that_wait_are_sent_together_and_each_has_its_own_outcome_and_attempts() {
    let mut purchases = PurchasesInFlight::new(FrontendId(1));
    let first = begin(&mut purchases, 1);
    let alone = asked(&mut purchases, first);
    let [second, third, fourth] = [2, 3, 4].map(|waker| begin(&mut purchases, waker));
    assert!(matches!(purchases.next(third, ms(0)), Next::Wait), "one call at a time");
    let bought = |number| Ok(Bought { number: OrderNumber(number), version: None });
    let woken = purchases.told(&alone, Ok(vec![bought(7)]), ms(10));
    assert_eq!(woken, [1, 2], "whose outcome is there, and who sends the next call");
    let mut together = asked(&mut purchases, second);
    assert_eq!(sequences(&mut purchases, &mut together), [second, third, fourth]);
    let answers = vec![bought(8), Err(Error::NotEnoughStock), Err(Error::NotLeader { epoch: 2 })];
    let woken = purchases.told(&together, Ok(answers), ms(10));
    assert_eq!(woken, [2, 3, 4], "the last is to be asked for again");
    let outcome = |purchases: &mut PurchasesInFlight<u64>, sequence| match purchases
        .next(sequence, deadline())
    {
        Next::Over(outcome) => outcome,
        other => panic!("{other:?}"),
    };
    assert_eq!(outcome(&mut purchases, second), bought(8));
    assert_eq!(outcome(&mut purchases, third), Err(Error::NotEnoughStock));
    // Only this one waits for the pause.
    let Next::Ask(mut again, from) = purchases.next(fourth, ms(10)) else { panic!("not sent") };
    assert_eq!(from, ms(10) + PAUSE);
    sequences(&mut purchases, &mut again);
    purchases.told(&again, Err(Error::unanswered("lost")), ms(10));
    // At its deadline: after a call without an answer the error is indefinite.
    assert!(!outcome(&mut purchases, fourth).unwrap_err().is_definite());
}

/// A late duplicate is refused because its caller has reported it as finished: never while the call with it is under way.
#[test]
fn nothing_is_sent_while_a_call_is_under_way_with_a_purchase_that_nobody_waits_for() {
    let mut purchases = PurchasesInFlight::new(FrontendId(1));
    let first = begin(&mut purchases, 1);
    let mut batch = asked(&mut purchases, first);
    assert_eq!(sequences(&mut purchases, &mut batch), [first]);
    let second = begin(&mut purchases, 2);
    assert_eq!(purchases.end(first), None);
    assert!(matches!(purchases.next(second, ms(0)), Next::Wait), "the call is not over");
    let woken = purchases.told(&batch, Err(Error::unanswered("lost")), ms(10));
    assert_eq!(woken, [2], "nobody waits for the first, and it is not sent again");
    let mut next = asked(&mut purchases, second);
    assert_eq!(purchases.to_send(&mut next, Epoch(1), Epoch(1))[0].ack_below, second);
}

/// Who is told that nothing was bought is not bought for afterwards: neither one that still waits, nor one whose call
/// waits for a leader. Who was sent to a leader is not told so.
#[test]
fn a_purchase_that_was_not_sent_before_its_deadline_is_never_sent() {
    let mut purchases = PurchasesInFlight::new(FrontendId(1));
    let [first, second] = [1, 2].map(|waker| begin(&mut purchases, waker));
    let mut batch = asked(&mut purchases, first);
    let waits = begin(&mut purchases, 3);
    for sequence in [second, waits] {
        let Next::Over(Err(error)) = purchases.next(sequence, deadline()) else {
            panic!("it is late")
        };
        assert!(error.is_definite(), "{error}");
    }
    assert_eq!(sequences(&mut purchases, &mut batch), [first]);
    let Next::Over(Err(error)) = purchases.next(first, deadline()) else { panic!("it is late") };
    assert!(!error.is_definite(), "{error}");
    let later = purchases.begin(None, item(), ms(2_000), 4).unwrap();
    purchases.told(&batch, Ok(vec![Err(Error::NotLeader { epoch: 1 })]), deadline());
    let mut batch = asked(&mut purchases, later);
    assert_eq!(sequences(&mut purchases, &mut batch), [later]);
}

/// In every order of events some thread or some waker is responsible for the purchases that wait.
#[test]
fn no_purchase_is_forgotten() {
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut purchases = PurchasesInFlight::new(FrontendId(1));
        let (mut awake, mut there, mut under_way) = (Vec::new(), Vec::new(), Vec::new());
        for step in 0..400 {
            let is_ending = step > 300;
            match rng.u32(0..4) {
                0 if !is_ending => {
                    let sequence = begin(&mut purchases, step);
                    there.push((sequence, step));
                    awake.push(step);
                }
                1 if !awake.is_empty() => {
                    let waker = awake.swap_remove(rng.usize(..awake.len()));
                    let Some(at) = there.iter().position(|(_, other)| *other == waker) else {
                        continue;
                    };
                    match purchases.next(there[at].0, ms(0)) {
                        Next::Wait => {}
                        Next::Ask(batch, _) => under_way.push((batch, waker)),
                        Next::Over(_) => {
                            awake.extend(purchases.end(there.swap_remove(at).0));
                        }
                    }
                }
                2 if !under_way.is_empty() => {
                    let (mut batch, waker) = under_way.swap_remove(rng.usize(..under_way.len()));
                    let bought = Bought { number: OrderNumber(1), version: None };
                    let failed = Error::NotLeader { epoch: 1 };
                    let mut answer =
                        |_| if rng.bool() { Ok(bought.clone()) } else { Err(failed.clone()) };
                    let answers = sequences(&mut purchases, &mut batch)
                        .into_iter()
                        .map(&mut answer)
                        .collect();
                    awake.extend(purchases.told(&batch, Ok(answers), ms(10)));
                    awake.push(waker);
                }
                3 if !there.is_empty() && !is_ending => {
                    // A connection breaks. The call that it sends, if any, ends by itself.
                    let (sequence, waker) = there.swap_remove(rng.usize(..there.len()));
                    awake.retain(|other| *other != waker);
                    awake.extend(purchases.end(sequence));
                }
                _ => {}
            }
            let waits = purchases.waits();
            assert!(
                !waits || !awake.is_empty() || !under_way.is_empty(),
                "seed {seed}, step {step}"
            );
        }
    }
}
