//! Rules of the stock that need no clock and no network.

use toystore::catalog::stock::{Restocked, Shelf, Stock};
use toystore::error::Error;
use toystore::model::{CallId, Epoch, Item, Key, Price, Quantity};
use toystore::protocol::catalog::Purchase;

/// A stock with one Tux, of which epoch 1 is in office.
fn one_tux() -> Stock {
    let mut stock = Stock::new(vec![Shelf::new("Tux".into(), Price(1990), 1)], 0);
    stock.take_office(Epoch(1)).expect("the first epoch");
    stock
}

/// The front-end's call with this sequence, for so many Tuxes.
fn call(sequence: u64, quantity: u64) -> Purchase {
    let call = CallId { caller: 0, incarnation: Epoch(1), sequence };
    let quantity = Quantity::try_from(quantity).expect("at least one");
    let item = Item { name: "Tux".into(), quantity };
    Purchase { epoch: Epoch(1), call, ack_below: sequence, key: Key::made(call), item }
}

#[test]
fn a_late_duplicate_of_a_refused_purchase_does_not_sell_after_a_restock() {
    let mut stock = one_tux();
    assert_eq!(stock.purchase(call(1, 2)).expect_err("there is one"), Error::NotEnoughStock);
    stock.restock(Restocked::All, 100);
    assert_eq!(stock.purchase(call(1, 2)).expect_err("as before"), Error::NotEnoughStock);
    assert_eq!(stock.look_up("Tux").expect("there").toy.quantity, 100);
    // A new call for the same thing is another matter, and says that the first one is finished.
    stock.purchase(call(2, 2)).expect("there are enough");
    assert!(matches!(stock.purchase(call(1, 2)), Err(Error::Invalid { .. })));
    assert_eq!(stock.look_up("Tux").expect("there").toy.quantity, 98);
}

#[test]
fn a_late_duplicate_of_a_refused_purchase_is_known_even_if_the_next_one_was_refused_too() {
    let mut stock = one_tux();
    assert_eq!(stock.purchase(call(1, 2)).expect_err("there is one"), Error::NotEnoughStock);
    assert_eq!(stock.purchase(call(2, 2)).expect_err("there is one"), Error::NotEnoughStock);
    stock.restock(Restocked::All, 100);
    assert!(matches!(stock.purchase(call(1, 2)), Err(Error::Invalid { .. })));
    assert_eq!(stock.look_up("Tux").expect("there").toy.quantity, 100);
}

#[test]
fn a_late_duplicate_of_a_settled_purchase_does_not_sell_again() {
    let mut stock = one_tux();
    stock.restock(Restocked::All, 100);
    let first = call(1, 3);
    stock.purchase(first.clone()).expect("there are enough");
    stock.settle(Epoch(1), vec![first.key.clone()]).expect("in office");
    let (_, again) = stock.purchase(first.clone()).expect("as before");
    assert_eq!(again, None, "no second decrement (4)");
    stock.purchase(call(2, 1)).expect("there are enough");
    assert!(matches!(stock.purchase(first), Err(Error::Invalid { .. })));
    assert_eq!(stock.look_up("Tux").expect("there").toy.quantity, 96);
}

#[test]
fn an_older_epoch_is_fenced() {
    let mut stock = one_tux();
    stock.take_office(Epoch(2)).expect("a newer epoch");
    assert_eq!(stock.purchase(call(1, 1)).expect_err("fenced"), Error::Stale { epoch: 2 });
    assert_eq!(stock.settle(Epoch(1), vec![]).expect_err("fenced"), Error::Stale { epoch: 2 });
    assert_eq!(stock.take_office(Epoch(1)).expect_err("fenced"), Error::Stale { epoch: 2 });
}
