//! One replica of the order log: its view, its role, what it accepts and what it answers. Pure:
//! [`node`](super::node) locks it, calls one method, writes what the method says to disk, and tells it when
//! that is synced. Simulation and model checker drive it the same way.
//!
//! - A view is put on disk before [`accept`](Replica::accept) is called with it.
//! - Only *committed* entries are shown or answered: those that every member of the leader's
//!   commit set has on disk.
//! - A replica that starts takes part only in a view newer than the one on its disk: if it was the
//!   leader, it does not know its commit set any more.
//! - What a follower cuts from its log was never committed; a leader never cuts its own.
//!
//! With a [shared](Replica::sharing) log, in a database, nothing is sent between replicas. A leader takes the log from
//! whoever wrote it before, whose writes fail from then on, and loads it; the commit set is the leader alone.

mod follower;

pub use follower::Taken;

use super::leadership::{Begin, Duty, Leadership, Office};
use super::log::Log;
use crate::error::{Error, Result};
use crate::model::{Entry, Epoch, Key, Member, Moment, OrderNumber, ReplicaId, View};
use crate::monitoring::status::FollowerStatus;
use crate::protocol::catalog::{Incarnation, Open, Reconcile, Reconciled, Standing};
use crate::protocol::order::{Append, Appended, Bought, ENTRIES_MAX, Health};
use crate::protocol::purchase::Purchase;

/// A replica's whole state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Replica {
    me: Member,
    others: Vec<ReplicaId>,
    /// The log is in a database, which all replicas share.
    shares: bool,
    log: Log,
    /// Entries up to here are on this replica's disk, or in the database.
    durable: OrderNumber,
    /// Entries up to here are known to be committed.
    committed: OrderNumber,
    /// The last view accepted, which is on this replica's disk.
    view: Option<View>,
    role: Role,
    /// The first committed entry where the leader of `view` has another one.
    conflict: Option<OrderNumber>,
}

/// What a replica does in its view.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Role {
    /// Nothing: it has just started, or has lost the log to another leader, and waits for a newer view.
    Starting,
    /// It takes entries from the leader, as a member or as an outsider.
    Following,
    /// It orders, replicates and commits.
    Leading(Box<Leadership>),
    /// It was the leader and learned that a newer view exists, which it does not have yet.
    Deposed(Epoch),
}

impl Replica {
    /// A replica with what its disk holds: `log` is synced, `view` the last that it accepted, and
    /// everything up to `committed` was committed once.
    pub fn new(
        me: Member,
        others: Vec<ReplicaId>,
        log: Log,
        view: Option<View>,
        committed: OrderNumber,
    ) -> Replica {
        let durable = log.last();
        Replica {
            me,
            others,
            shares: false,
            durable,
            committed: committed.min(durable),
            log,
            view,
            role: Role::Starting,
            conflict: None,
        }
    }

    /// A replica that shares a log with the others. `view` names the last leader, as the database knows it. A follower has
    /// nothing to wait for.
    pub fn sharing(me: Member, view: Option<View>) -> Replica {
        let has_led = view.as_ref().is_some_and(|view| view.leader == me.id);
        let role = if has_led { Role::Starting } else { Role::Following };
        let replica = Replica::new(me, vec![], Log::default(), view, OrderNumber(0));
        Replica { shares: true, role, ..replica }
    }

