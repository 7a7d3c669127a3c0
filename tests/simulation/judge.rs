//! Checks the properties that must always hold (replication.md), from outside, after every step.

use crate::catalog::{self, Catalog};
use crate::order::shared::Table;
use crate::order::{self, Order};
use crate::wire::{Node, Tag};
use crate::world::{Slot, World};
use std::collections::{BTreeMap, BTreeSet};
use toystore::catalog::record::Record;
use toystore::model::{
    Entry, Epoch, Item, Key, Member, Moment, OrderNumber, PurchaseId, ReplicaId, Toy, ToyName, View,
};
use toystore::order::leadership::Office;
use toystore::order::replica::Replica;

/// What has been observed so far.
#[derive(Default)]
pub struct Judge {
    /// The orders that the replicas share. Each of them stands, also before it is committed.
    table: Option<Table>,
    /// Every order that any replica reported as committed.
    committed: Vec<Entry>,
    /// Up to which number each replica's log was compared with them.
    compared: BTreeMap<ReplicaId, OrderNumber>,
    /// The newest view that the controller made.
    view: Option<View>,
    /// Whether a disk, a view or the commit has changed since the members were checked.
    is_dirty: bool,
    /// The highest number that was acknowledged by each moment.
    acknowledged: Vec<(Moment, OrderNumber)>,
    /// For each toy and moment, the version that every later query must show, at least.
    floors: BTreeMap<String, Vec<(Moment, u64)>>,
    /// The version of the sale of each key.
    versions: BTreeMap<Key, u64>,
    /// The requests of customers, by the identity of their purchase, with the key that they are bought under.
    purchases: BTreeMap<PurchaseId, (Tag, Key)>,
    /// Requests whose customers got a definite error.
    refused: BTreeSet<Tag>,
    /// How many records the catalog's journal had when it was checked, and up to which position they were synced.
    checked: (usize, u64),
    /// The lowest stock of each toy, as far as it was ever synced.
    least: BTreeMap<ToyName, u64>,
}

type Replicas = BTreeMap<ReplicaId, Slot<Order, order::Disk>>;
type Verdict = Result<(), String>;

/// What customers observed.
impl Judge {
    /// Nothing yet, in a store whose replicas share this table, if they share one.
    pub fn new(table: Option<Table>) -> Judge {
        Judge { table, ..Judge::default() }
    }

