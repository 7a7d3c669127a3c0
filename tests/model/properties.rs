//! The properties that must always hold (replication.md, with its numbers), and states that must be reachable,
//! to show that the model explores enough.

use crate::bounds::Bounds;
use crate::server::{Server, member};
use crate::store::{Order, Store, key};
use stateright::Property;
use std::collections::BTreeSet;
use toystore::model::{Entry, Epoch, Key, Member, OrderNumber, ReplicaId};
use toystore::order::leadership::Office;
use toystore::protocol::catalog::Book;

/// The properties of the store within `bounds`.
pub fn of(bounds: &Bounds) -> Vec<Property<Bounds>> {
    let mut properties = vec![
        Property::always("1: what is committed is on the disk of every in-sync replica", in_sync),
        Property::always("1: replicas agree on what is committed", agreement),
        Property::always("2: an epoch has one leader", one_leader),
        Property::always("3: a later order has a higher number", numbers),
        Property::always("4: one key, one decrement, one order", once),
        Property::always("5: a leader in office has every sale of older epochs", rolled_forward),
        Property::always("5: the books balance, and what is settled is an order", books),
        Property::always("7: an acknowledged order is committed", shown),
        Property::always("nobody is asked for what cannot be", |_, store: &Store| {
            store.servers.iter().all(|server| !server.is_confused)
        }),
        Property::sometimes("every customer has an answer, in spite of all faults", served),
    ];
    let mut reachable = |within: bool, name, condition| {
        properties.extend(within.then(|| Property::sometimes(name, condition)));
    };
    reachable(bounds.stock < bounds.orders as u64, "a customer is refused", |_, store: &Store| {
        store.orders.iter().any(|order| order.refused)
    });
    reachable(bounds.epochs > 1, "the next leader serves every customer", |_, store: &Store| {
        let view = store.view();
        view.leader != ReplicaId(3) && is_serving(store, view.leader) && is_done(store)
    });
    reachable(bounds.epochs > 1, "a lone survivor sells", |_, store: &Store| {
        let epoch = store.view().epoch;
        store.view().in_sync.len() == 1 && store.sold.iter().any(|(_, sold_in)| *sold_in == epoch)
    });
    reachable(
        bounds.epochs > 2,
        "an outsider joins the in-sync set after a sale",
        |_, store: &Store| has_grown(store) && !store.committed.is_empty(),
    );
    let wipes = bounds.faults.wipes > 0;
    reachable(
        bounds.epochs > 2 && wipes,
        "a wiped replica joins the in-sync set",
        |_, store: &Store| {
            let is_wiped = |id: &Member| id.identity != member(id.id).identity;
            has_grown(store) && store.view().in_sync.iter().any(is_wiped)
        },
    );
    properties
}

fn is_done(store: &Store) -> bool {
    store.orders.iter().all(Order::is_done)
}

fn is_serving(store: &Store, id: ReplicaId) -> bool {
    store.server(id).replica.office() == Some(Office::Serving)
}

fn has_grown(store: &Store) -> bool {
    store.views.windows(2).any(|pair| pair[0].in_sync.len() < pair[1].in_sync.len())
}

fn served(bounds: &Bounds, store: &Store) -> bool {
    is_done(store) && store.spent == bounds.faults
}

fn in_sync(_: &Bounds, store: &Store) -> bool {
    let members = store.view().in_sync.iter();
    let mut servers = members.map(|member| (member, store.server(member.id)));
    // A member that lost its disk has nothing left, and no replica takes it for a member.
    servers.all(|(member, server)| {
        server.member != *member || entries(server, server.durable).starts_with(&store.committed)
    })
}

fn agreement(_: &Bounds, store: &Store) -> bool {
    store
        .servers
        .iter()
        .all(|server| store.committed.starts_with(entries(server, server.replica.committed().0)))
}

fn one_leader(_: &Bounds, store: &Store) -> bool {
    let leaders = || store.servers.iter().filter_map(|server| server.replica.leads());
    leaders().collect::<BTreeSet<Epoch>>().len() == leaders().count()
}

fn numbers(_: &Bounds, store: &Store) -> bool {
    store.orders.iter().all(|order| order.number.is_none() || order.number > order.begun_after)
}

fn once(_: &Bounds, store: &Store) -> bool {
    let sold: BTreeSet<usize> = store.sold.iter().map(|(order, _)| *order).collect();
    let keys: BTreeSet<&Key> = store.committed.iter().map(|entry| &entry.key).collect();
    sold.len() == store.sold.len() && keys.len() == store.committed.len()
}

fn rolled_forward(_: &Bounds, store: &Store) -> bool {
    store.servers.iter().all(|server| {
        let in_office = server.replica.leads().filter(|epoch| *epoch >= store.fence);
        let Some(epoch) = in_office.filter(|_| is_serving(store, server.member.id)) else {
            return true;
        };
        let mut older = store.sold.iter().filter(|(_, sold_in)| *sold_in < epoch);
        older.all(|(order, _)| server.replica.log().find(&key(*order)).is_some())
    })
}

fn books(_: &Bounds, store: &Store) -> bool {
    let books = store.stock.books(store.stock.shelves());
    let is_sold = |key_of: &Key| store.sold.iter().any(|(order, _)| key(*order) == *key_of);
    let is_accounted = |(order, _): &(usize, Epoch)| {
        let key = key(*order);
        store.committed.iter().any(|entry| entry.key == key)
            || books.open.iter().any(|open| open.key == key)
    };
    let sold: u64 = books.toys.iter().map(|book| book.sold).sum();
    let mut logs = store.servers.iter().map(|server| entries(server, u64::MAX));
    sold == store.sold.len() as u64
        && books.toys.iter().all(Book::balances)
        && store.sold.iter().all(is_accounted)
        && logs.all(|log| log.iter().all(|entry| is_sold(&entry.key)))
}

fn shown(_: &Bounds, store: &Store) -> bool {
    store.orders.iter().enumerate().all(|(order, Order { number, .. })| {
        let is_it = |entry: &Entry| entry.key == key(order) && Some(entry.number) == *number;
        number.is_none() || store.committed.iter().any(is_it)
    })
}

/// The first entries of a server's log.
fn entries(server: &Server, count: u64) -> &[Entry] {
    server.replica.log().between(OrderNumber(0), OrderNumber(count), usize::MAX)
}
