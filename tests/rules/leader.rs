//! A replica as leader: what it commits, what it sends, whom it reports.

use super::{at, item, key, leader, log, member, open, purchase, reconcile, standing, view};
use toystore::error::Error;
use toystore::model::{Epoch, OrderNumber, ReplicaId};
use toystore::order::leadership::{Begin, Duty, Office};
use toystore::order::replica::Replica;
use toystore::protocol::catalog::{Incarnation, Open, Reconciled, Settle, Standing};
use toystore::protocol::order::{AppendOutcome, Appended};

/// Replica 1 as the leader of `epoch`, with this log, which is synced. The other two have not answered yet.
pub(super) fn gathering(epoch: u64, epochs: &[u64], in_sync: &[u32]) -> Replica {
    let others = vec![ReplicaId(2), ReplicaId(3)];
    let mut replica = Replica::new(member(1), others, log(epochs), None, OrderNumber(0));
    replica.accept(view(epoch, in_sync), at(0));
    replica
}

fn acknowledge(leader: &mut Replica, epoch: u64, follower: u32, number: u64, ms: u64) {
    let outcome = AppendOutcome::Synced(OrderNumber(number));
    let answer = Appended { identity: member(follower).identity, outcome };
    leader.answered(Epoch(epoch), ReplicaId(follower), &answer, at(ms));
}

#[test]
fn a_leader_remembers_a_refusal_too_for_the_catalog_forgets_it_with_a_restart() {
    let mut replica = leader();
    let [first, second] = [1, 2].map(|sequence| purchase(sequence, sequence, sequence));
    assert_eq!(replica.begin(&first), Ok(Begin::Ask));
    replica.leading(Epoch(1)).unwrap().refuse(&first, &Error::NotEnoughStock);
    assert_eq!(replica.begin(&first), Err(Error::NotEnoughStock), "a late duplicate");
    assert_eq!(replica.begin(&second), Ok(Begin::Ask));
    assert!(matches!(replica.begin(&first), Err(Error::Invalid { .. })), "it is finished");
}

/// A file that lost whole rows at its end looks complete. Only the other side knows.
#[test]
fn a_leader_that_takes_office_compares_its_log_with_what_the_catalog_sold() {
    let open = vec![Open { key: key(9), item: item("Fox", 4) }];
    for (sold, imbalance) in
        [(Some(6), None), (Some(5), Some(-1)), (Some(9), Some(3)), (None, None)]
    {
        let mut replica = gathering(1, &[1, 1], &[1]);
        let answer = Reconciled { open: open.clone(), position: 7, sold };
        reconcile(&mut replica, 1, answer);
        assert_eq!(replica.imbalance(), imbalance, "{sold:?}");
        replica.synced(OrderNumber(3));
        assert_eq!(replica.office(), Some(Office::Serving));
        let later = Reconciled { open: vec![], position: 8, sold: Some(100) };
        reconcile(&mut replica, 1, later);
        assert_eq!(replica.imbalance(), imbalance, "sales go on while it serves");
    }
}

/// Without this, a follower might keep an order that the new leader does not know, also when nothing is in the log.
#[test]
fn a_leader_waits_for_an_acknowledgement_of_each_member_in_its_epoch() {
    for epochs in [&[][..], &[1, 1]] {
        let base = epochs.len() as u64;
        let mut replica = gathering(2, epochs, &[1, 2, 3]);
        acknowledge(&mut replica, 2, 2, base, 1);
        acknowledge(&mut replica, 1, 3, base, 1);
        replica.tick(at(1));
        assert_eq!(replica.office(), Some(Office::Gathering), "3 has answered an older epoch only");
        assert_eq!(replica.duty(at(1)), None);
        acknowledge(&mut replica, 2, 3, base, 2);
        assert_eq!(replica.office(), Some(Office::Reconciling), "base {base}");
        assert_eq!(replica.duty(at(2)), Some(Duty::Reconcile(Epoch(2))));
    }
}

/// An order is committed when its sale is durable, too, and so is each one before it.
#[test]
fn an_order_is_committed_when_its_sale_is_durable_as_told_by_its_incarnation() {
    let mut replica = leader();
    for (n, position) in [(1, 5), (2, 6), (3, 7)] {
        assert_eq!(replica.begin(&purchase(n, n, 1)), Ok(Begin::Ask));
        let number = replica.reserved(&purchase(n, n, 1), Incarnation(1), position);
        assert_eq!(number, Ok(Some(OrderNumber(n))));
    }
    replica.synced(OrderNumber(3));
    assert_eq!(replica.committed(), OrderNumber(0), "no sale is durable");
    for (what, epoch, incarnation, position, committed) in [
        ("of another incarnation", 1, 2, 7, 0),
        ("of another epoch", 2, 1, 7, 0),
        ("before the first", 1, 1, 4, 0),
        ("the first two", 1, 1, 6, 2),
        ("late", 1, 1, 5, 2),
        ("all", 1, 1, 9, 3),
    ] {
        replica.durable(Epoch(epoch), Incarnation(incarnation), position);
        assert_eq!(replica.committed(), OrderNumber(committed), "{what}");
    }
    // A position that is known to be durable already.
    replica.begin(&purchase(4, 4, 1)).unwrap();
    replica.reserved(&purchase(4, 4, 1), Incarnation(1), 8).unwrap();
    assert_eq!(replica.committed(), OrderNumber(3), "not on the own disk");
    replica.synced(OrderNumber(4));
    assert_eq!(replica.committed(), OrderNumber(4));
}