    /// The number of orders that are known to be acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.last().map_or(0, |(_, number)| number.0)
    }

    /// The request with `tag` is sent on as this purchase. No two attempts to buy are the same purchase.
    pub fn begun(&mut self, tag: Tag, id: PurchaseId, key: Key) -> Verdict {
        match self.purchases.insert(id, (tag, key)) {
            Some((other, _)) if other != tag => Err(format!("#{tag} and #{other} are {id:?}")),
            _ => Ok(()),
        }
    }

    /// The key under which the request with `tag` was bought: the customer's, or one made from its identity.
    fn key_of(&self, tag: Tag, asked: Option<&Key>) -> Result<Key, String> {
        let begun = self.purchases.iter().find(|(_, (begun, _))| *begun == tag);
        let (id, (_, key)) = begun.ok_or_else(|| format!("nobody bought for #{tag}"))?;
        let expected = asked.cloned().unwrap_or_else(|| Key::made(*id));
        if expected == *key {
            Ok(expected)
        } else {
            Err(format!("#{tag} was to be bought with the key {expected}, but became {key}"))
        }
    }

    pub fn bought(
        &mut self,
        (tag, key): (Tag, Option<&Key>),
        item: &Item,
        number: OrderNumber,
        (begun, now): (Moment, Moment),
    ) -> Verdict {
        let key = self.key_of(tag, key)?;
        let committed = self.committed(number).filter(|e| e.key == key && e.item == *item);
        if committed.is_none() {
            return Err(format!("{key} was answered with order {number}, which is not committed"));
        }
        let before = self.acknowledged.partition_point(|(at, _)| *at < begun);
        if let Some((at, higher)) = before.checked_sub(1).map(|i| self.acknowledged[i])
            && higher >= number
        {
            return Err(format!(
                "order {number} was begun at {begun:?}, after {higher} was acknowledged at {at:?}"
            ));
        }
        let highest = self.acknowledged().max(number.0);
        self.acknowledged.push((now, OrderNumber(highest)));
        let version = *self.versions.get(&key).ok_or_else(|| format!("{key} was never sold"))?;
        self.raise_floor(&item.name, version, now);
        Ok(())
    }

    /// A sale of this version was answered: every query from now on must show it.
    pub fn raise_floor(&mut self, name: &str, version: u64, now: Moment) {
        let floors = self.floors.entry(name.to_owned()).or_default();
        let floor = floors.last().map_or(0, |(_, version)| *version).max(version);
        floors.push((now, floor));
    }

    /// The customer was told that there is not enough of this: that was so on the catalog's disk.
    pub fn sold_out(&self, item: &Item) -> Verdict {
        match self.least.get(&item.name) {
            Some(least) if *least < item.quantity.get() => Ok(()),
            least => Err(format!(
                "{item:?} was refused, but what is synced never fell below {least:?}: the refusal rests on lost records"
            )),
        }
    }

    /// The customer got a definite error for the request with `tag`. It says nothing about earlier attempts with the
    /// same key: each is a purchase of its own, with its own answer.
    pub fn refused(&mut self, tag: Tag) {
        self.refused.insert(tag);
        self.checked = (usize::MAX, 0);
    }

    /// A query that began at this moment got this answer.
    pub fn shown(&self, name: &str, toy: &Toy, begun: Moment) -> Verdict {
        let floors = self.floors.get(name).map_or(&[][..], |floors| &floors[..]);
        let before = floors.partition_point(|(at, _)| *at < begun);
        match before.checked_sub(1).map(|i| floors[i]) {
            Some((at, floor)) if toy.version < floor => Err(format!(
                "{name} was shown with version {}, but version {floor} was sold and acknowledged at \
                 {at:?}, and the query began at {begun:?}",
                toy.version
            )),
            _ => Ok(()),
        }
    }

    pub fn looked_up(&self, entry: &Entry) -> Verdict {
        match self.committed(entry.number) {
            None if self.table.as_ref().is_some_and(|table| table.has(entry)) => Ok(()),
            Some(committed) if committed == entry => Ok(()),
            other => Err(format!("{entry:?} was shown, but committed is {other:?}")),
        }
    }

    pub fn not_found(&self, number: OrderNumber, begun: Moment) -> Verdict {
        let before = self.acknowledged.partition_point(|(at, _)| *at < begun);
        match before.checked_sub(1).map(|i| self.acknowledged[i]) {
            Some((_, highest)) if highest >= number => {
                Err(format!("order {number} was not found, but {highest} was acknowledged before"))
            }
            _ => Ok(()),
        }
    }

    fn committed(&self, number: OrderNumber) -> Option<&Entry> {
        self.committed.get(usize::try_from(number.0.checked_sub(1)?).ok()?)
    }
}

/// What an observer with access to all processes and disks sees.
impl Judge {
    /// A disk lost data.
    pub fn disk_changed(&mut self) {
        self.is_dirty = true;
        self.checked = (usize::MAX, 0);
    }

    /// Checks what the last step did at `node`.
    pub fn check(world: &mut World, node: Node) -> Verdict {
        let World { judge, frontends, catalog, replicas, .. } = world;
        match node {
            Node::Frontend(id) => {
                let frontend = frontends[&id].up();
                if let Some(view) = frontend.and_then(|frontend| frontend.disk.view())
                    && judge.view.as_ref() != Some(&view)
                {
                    judge.new_view(&view, replicas)?;
                }
            }
            Node::Catalog => {
                if let Some(catalog) = catalog.up() {
                    judge.check_stock(catalog)?;
                }
            }
            Node::Replica(id) => {
                if let Some(replica) = replicas[&id].up() {
                    judge.check_replica(id, replica)?;
                    if let Some(purchase) = &replica.false_refusal {
                        return Err(format!(
                            "the catalog was asked, but the error says that surely nothing was sold: {purchase}"
                        ));
                    }
                }
                let leads = replicas.values().filter_map(|slot| slot.up()?.replica.leads());
                let (count, epochs) = (leads.clone().count(), leads.collect::<BTreeSet<_>>());
                if epochs.len() < count {
                    return Err(format!("two replicas lead in one of the epochs {epochs:?}"));
                }
                if let Some(view) = judge.view.as_ref().filter(|_| judge.table.is_none()) {
                    check_prefixes(view, &view.in_sync, replicas)?;
                }
            }
            Node::Client(_) => {}
        }
        if judge.is_dirty {
            let disk = match catalog {
                Slot::Up(catalog) => &catalog.disk,
                Slot::Down(disk) => disk,
            };
            judge.check_durable(disk)?;
            judge.check_members(replicas)?;
            judge.is_dirty = false;
        }
        Ok(())
    }