    /// Its id and the identity of its disk.
    pub fn id(&self) -> ReplicaId {
        self.me.id
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Everything up to here is committed.
    pub fn committed(&self) -> OrderNumber {
        self.committed
    }

    /// The last view accepted.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// The epoch of the newest view that this replica knows to exist.
    pub fn epoch(&self) -> Epoch {
        let accepted = self.view.as_ref().map_or(Epoch(0), |view| view.epoch);
        match self.role {
            Role::Deposed(newer) => newer.max(accepted),
            _ => accepted,
        }
    }

    /// The first order that is committed here although the leader of its view has another in its place,
    /// which only an unclean election or a copied disk brings about: a person has to decide.
    pub fn conflict(&self) -> Option<OrderNumber> {
        self.conflict
    }

    /// The epoch in which it leads, if it does.
    pub fn leads(&self) -> Option<Epoch> {
        self.leadership().map(Leadership::epoch)
    }

    /// Which stage of taking office it has reached, if it leads.
    pub fn office(&self) -> Option<Office> {
        self.leadership().map(Leadership::office)
    }

    /// Whether `view` is news, to be put on disk and then accepted. `Stale` if a newer one is known.
    pub fn is_news(&self, view: &View) -> Result<bool> {
        if view.epoch < self.epoch() {
            return Err(Error::Stale { epoch: self.epoch().0 });
        }
        let accepted = self.view.as_ref().map_or(Epoch(0), |view| view.epoch);
        if view.epoch > accepted {
            return Ok(true);
        }
        match self.role {
            Role::Starting => Err(Error::unavailable(format!(
                "replica {} has just started and waits for a view newer than {accepted}",
                self.me.id
            ))),
            _ => Ok(false),
        }
    }

    /// Takes up its role in a view that [is news](Replica::is_news) and is on disk.
    pub fn accept(&mut self, view: View, now: Moment) {
        let leads = view.leader == self.me.id && view.has(self.me.id, &self.me.identity);
        self.role = if leads {
            let last = self.log.last();
            let mut leadership = Leadership::new(&self.me, &view, &self.others, last, now);
            if self.shares {
                leadership.load();
            }
            Role::Leading(Box::new(leadership))
        } else {
            Role::Following
        };
        self.view = Some(view);
        self.conflict = None;
        self.advance();
    }

    /// Stops leading because there is a newer epoch.
    pub fn step_down(&mut self, newer: Epoch) {
        if newer > self.epoch() {
            self.role = Role::Deposed(newer);
        }
    }

    /// Another replica has taken the shared log from the leader of `epoch`. What it has not committed, the next leader
    /// decides; it leads again only in a newer view.
    pub fn fenced(&mut self, epoch: Epoch) {
        if self.leads() == Some(epoch) {
            self.role = Role::Starting;
        }
    }

    /// To be called now and then: a leader adds outsiders that have kept up to its commit set, and forgets what it can look
    /// up in the database.
    pub fn tick(&mut self, now: Moment) {
        if let Role::Leading(leadership) = &mut self.role {
            leadership.admit(now);
            if self.shares {
                self.log.forget(leadership.is_settled_through());
            }
        }
    }

    /// How this replica is.
    pub fn health(&self, catalog_reachable: bool, now: Moment) -> Health {
        let (lagging, caught_up) = match &self.role {
            Role::Leading(leadership) => {
                (leadership.lagging(now), leadership.caught_up(self.committed))
            }
            _ => (vec![], vec![]),
        };
        Health {
            id: self.me.id,
            identity: self.me.identity.clone(),
            view: self.view.clone(),
            starting: matches!(self.role, Role::Starting),
            last: self.log.last(),
            last_epoch: self.log.last_epoch(),
            committed: self.committed,
            catalog_reachable,
            lagging,
            caught_up,
        }
    }

    /// How far the others are, if this replica leads.
    pub fn followers(&self) -> Vec<FollowerStatus> {
        self.leadership().map_or(vec![], |leadership| leadership.followers(self.log.last()))
    }

    /// Everything up to `number` is on this replica's disk.
    pub fn synced(&mut self, number: OrderNumber) {
        self.durable = number.min(self.log.last());
        self.advance();
    }

    /// Order `number`, if it is known to be committed, for a question that came at `asked`. A leader in office knows every
    /// committed one, but for what it has forgotten. So only its "unknown" is final, and only when it is known that
    /// nobody led after it before the question. `None`: that is not known yet.
    pub fn order(&mut self, number: OrderNumber, asked: Moment) -> Result<Option<&Entry>> {
        let is_past = number.0 > 0 && number <= self.log.past().last;
        match &mut self.role {
            _ if number <= self.committed && !is_past => {
                self.log.get(number).map(Some).ok_or(Error::UnknownOrder)
            }
            Role::Leading(leadership) if leadership.office() == Office::Serving && !is_past => {
                if leadership.confirm(asked) {
                    Err(Error::UnknownOrder)
                } else {
                    Ok(None)
                }
            }
            _ => Err(Error::NotLeader { epoch: self.epoch().0 }),
        }
    }

    /// When it was known to lead, as far as somebody waits for that.
    pub fn confirmed(&self) -> Option<Moment> {
        self.leadership().map(Leadership::confirmed)
    }
}

/// As the leader.
impl Replica {
    /// What to do with a purchase.
    pub fn begin(&mut self, purchase: &Purchase) -> Result<Begin> {
        let epoch = self.epoch();
        if purchase.epoch < epoch {
            return Err(Error::Stale { epoch: epoch.0 });
        }
        let Role::Leading(leadership) = &mut self.role else {
            return Err(Error::NotLeader { epoch: epoch.0 });
        };
        if purchase.epoch > epoch {
            return Err(Error::NotLeader { epoch: epoch.0 });
        }
        if leadership.office() != Office::Serving {
            return Ok(Begin::Wait);
        }
        match self.log.find(&purchase.key) {
            Some(entry) if entry.item != purchase.item => Err(Error::KeyReused),
            Some(entry) => Ok(Begin::Logged(entry.number)),
            None => leadership.begin(purchase),
        }
    }

