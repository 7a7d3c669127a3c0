//! Rules of the pure modules, each alone, where the simulation is too coarse: the log against a
//! naive one, a restart against the live stock, the cache against a list, the leases against the clock, and
//! the controller against "Failures and their effect" (replication.md).

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use proptest::prelude::*;
use std::time::Duration;
use toystore::catalog::leases::{Coverage, LEASE_OVER, Leases};
use toystore::catalog::record::Record;
use toystore::catalog::stock::{Restocked, Shelf, Stock};
use toystore::error::Error;
use toystore::frontend::cache::{Cache, LEASE};
use toystore::model::{
    Entry, Epoch, Identity, Item, Key, Member, Moment, OrderNumber, Price, PurchaseId, Quantity,
    ReplicaId, ToyName, View,
};
use toystore::order::buying::{Buying, Next};
use toystore::order::leadership::{Begin, Duty};
use toystore::order::log::{KEYS_MAX, Log};
use toystore::order::replica::Replica;
use toystore::protocol;
use toystore::protocol::catalog::{self, Open, Put, Sold};
use toystore::protocol::order::{Append, Bought, Missed};
use toystore::protocol::purchase::Purchase;

const fn at(ms: u64) -> Moment {
    Moment::after(Duration::from_millis(ms))
}

fn key(n: u64) -> Key {
    Key::try_from(format!("key-{n}")).unwrap()
}

fn item(name: &str, quantity: u64) -> Item {
    Item { name: name.parse().unwrap(), quantity: Quantity::try_from(quantity).unwrap() }
}

fn entry(number: u64, epoch: u64) -> Entry {
    Entry {
        number: OrderNumber(number),
        epoch: Epoch(epoch),
        key: key(number),
        item: item("Tux", 1),
    }
}

/// A log whose entries have these epochs.
fn log(epochs: &[u64]) -> Log {
    let mut log = Log::default();
    for (number, epoch) in (1..).zip(epochs) {
        log.push(entry(number, *epoch)).unwrap();
    }
    log
}

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

