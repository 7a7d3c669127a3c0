//! A replica whose log is in a database, which all replicas share: what it loads, when it leads, when it gives up.

use super::{at, entry, item, key, log, open, purchase, standing, view};
use toystore::error::Error;
use toystore::model::{Entry, Epoch, Identity, Key, Member, Moment, OrderNumber, ReplicaId, View};
use toystore::order::buying;
use toystore::order::leadership::{Begin, Duty, Office};
use toystore::order::log::{KEYS_MAX, Log, Past};
use toystore::order::replica::Replica;
use toystore::protocol::catalog::{Incarnation, Reconciled, Settle};
use toystore::protocol::order::Append;

/// One of the replicas of a store, all of which use the same database.
fn sharing(id: u32) -> Member {
    Member { id: ReplicaId(id), identity: Identity("store".into()) }
}

fn view_of(epoch: u64, leader: u32) -> View {
    View { epoch: Epoch(epoch), leader: ReplicaId(leader), in_sync: vec![sharing(leader)] }
}

/// Replica 1 as the leader of epoch 1, which has not loaded the log yet.
fn loading() -> Replica {
    let mut replica = Replica::sharing(sharing(1), None);
    assert_eq!(replica.is_news(&view_of(1, 1)), Ok(true));
    replica.accept(view_of(1, 1), at(0));
    replica
}

/// The same, when it serves. The log that it has loaded is settled.
fn serving(log: Log) -> Replica {
    let mut replica = loading();
    let last = log.last();
    replica.loaded(log);
    reconcile(&mut replica, last.0);
    assert_eq!(replica.office(), Some(Office::Serving));
    replica
}

fn reconcile(replica: &mut Replica, settled: u64) -> Vec<Key> {
    let asked = replica.reconcile(Epoch(1), standing(1, settled)).unwrap();
    let answer = Reconciled { open: vec![], position: 0, sold: None };
    replica.reconciled(Epoch(1), asked.incarnation, answer).unwrap();
    asked.entries.into_iter().map(|open| open.key).collect()
}

/// A log whose orders up to `past` are in the database only.
fn window(past: u64, epochs: &[u64]) -> Log {
    let past = Past { last: OrderNumber(past), epoch: Epoch(1), ordered: past };
    let mut log = Log::after(past);
    for (number, epoch) in (past.last.0 + 1..).zip(epochs) {
        log.push(entry(number, *epoch)).unwrap();
    }
    log
}

#[test]
fn a_leader_loads_the_log_and_reconciles_before_it_sells() {
    let mut replica = loading();
    assert_eq!(replica.office(), Some(Office::Loading));
    assert_eq!(replica.duty(at(0)), Some(Duty::Load(Epoch(1))));
    assert_eq!(replica.duty(at(1)), Some(Duty::Load(Epoch(1))), "again, until it has it");
    assert_eq!(replica.begin(&purchase(1, 1, 1)), Ok(Begin::Wait));
    replica.synced(OrderNumber(7));
    replica.durable(Epoch(1), Incarnation(1), 9);
    assert_eq!((replica.committed(), replica.office()), (OrderNumber(0), Some(Office::Loading)));
    assert!(!replica.is_loading(Epoch(2)));
    assert!(replica.is_loading(Epoch(1)));

    replica.loaded(window(5, &[1, 1, 1]));
    assert_eq!(replica.committed(), OrderNumber(5), "what is past is settled");
    assert_eq!(replica.duty(at(2)), Some(Duty::Reconcile(Epoch(1))));
    assert_eq!(reconcile(&mut replica, 6), [key(7), key(8)]);
    assert_eq!(replica.office(), Some(Office::Serving));
    assert_eq!(replica.committed(), OrderNumber(8), "all that was loaded is durable");
    assert_eq!(replica.begin(&purchase(8, 1, 1)), Ok(Begin::Logged(OrderNumber(8))));
}

/// The database is the only place of the orders, so its commit is enough.
#[test]
fn an_order_is_committed_when_it_is_durable_in_the_database() {
    let mut replica = serving(window(5, &[1]));
    assert_eq!(replica.begin(&purchase(9, 1, 1)), Ok(Begin::Ask));
    replica.reserved(&purchase(9, 1, 1), Incarnation(1), 1).unwrap();
    replica.durable(Epoch(1), Incarnation(1), 1);
    assert_eq!(replica.committed(), OrderNumber(6));
    assert_eq!(replica.next_append(ReplicaId(2), at(500)), None, "nothing is sent");
    replica.synced(OrderNumber(7));
    assert_eq!(replica.committed(), OrderNumber(7));
    let health = replica.health(true, at(60_000));
    assert_eq!((health.lagging, health.caught_up), (vec![], vec![]), "nobody follows");
}

/// A sale that the catalog has lost is made again from the log, so none that is not settled may be missing in it.
#[test]
fn a_leader_loads_again_when_the_catalog_has_settled_less_than_is_past() {
    for (settled, loads_again) in [(4, true), (5, false), (6, false), (9, false)] {
        let mut replica = loading();
        replica.loaded(window(5, &[1, 1]));
        let asked = replica.reconcile(Epoch(1), standing(1, settled));
        assert_eq!(asked.is_none(), loads_again, "{settled} settled");
        assert_eq!(replica.is_loading(Epoch(1)), loads_again, "{settled} settled");
    }
    let mut replica = serving(window(5, &[1, 1]));
    assert_eq!(replica.reconcile(Epoch(1), standing(2, 4)), None, "of a catalog from a backup");
    assert_eq!(replica.begin(&purchase(9, 1, 1)), Ok(Begin::Wait));
    replica.loaded(window(4, &[1, 1, 1]));
    let asked = replica.reconcile(Epoch(1), standing(2, 4)).unwrap();
    assert_eq!(asked.entries, [open(5), open(6), open(7)]);
}