    /// Whether the catalog may be asked for a purchase that is in flight: everything that changes before it is asked
    /// again.
    pub fn ask(&mut self, purchase: &Purchase) -> Result<Begin> {
        let found = self.log.find(&purchase.key).map(|entry| entry.number);
        let epoch = self.epoch();
        let Some(leadership) = self.leading(purchase.epoch) else {
            return Err(Error::NotLeader { epoch: epoch.0 });
        };
        if leadership.office() != Office::Serving {
            return Ok(Begin::Wait);
        }
        Ok(found.map_or(Begin::Ask, |number| {
            leadership.end(&purchase.key);
            Begin::Logged(number)
        }))
    }

    /// The catalog reserved this, with a row at `position`: the order's place in the log, which may be there already
    /// because a reconcile found the open sale. If the log grew, the new entry is to be written. `None` if the catalog
    /// has started again: then the row may be lost, and it has to be asked again.
    pub fn reserved(
        &mut self,
        purchase: &Purchase,
        incarnation: Incarnation,
        position: u64,
    ) -> Result<Option<OrderNumber>> {
        let Purchase { epoch, ref key, ref item, .. } = *purchase;
        let Some(leadership) = self.leading(epoch) else { return Err(deposed()) };
        if leadership.incarnation() != Some(incarnation) {
            return Ok(None);
        }
        leadership.end(key);
        if let Some(entry) = self.log.find(key) {
            return Ok(Some(entry.number));
        }
        let number = self.log.last().next();
        self.log.push(Entry { number, epoch, key: key.clone(), item: item.clone() })?;
        if let Some(leadership) = self.leading(epoch) {
            leadership.reserved(number, position);
        }
        Ok(Some(number))
    }

    /// Rows of the journal of this incarnation are durable up to `position`.
    pub fn durable(&mut self, epoch: Epoch, incarnation: Incarnation, position: u64) {
        if let Some(leadership) = self.leading(epoch)
            && leadership.incarnation() == Some(incarnation)
        {
            leadership.durable(position);
            self.advance();
        }
    }

    /// The answer for the order at `number`, or `None` while it is not committed. If this replica does not
    /// lead any more, or has another order there, the next leader decides, and the error is indefinite.
    pub fn outcome(&self, number: OrderNumber, key: &Key) -> Result<Option<Bought>> {
        let ours = self.log.get(number).is_some_and(|entry| entry.key == *key);
        if ours && number <= self.committed {
            return Ok(Some(Bought { number, version: None }));
        }
        match self.role {
            Role::Leading(_) if ours => Ok(None),
            _ => Err(deposed()),
        }
    }