/// A request to a stock.
#[derive(Debug, Clone)]
enum Ask {
    Purchase { key: u64, caller: u32, behind: u64, quantity: u64 },
    Settle(u64),
    Office,
    Restock,
    Withdraw(u64),
    Put(&'static str, Put),
}

fn puts() -> impl Strategy<Value = Ask> {
    let add = (0..9u64).prop_map(|quantity| Put::Add { price: Price(quantity), quantity });
    let change = (prop::option::of(0..9u64), prop::option::of(0..9u64))
        .prop_map(|(price, restock)| Put::Change { price: price.map(Price), restock });
    let name = prop::sample::select(vec!["Tux", "Yo-yo", "Kite"]);
    (name, prop_oneof![add, change]).prop_map(|(name, put)| Ask::Put(name, put))
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let purchase = (0..20u64, 0..2u32, 0..4u64, 1..4u64);
    let ask = prop_oneof![
        6 => purchase.prop_map(|(key, caller, behind, quantity)| {
            Ask::Purchase { key, caller, behind, quantity }
        }),
        4 => (0..20u64).prop_map(Ask::Settle),
        1 => Just(Ask::Office),
        1 => Just(Ask::Restock),
        1 => (1..4u64).prop_map(Ask::Withdraw),
        2 => puts(),
    ];
    prop::collection::vec(ask, 0..60)
}

fn shelves() -> Vec<Shelf> {
    ["Tux", "Fox"].iter().map(|name| Shelf::new(name.parse().unwrap(), Price(100), 9)).collect()
}

/// Sends a request to `stock`; its record goes to the journal.
fn run(stock: &mut Stock, asks: &[Ask], journal: &mut Vec<(u64, Record)>) {
    let mut epoch = Epoch(1);
    let mut sequences = [0, 0];
    for ask in asks {
        let records = match ask {
            Ask::Purchase { key: n, caller, behind, quantity } => {
                let sequence = &mut sequences[*caller as usize];
                *sequence += 1;
                let id = PurchaseId { caller: *caller, incarnation: Epoch(1), sequence: *sequence };
                let ack_below = sequence.saturating_sub(*behind);
                let item = item(if n % 2 == 0 { "Tux" } else { "Fox" }, *quantity);
                let purchase = Purchase { epoch, id, ack_below, key: key(*n), item };
                stock.purchase(purchase).ok().and_then(|(_, record)| record).into_iter().collect()
            }
            Ask::Settle(n) => stock.settle(epoch, vec![key(*n)]).unwrap(),
            Ask::Office => {
                epoch = epoch.next();
                stock.take_office(epoch).unwrap().1.into_iter().collect()
            }
            Ask::Restock => stock.restock(Restocked::All, 9),
            Ask::Put(name, put) => {
                let put = stock.put(&name.parse().unwrap(), *put);
                put.ok().and_then(|(_, record)| record).into_iter().collect()
            }
            Ask::Withdraw(quantity) => stock
                .withdraw(item("Tux", *quantity))
                .map(|(_, record)| record)
                .into_iter()
                .collect(),
        };
        let before = stock.position() - records.len() as u64;
        journal.extend((before + 1..).zip(records));
        assert!(stock.shelves().iter().all(Shelf::balances), "{ask:?}");
    }
}

/// Shelves without the data that only the running process needs.
fn books(stock: &Stock) -> Vec<Shelf> {
    stock.shelves().iter().cloned().map(|shelf| Shelf { changed_at: 0, ..shelf }).collect()
}

proptest! {
    /// A crash may cut the journal after any record, and the snapshot may have any part of it already.
    #[test]
    fn a_restart_is_as_if_nothing_had_happened(
        asks in asks(),
        cut in any::<prop::sample::Index>(),
        snapshot in any::<prop::sample::Index>(),
    ) {
        let mut live = Stock::new(shelves(), 0);
        live.take_office(Epoch(1)).unwrap();
        let mut journal = vec![(1, Record::Office(Epoch(1)))];
        run(&mut live, &asks, &mut journal);
        journal.truncate(cut.index(journal.len() + 1));

        let mut straight = Stock::new(shelves(), 0);
        for (_, record) in &journal {
            straight.apply(record);
        }
        if journal.last().is_some_and(|(position, _)| *position == live.position()) {
            prop_assert_eq!(straight.carried(), live.carried());
            prop_assert_eq!(straight.shelves(), live.shelves());
        }

        // The new snapshot is on disk, the new journal is not.
        let at = snapshot.index(journal.len() + 1);
        let mut early = Stock::new(shelves(), 0);
        for (_, record) in &journal[..at] {
            early.apply(record);
        }
        let mut again = Stock::new(books(&early), early.position());
        for (position, record) in &journal {
            again.replay(*position, record).unwrap();
        }
        prop_assert_eq!(again.carried(), straight.carried());
        prop_assert_eq!(books(&again), books(&straight));
        prop_assert_eq!(again.position(), straight.position());

        // The new journal is on disk, too.
        let mut renewed = Stock::new(books(&straight), straight.position());
        for (position, record) in straight.carried() {
            renewed.replay(position, &record).unwrap();
        }
        prop_assert_eq!(renewed.carried(), straight.carried());
        prop_assert_eq!(renewed.position(), straight.position());
        let (_, open) = (renewed.open_count(), straight.open_count());
        prop_assert_eq!(renewed.open_count(), open);
    }
}

fn purchase(key_number: u64, sequence: u64, ack_below: u64) -> Purchase {
    let id = PurchaseId { caller: 0, incarnation: Epoch(1), sequence };
    Purchase { epoch: Epoch(1), id, ack_below, key: key(key_number), item: item("Tux", 1) }
}

#[test]
fn a_settled_sale_is_remembered_until_it_is_finished_and_then_its_duplicate_is_refused() {
    let mut stock = Stock::new(shelves(), 0);
    stock.take_office(Epoch(1)).unwrap();
    stock.purchase(purchase(1, 1, 1)).unwrap();
    stock.settle(Epoch(1), vec![key(1)]).unwrap();
    assert_eq!(stock.open_count(), 0);
    let (_, record) = stock.purchase(purchase(1, 1, 1)).unwrap();
    assert_eq!(record, None, "settled, but a late duplicate may still come");
    stock.purchase(purchase(2, 2, 2)).unwrap();
    assert!(stock.purchase(purchase(1, 1, 1)).is_err(), "a late duplicate");
    assert_eq!(stock.look_up("Tux").unwrap().sold, 2);
}

#[test]
fn a_refusal_is_remembered_until_it_is_finished() {
    let mut stock = Stock::new(shelves(), 0);
    stock.take_office(Epoch(1)).unwrap();
    let too_many = Purchase { item: item("Tux", 1_000), ..purchase(1, 1, 1) };
    assert_eq!(stock.purchase(too_many.clone()).err(), Some(Error::NotEnoughStock));
    stock.restock(Restocked::All, 1_000);
    // A late duplicate must not sell what was refused for lack of stock.
    assert_eq!(stock.purchase(too_many.clone()).err(), Some(Error::NotEnoughStock));
    // A new purchase reports that the old one is finished, even if it is refused itself.
    let more = Purchase { item: item("Tux", 2_000), ..purchase(2, 2, 2) };
    assert_eq!(stock.purchase(more).err(), Some(Error::NotEnoughStock));
    assert!(matches!(stock.purchase(too_many.clone()), Err(Error::Invalid { .. })));
    stock.purchase(Purchase { item: item("Tux", 500), ..purchase(3, 3, 3) }).unwrap();
    assert!(matches!(stock.purchase(too_many), Err(Error::Invalid { .. })));
    assert_eq!(stock.look_up("Tux").unwrap().toy.quantity, 500);
}

#[test]
fn a_leader_remembers_a_refusal_too_for_the_catalog_forgets_it_with_a_restart() {
    let mut replica = leader();
    let [first, second] = [1, 2].map(|sequence| purchase(sequence, sequence, sequence));
    assert_eq!(replica.begin(&first), Ok(Begin::Ask));
    replica.refused(&first, &Error::NotEnoughStock);
    assert_eq!(replica.begin(&first), Err(Error::NotEnoughStock), "a late duplicate");
    assert_eq!(replica.begin(&second), Ok(Begin::Ask));
    assert!(matches!(replica.begin(&first), Err(Error::Invalid { .. })), "it is finished");
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
        let me = Member { id: ReplicaId(1), identity: Identity("disk".into()) };
        let mut replica = Replica::new(me, vec![], before, None, OrderNumber(1));
        let unchanged = replica.clone();
        let entries = vec![entry(4, 2), Entry { number: OrderNumber(5), ..bad }, entry(9, 2)];
        let missed = Missed { entries, committed: OrderNumber(9) };
        assert!(replica.catch_up(missed).is_err(), "{what}");
        assert_eq!(replica, unchanged, "{what}");
    }
}