/// When the catalog has started again, sales may be lost, and the leader sends its orders before anything else.
#[test]
fn a_new_incarnation_sends_a_serving_leader_back_to_reconcile() {
    let mut replica = leader();
    replica.begin(&purchase(1, 1, 1)).unwrap();
    replica.begin(&purchase(2, 2, 1)).unwrap();
    replica.reserved(&purchase(1, 1, 1), Incarnation(1), 5).unwrap();
    replica.synced(OrderNumber(1));
    assert_eq!(replica.duty(at(1)), None);
    replica.leading(Epoch(1)).unwrap().must_reconcile();
    assert_eq!(replica.duty(at(1)), Some(Duty::Reconcile(Epoch(1))));

    let asked = replica.reconcile(Epoch(1), standing(2, 0)).unwrap();
    assert_eq!((asked.after, &asked.entries[..]), (OrderNumber(0), &[open(1)][..]));
    assert_eq!(replica.begin(&purchase(3, 3, 1)), Ok(Begin::Wait));
    let dead = replica.reserved(&purchase(2, 2, 1), Incarnation(1), 6);
    assert_eq!(dead, Ok(None), "nothing is appended that the question did not have");
    replica.durable(Epoch(1), Incarnation(1), 9);
    assert_eq!(replica.committed(), OrderNumber(0), "the sale may be lost");

    let answer = Reconciled { open: vec![open(7)], position: 3, sold: None };
    assert_eq!(replica.reconciled(Epoch(1), Incarnation(2), answer), Ok(Some(OrderNumber(1))));
    assert_eq!(replica.committed(), OrderNumber(1), "it was among the entries");
    assert_eq!(replica.office(), Some(Office::RollingForward(OrderNumber(2))));
    replica.synced(OrderNumber(2));
    assert_eq!(replica.office(), Some(Office::Serving));
    let late = replica.reserved(&purchase(2, 2, 1), Incarnation(1), 6);
    assert_eq!(late, Ok(None), "of the dead incarnation");
    assert_eq!(replica.log().last(), OrderNumber(2));
}

/// What the leader has to tell depends on what the catalog has settled.
#[test]
fn a_leader_sends_what_is_not_settled_and_settles_what_is_committed() {
    let settle = |after, through, keys: &[u64]| {
        let keys = keys.iter().copied().map(key).collect();
        let settle = Settle { after: OrderNumber(after), through: OrderNumber(through), keys };
        Some(Duty::Settle(Epoch(1), settle))
    };
    for (what, settled, sent, left_open, first_settled) in [
        ("nothing is settled", Some(0), &[1, 2, 3][..], &[][..], settle(0, 3, &[1, 2, 3])),
        ("two are settled", Some(2), &[3], &[], settle(2, 3, &[3])),
        ("all are settled", Some(3), &[], &[], None),
        ("more than the log has", Some(4), &[], &[], None),
        ("a journal of an earlier version", None, &[], &[], None),
        ("with open sales", None, &[], &[2, 3], settle(3, 3, &[2, 3])),
    ] {
        let mut replica = gathering(1, &[1, 1, 1], &[1]);
        assert_eq!(replica.duty(at(0)), Some(Duty::Reconcile(Epoch(1))));
        let standing = Standing { incarnation: Incarnation(1), settled: settled.map(OrderNumber) };
        let asked = replica.reconcile(Epoch(1), standing).unwrap();
        let entries: Vec<Open> = sent.iter().copied().map(open).collect();
        assert_eq!(asked.entries, entries, "{what}");
        let left_open = left_open.iter().copied().map(open).collect();
        let answer = Reconciled { open: left_open, position: 9, sold: Some(3) };
        replica.reconciled(Epoch(1), Incarnation(1), answer).unwrap();
        assert_eq!(replica.committed(), OrderNumber(3), "{what}");
        let duty = replica.duty(at(1));
        assert_eq!(duty, first_settled, "{what}");
        if let Some(Duty::Settle(_, settle)) = duty {
            replica.leading(Epoch(1)).unwrap().settled(&settle);
            assert_eq!(replica.duty(at(2)), None, "{what}");
        }
    }
}

