//! The properties that must always hold (replication.md, with its numbers), and states that must be reachable,
//! to show that the model explores enough.

use crate::bounds::Bounds;
use crate::catalog::{sale, settled};
use crate::server::{Server, member};
use crate::store::{Order, Store, key};
use stateright::Property;
use std::collections::BTreeSet;
use toystore::catalog::record::Record;
use toystore::model::{Entry, Epoch, Key, Member, OrderNumber, ReplicaId};
use toystore::order::leadership::Office;
use toystore::protocol::catalog::Book;

/// The properties of the store within `bounds`.
pub fn of(bounds: &Bounds) -> Vec<Property<Bounds>> {
    let always = [
        Property::always("1: what is committed is on the disk of every in-sync replica", in_sync),
        Property::always("1: replicas agree on what is committed", agreement),
        Property::always("2: an epoch has one leader", one_leader),
        Property::always("3: a later order has a higher number", numbers),
        Property::always("4: one key, one decrement, one order", once),
        Property::always("4: who was refused is not sold to", refused),
        Property::always("5: in office, an order has its sale, and a sale its order", matched),
        Property::always("5: while the catalog sells, no log may lead that has more", prefix),
        Property::always("5: a committed order has its sale on disk", durable),
        Property::always("5: the stock is never negative, and the books balance", books),
        Property::always("5: what is settled is committed, and its key forgotten", forgotten),
        Property::always("6: what a query has shown is not lost", kept),
        Property::always("7: an acknowledged order is committed", shown),
        Property::always("7: a refusal rests on sales that are on disk", |_, store: &Store| {
            !store.is_unjust
        }),
        Property::always("nobody is asked for what cannot be", |_, store: &Store| {
            !store.is_confused && store.servers.iter().all(|server| !server.is_confused)
        }),
    ];
    let mut properties = Vec::from(always);
    properties.extend(reachable(bounds));
    properties
}

/// States that show that the model goes far enough.
fn reachable(bounds: &Bounds) -> Vec<Property<Bounds>> {
    let Bounds { epochs, orders, stock, faults, .. } = *bounds;
    let mut properties =
        vec![Property::sometimes("every customer has an answer, in spite of all faults", served)];
    let mut reach = |is_possible: bool, name, condition| {
        properties.extend(is_possible.then(|| Property::sometimes(name, condition)));
    };
    let is_enough = orders as u64 <= stock + u64::from(faults.restocks);
    reach(is_enough, "every order is committed and settled", |bounds, store: &Store| {
        settled(&store.catalog.records) == OrderNumber(bounds.orders as u64)
    });
    reach(stock < orders as u64, "a customer is refused", |_, store: &Store| {
        store.orders.iter().any(|order| order.refused)
    });
    reach(faults.reloads > 0, "a lost sale is made again, and committed", |_, store: &Store| {
        is_sold_again(store)
    });
    reach(faults.reloads > 0, "the same, in the first epoch", |_, store: &Store| {
        is_sold_again(store) && store.view().epoch == Epoch(1)
    });
    reach(epochs > 1, "the next leader serves every customer", |bounds, store: &Store| {
        let view = store.view();
        let is_next = view.leader != ReplicaId(bounds.replicas);
        is_next && is_serving(store, view.leader) && is_done(store)
    });
    reach(epochs > 1, "a lone survivor sells", |_, store: &Store| {
        let newest = store.view().epoch;
        let is_new =
            |record: &Record| matches!(record, Record::Sale { epoch, .. } if *epoch == newest);
        store.view().in_sync.len() == 1 && store.catalog.records.iter().any(is_new)
    });
    let grows = "an outsider joins the in-sync set after a sale";
    reach(epochs > 2, grows, |_, store: &Store| has_grown(store) && !store.committed.is_empty());
    reach(
        epochs > 2 && faults.wipes > 0,
        "a wiped replica joins the in-sync set",
        |_, store: &Store| {
            let is_wiped = |id: &Member| id.identity != member(id.id).identity;
            has_grown(store) && store.view().in_sync.iter().any(is_wiped)
        },
    );
    properties
}

fn is_sold_again(store: &Store) -> bool {
    store.committed.iter().any(|entry| store.catalog.sold_again.contains(&entry.key))
}

fn is_done(store: &Store) -> bool {
    store.orders.iter().all(Order::is_done)
}

fn is_serving(store: &Store, id: ReplicaId) -> bool {
    store.server(id).replica.office() == Some(Office::Serving)
}

