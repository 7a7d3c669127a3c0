//! The caches and their leases: the cache against a list, the leases against the clock.

use super::at;
use proptest::prelude::*;
use std::collections::BTreeSet;
use toystore::catalog::leases::{Coverage, LEASE_OVER, Leases};
use toystore::frontend::cache::{Cache, LEASE};
use toystore::model::Moment;

#[test]
fn a_change_is_covered_when_each_subscriber_acknowledged_it_or_is_past_its_lease() {
    let mut leases = Leases::new(at(0), None);
    assert_eq!(
        leases.coverage(0, at(0)),
        Coverage::Until(Moment::START + LEASE_OVER),
        "whom did the last one serve?"
    );
    assert_eq!(leases.coverage(0, Moment::START + LEASE_OVER), Coverage::Covered);
    leases.call(1, None, at(1_000)).unwrap();
    leases.call(2, None, at(1_100)).unwrap();
    let change = leases.publish(&"Tux".parse().unwrap(), 2);
    assert_eq!(leases.coverage(change, at(1_200)), Coverage::Until(at(1_500)));
    leases.call(1, Some(change), at(1_200)).unwrap();
    assert_eq!(leases.coverage(change, at(1_300)), Coverage::Until(at(1_600)));
    assert_eq!(leases.coverage(change, at(1_599)), Coverage::Until(at(1_600)), "just before");
    assert_eq!(leases.coverage(change, at(1_600)), Coverage::Covered, "just then");
    assert!(leases.call(2, Some(change), at(1_601)).is_err(), "it has to subscribe anew");
    assert_eq!(leases.count(), 1);
}

#[test]
fn a_subscriber_is_told_each_change_until_it_acknowledged_it() {
    let mut leases = Leases::new(at(0), None);
    leases.publish(&"Tux".parse().unwrap(), 2);
    leases.call(1, None, at(10)).unwrap();
    assert!(leases.changes(1).unwrap().invalidate.is_empty(), "its cache began empty");
    leases.publish(&"Tux".parse().unwrap(), 3);
    leases.publish(&"Fox".parse().unwrap(), 7);
    leases.publish(&"Tux".parse().unwrap(), 4);
    let changes = leases.changes(1).unwrap();
    let names: Vec<_> = changes.invalidate.iter().map(|c| (&*c.name, c.version)).collect();
    assert_eq!((changes.up_to, names), (4, vec![("Fox", 7), ("Tux", 4)]));
    leases.publish(&"Fox".parse().unwrap(), 8);
    leases.call(1, Some(changes.up_to), at(20)).unwrap();
    assert_eq!(leases.changes(1).unwrap().invalidate[0].version, 8, "came after that answer");
    assert!(leases.changes(2).is_err());
}

#[test]
fn a_late_duplicate_of_a_beginning_takes_nothing_from_anybody() {
    let mut leases = Leases::new(at(0), None);
    leases.call(1, None, at(600)).unwrap();
    let change = leases.publish(&"Tux".parse().unwrap(), 2);
    leases.call(1, None, at(700)).unwrap();
    leases.call(9, None, at(700)).unwrap();
    assert_eq!(leases.changes(1).unwrap().invalidate.len(), 1, "still to be acknowledged");
    assert!(matches!(leases.coverage(change, at(701)), Coverage::Until(_)), "not acknowledged");
}

#[test]
fn a_catalog_that_has_started_waits_for_the_caches_of_the_one_before_until_each_is_replaced() {
    let earlier = BTreeSet::from([1, 2]);
    let mut leases = Leases::new(at(0), Some(earlier.clone()));
    assert_eq!(leases.subscriptions(at(1)), Some(earlier), "they may still be in use");
    for (replaced, new) in [(1, 11), (2, 12)] {
        assert!(matches!(leases.coverage(0, at(5)), Coverage::Until(_)), "{replaced} is in use");
        leases.end(replaced);
        leases.call(new, None, at(5)).unwrap();
    }
    assert_eq!(leases.coverage(0, at(5)), Coverage::Covered);
    assert_eq!(leases.subscriptions(at(6)), Some(BTreeSet::from([11, 12])));
    // A new subscription that says nothing ends no other.
    let change = leases.publish(&"Tux".parse().unwrap(), 2);
    leases.call(13, None, at(7)).unwrap();
    assert!(matches!(leases.coverage(change, at(8)), Coverage::Until(_)));
    let mut unknown = Leases::new(at(0), None);
    unknown.call(11, None, at(5)).unwrap();
    assert_eq!(unknown.subscriptions(at(6)), None, "there may be others");
    assert!(matches!(unknown.coverage(0, at(6)), Coverage::Until(_)));
}

/// An operation on a cache, with the number of a toy.
#[derive(Debug, Clone)]
enum Use {
    Get(usize),
    Store(usize, u64),
    Invalidate(usize, u64),
}

/// A naive cache: a list, least recently used first.
#[derive(Default)]
struct List {
    entries: Vec<(usize, u64)>,
    floors: [u64; 5],
}

impl List {
    fn get(&mut self, toy: usize) -> Option<u64> {
        let at = self.entries.iter().position(|(other, _)| *other == toy)?;
        let entry = self.entries.remove(at);
        self.entries.push(entry);
        Some(entry.1)
    }

