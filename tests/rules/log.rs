//! The log of orders against a naive one.

use super::{entry, item, key, log, member};
use proptest::prelude::*;
use toystore::model::{Entry, Epoch, OrderNumber};
use toystore::order::log::{KEYS_MAX, Log, Past};
use toystore::order::replica::Replica;
use toystore::protocol::order::Missed;

/// The epochs of the entries of two logs that are possible in one store: they begin with the same entries. Then one
/// continues with odd epochs, the other with even ones.
fn two_logs() -> impl Strategy<Value = (Vec<u64>, Vec<u64>, usize)> {
    let steps = || prop::collection::vec(0..3u64, 0..8);
    (steps(), steps(), steps()).prop_map(|(common, ours, theirs)| {
        let grow = |steps: &[u64], from: u64| -> Vec<u64> {
            let grown = steps.iter().scan(from, |epoch, step| {
                *epoch += 2 * step;
                Some(*epoch)
            });
            grown.collect()
        };
        let common = grow(&common, 1);
        let last = common.last().copied().unwrap_or(1);
        let with = |steps: &[u64], from| [common.clone(), grow(steps, from)].concat();
        (with(&ours, last + 2), with(&theirs, last + 3), common.len())
    })
}

proptest! {
    /// KIP-101: the table of epochs is enough to find the last common entry.
    #[test]
    fn the_last_common_entry_is_found((ours, theirs, common) in two_logs()) {
        let (a, b) = (log(&ours), log(&theirs));
        prop_assert_eq!(a.last_common(b.epochs()), OrderNumber(common as u64));
        prop_assert_eq!(b.last_common(a.epochs()), OrderNumber(common as u64));
    }

    /// Entries that were cut leave nothing behind.
    #[test]
    fn a_log_that_was_cut_is_as_if_it_had_never_been_longer(
        (epochs, _, _) in two_logs(),
        cut in 0..20u64,
    ) {
        let kept = epochs.len().min(usize::try_from(cut).unwrap());
        let (mut cut_log, short) = (log(&epochs), log(&epochs[..kept]));
        cut_log.cut_after(OrderNumber(cut));
        prop_assert_eq!(cut_log.epochs(), short.epochs());
        prop_assert_eq!(cut_log.last(), short.last());
        for number in 1..=epochs.len() as u64 {
            prop_assert_eq!(cut_log.find(&key(number)), short.find(&key(number)));
        }
    }
}

proptest! {
    /// Whoever has the end of a log and what is known of the rest knows as much of the end as whoever has all.
    #[test]
    fn a_window_is_the_end_of_the_whole_log((epochs, _, _) in two_logs(), past in 0..9usize, cut in 0..20u64) {
        let past = past.min(epochs.len());
        let entries: Vec<Entry> = (1..).zip(&epochs).map(|(n, epoch)| of(n, *epoch)).collect();
        let (mut whole, mut window) = (Log::default(), Log::after(past_of(&entries[..past])));
        for entry in &entries {
            whole.push(entry.clone()).unwrap();
        }
        entries[past..].iter().for_each(|entry| window.restore(entry.clone()).unwrap());
        window.restore_keys();
        let agree = |window: &Log, whole: &Log| -> Result<(), TestCaseError> {
            prop_assert_eq!(window.last(), whole.last());
            prop_assert_eq!(window.last_epoch(), whole.last_epoch());
            prop_assert_eq!(window.ordered(), whole.ordered());
            for number in past as u64..=30 {
                let n = OrderNumber(number);
                prop_assert_eq!(window.epoch_of(n), whole.epoch_of(n));
                prop_assert_eq!(window.between(n, OrderNumber(25), 7), whole.between(n, OrderNumber(25), 7));
                if number > past as u64 {
                    prop_assert_eq!(window.get(n), whole.get(n));
                    prop_assert_eq!(window.find(&key(number)), whole.find(&key(number)));
                }
            }
            Ok(())
        };
        agree(&window, &whole)?;
        if past > 0 {
            prop_assert_eq!(window.get(OrderNumber(past as u64)), None);
            prop_assert_eq!(window.epoch_of(OrderNumber(past as u64 - 1)), None);
        }
        let cut = OrderNumber(cut.max(past as u64));
        window.cut_after(cut);
        whole.cut_after(cut);
        agree(&window, &whole)?;
        let next = of(whole.last().0 + 1, 99);
        prop_assert_eq!(window.push(next.clone()), whole.push(next));
        agree(&window, &whole)?;
    }
}

/// An entry whose quantity differs from that of its neighbours.
fn of(number: u64, epoch: u64) -> Entry {
    Entry { item: item("Tux", number % 7 + 1), ..entry(number, epoch) }
}

