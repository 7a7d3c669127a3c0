//! The controller, case by case: "Views" and "Failures and their effect"
//! (replication.md).

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::time::Duration;
use toystore::frontend::controller::{Controller, Decision, HealthReport, SILENT, Unclean};
use toystore::model::{Epoch, Identity, Member, Moment, OrderNumber, ReplicaId, View};
use toystore::protocol::order::Health;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn member(id: u32) -> Member {
    Member { id: ReplicaId(id), identity: Identity(format!("disk-{id}")) }
}

fn view(epoch: u64, leader: u32, in_sync: &[u32]) -> View {
    let in_sync = in_sync.iter().copied().map(member).collect();
    View { epoch: Epoch(epoch), leader: ReplicaId(leader), in_sync }
}

/// A controller, the replicas as it sees them, and the time.
struct Store {
    controller: Controller,
    now: Moment,
    /// The replicas that answer.
    healths: Vec<Health>,
}

impl Store {
    /// A front-end that starts with this view on its disk, and three replicas that know this view.
    fn starting(on_disk: Option<View>, known: Option<&View>, unclean: Unclean) -> Store {
        let ids = [1, 2, 3].map(ReplicaId);
        let now = Moment::after(ms(10_000));
        let controller = Controller::new(ids, on_disk, OrderNumber(0), unclean, now);
        let health = |id: u32| Health {
            id: ReplicaId(id),
            identity: member(id).identity,
            view: known.cloned(),
            starting: false,
            last: OrderNumber(0),
            last_epoch: Epoch(0),
            committed: OrderNumber(0),
            catalog_reachable: true,
            lagging: vec![],
            caught_up: vec![],
        };
        Store { controller, now, healths: [1, 2, 3].map(health).into() }
    }

    /// A replica that serves, in this view.
    fn serving(leader: u32, in_sync: &[u32]) -> Store {
        let before = view(4, leader, in_sync);
        let mut store = Store::starting(Some(before.clone()), Some(&before), Unclean::Forbidden);
        assert_eq!(store.look(), Some(view(5, leader, in_sync)));
        store
    }

    fn health(&mut self, id: u32) -> &mut Health {
        self.healths.iter_mut().find(|health| health.id == ReplicaId(id)).unwrap()
    }

    /// Its process is gone.
    fn refuse(&mut self, id: u32) {
        self.healths.retain(|health| health.id != ReplicaId(id));
        self.controller.take_report(ReplicaId(id), HealthReport::Refused, self.now);
    }

    /// It does not answer any more.
    fn hang(&mut self, id: u32) -> Health {
        let at = self.healths.iter().position(|health| health.id == ReplicaId(id)).unwrap();
        self.healths.remove(at)
    }

    /// Every replica that answers is asked once.
    fn check_all(&mut self) {
        for health in self.healths.clone() {
            let (id, expected) = (health.id, self.controller.committed());
            let report = HealthReport::Healthy { health, asked: self.now, expected };
            self.controller.take_report(id, report, self.now);
        }
    }

    /// Asks the replicas once, then makes the new view, if there is one; every replica that answers accepts it.
    fn look(&mut self) -> Option<View> {
        self.now += ms(50);
        self.check_all();
        let Decision { view, .. } = self.controller.decide(self.now)?;
        for health in &mut self.healths {
            health.view = Some(view.clone());
            health.starting = false;
            health.lagging.clear();
            health.caught_up.clear();
        }
        Some(view)
    }

    /// The first view made while the time passes.
    fn wait(&mut self, time: Duration) -> Option<View> {
        let until = self.now + time;
        while self.now < until {
            if let Some(view) = self.look() {
                return Some(view);
            }
        }
        None
    }

    /// As [`wait`](Store::wait), and then no other view is made.
    fn settles_on(&mut self, expected: &View) {
        assert_eq!(self.wait(ms(1_000)).as_ref(), Some(expected));
        self.is_quiet();
    }