/// A file that lost whole rows at its end looks complete. Only the other side knows.
#[test]
fn a_leader_that_takes_office_compares_its_log_with_what_the_catalog_sold() {
    let open = vec![Open { key: key(9), item: item("Fox", 4) }];
    for (sold, imbalance) in
        [(Some(6), None), (Some(5), Some(-1)), (Some(9), Some(3)), (None, None)]
    {
        let me = Member { id: ReplicaId(1), identity: Identity("disk".into()) };
        let view = View { epoch: Epoch(1), leader: me.id, in_sync: vec![me.clone()] };
        let mut replica = Replica::new(me, vec![], log(&[1, 1]), None, OrderNumber(0));
        replica.accept(view, at(0));
        replica.duty(at(0));
        replica.took_office(Epoch(1), catalog::Office { open: open.clone(), sold }).unwrap();
        assert_eq!(replica.imbalance(), imbalance, "{sold:?}");
        replica.synced(OrderNumber(3));
        let later = catalog::Office { open: vec![], sold: Some(100) };
        replica.took_office(Epoch(1), later).unwrap();
        assert_eq!(replica.imbalance(), imbalance, "sales go on while it serves");
    }
}

/// A leader of epoch 1, alone in its view, which has taken office.
fn leader() -> Replica {
    let me = Member { id: ReplicaId(1), identity: Identity("disk".into()) };
    let view = View { epoch: Epoch(1), leader: me.id, in_sync: vec![me.clone()] };
    let mut replica = Replica::new(me, vec![], Log::default(), None, OrderNumber(0));
    replica.accept(view, at(0));
    assert_eq!(replica.duty(at(0)), Some(Duty::TakeOffice(Epoch(1))));
    replica.took_office(Epoch(1), catalog::Office::default()).unwrap();
    replica
}