    fn store(&mut self, toy: usize, version: u64, capacity: usize) {
        if version < self.floors[toy] || capacity == 0 {
            return;
        }
        self.entries.retain(|(other, _)| *other != toy);
        if self.entries.len() == capacity {
            self.entries.remove(0);
        }
        self.entries.push((toy, version));
    }

    fn invalidate(&mut self, toy: usize, version: u64) {
        self.floors[toy] = self.floors[toy].max(version);
        self.entries.retain(|(other, cached)| *other != toy || *cached >= version);
    }
}

const TOYS: [&str; 5] = ["Tux", "Fox", "Lego", "Whale", "Python"];

proptest! {
    #[test]
    fn a_cache_keeps_what_was_used_last(
        capacity in 0..4usize,
        uses in prop::collection::vec(
            prop_oneof![
                3 => (0..5usize).prop_map(Use::Get),
                3 => (0..5usize, 0..6u64).prop_map(|(toy, version)| Use::Store(toy, version)),
                1 => (0..5usize, 0..6u64).prop_map(|(toy, version)| Use::Invalidate(toy, version)),
            ],
            0..60,
        ),
    ) {
        let (mut cache, mut list) = (Cache::new(capacity), List::default());
        cache.renew(1, at(0), at(0));
        let ticket = cache.begin_fetch();
        for each in uses {
            match each {
                Use::Get(toy) => prop_assert_eq!(cache.get(TOYS[toy], at(1)), list.get(toy)),
                Use::Store(toy, version) => {
                    cache.store(ticket, TOYS[toy], version, version);
                    list.store(toy, version, capacity);
                }
                Use::Invalidate(toy, version) => {
                    cache.invalidate(TOYS[toy], version);
                    list.invalidate(toy, version);
                }
            }
            let last_first = list.entries.iter().rev();
            let toys: Vec<_> = last_first.map(|(toy, version)| (TOYS[*toy], *version)).collect();
            let cached = cache.status().toys;
            let cached: Vec<_> = cached.iter().map(|toy| (&*toy.name, toy.version)).collect();
            prop_assert_eq!(cached, toys);
        }
    }
}

#[test]
fn a_cache_is_served_within_its_lease_only_and_the_lease_counts_from_before_the_call() {
    let mut cache = Cache::new(7);
    assert!(cache.renew(1, at(100), at(190)));
    let ticket = cache.begin_fetch();
    let one = cache.store(ticket, "Tux", 1, "one");
    let over = at(100) + LEASE;
    assert_eq!(cache.get("Tux", at(99) + LEASE), Some("one"));
    assert_eq!(cache.get("Tux", over), None);
    assert_eq!(cache.join(&one, "Tux", over), None, "nor is anybody else's answer");
    assert!(!cache.renew(1, at(450), over), "a lease that was over stays over");
    assert!(!cache.renew(2, at(450), at(460)), "of another subscription");
    assert_eq!(cache.get("Tux", over), None);
    cache.unsubscribe();
    assert!(cache.renew(2, at(600), at(610)));
    assert_eq!(cache.get("Tux", at(620)), None, "a new subscription begins with an empty cache");
}

#[test]
fn a_fetch_is_stored_only_if_every_change_since_it_began_was_received() {
    let mut cache = Cache::new(7);
    let unsubscribed = cache.begin_fetch();
    cache.renew(1, at(0), at(1));
    cache.store(unsubscribed, "Tux", 1, "begun before the first answer");
    assert_eq!(cache.get("Tux", at(2)), None);

    let ticket = cache.begin_fetch();
    cache.invalidate("Tux", 2);
    let old = cache.store(ticket, "Tux", 1, "older than the floor");
    assert_eq!(cache.get("Tux", at(2)), None);
    assert_eq!(cache.join(&old, "Tux", at(2)), None);
    cache.store(ticket, "Tux", 2, "two");
    assert_eq!(cache.get("Tux", at(2)), Some("two"));

    cache.unsubscribe();
    cache.renew(2, at(10), at(11));
    let other = cache.store(ticket, "Tux", 3, "begun under another subscription");
    assert_eq!(cache.get("Tux", at(12)), None);
    assert_eq!(cache.join(&other, "Tux", at(12)), None, "whoever joined it, and when");
}

/// The fetch began under a subscription that ended, so a purchase since then was not waited for.
#[test]
fn a_query_that_joins_a_fetch_does_not_lend_it_its_own_subscription() {
    let mut cache = Cache::new(7);
    cache.renew(1, at(0), at(1));
    let ticket = cache.begin_fetch();
    cache.unsubscribe();
    cache.renew(2, at(1_000), at(1_001));
    let late = cache.store(ticket, "Tux", 1, "one");
    assert_eq!(cache.join(&late, "Tux", at(1_002)), None);
}

#[test]
fn a_floor_outlives_eviction() {
    let mut cache = Cache::new(1);
    cache.renew(1, at(0), at(0));
    let ticket = cache.begin_fetch();
    cache.invalidate("Tux", 5);
    cache.store(ticket, "Fox", 1, "fox");
    cache.store(ticket, "Tux", 4, "old");
    assert_eq!(cache.get("Fox", at(1)), Some("fox"));
    assert_eq!(cache.get("Tux", at(1)), None);
    let status = cache.status();
    assert_eq!((status.hits, status.misses, status.evictions), (1, 1, 0));
}
