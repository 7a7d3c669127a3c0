//! What must hold, always (replication.md, with its numbers), and what has to be reachable for that
//! to mean something.

use crate::store::{Bounds, Store};
use stateright::Property;
use std::collections::BTreeSet;
use toystore::model::{Epoch, Key, OrderNumber};
use toystore::order::leadership::Office;

pub fn all() -> Vec<Property<Bounds>> {
    vec![
        Property::always("1: what is committed is on the disk of every in-sync replica", in_sync),
        Property::always("1: replicas agree on what is committed", agreement),
        Property::always("2: an epoch has one leader", one_leader),
        Property::always("3: an acknowledged number stays and rises", numbers),
        Property::always("4: one key, one decrement, one order", once),
        Property::always("5: a leader in office has every sale of older epochs", rolled_forward),
        Property::always("5: the books balance, and what is settled is an order", books),
        Property::always("7: an acknowledged order is committed", shown),
        Property::always("nobody is asked for what cannot be", |_, store: &Store| {
            store.servers.iter().all(|server| !server.is_confused)
        }),
        Property::sometimes("all orders are acknowledged", |_, store| all_done(store)),
        Property::sometimes("all are, after a change of leader", |_, store| {
            all_done(store) && store.view().leader != store.views[0].leader
        }),
        Property::sometimes("one is, by a lone survivor", |_, store| {
            any_done(store) && store.view().in_sync.len() == 1
        }),
        Property::sometimes("the in-sync set grew again after one", |_, store: &Store| {
            let sizes = store.views.windows(2).map(|w| (w[0].in_sync.len(), w[1].in_sync.len()));
            any_done(store) && sizes.into_iter().any(|(before, after)| before < after)
        }),
    ]
}

fn all_done(store: &Store) -> bool {
    store.orders.iter().all(|order| order.number.is_some())
}

fn any_done(store: &Store) -> bool {
    store.orders.iter().any(|order| order.number.is_some())
}

fn in_sync(_: &Bounds, store: &Store) -> bool {
    store.view().ids().all(|id| {
        let server = store.server(id);
        let durable = OrderNumber(server.durable);
        server.replica.log().between(OrderNumber(0), durable, usize::MAX).starts_with(&store.committed)
    })
}

fn agreement(_: &Bounds, store: &Store) -> bool {
    store.servers.iter().all(|server| {
        let committed = server.replica.committed();
        let log = server.replica.log().between(OrderNumber(0), committed, usize::MAX);
        store.committed.starts_with(log)
    })
}

fn one_leader(_: &Bounds, store: &Store) -> bool {
    let epochs: Vec<Epoch> =
        store.servers.iter().filter_map(|server| server.replica.leads()).collect();
    epochs.iter().collect::<BTreeSet<_>>().len() == epochs.len()
}

fn numbers(_: &Bounds, store: &Store) -> bool {
    store.orders.iter().all(|order| {
        order.number.is_none() || order.number > order.begun_after
    })
}

fn once(_: &Bounds, store: &Store) -> bool {
    let sold: BTreeSet<usize> = store.sold.iter().map(|(order, _)| *order).collect();
    let keys: BTreeSet<&Key> = store.committed.iter().map(|entry| &entry.key).collect();
    sold.len() == store.sold.len() && keys.len() == store.committed.len()
}

fn rolled_forward(_: &Bounds, store: &Store) -> bool {
    store.servers.iter().all(|server| {
        let serving = server.replica.office() == Some(Office::Serving);
        let Some(epoch) = server.replica.leads().filter(|_| serving) else { return true };
        let is_fenced = store.stock.clone().as_ref().clone().take_office(epoch).is_err();
        is_fenced || store.sold.iter().all(|(order, sold_in)| {
            *sold_in >= epoch || server.replica.log().find(&Store::key(*order)).is_some()
        })
    })
}

fn books(_: &Bounds, store: &Store) -> bool {
    let books = store.stock.books();
    let is_order = |key: &Key| store.committed.iter().any(|entry| entry.key == *key);
    let accounted = |(order, _): &(usize, Epoch)| {
        let key = Store::key(*order);
        is_order(&key) || books.open.iter().any(|open| open.key == key)
    };
    let in_logs = store.servers.iter().all(|server| {
        let log = server.replica.log();
        let is_sold = |key: &Key| store.sold.iter().any(|(order, _)| Store::key(*order) == *key);
        log.between(OrderNumber(0), log.last(), usize::MAX).iter().all(|entry| is_sold(&entry.key))
    });
    let sold: u64 = books.toys.iter().map(|book| book.sold).sum();
    in_logs
        && sold == store.sold.len() as u64
        && books.toys.iter().all(toystore::protocol::catalog::Book::balances)
        && store.sold.iter().all(accounted)
}

fn shown(_: &Bounds, store: &Store) -> bool {
    store.orders.iter().enumerate().all(|(at, order)| {
        let Some(number) = order.number else { return true };
        let entry = number.0.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        let entry = entry.and_then(|at| store.committed.get(at));
        entry.is_some_and(|entry| entry.key == Store::key(at))
    })
}