/// A "definite" error tells a customer that the purchase certainly did not happen.
#[test]
fn once_the_catalog_was_asked_no_error_is_definite_but_its_own_refusal() {
    let sold = || Sold { cost: Price::try_from(1.0).unwrap(), version: 2 };
    let asked = |replica: &mut Replica| {
        let mut buying = Buying::new(vec![purchase(1, 1, 1)]);
        assert_eq!(buying.next(replica), Next::Ask(vec![purchase(1, 1, 1)]));
        buying
    };
    let ended = |next: Next| match next {
        Next::Over(outcomes) => outcomes[0].clone().unwrap_err(),
        other => panic!("{other:?}"),
    };
    // The catalog sold, and the leader was deposed before the entry was in the log, or after.
    for is_logged in [false, true] {
        let mut replica = leader();
        let mut buying = asked(&mut replica);
        if !is_logged {
            replica.step_down(Epoch(2));
        }
        buying.told(&mut replica, Ok(vec![Ok(sold())]), false);
        replica.step_down(Epoch(2));
        assert!(!ended(buying.next(&mut replica)).is_definite(), "logged: {is_logged}");
    }
    // It refused an epoch in which an earlier attempt may have sold, or did not answer, or sent a malformed answer.
    let stale = Error::Stale { epoch: 2 };
    let one = |error: Error| Ok(vec![Err(error)]);
    for answers in
        [one(stale), one(Error::unavailable("busy")), Err(Error::unanswered("lost")), Ok(vec![])]
    {
        let mut replica = leader();
        let mut buying = asked(&mut replica);
        buying.told(&mut replica, answers, true);
        assert!(!ended(buying.next(&mut replica)).is_definite());
    }
    // A call that failed is repeated as long as there is time and the replica leads.
    let mut replica = leader();
    let mut buying = asked(&mut replica);
    assert!(!buying.told(&mut replica, Err(Error::unavailable("down")), false));
    assert_eq!(buying.next(&mut replica), Next::Ask(vec![purchase(1, 1, 1)]));
    replica.step_down(Epoch(2));
    assert!(buying.told(&mut replica, Err(Error::unavailable("down")), false));
    assert!(!ended(buying.next(&mut replica)).is_definite());
    // Another request with the same key is at the catalog when the replica is deposed.
    let mut replica = leader();
    let _first = asked(&mut replica);
    let mut second = Buying::new(vec![purchase(1, 1, 1)]);
    assert_eq!(second.next(&mut replica), Next::Wait);
    replica.step_down(Epoch(2));
    assert!(!ended(second.next(&mut replica)).is_definite());
    // The catalog's own refusal is definite, and so is any error before it is asked.
    let mut replica = leader();
    let mut buying = asked(&mut replica);
    buying.told(&mut replica, Ok(vec![Err(Error::NotEnoughStock)]), false);
    assert_eq!(ended(buying.next(&mut replica)), Error::NotEnoughStock);
    replica.step_down(Epoch(2));
    let mut late = Buying::new(vec![purchase(2, 2, 1)]);
    assert!(ended(late.next(&mut replica)).is_definite());
}

/// Purchases that are sent together are independent: each has its own outcome.
#[test]
fn purchases_of_one_call_each_have_their_own_outcome() {
    let mut replica = leader();
    let all: Vec<Purchase> = (1..=3).map(|n| purchase(n, n, 1)).collect();
    let again = purchase(1, 4, 1);
    let mut buying = Buying::new([all.clone(), vec![again]].concat());
    assert_eq!(buying.next(&mut replica), Next::Ask(all), "the same key is sold once");
    let sold = |version| Ok(Sold { cost: Price::try_from(1.0).unwrap(), version });
    let answers = vec![sold(2), Err(Error::NotEnoughStock), Err(Error::unavailable("busy"))];
    buying.told(&mut replica, Ok(answers), false);
    assert_eq!(replica.log().last(), OrderNumber(1));
    assert_eq!(buying.next(&mut replica), Next::Wait, "the order is not committed yet");
    replica.synced(OrderNumber(1));
    let Next::Over(outcomes) = buying.next(&mut replica) else { panic!("{buying:?}") };
    let bought = |version| Ok(Bought { number: OrderNumber(1), version });
    assert_eq!(outcomes[..2], [bought(Some(2)), Err(Error::NotEnoughStock)]);
    assert!(!outcomes[2].clone().unwrap_err().is_definite());
    assert_eq!(outcomes[3], bought(None), "its key has an order");
}

