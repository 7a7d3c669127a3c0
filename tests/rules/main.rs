//! Rules of the pure modules, each alone, where the simulation is too coarse. The rules of elections have a
//! file of their own, `elections.rs`.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod log;
mod stock;
mod leader;
mod follower;
mod shared;
mod buying;
mod cache;
mod row;
mod candidates;
mod lease;
mod trace;

use std::time::Duration;
use toystore::model::{
    Entry, Epoch, Identity, Item, Key, Member, Moment, OrderNumber, PurchaseId, Quantity,
    ReplicaId, View,
};
use toystore::order::leadership::Duty;
use toystore::order::log::Log;
use toystore::order::replica::Replica;
use toystore::protocol::catalog::{Incarnation, Open, Reconcile, Reconciled, Standing};
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

/// The sale of one Tux with this key.
fn open(n: u64) -> Open {
    Open { key: key(n), item: item("Tux", 1) }
}

/// A purchase of one Tux in epoch 1.
fn purchase(key_number: u64, sequence: u64, ack_below: u64) -> Purchase {
    let id = PurchaseId { caller: 0, incarnation: Epoch(1), sequence };
    Purchase { epoch: Epoch(1), id, ack_below, key: key(key_number), item: item("Tux", 1) }
}

fn member(id: u32) -> Member {
    Member { id: ReplicaId(id), identity: Identity(format!("disk-{id}")) }
}

/// A view whose leader is replica 1.
fn view(epoch: u64, in_sync: &[u32]) -> View {
    let in_sync = in_sync.iter().map(|id| member(*id)).collect();
    View { epoch: Epoch(epoch), leader: ReplicaId(1), in_sync }
}

/// The standing of this incarnation of the catalog.
fn standing(incarnation: u64, settled: u64) -> Standing {
    Standing { incarnation: Incarnation(incarnation), settled: Some(OrderNumber(settled)) }
}

/// A leader of epoch 1, alone in its view, which serves. It has reconciled with incarnation 1 of the catalog.
fn leader() -> Replica {
    let mut replica = Replica::new(member(1), vec![], Log::default(), None, OrderNumber(0));
    replica.accept(view(1, &[1]), at(0));
    assert_eq!(replica.duty(at(0)), Some(Duty::Reconcile(Epoch(1))));
    reconcile(&mut replica, 1, Reconciled::default());
    replica
}

/// The leader of epoch 1 reconciles with this incarnation, which has settled nothing. Returns what it asked.
fn reconcile(replica: &mut Replica, incarnation: u64, answer: Reconciled) -> Reconcile {
    let asked = replica.reconcile(Epoch(1), standing(incarnation, 0)).unwrap();
    replica.reconciled(Epoch(1), asked.incarnation, answer).unwrap();
    asked
}