/// What is known of these entries, which are the first ones.
fn past_of(entries: &[Entry]) -> Past {
    let Some(last) = entries.last() else { return Past::default() };
    let ordered = entries.iter().map(|entry| entry.item.quantity.get()).sum();
    Past { last: last.number, epoch: last.epoch, ordered }
}

/// What a leader has forgotten and what a new one has not loaded is the same.
#[test]
fn a_log_that_forgets_is_as_if_it_had_been_loaded_later() {
    let count = KEYS_MAX + 40_000;
    let entries: Vec<Entry> = (1..=count).map(|n| of(n, 1 + n / 10_000)).collect();
    let mut log = Log::default();
    for entry in &entries {
        log.push(entry.clone()).unwrap();
    }
    for (forgotten, past) in [(9_999, 0), (10_000, 10_000), (15_000, 10_000), (count, 40_000)] {
        log.forget(OrderNumber(forgotten));
        let (old, recent) = entries.split_at(past);
        let mut loaded = Log::after(past_of(old));
        for entry in recent {
            loaded.restore(entry.clone()).unwrap();
        }
        loaded.restore_keys();
        assert!(log == loaded, "after {forgotten} were forgotten");
    }
    assert_eq!(log.epoch_of(OrderNumber(40_000)), Some(Epoch(5)));
}

#[test]
fn a_log_refuses_what_breaks_its_rules() {
    let twin = Entry { key: key(1), ..entry(3, 5) };
    for (why, wrong) in [
        ("a gap", entry(4, 5)),
        ("a number again", entry(2, 5)),
        ("an epoch that falls", entry(3, 4)),
        ("a key twice", twin),
    ] {
        assert!(log(&[1, 5]).push(wrong).is_err(), "{why}");
    }
}

#[test]
fn keys_are_found_among_the_last_hundred_thousand_orders_only() {
    let mut log = Log::default();
    for number in 1..=KEYS_MAX {
        log.push(entry(number, 1)).unwrap();
    }
    assert!(log.find(&key(1)).is_some(), "the limit");
    assert!(log.push(Entry { key: key(1), ..entry(KEYS_MAX + 1, 1) }).is_err(), "still known");
    log.push(entry(KEYS_MAX + 1, 1)).unwrap();
    assert!(log.find(&key(1)).is_none(), "limit + 1");
    log.push(Entry { key: key(1), ..entry(KEYS_MAX + 2, 1) }).unwrap();
    assert_eq!(log.find(&key(1)).unwrap().number, OrderNumber(KEYS_MAX + 2));
    log.cut_after(OrderNumber(KEYS_MAX));
    assert_eq!(log.find(&key(1)).unwrap().number, OrderNumber(1), "in the window again");
    assert_eq!(log.find(&key(2)).unwrap().number, OrderNumber(2));
    assert!(log.find(&key(KEYS_MAX + 1)).is_none());
}

/// A follower accepts the entries that a leader accepted one by one.
#[test]
fn a_batch_may_use_a_key_again_that_its_first_entries_push_out_of_memory() {
    let mut log = Log::default();
    (1..=KEYS_MAX).for_each(|n| log.push(entry(n, 1)).unwrap());
    let again = Entry { key: key(1), ..entry(KEYS_MAX + 2, 1) };
    let last = log.last();
    assert_eq!(log.replace_after(last, vec![entry(KEYS_MAX + 1, 1), again]), Ok(()));
}

/// After an error, the log in memory is the same as in the file.
#[test]
fn entries_that_break_a_rule_change_nothing() {
    let bad_ends = [
        ("a gap", entry(4, 2)),
        ("an older epoch", entry(3, 0)),
        ("the key of a new entry", Entry { key: key(102), ..entry(3, 2) }),
        ("the key of an old entry", Entry { key: key(1), ..entry(3, 2) }),
    ];
    for (what, bad) in bad_ends {
        let mut log = log(&[1, 1, 1]);
        let before = log.clone();
        let good = Entry { key: key(102), ..entry(2, 2) };
        assert!(
            log.replace_after(OrderNumber(1), vec![good.clone(), bad.clone()]).is_err(),
            "{what}"
        );
        assert_eq!(log, before, "{what}");

        // The same through a replica: from another replica at the start, and from the catalog.
        let mut replica = Replica::new(member(1), vec![], before, None, OrderNumber(1));
        let unchanged = replica.clone();
        let entries = vec![entry(4, 2), Entry { number: OrderNumber(5), ..bad }, entry(9, 2)];
        let missed = Missed { entries, committed: OrderNumber(9) };
        assert!(replica.catch_up(missed).is_err(), "{what}");
        assert_eq!(replica, unchanged, "{what}");
    }
}
