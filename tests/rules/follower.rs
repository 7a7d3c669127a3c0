//! A replica as follower: which entries it takes, what it cuts, what it acknowledges.

use super::leader::gathering;
use super::{at, entry, key, log, member, view};
use toystore::error::Error;
use toystore::model::{Entry, Epoch, Identity, Member, OrderNumber, ReplicaId, View};
use toystore::order::replica::{Replica, Taken};
use toystore::protocol::order::Append;

/// Replica 2 as a follower in epoch 3, with a log whose entries have these epochs.
fn follower(epochs: &[u64]) -> Replica {
    let mut replica =
        Replica::new(member(2), vec![ReplicaId(1)], log(epochs), None, OrderNumber(0));
    replica.accept(view(3, &[1, 2]), at(0));
    replica
}

/// An append of the leader of epoch 3, after entry `prev` of epoch `prev_epoch`.
fn append((prev, prev_epoch): (u64, u64), entries: Vec<Entry>, base: u64) -> Append {
    Append {
        view: view(3, &[1, 2]),
        prev_number: OrderNumber(prev),
        prev_epoch: Epoch(prev_epoch),
        entries,
        committed: OrderNumber(0),
        base: OrderNumber(base),
    }
}

#[test]
fn a_follower_takes_entries_only_after_one_that_it_has() {
    for (prev, fits) in [
        ((0, 0), true),
        ((2, 1), true),
        ((2, 2), false),
        ((3, 1), false),
        ((3, 2), true),
        ((4, 2), false),
    ] {
        let mut follower = follower(&[1, 1, 2]);
        let taken = follower.take(append(prev, vec![entry(prev.0 + 1, 3)], prev.0)).unwrap();
        assert_eq!(matches!(taken, Taken::Entries { .. }), fits, "after {prev:?}");
        if !fits {
            assert_eq!(follower.log(), &log(&[1, 1, 2]), "nothing changes after {prev:?}");
        }
    }
}

/// What follows in its log may still differ from the leader's.
#[test]
fn a_follower_acknowledges_only_what_was_compared() {
    for (compared, base) in [(0, 4), (1, 4), (2, 4), (3, 3)] {
        let mut follower = follower(&[1, 1, 2, 2]);
        let entries = [1, 1, 2, 2].into_iter().take(compared);
        let entries = (1..).zip(entries).map(|(number, epoch)| entry(number, epoch)).collect();
        let taken = follower.take(append((0, 0), entries, base)).unwrap();
        let Taken::Entries { last, .. } = taken else { panic!("{compared} compared") };
        assert_eq!(last, OrderNumber(compared as u64), "{compared} compared");
        assert_eq!(follower.log().last(), OrderNumber(base), "the base is kept");
    }
}

/// The sales of orders that an older epoch left may be lost, so no later leader may find them.
#[test]
fn a_follower_cuts_what_an_older_epoch_left_after_the_base() {
    let ours = [1, 1, 2, 2];
    for (what, (prev, epochs, base, committed), cut_after, last) in [
        ("a heartbeat at the base", (2, &[][..], 2, 0), Some(2), 2),
        ("a heartbeat before the base", (1, &[], 2, 0), Some(2), 2),
        ("the end of this log is the base", (4, &[], 4, 0), None, 4),
        ("entries that it has", (0, &[1, 1], 2, 0), Some(2), 2),
        ("entries that it has, and more is in the base", (0, &[1, 1], 3, 0), Some(3), 3),
        ("a new entry in place of another", (2, &[3], 2, 0), Some(2), 3),
        ("an old entry in place of another", (1, &[1, 3], 2, 0), Some(2), 3),
        ("a new entry after all", (4, &[3], 4, 0), None, 5),
        ("only what is committed is kept", (2, &[], 2, 2), Some(2), 2),
    ] {
        let mut replica =
            Replica::new(member(2), vec![ReplicaId(1)], log(&ours), None, OrderNumber(0));
        replica.accept(view(3, &[1, 2]), at(0));
        let entries = (prev + 1..).zip(epochs).map(|(number, epoch)| Entry {
            key: key(10 * *epoch + number),
            ..entry(number, *epoch)
        });
        let append = Append {
            view: view(3, &[1, 2]),
            prev_number: OrderNumber(prev),
            prev_epoch: replica.log().epoch_of(OrderNumber(prev)).unwrap(),
            entries: entries.collect(),
            committed: OrderNumber(committed),
            base: OrderNumber(base),
        };
        let Taken::Entries { cut_after: cut, .. } = replica.take(append.clone()).unwrap() else {
            panic!("{what}")
        };
        assert_eq!(cut, cut_after.map(OrderNumber), "{what}");
        assert_eq!(replica.log().last(), OrderNumber(last), "{what}");
        assert!(
            matches!(replica.take(append), Ok(Taken::Entries { cut_after: None, .. })),
            "{what}"
        );
        assert_eq!(replica.log().last(), OrderNumber(last), "{what}: again");
    }
}

/// An append that arrives late must not cut what the same leader has sent since.
#[test]
fn a_late_append_cuts_nothing_of_its_own_epoch() {
    let mut leader = gathering(2, &[1], &[1, 2]);
    let heartbeat = leader.next_append(ReplicaId(2), at(1)).unwrap();
    assert_eq!(heartbeat.base, OrderNumber(1));
    let mut follower =
        Replica::new(member(2), vec![ReplicaId(1)], log(&[1, 1]), None, OrderNumber(0));
    follower.accept(view(2, &[1, 2]), at(0));
    follower.take(heartbeat.clone()).unwrap();
    assert_eq!(follower.log().last(), OrderNumber(1), "the log with which the leader came");
    let entries = vec![entry(2, 2), entry(3, 2)];
    follower.take(Append { entries, ..heartbeat.clone() }).unwrap();
    for late in [heartbeat.clone(), Append { entries: vec![entry(2, 2)], ..heartbeat }] {
        assert!(matches!(follower.take(late), Ok(Taken::Entries { cut_after: None, .. })));
        assert_eq!(follower.log().last(), OrderNumber(3));
    }
}

#[test]
fn a_replica_whose_committed_orders_differ_from_the_leaders_says_so_until_another_leads() {
    let [me, leader] =
        [1, 2].map(|id| Member { id: ReplicaId(id), identity: Identity(format!("disk-{id}")) });
    let view = |epoch| View { epoch, leader: leader.id, in_sync: vec![leader.clone()] };
    let other = |entries, prev: u64, base| Append {
        view: view(Epoch(2)),
        prev_number: OrderNumber(prev),
        prev_epoch: Epoch(1),
        entries,
        committed: OrderNumber(2),
        base: OrderNumber(base),
    };
    for (what, append, conflict) in [
        ("another order", other(vec![entry(2, 2)], 1, 1), 2),
        ("a log that ends before", other(vec![], 1, 1), 2),
    ] {
        let before = log(&[1, 1]);
        let mut replica = Replica::new(me.clone(), vec![leader.id], before, None, OrderNumber(2));
        replica.accept(view(Epoch(2)), at(0));
        assert_eq!(replica.conflict(), None);
        assert!(matches!(replica.take(append), Err(Error::Invalid { .. })), "{what}");
        assert_eq!(replica.conflict(), Some(OrderNumber(conflict)), "{what}");
        assert_eq!(replica.log().last(), OrderNumber(2), "{what}");
        replica.accept(view(Epoch(3)), at(0));
        assert_eq!(replica.conflict(), None, "the next leader may have the same orders");
    }
}
