//! The rules of an audit. Pure.
//!
//! All logs are compared with one of them, the *reference*: among the in-sync replicas, the log whose
//! last order has the newest epoch, and of several the longest. It has every committed order
//! (replication.md, invariant 1). The catalog has sold its other orders, too.
//!
//! - Per toy: initial + restocked − sold − withdrawn = now.
//! - Per toy: sold = quantity in orders + quantity in open sales that are not orders yet. Orders that are neither settled
//!   nor open sales are not counted: the catalog lost their sale when it was killed, and sells them again when the store
//!   starts. None of them is committed.
//! - Numbers are 1..N without gap, epochs never decrease, no key occurs twice.
//! - Another log is equal to the reference, or behind it, or has orders of an older epoch that were never
//!   committed. It never differs in orders that it knows to be committed.
//! - An order that was cut from a log has the same key as an order in the reference or as an open sale.
//!   If not, and the sums do not match, it is reported as lost.

use super::verdict::Verdict;
use crate::model::{Entry, Epoch, Key, OrderNumber, ReplicaId};
use crate::protocol::catalog::{Book, Books, Open};
use std::collections::{BTreeSet, HashMap};

/// Everything that was read from a store.
#[derive(Debug, Default, Clone)]
pub struct Evidence {
    /// The books of the catalog.
    pub books: Books,
    /// The logs of the replicas, in order of id.
    pub logs: Vec<ReplicaLog>,
    /// The epoch of the newest view that a replica has accepted.
    pub epoch: Epoch,
    /// Notes about reading them.
    pub notes: Vec<String>,
    /// Violated rules that were seen while reading them.
    pub problems: Vec<String>,
}

/// What was read from one replica.
#[derive(Debug, Clone)]
pub struct ReplicaLog {
    /// The replica.
    pub id: ReplicaId,
    /// Whether it is in the in-sync set of the last view.
    pub in_sync: bool,
    /// Its orders, in the order of the log.
    pub entries: Vec<Entry>,
    /// The last order that it knows to be committed.
    pub committed: OrderNumber,
    /// Orders that were cut from its log.
    pub cut_aside: Vec<Entry>,
}

/// Checks all rules.
pub fn check(evidence: &Evidence) -> Verdict {
    let mut verdict = Verdict { notes: evidence.notes.clone(), ..Verdict::default() };
    verdict.replicas = evidence.logs.iter().map(|log| (log.id, log.last())).collect();
    let Some(reference) = reference(&evidence.logs) else {
        verdict.problems.push("there is no replica to audit".to_owned());
        return verdict;
    };
    let orders = check_order(reference, &mut verdict.problems);
    let mut set_aside = Vec::new();
    for log in &evidence.logs {
        set_aside.extend(log.cut_aside.iter().map(|entry| (log.id, entry)));
        set_aside.extend(compare(log, reference, &mut verdict).iter().map(|entry| (log.id, entry)));
    }
    let committed = evidence.logs.iter().map(|log| log.committed).max().unwrap_or_default();
    check_committed(committed, &evidence.logs, reference, &mut verdict.problems);
    let open: Vec<&Open> =
        evidence.books.open.iter().filter(|sale| !orders.contains_key(&sale.key)).collect();
    for Open { key, item } in &open {
        let (quantity, name) = (item.quantity.get(), &item.name);
        verdict
            .notes
            .push(format!("{quantity} {name} are sold, but not in an order yet (key {key})"));
    }
    let is_open = |key: &Key| evidence.books.open.iter().any(|sale| sale.key == *key);
    let settled = evidence.books.settled;
    let is_unsold = |entry: &&Entry| {
        settled.is_some_and(|settled| entry.number > settled) && !is_open(&entry.key)
    };
    let unsold: Vec<&Entry> = reference.entries.iter().filter(is_unsold).collect();
    for Entry { number, key, item, .. } in &unsold {
        let (quantity, name) = (item.quantity.get(), &item.name);
        let line =
            format!("order {number}, {quantity} {name}, is not sold by the catalog (key {key})");
        if *number <= committed {
            verdict.problems.push(format!("{line}, but it was committed"));
        } else {
            verdict.notes.push(format!("{line}; it is sold when the store starts"));
        }
    }
    let is_known = |key| orders.contains_key(key) || open.iter().any(|sale| sale.key == *key);
    set_aside.retain(|(_, entry)| !is_known(&entry.key));
    let sums = Sums { reference, open, unsold, lost: set_aside };
    sums.check(&evidence.books.toys, &mut verdict);
    verdict.toys.clone_from(&evidence.books.toys);
    verdict.problems.extend(evidence.problems.iter().cloned());
    verdict
}

impl ReplicaLog {
    fn last(&self) -> OrderNumber {
        OrderNumber(self.entries.len() as u64)
    }

    /// The epoch of its last order; 0 if there is none.
    pub fn last_epoch(&self) -> Epoch {
        self.entries.last().map_or(Epoch(0), |entry| entry.epoch)
    }
}

/// The log that the others are compared with.
pub fn reference(logs: &[ReplicaLog]) -> Option<&ReplicaLog> {
    logs.iter().max_by_key(|log| (log.in_sync, log.last_epoch(), log.last()))
}

