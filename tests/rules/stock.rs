//! The stock: a restart against the live stock, what a crash may lose, and when the catalog is closed.

use super::{item, key, open, purchase};
use proptest::prelude::*;
use toystore::catalog::record::Record;
use toystore::catalog::shelf::Shelf;
use toystore::catalog::stock::{Restocked, Stock};
use toystore::error::{Error, Result};
use toystore::model::{Epoch, OrderNumber, Price, PurchaseId};
use toystore::protocol::catalog::{
    Incarnation, Open, Put, Reconcile, Reconciled, Settle, Sold, Standing,
};
use toystore::protocol::purchase::Purchase;

/// A request to a stock.
#[derive(Debug, Clone)]
enum Ask {
    Purchase {
        key: u64,
        caller: u32,
        behind: u64,
        quantity: u64,
    },
    /// So many orders are committed.
    Settle(usize),
    Reconcile,
    Restock,
    Withdraw(u64),
    Put(&'static str, Put),
    Sync,
}

fn puts() -> impl Strategy<Value = Ask> {
    let add = (0..9u64).prop_map(|quantity| Put::Add { price: Price(quantity), quantity });
    let change = (prop::option::of(0..9u64), prop::option::of(0..9u64))
        .prop_map(|(price, restock)| Put::Change { price: price.map(Price), restock });
    let name = prop::sample::select(vec!["Tux", "Yo-yo", "Kite"]);
    (name, prop_oneof![add, change]).prop_map(|(name, put)| Ask::Put(name, put))
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let purchase = (0..40u64, 0..2u32, 0..4u64, 1..4u64);
    let ask = prop_oneof![
        8 => purchase.prop_map(|(key, caller, behind, quantity)| {
            Ask::Purchase { key, caller, behind, quantity }
        }),
        2 => (0..4usize).prop_map(Ask::Settle),
        1 => Just(Ask::Reconcile),
        1 => Just(Ask::Restock),
        1 => (1..4u64).prop_map(Ask::Withdraw),
        2 => puts(),
        1 => Just(Ask::Sync),
    ];
    prop::collection::vec(ask, 0..60)
}

const NAMES: [&str; 4] = ["Tux", "Fox", "Yo-yo", "Kite"];

fn shelves() -> Vec<Shelf> {
    NAMES[..2].iter().map(|name| Shelf::new(name.parse().unwrap(), Price(100), 9)).collect()
}

/// A stock, the journal of its records, and the log of its leader.
struct Run {
    stock: Stock,
    journal: Vec<(u64, Record)>,
    epoch: Epoch,
    orders: Vec<Open>,
    settled: usize,
    /// The records up to this position are on disk.
    synced: u64,
    sequences: [u64; 2],
}

impl Run {
    fn new() -> Run {
        let mut run = Run {
            stock: Stock::new(shelves(), 0),
            journal: vec![],
            epoch: Epoch(0),
            orders: vec![],
            settled: 0,
            synced: 0,
            sequences: [0, 0],
        };
        run.ask(&Ask::Reconcile);
        run
    }