    /// The front-end lost its disk: the newest view is now the newest that a replica accepted. In newer views no
    /// replica took office, so there were no sales, and their identities may be used again.
    pub fn forget_view(&mut self, replicas: &Replicas) {
        let views = replicas.values().filter_map(|slot| disk(slot).view.as_ref());
        self.view = views.max_by_key(|view| view.epoch).cloned();
        let epoch = self.view.as_ref().map_or(Epoch(0), |view| view.epoch);
        self.purchases.retain(|id, _| id.incarnation <= epoch);
        self.is_dirty = true;
    }

    fn new_view(&mut self, view: &View, replicas: &Replicas) -> Verdict {
        if !view.ids().any(|id| id == view.leader) {
            return Err(format!("{view}: the leader is no member"));
        }
        if let Some(old) = self.view.as_ref().filter(|old| view.epoch <= old.epoch) {
            return Err(format!("{view} follows {old}"));
        }
        if let Some(old) = self.view.as_ref().filter(|_| self.table.is_none()) {
            let leader = view.in_sync.iter().find(|member| member.id == view.leader);
            if !leader.is_some_and(|leader| old.in_sync.contains(leader)) {
                return Err(format!("{view}: the leader was not in the in-sync set of {old}"));
            }
            check_prefixes(old, &view.in_sync, replicas)?;
        }
        self.view = Some(view.clone());
        self.is_dirty = true;
        Ok(())
    }

    /// Committed orders are the same everywhere.
    fn check_replica(&mut self, id: ReplicaId, order: &Order) -> Verdict {
        let compared = self.compared.entry(id).or_default();
        let committed = order.replica.committed();
        if *compared > committed {
            // It restarted.
            *compared = committed;
        }
        let log = order.replica.log();
        for entry in log.between(*compared, committed, usize::MAX) {
            match self.committed.get(usize::try_from(entry.number.0).unwrap() - 1) {
                Some(known) if known == entry => {}
                Some(known) => {
                    return Err(format!("replica {id} committed {entry:?}, but {known:?} was"));
                }
                None => {
                    if let Some(twin) = self.committed.iter().find(|e| e.key == entry.key) {
                        return Err(format!("one key, two orders: {twin:?} and {entry:?}"));
                    }
                    self.committed.push(entry.clone());
                    self.is_dirty = true;
                }
            }
        }
        *compared = committed;
        if order.disk.entries.len() as u64 != log.last().0 {
            return Err(format!("replica {id} has another log in memory than in its file"));
        }
        Ok(())
    }

    /// Every member of the newest in-sync set has all committed orders on its disk.
    fn check_members(&self, replicas: &Replicas) -> Verdict {
        if let Some(table) = &self.table {
            let has_all = table.orders().starts_with(&self.committed);
            return if has_all {
                Ok(())
            } else {
                Err("a committed order is not in the table".into())
            };
        }
        let Some(view) = &self.view else { return Ok(()) };
        for member in &view.in_sync {
            let disk = disk(&replicas[&member.id]);
            if disk.identity != member.identity {
                continue;
            }
            let synced = &disk.entries[..disk.durable];
            if !synced.starts_with(&self.committed) {
                return Err(format!(
                    "replica {} is in sync in {view}, but its disk has not all of the {} committed orders: {} synced",
                    member.id,
                    self.committed.len(),
                    synced.len(),
                ));
            }
        }
        Ok(())
    }