/// Checks numbers, epochs and keys of the reference. Returns its orders by key.
fn check_order<'a>(
    reference: &'a ReplicaLog,
    problems: &mut Vec<String>,
) -> HashMap<&'a Key, OrderNumber> {
    let mut orders = HashMap::with_capacity(reference.entries.len());
    let (mut number, mut epoch) = (OrderNumber(0), Epoch(0));
    for entry in &reference.entries {
        let found = entry.number;
        if found != number.next() {
            problems
                .push(format!("replica {}: order {found} follows order {number}", reference.id));
        }
        if entry.epoch < epoch {
            problems.push(format!(
                "replica {}: order {found} of epoch {} follows epoch {epoch}",
                reference.id, entry.epoch
            ));
        }
        if let Some(twin) = orders.insert(&entry.key, found) {
            problems.push(format!(
                "replica {}: orders {twin} and {found} are the same purchase (key {})",
                reference.id, entry.key
            ));
        }
        (number, epoch) = (found, entry.epoch);
    }
    orders
}

/// Compares a log with the reference. Returns the orders of the log from the first difference on.
fn compare<'a>(log: &'a ReplicaLog, reference: &ReplicaLog, verdict: &mut Verdict) -> &'a [Entry] {
    let id = log.id;
    let pairs = log.entries.iter().zip(&reference.entries);
    let common = pairs.take_while(|(ours, theirs)| ours == theirs).count();
    let (own, missing) = (&log.entries[common..], &reference.entries[common..]);
    let place = OrderNumber(common as u64).next();
    match (own.first(), missing.first()) {
        (None, None) => {}
        (None, Some(_)) => {
            let missing = missing.len();
            verdict
                .notes
                .push(format!("replica {id} is {missing} orders behind replica {}", reference.id));
        }
        (Some(ours), _) if ours.number != place => verdict.problems.push(format!(
            "replica {id}: order {} is in the place of order {place}, and {} more follow it",
            ours.number,
            own.len() - 1
        )),
        (Some(ours), theirs) => {
            let is_older = theirs.is_none_or(|theirs| ours.epoch < theirs.epoch);
            let line = format!(
                "replica {id} has {} orders from {place} on that replica {} does not have",
                own.len(),
                reference.id
            );
            if is_older && log.committed < place {
                verdict.notes.push(format!("{line}; they were never committed"));
            } else {
                verdict.problems.push(line);
            }
        }
    }
    own
}

/// Checks that each in-sync replica has all orders that any replica knows to be committed.
fn check_committed(
    committed: OrderNumber,
    logs: &[ReplicaLog],
    reference: &ReplicaLog,
    problems: &mut Vec<String>,
) {
    for log in logs.iter().filter(|log| log.in_sync || log.id == reference.id) {
        if log.last() < committed {
            problems.push(format!(
                "replica {} is in sync and ends at order {}, but {committed} were committed",
                log.id,
                log.last()
            ));
        }
    }
}

/// The quantities that the catalog's sums are compared with.
struct Sums<'a> {
    reference: &'a ReplicaLog,
    /// Open sales that are not orders yet.
    open: Vec<&'a Open>,
    /// Orders whose sale the catalog lost.
    unsold: Vec<&'a Entry>,
    /// Orders that were cut from a log and are neither in the reference nor open sales.
    lost: Vec<(ReplicaId, &'a Entry)>,
}

impl Sums<'_> {
    fn check(&self, toys: &[Book], verdict: &mut Verdict) {
        let mut ordered: HashMap<&str, u64> = HashMap::new();
        for Entry { item, .. } in &self.reference.entries {
            *ordered.entry(&item.name).or_default() += item.quantity.get();
        }
        for Entry { item, .. } in &self.unsold {
            *ordered.entry(&item.name).or_default() -= item.quantity.get();
        }
        let mut in_open_sales: HashMap<&str, u64> = HashMap::new();
        for Open { item, .. } in &self.open {
            *in_open_sales.entry(&item.name).or_default() += item.quantity.get();
        }
        let mut explained = BTreeSet::new();
        for toy in toys {
            if !toy.balances() {
                verdict.problems.push(equation(toy));
            }
            let ordered = ordered.remove(&*toy.name).unwrap_or(0);
            let open = in_open_sales.get(&*toy.name).copied().unwrap_or(0);
            if toy.sold != ordered + open {
                verdict.problems.push(format!(
                    "{}: {} sold by the catalog, but {ordered} in orders and {open} in open sales",
                    toy.name, toy.sold
                ));
                explained.insert(&toy.name);
            }
        }
        for (name, count) in ordered {
            verdict
                .problems
                .push(format!("{name}: {count} in orders, but the catalog has no such toy"));
        }
        for (id, Entry { number, key, item, .. }) in &self.lost {
            let (quantity, name) = (item.quantity.get(), &item.name);
            let line = format!(
                "order {number}, {quantity} {name}, was set aside by replica {id} and is \
                 in no other log (key {key})"
            );
            // If the sums match, the catalog has not sold this order: nothing is lost.
            if explained.contains(name) {
                verdict.problems.push(line);
            } else {
                verdict.notes.push(line);
            }
        }
    }
}

fn equation(toy: &Book) -> String {
    let Book { name, quantity, initial, restocked, sold, withdrawn } = toy;
    format!(
        "{name}: {initial} + {restocked} restocked - {sold} sold - {withdrawn} withdrawn is not \
         {quantity}"
    )
}
