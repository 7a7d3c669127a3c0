//! The way of purchases through the leader: what a customer is told, and what is asked again.

use super::{at, leader, open, purchase, reconcile, standing};
use toystore::error::{Error, Result};
use toystore::model::{Epoch, Item, OrderNumber, Price, Quantity, ToyName};
use toystore::order::buying::{Buying, Next};
use toystore::order::leadership::Duty;
use toystore::order::replica::Replica;
use toystore::protocol;
use toystore::protocol::Answer;
use toystore::protocol::catalog::{self, Incarnation, Reconciled, Reserved, Sold};
use toystore::protocol::order::Bought;
use toystore::protocol::purchase::Purchase;

/// What the catalog answers in this incarnation, resting on the rows up to this position.
#[expect(clippy::unnecessary_wraps, reason = "as the leader receives it")]
fn reserved(incarnation: u64, position: u64, outcomes: Vec<Result<Sold>>) -> Result<Reserved> {
    let incarnation = Incarnation(incarnation);
    let outcomes = outcomes.into_iter().map(Answer::from).collect();
    Ok(Reserved { incarnation, position, outcomes })
}

#[expect(clippy::unnecessary_wraps, reason = "as the leader receives it")]
fn sold(version: u64) -> Result<Sold> {
    Ok(Sold { cost: Price(1), version })
}

/// What the leader of epoch 1, whose log ends at `logged`, asks the catalog.
fn ask(logged: u64, purchases: Vec<Purchase>) -> Next {
    Next::Ask { epoch: Epoch(1), logged: OrderNumber(logged), purchases }
}

/// A purchase that is at the catalog.
fn asked(replica: &mut Replica) -> Buying {
    let mut buying = Buying::new(vec![purchase(1, 1, 1)]);
    assert_eq!(buying.next(replica), ask(0, vec![purchase(1, 1, 1)]));
    buying
}

fn ended(next: Next) -> Result<Bought> {
    match next {
        Next::Over(mut outcomes) => outcomes.remove(0),
        other => panic!("{other:?}"),
    }
}

/// A "definite" error tells a customer that the purchase certainly did not happen.
#[test]
fn once_the_catalog_may_have_sold_no_error_is_definite_but_its_own_refusal() {
    let is_definite = |next: Next| ended(next).unwrap_err().is_definite();
    // The catalog sold, and the leader was deposed before the entry was in the log, or after.
    for is_logged in [false, true] {
        let mut replica = leader();
        let mut buying = asked(&mut replica);
        if !is_logged {
            replica.step_down(Epoch(2));
        }
        buying.told(&mut replica, reserved(1, 5, vec![sold(2)]), false);
        replica.step_down(Epoch(2));
        assert!(!is_definite(buying.next(&mut replica)), "logged: {is_logged}");
    }
    // It did not answer, sent a malformed answer, or refused after a call that it did not answer.
    let (lost, closed) = (Error::unanswered("lost"), Error::unavailable("closed"));
    let stale = Error::Stale { epoch: 2 };
    for (answers, is_known) in [
        (vec![Err(lost.clone())], false),
        (vec![reserved(1, 5, vec![])], false),
        (vec![Err(lost.clone()), Err(closed.clone())], false),
        (vec![Err(lost), Err(stale.clone())], false),
        (vec![Err(closed.clone()), Err(closed)], true),
        (vec![Err(stale)], true),
    ] {
        let mut replica = leader();
        let mut buying = asked(&mut replica);
        let what = format!("{answers:?}");
        let mut calls = answers.len();
        for answer in answers {
            calls -= 1;
            let is_over = buying.told(&mut replica, answer, calls == 0);
            assert_eq!(is_over, calls == 0, "{what}: asked again while there is time");
            if !is_over {
                assert_eq!(buying.next(&mut replica), ask(0, vec![purchase(1, 1, 1)]), "{what}");
            }
        }
        assert_eq!(is_definite(buying.next(&mut replica)), is_known, "{what}");
    }
    // Another request with the same key is at the catalog when the replica is deposed.
    let mut replica = leader();
    let _first = asked(&mut replica);
    let mut second = Buying::new(vec![purchase(1, 1, 1)]);
    assert_eq!(second.next(&mut replica), Next::Wait);
    replica.step_down(Epoch(2));
    assert!(!is_definite(second.next(&mut replica)));
    // Any error before the catalog is asked is definite.
    let mut late = Buying::new(vec![purchase(2, 2, 1)]);
    assert!(is_definite(late.next(&mut replica)));
    // An order that is in the log when time is up may be committed later.
    let mut replica = leader();
    let mut buying = asked(&mut replica);
    buying.told(&mut replica, reserved(1, 5, vec![sold(2)]), false);
    assert_eq!(buying.next(&mut replica), Next::Wait);
    assert!(!buying.late(&mut replica).remove(0).unwrap_err().is_definite());
}