#[test]
fn a_leader_that_has_lost_the_log_leads_again_only_in_a_newer_view() {
    let mut replica = serving(log(&[1]));
    replica.begin(&purchase(2, 2, 1)).unwrap();
    replica.reserved(&purchase(2, 2, 1), Incarnation(1), 1).unwrap();
    replica.fenced(Epoch(2));
    assert_eq!(replica.leads(), Some(Epoch(1)), "that was another leadership");

    replica.fenced(Epoch(1));
    assert_eq!(replica.leads(), None);
    replica.synced(OrderNumber(2));
    replica.durable(Epoch(1), Incarnation(1), 1);
    let outcome = replica.outcome(OrderNumber(2), &key(2));
    assert!(matches!(outcome, Err(Error::Unanswered { .. })), "{outcome:?}");
    assert!(replica.health(true, at(1)).starting, "so that the controller makes a view");
    assert!(replica.is_news(&view_of(1, 1)).is_err());
    assert_eq!(replica.is_news(&view_of(2, 1)), Ok(true));
    replica.accept(view_of(2, 1), at(2));
    assert_eq!(replica.duty(at(2)), Some(Duty::Load(Epoch(2))));
}

/// Its purchases by hand are counted within the epoch, so no epoch is led by two processes. A follower has nothing that
/// it could have forgotten.
#[test]
fn a_replica_that_has_led_waits_for_a_newer_view_when_it_starts() {
    for (id, waits) in [(1, true), (2, false)] {
        let replica = Replica::sharing(sharing(id), Some(view_of(3, 1)));
        assert_eq!(replica.health(true, Moment::START).starting, waits, "replica {id}");
        assert_eq!(replica.is_news(&view_of(3, 1)).is_err(), waits, "replica {id}");
        assert_eq!(replica.is_news(&view_of(4, 1)), Ok(true), "replica {id}");
    }
}

/// If it died now, nobody would know that it has led in this epoch, and it might lead in it again and count from 1.
#[test]
fn a_leader_sells_nothing_by_hand_before_it_has_taken_the_log() {
    let mut replica = loading();
    let by_hand = |replica: &Replica| buying::by_hand(replica, 1, None, item("Tux", 1)).map(drop);
    assert_eq!(by_hand(&replica), Err(Error::NotLeader { epoch: 1 }));
    replica.loaded(Log::default());
    assert_eq!(by_hand(&replica), Ok(()));
}

#[test]
fn what_is_not_in_memory_is_looked_for_in_the_database() {
    let leader = serving(window(5, &[1, 1]));
    let mut follower = Replica::sharing(sharing(2), None);
    follower.accept(view_of(1, 1), at(0));
    let (unknown, elsewhere) = (Err(Error::UnknownOrder), Err(Error::NotLeader { epoch: 1 }));
    for (what, replica, number, expected) in [
        ("in memory", &leader, 6, Ok(true)),
        ("the last", &leader, 7, Ok(true)),
        ("the next", &leader, 8, unknown.clone()),
        ("past", &leader, 5, elsewhere.clone()),
        ("the first", &leader, 1, elsewhere.clone()),
        ("no number", &leader, 0, unknown),
        ("not its own", &follower, 1, elsewhere),
    ] {
        let found = replica.clone().order(OrderNumber(number), at(1)).map(|found| found.is_some());
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn a_leader_forgets_what_is_settled_but_no_key_that_a_retry_may_have() {
    let mut replica = serving(Log::default());
    let count = KEYS_MAX + 30_000;
    for number in 1..=count {
        let purchase = purchase(number, number, number);
        replica.begin(&purchase).unwrap();
        replica.reserved(&purchase, Incarnation(1), number).unwrap();
    }
    replica.durable(Epoch(1), Incarnation(1), count);
    replica.synced(OrderNumber(count));
    for (settled, past) in [(0, 0), (9_000, 0), (20_000, 20_000), (count, 30_000)] {
        let (after, through) = (OrderNumber(0), OrderNumber(settled));
        let settle = Settle { after, through, keys: vec![] };
        replica.leading(Epoch(1)).unwrap().settled(&settle);
        replica.tick(at(1));
        assert_eq!(replica.log().past().last, OrderNumber(past), "{settled} settled");
    }
    assert_eq!(replica.log().ordered(), count);
    assert_eq!(
        replica.begin(&purchase(30_001, count + 1, count + 1)),
        Ok(Begin::Logged(OrderNumber(30_001)))
    );
}

/// One of a replica that is not configured to share.
#[test]
fn a_replica_that_shares_a_log_takes_no_appends() {
    let mut replica = Replica::sharing(sharing(1), None);
    let view = View { in_sync: vec![sharing(1)], ..view(1, &[]) };
    replica.accept(View { leader: ReplicaId(2), ..view.clone() }, at(0));
    let entries = vec![Entry { item: item("Fox", 1), ..entry(1, 1) }];
    let append = Append {
        view,
        prev_number: OrderNumber(0),
        prev_epoch: Epoch(0),
        entries,
        committed: OrderNumber(0),
        base: OrderNumber(0),
    };
    assert!(matches!(replica.take(append), Err(Error::Invalid { .. })));
    assert_eq!(replica.log(), &Log::default());
}