    fn is_quiet(&mut self) {
        assert_eq!(self.wait(ms(3_000)), None);
    }
}

#[test]
fn a_new_store_has_all_replicas_in_sync_and_the_highest_leads() {
    let mut store = Store::starting(None, None, Unclean::Forbidden);
    store.settles_on(&view(1, 3, &[1, 2, 3]));
    assert!(store.controller.is_led(store.now));
}

#[test]
fn a_new_store_waits_for_all_replicas() {
    let mut store = Store::starting(None, None, Unclean::Forbidden);
    let late = store.hang(1);
    assert_eq!(store.wait(ms(2_000)), None);
    store.healths.push(late);
    store.settles_on(&view(1, 3, &[1, 2, 3]));
}

#[test]
fn a_report_from_before_the_view_was_told_deposes_nobody() {
    let mut store = Store::starting(None, None, Unclean::Forbidden);
    store.healths.iter_mut().for_each(|health| health.starting = true);
    store.health(3).catalog_reachable = false;
    let before = store.healths.clone();
    assert_eq!(store.look(), Some(view(1, 3, &[1, 2, 3])));
    store.healths = before;
    assert_eq!(store.look(), None);
}

#[test]
fn a_leader_whose_process_is_gone_is_replaced_at_once() {
    let mut store = Store::serving(3, &[1, 2, 3]);
    store.refuse(3);
    assert_eq!(store.look(), Some(view(6, 2, &[1, 2])));
    store.is_quiet();
}

#[test]
fn a_leader_that_hangs_is_replaced_after_half_a_second() {
    let mut store = Store::serving(3, &[1, 2, 3]);
    store.hang(3);
    assert_eq!(store.wait(SILENT.checked_sub(ms(50)).unwrap()), None);
    store.settles_on(&view(6, 2, &[1, 2]));
}

#[test]
fn a_higher_id_that_returns_does_not_lead_again() {
    let mut store = Store::serving(3, &[1, 2, 3]);
    let old_leader = store.hang(3);
    store.settles_on(&view(6, 2, &[1, 2]));
    store.healths.push(old_leader);
    store.is_quiet();
}

#[test]
fn an_outsider_never_leads_whatever_its_id() {
    let mut store = Store::serving(2, &[1, 2]);
    store.refuse(2);
    store.settles_on(&view(6, 1, &[1]));
}

#[test]
fn a_follower_that_hangs_leaves_the_in_sync_set() {
    let mut store = Store::serving(3, &[1, 2, 3]);
    store.hang(1);
    store.settles_on(&view(6, 3, &[2, 3]));
}

#[test]
fn the_leader_says_who_lags_and_who_has_caught_up() {
    let mut store = Store::serving(3, &[2, 3]);
    store.health(3).lagging = vec![ReplicaId(2)];
    store.health(3).caught_up = vec![member(1)];
    store.settles_on(&view(6, 3, &[1, 3]));
}

#[test]
fn nobody_but_the_leader_in_its_own_epoch_is_believed_about_others() {
    let mut store = Store::serving(3, &[2, 3]);
    store.health(2).lagging = vec![ReplicaId(3)];
    store.health(2).caught_up = vec![member(1)];
    store.is_quiet();
    store.health(3).view = Some(view(4, 3, &[2, 3]));
    store.health(3).caught_up = vec![member(1)];
    store.is_quiet();
}

#[test]
fn an_outsider_on_another_disk_than_the_leader_saw_does_not_join_the_in_sync_set() {
    let mut store = Store::serving(3, &[2, 3]);
    store.health(1).identity = Identity("new".into());
    store.health(3).caught_up = vec![member(1)];
    store.is_quiet();
}

#[test]
fn whoever_has_started_gets_a_new_view_to_take_part_in() {
    for id in [1, 3] {
        let mut store = Store::serving(3, &[1, 2, 3]);
        store.health(id).starting = true;
        store.settles_on(&view(6, 3, &[1, 2, 3]));
    }
}