    /// Sends a request; its records go to the journal.
    fn ask(&mut self, ask: &Ask) {
        let stock = &mut self.stock;
        let records = match ask {
            Ask::Purchase { key: n, caller, behind, quantity } => {
                let sequence = &mut self.sequences[*caller as usize];
                *sequence += 1;
                let id = PurchaseId { caller: *caller, incarnation: Epoch(1), sequence: *sequence };
                let ack_below = sequence.saturating_sub(*behind);
                let name = NAMES.iter().cycle().nth(usize::try_from(*n).unwrap()).unwrap();
                let item = item(name, *quantity);
                let purchase = Purchase { epoch: self.epoch, id, ack_below, key: key(*n), item };
                self.buy(purchase)
            }
            Ask::Settle(count) => {
                let through = self.orders.len().min(self.settled + count);
                let keys = self.orders[self.settled..through].iter().map(|order| order.key.clone());
                let settle = Settle {
                    after: OrderNumber(self.settled as u64),
                    through: OrderNumber(through as u64),
                    keys: keys.collect(),
                };
                self.settled = through;
                stock.settle(settle).unwrap().into_iter().collect()
            }
            Ask::Reconcile => {
                self.epoch = self.epoch.next();
                let (after, entries) = (self.settled as u64, &self.orders[self.settled..]);
                let (done, records) = reconcile(stock, self.epoch, after, entries).unwrap();
                assert_eq!(done.open, [], "the log has them all");
                self.synced = done.position;
                records
            }
            Ask::Restock => stock.restock(Restocked::All, 9),
            Ask::Put(name, put) => {
                let put = stock.put(&name.parse().unwrap(), *put);
                put.ok().and_then(|(_, record)| record).into_iter().collect()
            }
            Ask::Withdraw(quantity) => {
                let withdrawn = stock.withdraw(item("Tux", *quantity));
                withdrawn.map(|(_, record)| record).into_iter().collect()
            }
            Ask::Sync => {
                self.synced = stock.position();
                stock.synced(self.synced);
                vec![]
            }
        };
        let before = self.stock.position() - records.len() as u64;
        self.journal.extend((before + 1..).zip(records));
        assert!(self.stock.shelves().iter().all(Shelf::balances), "{ask:?}");
    }