    /// The next append for `follower`, if one is due: it lacks entries, or it is time for a
    /// heartbeat.
    pub fn next_append(&mut self, follower: ReplicaId, now: Moment) -> Option<Append> {
        let Role::Leading(leadership) = &mut self.role else { return None };
        let prev_number = leadership.send(follower, self.log.last(), self.committed, now)?;
        Some(Append {
            view: self.view.clone()?,
            prev_number,
            prev_epoch: self.log.epoch_of(prev_number)?,
            entries: self.log.between(prev_number, self.log.last(), ENTRIES_MAX).to_vec(),
            committed: self.committed,
            base: leadership.base(),
        })
    }

    /// A follower's answer to an append of `epoch`.
    pub fn answered(&mut self, epoch: Epoch, follower: ReplicaId, answer: &Appended, now: Moment) {
        if let Role::Leading(leadership) = &mut self.role
            && leadership.epoch() == epoch
        {
            leadership.answered(follower, answer, &self.log, now);
            self.advance();
        }
    }

    /// What the leader has to tell or ask the catalog now.
    pub fn duty(&mut self, now: Moment) -> Option<Duty> {
        match &mut self.role {
            Role::Leading(leadership) => leadership.duty(&self.log, self.committed, now),
            _ => None,
        }
    }

    /// Whether it leads in this epoch and waits for the shared log.
    pub fn is_loading(&self, epoch: Epoch) -> bool {
        self.leads() == Some(epoch) && self.office() == Some(Office::Loading)
    }

    /// The shared log, which was taken for this [leader](Replica::is_loading). All of it is durable.
    pub fn loaded(&mut self, log: Log) {
        if let Role::Leading(leadership) = &mut self.role {
            leadership.loaded(log.last());
        }
        self.durable = log.last();
        self.committed = self.committed.max(log.past().last).min(self.durable);
        self.log = log;
    }

    /// The catalog's standing: the question to reconcile with it, if this replica still leads and has every order that
    /// belongs into the question.
    pub fn reconcile(&mut self, epoch: Epoch, standing: Standing) -> Option<Reconcile> {
        match &mut self.role {
            Role::Leading(leadership) if leadership.epoch() == epoch => {
                leadership.reconcile(standing, &self.log)
            }
            _ => None,
        }
    }

    /// The catalog reconciled with the log. The open sales that the log lacks are appended: returns the number after
    /// which entries are to be written.
    pub fn reconciled(
        &mut self,
        epoch: Epoch,
        incarnation: Incarnation,
        answer: Reconciled,
    ) -> Result<Option<OrderNumber>> {
        let Role::Leading(leadership) = &mut self.role else { return Ok(None) };
        if leadership.epoch() != epoch {
            return Ok(None);
        }
        let write_after = self.log.last();
        let Reconciled { open, position, sold } = answer;
        let keys: Vec<Key> = open.iter().map(|open| open.key.clone()).collect();
        let lacking = open.into_iter().filter(|open| self.log.find(&open.key).is_none());
        let entry =
            |(number, Open { key, item })| Entry { number: OrderNumber(number), epoch, key, item };
        let entries = (write_after.0 + 1..).zip(lacking).map(entry).collect();
        self.log.replace_after(write_after, entries)?;
        leadership.reconciled(incarnation, (position, sold), &keys, &self.log);
        self.advance();
        Ok(Some(write_after))
    }

    /// What taking office found: see [`Leadership::imbalance`].
    pub fn imbalance(&self) -> Option<i64> {
        self.leadership().and_then(Leadership::imbalance)
    }

    fn leadership(&self) -> Option<&Leadership> {
        match &self.role {
            Role::Leading(leadership) => Some(leadership),
            _ => None,
        }
    }

    /// What this replica keeps as the leader of `epoch`, if it leads.
    pub fn leading(&mut self, epoch: Epoch) -> Option<&mut Leadership> {
        match &mut self.role {
            Role::Leading(leadership) if leadership.epoch() == epoch => Some(leadership),
            _ => None,
        }
    }

    /// Commits what every member of the commit set has on disk.
    fn advance(&mut self) {
        if let Role::Leading(leadership) = &mut self.role {
            self.committed = leadership.advance(self.durable, self.committed);
        }
    }
}

fn deposed() -> Error {
    Error::unanswered("this replica does not lead any more")
}