    /// Each committed order has its sale on the catalog's disk.
    fn check_durable(&self, disk: &catalog::Disk) -> Verdict {
        let synced = disk.history.iter().take_while(|(at, _)| *at <= disk.durable);
        let key = |(_, record): &'_ (u64, Record)| match record {
            Record::Sale { key, .. } => Some(key.clone()),
            _ => None,
        };
        let sold: BTreeSet<Key> = synced.filter_map(key).collect();
        match self.committed.iter().find(|entry| !sold.contains(&entry.key)) {
            Some(entry) => Err(format!("{entry:?} is committed, but its sale is not synced")),
            None => Ok(()),
        }
    }

    /// One key has one decrement, what is settled is committed and not open, and the books balance.
    fn check_stock(&mut self, catalog: &Catalog) -> Verdict {
        let disk = &catalog.disk;
        if (disk.history.len(), disk.durable) == self.checked {
            return Ok(());
        }
        self.checked = (disk.history.len(), disk.durable);
        self.check_quantities(disk)?;
        let (mut keys, mut in_office) = (BTreeSet::new(), Epoch(0));
        for (_, record) in &disk.history {
            if let Record::Office(epoch) = record {
                in_office = in_office.max(*epoch);
            }
            if let Record::Sale { epoch, key, version, .. } = record {
                if *epoch != in_office {
                    return Err(format!("{record:?}, while epoch {in_office} was in office"));
                }
                let id = disk.sold_to.get(key);
                let asked = id.and_then(|id| self.purchases.get(id));
                let Some((tag, _)) = asked.filter(|(_, asked)| asked == key) else {
                    return Err(format!("{record:?}, but nobody asked for it"));
                };
                if self.refused.contains(tag) {
                    return Err(format!(
                        "{key} was sold, but its customer was told that #{tag} surely did nothing"
                    ));
                }
                if !keys.insert(key) {
                    return Err(format!("{key} was sold twice"));
                }
                self.versions.insert(key.clone(), *version);
            }
        }
        let carried = catalog.stock.carried();
        if !carried.contains(&(0, Record::Office(in_office))) {
            return Err(format!("the catalog does not know that epoch {in_office} took office"));
        }
        let settled = catalog.stock.standing().settled.unwrap_or_default();
        if settled.0 > self.committed.len() as u64 {
            return Err(format!(
                "the orders up to {settled} are settled, but not all are committed"
            ));
        }
        for (_, record) in &carried {
            if let Record::Sale { key, .. } = record
                && let Some(entry) = self.committed.iter().find(|entry| entry.key == *key)
                && entry.number <= settled
            {
                return Err(format!("{entry:?} is settled, but its sale is open"));
            }
        }
        for shelf in catalog.stock.shelves() {
            if !shelf.balances() {
                return Err(format!("the books of {shelf:?} do not balance"));
            }
        }
        Ok(())
    }

    /// There is never less than nothing of a toy. Notes the least that was ever on disk.
    fn check_quantities(&mut self, disk: &catalog::Disk) -> Verdict {
        let stock = disk.initial.iter().map(|shelf| (&shelf.toy.name, shelf.toy.quantity));
        let mut stock: BTreeMap<&ToyName, u64> = stock.collect();
        for (at, record) in &disk.history {
            if let Record::Sale { item, .. } | Record::Withdraw { item, .. } = record {
                let left = stock.get_mut(&item.name).ok_or("a toy that is not there")?;
                *left = left.checked_sub(item.quantity.get()).ok_or_else(|| {
                    format!("{record:?} at {at}, but there were only {left} left")
                })?;
            }
            if let Record::Restock { name, quantity, .. } = record {
                stock.insert(name, *quantity);
            }
            if *at <= disk.durable {
                for (name, left) in &stock {
                    let least = self.least.entry((*name).clone()).or_insert(*left);
                    *least = (*least).min(*left);
                }
            }
        }
        Ok(())
    }

    /// What the catalog answers is on its disk.
    pub fn answered_toy(catalog: &Catalog, toy: &Toy) -> Verdict {
        let synced = catalog.disk.history.iter().take_while(|(at, _)| *at <= catalog.disk.durable);
        let changed = synced.filter_map(|(_, record)| record.changed());
        let newest = changed.filter(|(name, _)| **name == toy.name).map(|(_, version)| version);
        match newest.max().unwrap_or(1) {
            newest if newest < toy.version => {
                Err(format!("{toy:?} was shown, but on disk is version {newest}"))
            }
            _ => Ok(()),
        }
    }

    /// The store is at rest, and nothing was lost. `Err` says what is still missing.
    pub fn at_rest(world: &World) -> Verdict {
        let judge = &world.judge;
        let (Some(catalog), Some(view)) = (world.catalog.up(), &judge.view) else {
            return Err("catalog or view are missing".into());
        };
        if let Some(table) = &judge.table {
            if table.orders() != judge.committed {
                return Err("not every order in the table is committed".into());
            }
        } else if view.in_sync.len() < world.replicas.len() {
            return Err(format!("not all replicas are in sync: {view}"));
        }
        for (id, slot) in &world.replicas {
            let Some(order) = slot.up() else { return Err(format!("replica {id} is down")) };
            if judge.table.is_some() && view.leader != *id {
                continue;
            }
            let entries = &order.disk.entries;
            if *entries != judge.committed || order.replica.committed().0 != entries.len() as u64 {
                return Err(format!("replica {id} has another log or has not committed it"));
            }
        }
        if catalog.stock.open_count() > 0 {
            return Err(format!("{} sales are open", catalog.stock.open_count()));
        }
        let sold = catalog.disk.history.iter().filter_map(|(_, record)| match record {
            Record::Sale { key, item, .. } => Some((key, item)),
            _ => None,
        });
        let sold: BTreeMap<_, _> = sold.collect();
        let ordered: BTreeMap<_, _> =
            judge.committed.iter().map(|entry| (&entry.key, &entry.item)).collect();
        if sold != ordered {
            return Err(format!("sold {sold:?}\nordered {ordered:?}"));
        }
        for shelf in catalog.stock.shelves() {
            let name = &shelf.toy.name;
            let items = ordered.values().filter(|item| item.name == *name);
            let count: u64 = items.map(|item| item.quantity.get()).sum();
            if count != shelf.sold || !shelf.balances() {
                return Err(format!("{name}: {count} were ordered, {shelf:?}"));
            }
        }
        Ok(())
    }

    /// Whether a member of the newest view, other than this one, has its disk.
    pub fn has_intact_member(&self, replicas: &Replicas, other_than: Option<ReplicaId>) -> bool {
        let is_intact = |member: &Member| {
            Some(member.id) != other_than && disk(&replicas[&member.id]).identity == member.identity
        };
        let is_safe = self.table.is_some();
        self.view.as_ref().is_none_or(|view| is_safe || view.in_sync.iter().any(is_intact))
    }

    /// The newest view.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }
}

/// While the catalog sells for the leader of this view, these members, of this view or of the one that was made after
/// it, have nothing in their logs that the leader has not. The sale of such an order may be lost, and its toys sold to others.
fn check_prefixes(view: &View, members: &[Member], replicas: &Replicas) -> Verdict {
    let leader = replicas[&view.leader].up().map(|leader| &leader.replica);
    let sells = |leader: &&Replica| {
        let office = leader.office().filter(|_| leader.leads() == Some(view.epoch));
        matches!(office, Some(Office::RollingForward(_) | Office::Serving))
    };
    let Some(leader) = leader.filter(sells) else { return Ok(()) };
    for member in members {
        let disk = disk(&replicas[&member.id]);
        if let Some(last) = disk.entries.last().filter(|_| disk.identity == member.identity)
            && leader.log().get(last.number) != Some(last)
        {
            let id = member.id;
            return Err(format!("{view}: replica {id} has {last:?}, which the leader has not"));
        }
    }
    Ok(())
}

/// A replica's disk, whether the replica runs or not.
pub fn disk(slot: &Slot<Order, order::Disk>) -> &order::Disk {
    match slot {
        Slot::Up(order) => &order.disk,
        Slot::Down(disk) => disk,
    }
}