#[test]
fn after_the_last_survivor_everybody_waits_for_it() {
    let mut store = Store::serving(3, &[1, 2, 3]);
    let (one, two) = (store.healths[0].clone(), store.healths[1].clone());
    store.refuse(1);
    store.refuse(2);
    store.settles_on(&view(6, 3, &[3]));
    let three = store.hang(3);
    store.healths.extend([one, two]);
    assert_eq!(store.wait(ms(3_000)), None);
    assert!(!store.controller.is_led(store.now));
    store.healths.push(Health { starting: true, ..three });
    store.settles_on(&view(7, 3, &[3]));
}

#[test]
fn a_wiped_disk_comes_back_as_an_outsider() {
    let mut store = Store::serving(3, &[1, 2, 3]);
    *store.health(3) =
        Health { identity: Identity("new".into()), view: None, ..store.healths[2].clone() };
    store.settles_on(&view(6, 2, &[1, 2]));
}

#[test]
fn a_store_whose_only_member_was_wiped_has_no_leader() {
    let mut store = Store::serving(3, &[3]);
    store.health(3).identity = Identity("new".into());
    assert_eq!(store.wait(ms(2_000)), None);
    assert!(!store.controller.is_led(store.now));
    assert!(store.controller.knows_nobody(store.now), "the operator is told why");
    store.refuse(1);
    store.look();
    assert!(!store.controller.knows_nobody(store.now), "the member may be there, too");
}

#[test]
fn who_lacks_committed_orders_does_not_lead() {
    let mut store = Store::serving(3, &[1, 2, 3]);
    for (id, last) in [(1, 9), (2, 8), (3, 9)] {
        store.health(id).last = OrderNumber(last);
    }
    store.health(3).committed = OrderNumber(9);
    store.is_quiet();
    store.refuse(3);
    assert_eq!(store.look().unwrap().leader, ReplicaId(1));
}

#[test]
fn a_leader_without_the_catalog_is_replaced_by_a_member_with_it() {
    let mut store = Store::serving(3, &[1, 2, 3]);
    store.health(3).catalog_reachable = false;
    store.health(2).catalog_reachable = false;
    assert_eq!(store.wait(ms(250)), None, "perhaps the others are about to say the same");
    store.settles_on(&view(6, 1, &[1, 2, 3]));

    let mut store = Store::serving(3, &[1, 2, 3]);
    store.healths.iter_mut().for_each(|health| health.catalog_reachable = false);
    store.is_quiet();

    let mut store = Store::serving(3, &[2, 3]);
    store.health(3).catalog_reachable = false;
    store.health(2).catalog_reachable = false;
    store.is_quiet();
}

/// When the catalog comes back, or another takes over, one replica is the first to reach it.
#[test]
fn a_catalog_that_comes_back_deposes_nobody() {
    let mut store = Store::serving(3, &[1, 2, 3]);
    store.healths.iter_mut().for_each(|health| health.catalog_reachable = false);
    store.is_quiet();
    store.health(1).catalog_reachable = true;
    assert_eq!(store.wait(ms(250)), None, "perhaps the others are about to say the same");
    store.health(3).catalog_reachable = true;
    store.is_quiet();

    let mut store = Store::serving(3, &[1, 2, 3]);
    store.healths.iter_mut().for_each(|health| health.catalog_reachable = false);
    store.is_quiet();
    store.health(1).catalog_reachable = true;
    store.settles_on(&view(6, 1, &[1, 2, 3]));
}

#[test]
fn a_front_end_that_starts_makes_a_view_of_its_own() {
    let before = view(4, 2, &[1, 2]);
    let mut store = Store::starting(Some(before.clone()), Some(&before), Unclean::Forbidden);
    assert_eq!(store.controller.view(), None, "nothing is in force yet");
    store.settles_on(&view(5, 2, &[1, 2]));
}