    /// A leader looks a key up in its log first.
    fn buy(&mut self, purchase: Purchase) -> Vec<Record> {
        let known = self.orders.iter().position(|order| order.key == purchase.key);
        if known.is_some_and(|place| place < self.settled) {
            return vec![];
        }
        let open = Open { key: purchase.key.clone(), item: purchase.item.clone() };
        let logged = OrderNumber(self.orders.len() as u64);
        let (mut reserved, records) =
            self.stock.purchase(self.epoch, logged, vec![purchase]).unwrap();
        let outcome = Result::from(reserved.outcomes.remove(0));
        if outcome.is_ok() && known.is_none() {
            self.orders.push(open);
        }
        records
    }
}

/// The leader of this epoch reconciles, and all is synced. Returns the records, too.
fn reconcile(
    stock: &mut Stock,
    epoch: Epoch,
    after: u64,
    entries: &[Open],
) -> Result<(Reconciled, Vec<Record>)> {
    let incarnation = stock.standing().incarnation;
    let (after, entries) = (OrderNumber(after), entries.to_vec());
    let asked = Reconcile { epoch, incarnation, after, entries };
    let records = stock.reconcile(&asked)?;
    let position = stock.position();
    Ok((stock.open(&asked, position)?, records))
}

/// A new stock that sells for epoch 1.
fn opened() -> Stock {
    let mut stock = Stock::new(shelves(), 0);
    reconcile(&mut stock, Epoch(1), 0, &[]).unwrap();
    stock
}

/// What the catalog answers for one purchase, and the records.
fn buy(stock: &mut Stock, logged: u64, purchase: Purchase) -> Result<(Sold, Vec<Record>)> {
    let (mut reserved, records) =
        stock.purchase(purchase.epoch, OrderNumber(logged), vec![purchase])?;
    Result::from(reserved.outcomes.remove(0)).map(|sold| (sold, records))
}

fn settle(stock: &mut Stock, after: u64, through: u64, keys: &[u64]) -> Result<Option<Record>> {
    let keys = keys.iter().copied().map(key).collect();
    stock.settle(Settle { after: OrderNumber(after), through: OrderNumber(through), keys })
}

/// The stock after a restart with this journal.
fn restarted(journal: &[(u64, Record)]) -> Stock {
    let mut stock = Stock::new(shelves(), 0);
    for (position, record) in journal {
        stock.replay(*position, record).unwrap();
    }
    stock.begin(Incarnation(2));
    stock
}

/// Shelves without the data that only the running process needs.
fn books(stock: &Stock) -> Vec<Shelf> {
    let book = |shelf: Shelf| Shelf { changed_at: 0, added: 0, added_at: 0, ..shelf };
    stock.shelves().iter().cloned().map(book).collect()
}

proptest! {
    /// A crash may cut the journal after any record, and the snapshot may have any part of it already.
    #[test]
    fn a_restart_is_as_if_nothing_had_happened(
        asks in asks(),
        cut in any::<prop::sample::Index>(),
        snapshot in any::<prop::sample::Index>(),
    ) {
        let mut run = Run::new();
        for ask in &asks {
            run.ask(ask);
        }
        let Run { stock: live, mut journal, .. } = run;
        journal.truncate(cut.index(journal.len() + 1));

        let mut straight = Stock::new(shelves(), 0);
        for (_, record) in &journal {
            straight.apply(record);
        }
        if journal.last().is_some_and(|(position, _)| *position == live.position()) {
            prop_assert_eq!(straight.carried(), live.carried());
            prop_assert_eq!(books(&straight), books(&live));
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
        prop_assert_eq!(renewed.standing(), straight.standing());
        prop_assert_eq!(renewed.open_count(), straight.open_count());
    }

    /// A crash loses any part of the journal that was not synced. The leader has every order, so all are sold again, each
    /// once, and there is enough for them.
    #[test]
    fn what_a_crash_lost_is_sold_again(asks in asks(), cut in any::<prop::sample::Index>()) {
        let mut run = Run::new();
        for ask in &asks {
            run.ask(ask);
        }
        let Run { stock: live, journal, epoch, orders, synced, .. } = run;
        let synced = usize::try_from(synced).unwrap();
        let mut again = restarted(&journal[..synced + cut.index(journal.len() - synced + 1)]);
        let Standing { settled, .. } = again.standing();
        let after = settled.unwrap().0;
        let entries = &orders[usize::try_from(after).unwrap()..];
        let (done, _) = reconcile(&mut again, epoch, after, entries).unwrap();
        prop_assert_eq!(done.open, []);
        prop_assert!(again.shelves().iter().all(Shelf::balances));
        prop_assert_eq!(again.sold(), live.sold());
        prop_assert_eq!(again.open_count(), entries.len());
    }
}

/// Orders that are settled or whose sale is there are not sold again, whatever the leader sends.
#[test]
fn a_reconcile_sells_what_is_lacking_and_tells_what_the_log_lacks() {
    for (what, after, sent, again, open_then) in [
        ("nothing to compare", 2, vec![], vec![], vec![3, 4]),
        ("all are there", 2, vec![3, 4], vec![], vec![]),
        ("one was lost", 2, vec![3, 4, 5], vec![5], vec![]),
        ("two were lost, and the log lacks one", 2, vec![3, 6, 7], vec![6, 7], vec![4]),
        ("settled ones", 0, vec![1, 2, 3], vec![], vec![4]),
        ("settled ones, and a lost one", 1, vec![2, 3, 4, 5], vec![5], vec![]),
    ] {
        let mut stock = opened();
        for n in 1..=4 {
            buy(&mut stock, 0, purchase(n, n, 1)).unwrap();
        }
        settle(&mut stock, 0, 2, &[1, 2]).unwrap();
        stock.begin(Incarnation(2));
        let entries: Vec<Open> = sent.into_iter().map(open).collect();
        let (done, records) = reconcile(&mut stock, Epoch(2), after, &entries).unwrap();
        let sold = records.iter().filter_map(|record| match record {
            Record::Sale { key, .. } => Some(key.clone()),
            _ => None,
        });
        assert_eq!(sold.collect::<Vec<_>>(), again.iter().map(|n| key(*n)).collect::<Vec<_>>());
        let lacking: Vec<Open> = open_then.into_iter().map(open).collect();
        assert_eq!(done.open, lacking, "{what}");
        assert_eq!(done.sold, Some(4 + again.len() as u64), "{what}");
        assert_eq!(
            records.first(),
            Some(&Record::Office(Epoch(2))),
            "{what}: the fence is on disk"
        );
        // The same again sells nothing, and does not interrupt the sales.
        let (repeated, records) = reconcile(&mut stock, Epoch(2), after, &entries).unwrap();
        assert_eq!((repeated, records), (done, vec![]), "{what}");
        buy(&mut stock, 9, Purchase { epoch: Epoch(2), ..purchase(9, 9, 1) }).unwrap();
    }
}

#[test]
fn a_reconcile_that_does_not_fit_is_refused_and_changes_nothing() {
    let mut stock = opened();
    for n in 1..=2 {
        buy(&mut stock, 0, purchase(n, n, 1)).unwrap();
    }
    settle(&mut stock, 0, 1, &[1]).unwrap();
    stock.begin(Incarnation(2));
    let asked = |epoch, incarnation, after, entries| Reconcile {
        epoch: Epoch(epoch),
        incarnation: Incarnation(incarnation),
        after: OrderNumber(after),
        entries,
    };
    let too_many = vec![Open { key: key(3), item: item("Tux", 8) }];
    let together = [("a", 4), ("b", 4)].map(|(key, count)| Open {
        key: key.to_owned().try_into().unwrap(),
        item: item("Tux", count),
    });
    let unknown = vec![Open { key: key(3), item: item("Yeti", 1) }];
    let before = stock.clone();
    for (what, asked, is_refused) in [
        ("of a dead incarnation", asked(2, 1, 1, vec![]), "started again"),
        ("with a gap after the settled orders", asked(2, 2, 2, vec![]), "not settled"),
        ("of more than is left", asked(2, 2, 1, too_many), "restock Tux"),
        ("of more than is left, in two", asked(2, 2, 1, together.into()), "restock Tux"),
        ("of a toy that is not there", asked(2, 2, 1, unknown), "restock Yeti"),
    ] {
        let error = stock.reconcile(&asked).unwrap_err().to_string();
        assert!(error.contains(is_refused), "{what}: {error}");
        assert_eq!(stock, before, "{what}");
    }
}

/// The fence is on disk before a leader sells, and stands.
#[test]
fn an_epoch_is_fenced_by_a_newer_one_and_cannot_sell_before_it_has_reconciled() {
    let mut stock = Stock::new(shelves(), 0);
    assert!(buy(&mut stock, 0, purchase(1, 1, 1)).is_err(), "nobody leads yet");
    reconcile(&mut stock, Epoch(1), 0, &[]).unwrap();
    buy(&mut stock, 0, purchase(1, 1, 1)).unwrap();
    let newer = Purchase { epoch: Epoch(2), ..purchase(2, 2, 1) };
    assert!(buy(&mut stock, 0, newer.clone()).is_err(), "it has not reconciled");
    let asked = Reconcile {
        epoch: Epoch(2),
        incarnation: stock.standing().incarnation,
        after: OrderNumber(0),
        entries: vec![],
    };
    assert_eq!(stock.reconcile(&asked), Ok(vec![Record::Office(Epoch(2))]));
    assert!(buy(&mut stock, 0, newer.clone()).is_err(), "the fence is not synced yet");
    let older = Reconcile { epoch: Epoch(1), ..asked.clone() };
    for refused in [
        buy(&mut stock, 0, purchase(1, 1, 1)).err(),
        stock.reconcile(&older).err(),
        stock.open(&older, stock.position()).err(),
    ] {
        assert_eq!(refused, Some(Error::Stale { epoch: 2 }));
    }
    let position = stock.position();
    assert_eq!(stock.open(&asked, position).unwrap().open, [open(1)]);
    buy(&mut stock, 0, newer).unwrap();
}

/// While orders may have to be sold again, nothing takes from the stock.
#[test]
fn a_closed_catalog_sells_and_withdraws_nothing() {
    // A store that never had a leader has no orders.
    let mut new = Stock::new(shelves(), 0);
    new.begin(Incarnation(1));
    new.withdraw(item("Tux", 1)).unwrap();
    assert!(buy(&mut new, 0, purchase(1, 1, 1)).is_err());

    let mut stock = restarted(&[(1, Record::Office(Epoch(1)))]);
    let closed = |error: Option<Error>| matches!(error, Some(Error::Unavailable { .. }));
    let tux = "Tux".parse().unwrap();
    let put = |quantity| Put::Change { price: None, restock: Some(quantity) };
    assert!(closed(buy(&mut stock, 0, purchase(1, 1, 1)).err()));
    assert!(closed(stock.withdraw(item("Tux", 1)).err()));
    assert!(closed(stock.put(&tux, put(8)).err()), "takes one away");
    assert_eq!(stock.restock(Restocked::Reset, 8), [], "takes one away");
    assert_eq!(stock.look_up("Tux").unwrap().toy.quantity, 9);
    stock.put(&tux, put(10)).unwrap();
    stock.put(&tux, Put::Change { price: Some(Price(1)), restock: None }).unwrap();
    assert_eq!(stock.restock(Restocked::SoldOut, 20), []);
    assert_eq!(stock.restock(Restocked::All, 20).len(), 2);

    reconcile(&mut stock, Epoch(1), 0, &[]).unwrap();
    buy(&mut stock, 0, purchase(1, 1, 1)).unwrap();
    stock.withdraw(item("Tux", 1)).unwrap();
    stock.put(&tux, put(8)).unwrap();
}

type Change = fn(&mut Stock);

/// If it were lost, the orders for it could not be sold again.
#[test]
fn what_a_restock_added_is_sold_once_it_is_synced() {
    let restock = |stock: &mut Stock| drop(stock.restock(Restocked::All, 20));
    let raise = |stock: &mut Stock| {
        drop(stock.put(&"Tux".parse().unwrap(), Put::Change { price: None, restock: Some(20) }));
    };
    let lower_and_raise = |stock: &mut Stock| {
        for quantity in [2, 20] {
            let put = Put::Change { price: None, restock: Some(quantity) };
            stock.put(&"Tux".parse().unwrap(), put).unwrap();
        }
    };
    let changes: [(&str, Change, u64); 3] = [
        ("restocked", restock, 9),
        ("by the operator", raise, 9),
        ("lowered first", lower_and_raise, 2),
    ];
    for (what, change, sellable) in changes {
        let mut stock = opened();
        change(&mut stock);
        let buy = |stock: &mut Stock, n: u64, quantity| {
            buy(stock, 0, Purchase { item: item("Tux", quantity), ..purchase(n, n, 1) }).err()
        };
        assert_eq!(buy(&mut stock, 1, sellable + 1), Some(Error::NotEnoughStock), "{what}");
        assert_eq!(stock.withdraw(item("Tux", sellable + 1)).err(), Some(Error::NotEnoughStock));
        assert_eq!(buy(&mut stock, 2, sellable), None, "{what}");
        assert_eq!(buy(&mut stock, 3, 1), Some(Error::NotEnoughStock), "{what}: all was sold");
        stock.synced(stock.position());
        assert_eq!(buy(&mut stock, 4, 20 - sellable), None, "{what}: synced");
    }
    let mut stock = opened();
    let yeti = "Yeti".parse().unwrap();
    stock.put(&yeti, Put::Add { price: Price(1), quantity: 5 }).unwrap();
    let one = Purchase { item: item("Yeti", 1), ..purchase(1, 1, 1) };
    assert_eq!(buy(&mut stock, 0, one).err(), Some(Error::NotEnoughStock), "a new toy");
}

/// The numbers of settled orders have no gap, so a number says which orders were sold.
#[test]
fn orders_are_settled_in_a_row_and_repetitions_change_nothing() {
    let settled = |stock: &Stock| stock.standing().settled.unwrap().0;
    let mut stock = opened();
    for n in 1..=4 {
        buy(&mut stock, 0, purchase(n, n, 1)).unwrap();
    }
    for (what, (after, through, keys), is_changed, settled_then, open_then) in [
        ("a gap", (1, 2, vec![2]), Err(()), 0, 4),
        ("the first", (0, 1, vec![1]), Ok(true), 1, 3),
        ("the first again", (0, 1, vec![1]), Ok(false), 1, 3),
        ("a gap after it", (2, 3, vec![3]), Err(()), 1, 3),
        ("more than the first", (0, 3, vec![1, 2, 3]), Ok(true), 3, 1),
        ("a late repetition", (0, 1, vec![1]), Ok(false), 3, 1),
        ("a key that an earlier version left open", (3, 3, vec![4]), Ok(true), 3, 0),
    ] {
        let done = settle(&mut stock, after, through, &keys);
        assert_eq!(done.map(|record| record.is_some()).map_err(drop), is_changed, "{what}");
        assert_eq!((settled(&stock), stock.open_count()), (settled_then, open_then), "{what}");
    }
    assert_eq!(stock.sold(), 4, "what is settled is sold");
}

/// The catalog has forgotten the keys of settled orders, and only the leader's log knows them.
#[test]
fn a_purchase_is_refused_if_its_key_may_have_been_settled_since_it_was_looked_up() {
    let mut stock = opened();
    buy(&mut stock, 0, purchase(1, 1, 1)).unwrap();
    let (_, records) = buy(&mut stock, 0, purchase(1, 1, 1)).unwrap();
    assert_eq!(records, [], "an open sale is answered as before");
    let other = Purchase { item: item("Tux", 2), ..purchase(1, 1, 1) };
    assert_eq!(buy(&mut stock, 0, other).err(), Some(Error::KeyReused));
    settle(&mut stock, 0, 1, &[1]).unwrap();
    for n in [1, 2] {
        let refused = buy(&mut stock, 0, purchase(n, n, 1)).err();
        assert!(matches!(refused, Some(Error::Unavailable { .. })), "key {n}: {refused:?}");
    }
    buy(&mut stock, 1, purchase(2, 2, 2)).unwrap();
    assert_eq!(stock.look_up("Tux").unwrap().sold, 2);
    assert!(buy(&mut stock, 1, purchase(1, 1, 1)).is_err(), "a late duplicate");
}

/// After an unclean election the orders after the leader's log are lost, and it can sell. A late copy of a question of the
/// same epoch says nothing of what is lost.
#[test]
fn a_new_leader_whose_log_lacks_settled_orders_can_sell() {
    let settled = |stock: &Stock| stock.standing().settled.unwrap().0;
    let mut stock = opened();
    for n in 1..=4 {
        buy(&mut stock, 0, purchase(n, n, 1)).unwrap();
    }
    settle(&mut stock, 0, 3, &[1, 2, 3]).unwrap();
    reconcile(&mut stock, Epoch(1), 0, &[open(1)]).unwrap();
    assert_eq!(settled(&stock), 3, "its leader had order 1 only when it asked");
    let (done, records) = reconcile(&mut stock, Epoch(2), 0, &[open(1), open(2)]).unwrap();
    assert_eq!((settled(&stock), done.open), (2, vec![open(4)]));
    assert_eq!(done.sold, Some(4), "nothing is sold again that was settled");
    buy(&mut stock, 2, Purchase { epoch: Epoch(2), ..purchase(5, 5, 1) }).unwrap();
    let records = records.into_iter().map(|record| (0, record));
    let after_a_crash = [(0, Record::Settle { through: Some(OrderNumber(3)), keys: vec![] })];
    let journal: Vec<(u64, Record)> = after_a_crash.into_iter().chain(records).collect();
    assert_eq!(settled(&restarted(&journal)), 2, "the records say so, too");
}

#[test]
fn a_refusal_is_remembered_until_it_is_finished() {
    let mut stock = opened();
    let too_many = Purchase { item: item("Tux", 1_000), ..purchase(1, 1, 1) };
    assert_eq!(buy(&mut stock, 0, too_many.clone()).err(), Some(Error::NotEnoughStock));
    stock.restock(Restocked::All, 1_000);
    stock.synced(stock.position());
    // A late duplicate must not sell what was refused for lack of stock.
    assert_eq!(buy(&mut stock, 0, too_many.clone()).err(), Some(Error::NotEnoughStock));
    // A new purchase reports that the old one is finished, even if it is refused itself.
    let more = Purchase { item: item("Tux", 2_000), ..purchase(2, 2, 2) };
    assert_eq!(buy(&mut stock, 0, more).err(), Some(Error::NotEnoughStock));
    assert!(matches!(buy(&mut stock, 0, too_many.clone()), Err(Error::Invalid { .. })));
    buy(&mut stock, 0, Purchase { item: item("Tux", 500), ..purchase(3, 3, 3) }).unwrap();
    assert!(matches!(buy(&mut stock, 0, too_many), Err(Error::Invalid { .. })));
    assert_eq!(stock.look_up("Tux").unwrap().toy.quantity, 500);
}