/// Purchases that are sent together are independent: each has its own outcome.
#[test]
fn purchases_of_one_call_each_have_their_own_outcome() {
    let mut replica = leader();
    let all: Vec<Purchase> = (1..=3).map(|n| purchase(n, n, 1)).collect();
    let again = purchase(1, 4, 1);
    let mut buying = Buying::new([all.clone(), vec![again]].concat());
    assert_eq!(buying.next(&mut replica), ask(0, all), "the same key is sold once");
    // The third has no answer.
    let answers = reserved(1, 5, vec![sold(2), Err(Error::NotEnoughStock)]);
    buying.told(&mut replica, answers, false);
    assert_eq!(replica.log().last(), OrderNumber(1));
    replica.synced(OrderNumber(1));
    assert_eq!(buying.next(&mut replica), Next::Wait, "the catalog has not synced");
    replica.durable(Epoch(1), Incarnation(1), 5);
    let Next::Over(outcomes) = buying.next(&mut replica) else { panic!("{buying:?}") };
    let bought = |version| Ok(Bought { number: OrderNumber(1), version });
    assert_eq!(outcomes[..2], [bought(Some(2)), Err(Error::NotEnoughStock)]);
    assert!(!outcomes[2].clone().unwrap_err().is_definite());
    assert_eq!(outcomes[3], bought(None), "its key has an order");
}

/// Otherwise a customer might be told that a toy is sold out by sales that were lost.
#[test]
fn a_refusal_waits_until_what_it_rests_on_is_durable() {
    let mut replica = leader();
    let mut buying = asked(&mut replica);
    let refused = || reserved(1, 5, vec![Err(Error::NotEnoughStock)]);
    assert!(buying.told(&mut replica, refused(), false));
    for (epoch, incarnation, position) in [(1, 1, 4), (1, 2, 5), (2, 1, 5)] {
        replica.durable(Epoch(epoch), Incarnation(incarnation), position);
        assert_eq!(buying.next(&mut replica), Next::Wait, "{epoch}, {incarnation}, {position}");
    }
    replica.durable(Epoch(1), Incarnation(1), 5);
    assert_eq!(ended(buying.next(&mut replica)), Err(Error::NotEnoughStock));

    // A leader that is deposed meanwhile says that it does not lead: nothing was sold.
    let mut replica = leader();
    let mut buying = asked(&mut replica);
    buying.told(&mut replica, refused(), false);
    replica.step_down(Epoch(2));
    assert_eq!(ended(buying.next(&mut replica)), Err(Error::NotLeader { epoch: 2 }));

    // Nor does it say so when time is up.
    let mut replica = leader();
    let mut buying = asked(&mut replica);
    buying.told(&mut replica, refused(), false);
    let late = buying.late(&mut replica).remove(0);
    assert!(matches!(late, Err(Error::Unavailable { .. })), "{late:?}");
}