/// It takes the place of another controller, where it has joined.
#[test]
fn a_controller_that_takes_over_goes_on_with_the_last_view() {
    type Change = fn(&mut Store);
    let before = view(4, 2, &[1, 2, 3]);
    let cases: [(&str, Change, Option<View>); 4] = [
        ("nothing", |_| {}, None),
        ("the leader is gone", |store| store.refuse(2), Some(view(5, 3, &[1, 3]))),
        ("a follower hangs", |store| drop(store.hang(1)), Some(view(5, 2, &[2, 3]))),
        ("a front-end joins", |store| store.controller.join(), Some(view(5, 2, &[1, 2, 3]))),
    ];
    for (what, change, expected) in cases {
        let mut store = Store::starting(Some(before.clone()), Some(&before), Unclean::Forbidden);
        store.controller = store.controller.clone().continuing();
        assert_eq!(store.controller.view(), Some(&before), "it is in force: {what}");
        change(&mut store);
        match expected {
            Some(expected) => store.settles_on(&expected),
            None => store.is_quiet(),
        }
    }
}

#[test]
fn a_front_end_that_starts_listens_to_everybody_before_it_decides() {
    let before = view(4, 3, &[1, 2, 3]);
    let mut store = Store::starting(Some(before.clone()), Some(&before), Unclean::Forbidden);
    let late = [store.hang(1), store.hang(3)];
    assert_eq!(store.look(), None);
    store.healths.extend(late);
    store.settles_on(&view(5, 3, &[1, 2, 3]));
}

#[test]
fn without_its_file_a_front_end_asks_every_replica() {
    let mut store = Store::starting(None, Some(&view(7, 2, &[2, 3])), Unclean::Forbidden);
    store.health(1).view = Some(view(6, 3, &[1, 2, 3]));
    let late = store.hang(2);
    assert_eq!(store.wait(ms(2_000)), None);
    store.healths.push(late);
    let made = store.look().unwrap();
    assert!(made.epoch > Epoch(1_000), "above whatever was given out unheard");
    assert_eq!(
        (made.leader, made.ids().collect::<Vec<_>>()),
        (ReplicaId(2), vec![ReplicaId(2), ReplicaId(3)])
    );
}

#[test]
fn logs_without_any_view_are_led_by_the_longest_alone() {
    let mut store = Store::starting(None, None, Unclean::Forbidden);
    store.health(2).last = OrderNumber(5);
    store.health(3).last = OrderNumber(4);
    store.settles_on(&view(1, 2, &[2]));
}

#[test]
fn a_long_log_of_an_older_epoch_does_not_beat_a_shorter_one_of_a_later() {
    // Replica 1 led epoch 2 alone and has many entries that were never committed; replica 2 has epoch 3.
    let before = view(4, 3, &[3]);
    for (on_disk, expected) in [(Some(before), view(6, 2, &[2])), (None, view(1, 2, &[2]))] {
        let mut store = Store::starting(on_disk.clone(), on_disk.as_ref(), Unclean::Allowed);
        for (id, last, epoch) in [(1, 90, 2), (2, 6, 3), (3, 5, 3)] {
            let health = store.health(id);
            (health.last, health.last_epoch) = (OrderNumber(last), Epoch(epoch));
        }
        if on_disk.is_some() {
            assert_eq!(store.look(), Some(view(5, 3, &[3])));
            store.refuse(3);
        }
        store.settles_on(&expected);
    }
}

#[test]
fn a_controller_that_hears_of_a_newer_view_stops() {
    let mut store = Store::serving(3, &[1, 2, 3]);
    store.health(1).view = Some(view(9, 1, &[1]));
    store.refuse(3);
    assert_eq!(store.wait(ms(2_000)), None);
    assert_eq!(store.controller.superseded_by(), Some(Epoch(9)));
    assert_eq!(store.controller.view(), None, "nor does it take orders");
}