/// The newest view has more members than one that is still in use.
fn has_grown(store: &Store) -> bool {
    let count = store.view().in_sync.len();
    let mut views = store.servers.iter().filter_map(|server| server.replica.view());
    views.any(|view| view.in_sync.len() < count)
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
    let sales = || store.catalog.records.iter().filter_map(sale);
    let keys: BTreeSet<&Key> = store.committed.iter().map(|entry| &entry.key).collect();
    sales().collect::<BTreeSet<_>>().len() == sales().count() && keys.len() == store.committed.len()
}

fn refused(_: &Bounds, store: &Store) -> bool {
    let sold = |at: usize| store.catalog.records.iter().filter_map(sale).any(|of| *of == key(at));
    store.orders.iter().enumerate().all(|(at, order)| !order.refused || !sold(at))
}

/// The leader of the newest view, if it has reconciled with the catalog as it now is, and that sells for it.
fn in_office(store: &Store) -> Option<(Epoch, &Server)> {
    let epoch = store.view().epoch;
    let leader = store.server(store.leader(epoch)?);
    let is_current = leader.reconciled_with() == Some(store.catalog.incarnation());
    (is_current && store.catalog.sells_for(epoch)).then_some((epoch, leader))
}

/// Each order in the leader's log has its sale, and each sale its order, or an answer that may still come.
fn matched(_: &Bounds, store: &Store) -> bool {
    let Some((epoch, leader)) = in_office(store) else { return true };
    let (log, current) = (leader.replica.log(), store.catalog.incarnation());
    let sales = || store.catalog.records.iter().filter_map(sale);
    let may_come = |sold: &Key| {
        store.answers.iter().any(|answer| {
            let is_current = answer.sent.epoch == epoch && answer.incarnation == current;
            answer.is_sold && is_current && key(answer.sent.order) == *sold
        })
    };
    let mut orders = entries(leader, u64::MAX).iter();
    orders.all(|entry| sales().any(|sold| *sold == entry.key))
        && sales().all(|sold| log.find(sold).is_some() || may_come(sold))
}

/// The logs from which a later leader may come begin the log of the one for which the catalog sells: what else they
/// had could not be sold again when that one has sold the toys.
fn prefix(_: &Bounds, store: &Store) -> bool {
    let epoch = store.view().epoch;
    let Some(leader) = store.leader(epoch).filter(|_| store.catalog.sells_for(epoch)) else {
        return true;
    };
    let log = entries(store.server(leader), u64::MAX);
    let asked = store.asks.iter().map(|(_, member)| member);
    store.view().in_sync.iter().chain(asked).all(|member| {
        let server = store.server(member.id);
        server.member != *member || log.starts_with(entries(server, u64::MAX))
    })
}

fn durable(_: &Bounds, store: &Store) -> bool {
    let records = store.catalog.durable_records();
    let is_sold = |entry: &Entry| records.iter().filter_map(sale).any(|key| *key == entry.key);
    store.committed.iter().all(is_sold)
}

/// Computed from the journal, because the stock does not go below 0.
fn books(_: &Bounds, store: &Store) -> bool {
    let mut quantity = store.catalog.initial.cast_signed();
    for record in store.catalog.records.iter() {
        match record {
            Record::Sale { .. } | Record::Withdraw { .. } => quantity -= 1,
            Record::Restock { quantity: full, .. } => quantity = full.cast_signed(),
            _ => {}
        }
        if quantity < 0 {
            return false;
        }
    }
    let books = store.catalog.stock.books(store.catalog.stock.shelves());
    let sold = store.catalog.records.iter().filter_map(sale).count() as u64;
    books.toys.iter().all(|book| {
        Book::balances(book) && book.sold == sold && book.quantity.cast_signed() == quantity
    })
}

fn forgotten(_: &Bounds, store: &Store) -> bool {
    let OrderNumber(count) = settled(&store.catalog.records);
    let is_known = |key: &Key| store.committed.iter().any(|entry| entry.key == *key);
    let open = store.catalog.stock.books(&[]).open;
    let keys = store.catalog.records.iter().filter_map(|record| match record {
        Record::Settle { keys, .. } => Some(keys),
        _ => None,
    });
    let mut committed = (1..).zip(&store.committed);
    count <= store.committed.len() as u64
        && keys.flatten().all(is_known)
        && committed
            .all(|(number, entry)| number > count || open.iter().all(|open| open.key != entry.key))
}

/// A query shows what is on disk, at the version that it has.
fn kept(_: &Bounds, store: &Store) -> bool {
    let shown = store.catalog.durable_records().iter().filter_map(Record::changed);
    let now = store.catalog.stock.shelves()[0].toy.version;
    let versions: Vec<u64> = shown.map(|(_, version)| version).collect();
    versions.is_sorted_by(|a, b| a < b) && versions.last().is_none_or(|last| *last <= now)
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