/// An outsider that becomes a member may lead next, so it must have nothing of an older epoch after the base. A leader
/// that serves has committed the base.
#[test]
fn an_outsider_is_reported_when_the_leader_serves_and_it_has_what_is_committed() {
    let mut replica = gathering(2, &[1, 1], &[1, 3]);
    let reported = |replica: &Replica, ms| replica.health(true, at(ms)).caught_up;
    let keeps_up = |replica: &mut Replica, number, from, follower_3| {
        for ms in (from..from + 2_100).step_by(100) {
            acknowledge(replica, 2, 2, number, ms);
            acknowledge(replica, 2, 3, follower_3, ms);
            replica.tick(at(ms));
        }
    };
    keeps_up(&mut replica, 0, 100, 0);
    assert_eq!(reported(&replica, 2_200), [], "the leader does not serve");
    acknowledge(&mut replica, 2, 3, 2, 2_300);
    reconcile_in(2, &mut replica);
    assert_eq!(replica.committed(), OrderNumber(2));
    keeps_up(&mut replica, 1, 2_400, 2);
    assert_eq!(reported(&replica, 4_500), [], "it lacks an order of the base");
    keeps_up(&mut replica, 2, 4_600, 2);
    assert_eq!(reported(&replica, 6_700), [member(2)]);
}

/// The leader of this epoch reconciles with a catalog that has settled nothing.
fn reconcile_in(epoch: u64, replica: &mut Replica) {
    replica.reconcile(Epoch(epoch), standing(1, 0)).unwrap();
    replica.reconciled(Epoch(epoch), Incarnation(1), Reconciled::default()).unwrap();
}

#[test]
fn asking_for_the_health_changes_nothing() {
    let replica = leader();
    let before = replica.clone();
    replica.health(true, at(60_000));
    assert_eq!(replica, before);
}

/// What a leader appends itself is not what an older epoch left.
#[test]
fn the_base_is_the_end_of_the_log_when_the_view_was_accepted() {
    let mut replica = leader();
    replica.begin(&purchase(1, 1, 1)).unwrap();
    replica.reserved(&purchase(1, 1, 1), Incarnation(1), 1).unwrap();
    let others = vec![ReplicaId(2)];
    let mut later = Replica::new(member(1), others, replica.log().clone(), None, OrderNumber(0));
    later.accept(view(2, &[1]), at(0));
    let base = |replica: &mut Replica, ms| replica.next_append(ReplicaId(2), at(ms)).unwrap().base;
    assert_eq!(base(&mut later, 1), OrderNumber(1));
    reconcile_in(2, &mut later);
    let two = toystore::protocol::purchase::Purchase { epoch: Epoch(2), ..purchase(2, 2, 1) };
    later.begin(&two).unwrap();
    later.reserved(&two, Incarnation(1), 2).unwrap();
    assert_eq!(later.log().last(), OrderNumber(2));
    assert_eq!(base(&mut later, 2), OrderNumber(1), "what it appends is of its epoch");
}

/// A leader that was replaced without knowing it must not say that an order does not exist, which its successor has
/// made.
#[test]
fn an_unknown_order_is_final_when_every_member_answers_an_append_sent_after_the_question() {
    let mut replica = gathering(1, &[1], &[1, 2, 3]);
    let send = |replica: &mut Replica, follower, ms| {
        replica.next_append(ReplicaId(follower), at(ms)).is_some()
    };
    for follower in [2, 3] {
        assert!(send(&mut replica, follower, 1));
        acknowledge(&mut replica, 1, follower, 1, 2);
    }
    reconcile_in(1, &mut replica);
    assert_eq!(replica.office(), Some(Office::Serving));
    let order = |replica: &mut Replica, number, ms| {
        replica.order(OrderNumber(number), at(ms)).map(|found| found.map(|entry| entry.number.0))
    };
    assert_eq!(order(&mut replica, 1, 5), Ok(Some(1)), "what is committed stays so");
    assert!(!send(&mut replica, 2, 4), "no heartbeat is due");
    assert_eq!(order(&mut replica, 2, 5), Ok(None));
    for follower in [2, 3] {
        assert_eq!(order(&mut replica, 2, 5), Ok(None), "before {follower} has answered");
        assert!(send(&mut replica, follower, 6), "it is asked at once");
        assert!(!send(&mut replica, follower, 7), "once");
        acknowledge(&mut replica, 1, follower, 1, 8);
    }
    assert_eq!(order(&mut replica, 2, 5), Err(Error::UnknownOrder));
    assert_eq!(order(&mut replica, 2, 7), Ok(None), "a question that came later");
    replica.step_down(Epoch(2));
    assert_eq!(order(&mut replica, 2, 5), Err(Error::NotLeader { epoch: 2 }));
}

/// An outsider cannot be elected, so nobody waits for it.
#[test]
fn an_unknown_order_is_not_confirmed_by_those_out_of_sync() {
    let mut replica = gathering(1, &[1], &[1, 2]);
    acknowledge(&mut replica, 1, 2, 1, 2);
    reconcile_in(1, &mut replica);
    assert_eq!(replica.order(OrderNumber(2), at(5)), Ok(None));
    replica.next_append(ReplicaId(2), at(6)).unwrap();
    acknowledge(&mut replica, 1, 2, 1, 8);
    assert_eq!(replica.order(OrderNumber(2), at(5)), Err(Error::UnknownOrder));
}