#[test]
fn a_front_end_that_wakes_up_listens_to_everybody_before_it_decides() {
    let mut store = Store::serving(3, &[1, 2, 3]);
    let (asked, old) = (store.now, store.healths.clone());
    store.now += ms(5_000);
    for health in old {
        let id = health.id;
        let report = HealthReport::Healthy { health, asked, expected: OrderNumber(0) };
        store.controller.take_report(id, report, store.now);
        assert_eq!(store.controller.decide(store.now), None, "an answer from before the pause");
    }
    assert!(!store.controller.is_led(store.now), "it may have gone meanwhile");
    store.is_quiet();
    assert!(store.controller.is_led(store.now));
}

#[test]
fn an_unclean_election_takes_the_operators_word_once() {
    let before = view(4, 3, &[3]);
    let mut store = Store::starting(Some(before.clone()), Some(&before), Unclean::Allowed);
    for (id, last) in [(1, 7), (2, 6), (3, 9)] {
        store.health(id).last = OrderNumber(last);
    }
    store.health(3).committed = OrderNumber(9);
    assert_eq!(store.look(), Some(view(5, 3, &[3])));
    store.is_quiet();
    let lost = store.healths[2].clone();
    store.refuse(3);
    store.settles_on(&view(6, 1, &[1]));
    assert!(store.controller.is_led(store.now));
    store.healths.push(lost);
    store.is_quiet();
}

/// The same replicas with one log in a database: each has every order.
impl Store {
    fn sharing(leader: u32) -> Store {
        let before = shared(4, leader);
        let mut store = Store::starting(Some(before.clone()), Some(&before), Unclean::Forbidden);
        store.controller = store.controller.clone().sharing();
        for health in &mut store.healths {
            health.identity = Identity("store".into());
        }
        assert_eq!(store.look(), Some(shared(5, leader)), "a front-end has started");
        store
    }
}

fn shared(epoch: u64, leader: u32) -> View {
    let in_sync = vec![Member { id: ReplicaId(leader), identity: Identity("store".into()) }];
    View { epoch: Epoch(epoch), leader: ReplicaId(leader), in_sync }
}

#[test]
fn with_a_shared_log_whoever_is_up_and_uses_its_database_can_lead() {
    type Change = fn(&mut Store);
    let cases: [(&str, Change, Option<u32>); 9] = [
        ("nothing", |_| {}, None),
        ("the leader is gone", |store| store.refuse(3), Some(2)),
        ("the leader hangs", |store| drop(store.hang(3)), Some(2)),
        (
            "the leader has started or has lost the log",
            |store| store.health(3).starting = true,
            Some(3),
        ),
        ("another one has started", |store| store.health(1).starting = false, None),
        (
            "the leader has not loaded the log, which the others never do",
            |store| {
                store.health(2).last = OrderNumber(9);
                store.health(2).committed = OrderNumber(9);
            },
            None,
        ),
        (
            "the leader is gone, and committed orders that no other has loaded",
            |store| {
                store.health(3).committed = OrderNumber(9);
                assert_eq!(store.look(), None);
                store.refuse(3);
            },
            Some(2),
        ),
        (
            "the leader is gone, and the next uses another database",
            |store| {
                store.health(2).identity = Identity("another store".into());
                store.refuse(3);
            },
            Some(1),
        ),
        (
            "the leader is cut off from the catalog or the database, and the next, too",
            |store| {
                store.health(3).catalog_reachable = false;
                store.health(2).catalog_reachable = false;
            },
            Some(1),
        ),
    ];
    for (what, change, leader) in cases {
        let mut store = Store::sharing(3);
        change(&mut store);
        let expected = leader.map(|id| shared(6, id));
        assert_eq!(store.wait(ms(2_000)), expected, "{what}");
        assert_eq!(store.wait(ms(2_000)), None, "{what}: that is all");
    }
}

#[test]
fn with_a_shared_log_a_new_store_is_led_by_one_that_is_in_sync_alone() {
    let mut store = Store::starting(None, None, Unclean::Forbidden);
    store.controller = store.controller.clone().sharing();
    for health in &mut store.healths {
        health.identity = Identity("store".into());
    }
    assert_eq!(store.look(), Some(shared(1, 3)));
    store.is_quiet();
}