/// What an incarnation of the catalog has answered before it ended may be lost.
#[test]
fn what_another_incarnation_answered_is_asked_again() {
    let starts_again = |replica: &mut Replica| {
        replica.leading(Epoch(1)).unwrap().must_reconcile();
        assert_eq!(replica.duty(at(1)), Some(Duty::Reconcile(Epoch(1))));
        reconcile(replica, 2, Reconciled { position: 3, ..Reconciled::default() });
    };
    for (what, answer) in [("a sale", sold(2)), ("a refusal", Err(Error::NotEnoughStock))] {
        for is_told_first in [true, false] {
            let mut replica = leader();
            let mut buying = asked(&mut replica);
            let is_logged = is_told_first && answer.is_ok();
            let early = reserved(1, 5, vec![answer.clone()]);
            if is_told_first {
                buying.told(&mut replica, early, false);
                starts_again(&mut replica);
            } else {
                starts_again(&mut replica);
                buying.told(&mut replica, early, false);
            }
            if is_logged {
                // The order was among the entries, so its sale was made again, with another version.
                replica.synced(OrderNumber(1));
                let bought = Bought { number: OrderNumber(1), version: None };
                assert_eq!(ended(buying.next(&mut replica)), Ok(bought), "{what}");
                continue;
            }
            let again = ask(0, vec![purchase(1, 1, 1)]);
            assert_eq!(buying.next(&mut replica), again, "{what}, told first: {is_told_first}");
            assert_eq!(replica.log().last(), OrderNumber(0));
            buying.told(&mut replica, reserved(2, 4, vec![sold(7)]), false);
            replica.synced(OrderNumber(1));
            replica.durable(Epoch(1), Incarnation(2), 4);
            let bought = Bought { number: OrderNumber(1), version: Some(7) };
            assert_eq!(ended(buying.next(&mut replica)), Ok(bought), "{what}");
        }
    }
    // While it reconciles, nothing is asked; and then the answer may have the open sale.
    let mut replica = leader();
    let mut buying = asked(&mut replica);
    let question = replica.reconcile(Epoch(1), standing(2, 0)).unwrap();
    buying.told(&mut replica, reserved(1, 5, vec![sold(2)]), false);
    assert_eq!(buying.next(&mut replica), Next::Wait);
    let answer = Reconciled { open: vec![open(1)], position: 3, sold: None };
    replica.reconciled(Epoch(1), question.incarnation, answer).unwrap();
    replica.synced(OrderNumber(1));
    let bought = Bought { number: OrderNumber(1), version: None };
    assert_eq!(ended(buying.next(&mut replica)), Ok(bought));
    assert_eq!(replica.log().last(), OrderNumber(1), "once");
}

/// Names are written to files with one row per line, so a frame is checked like a request.
#[test]
fn a_toy_name_is_checked_wherever_it_comes_in() {
    let buy = |name: &str| {
        let purchase = Purchase {
            item: Item { name: "NAME".parse().unwrap(), quantity: Quantity::try_from(1).unwrap() },
            ..purchase(1, 1, 1)
        };
        let (epoch, logged) = (Epoch(1), OrderNumber(0));
        let purchases = vec![purchase];
        let frame = serde_json::to_string(&catalog::Request::Purchase { epoch, logged, purchases });
        let name = serde_json::to_string(name).unwrap();
        let frame = frame.unwrap().replace("\"NAME\"", &name);
        protocol::question::<catalog::Request>(frame.as_bytes()).map(drop)
    };
    for good in ["T", "Sea \"Lion\", small", "🐧", &"x".repeat(ToyName::BYTES_MAX)] {
        assert_eq!(buy(good), Ok(()), "{good:?}");
    }
    for bad in ["", "a\nb", "a\rb", "\0", "\u{7f}", "\u{85}", &"x".repeat(ToyName::BYTES_MAX + 1)] {
        let why = buy(bad).unwrap_err().to_string();
        assert!(why.contains("a toy's name has 1 to 100 bytes"), "{bad:?}: {why}");
    }
}

#[test]
fn a_question_that_was_sent_twice_may_have_been_done_the_first_time() {
    let passing = protocol::of_repeated::<()>(Err(Error::NotLeader { epoch: 1 }));
    assert!(passing.is_err_and(|error| !error.is_definite()));
    let refused = protocol::of_repeated::<()>(Err(Error::NotEnoughStock));
    assert_eq!(refused, Err(Error::NotEnoughStock));
}