/// Names are written to files with one row per line, so a frame is checked like a request.
#[test]
fn a_toy_name_is_checked_wherever_it_comes_in() {
    let buy = |name: &str| {
        let purchase = Purchase {
            item: Item { name: "NAME".parse().unwrap(), quantity: Quantity::try_from(1).unwrap() },
            ..purchase(1, 1, 1)
        };
        let frame =
            serde_json::to_string(&catalog::Request::Purchase { purchases: vec![purchase] });
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

/// Asking a leader for its health changes nothing: only time makes an outsider join.
#[test]
fn asking_for_the_health_changes_nothing() {
    let replica = leader();
    let before = replica.clone();
    replica.health(true, at(60_000));
    assert_eq!(replica, before);
}

#[test]
fn a_question_that_was_sent_twice_may_have_been_done_the_first_time() {
    let passing = protocol::of_repeated::<()>(Err(Error::NotLeader { epoch: 1 }));
    assert!(passing.is_err_and(|error| !error.is_definite()));
    let refused = protocol::of_repeated::<()>(Err(Error::NotEnoughStock));
    assert_eq!(refused, Err(Error::NotEnoughStock));
}

#[test]
fn a_replica_whose_committed_orders_differ_from_the_leaders_says_so_until_another_leads() {
    let [me, leader] =
        [1, 2].map(|id| Member { id: ReplicaId(id), identity: Identity(format!("disk-{id}")) });
    let view = |epoch| View { epoch, leader: leader.id, in_sync: vec![leader.clone()] };
    let mut replica = Replica::new(me, vec![leader.id], log(&[1, 1]), None, OrderNumber(2));
    replica.accept(view(Epoch(2)), at(0));
    assert_eq!(replica.conflict(), None);
    let append = Append {
        view: view(Epoch(2)),
        prev_number: OrderNumber(1),
        prev_epoch: Epoch(1),
        entries: vec![entry(2, 2)],
        committed: OrderNumber(2),
    };
    assert!(matches!(replica.take(append), Err(Error::Invalid { .. })));
    assert_eq!(replica.conflict(), Some(OrderNumber(2)));
    replica.accept(view(Epoch(3)), at(0));
    assert_eq!(replica.conflict(), None, "the next leader may have the same orders");
}

#[test]
fn an_epoch_is_fenced_by_a_newer_one_and_cannot_sell_before_it_took_office() {
    let mut stock = Stock::new(shelves(), 0);
    assert!(stock.purchase(purchase(1, 1, 1)).is_err(), "no office yet");
    stock.take_office(Epoch(1)).unwrap();
    stock.purchase(purchase(1, 1, 1)).unwrap();
    let (open, record) = stock.take_office(Epoch(2)).unwrap();
    assert_eq!((open.len(), record), (1, Some(Record::Office(Epoch(2)))));
    for refused in [
        stock.purchase(purchase(1, 1, 1)).err(),
        stock.settle(Epoch(1), vec![key(1)]).err(),
        stock.take_office(Epoch(1)).err(),
    ] {
        assert_eq!(refused, Some(Error::Stale { epoch: 2 }));
    }
    let (again, record) = stock.take_office(Epoch(2)).unwrap();
    assert_eq!((again, record), (open, None));
}

#[test]
fn a_change_is_covered_when_each_subscriber_acknowledged_it_or_is_past_its_lease() {
    let mut leases = Leases::new(at(0));
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
    let mut leases = Leases::new(at(0));
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
    let mut leases = Leases::new(at(0));
    leases.call(1, None, at(600)).unwrap();
    let change = leases.publish(&"Tux".parse().unwrap(), 2);
    leases.call(1, None, at(700)).unwrap();
    leases.call(9, None, at(700)).unwrap();
    assert_eq!(leases.changes(1).unwrap().invalidate.len(), 1, "still to be acknowledged");
    assert!(matches!(leases.coverage(change, at(701)), Coverage::Until(_)), "not acknowledged");
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
