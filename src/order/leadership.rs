//! What a leader keeps while it leads one view: who has what, whose acknowledgement a commit needs,
//! how far it is in taking office, and which purchases are in flight. Pure; a part of
//! [`Replica`](super::replica::Replica), made with a view and dropped with it.
//!
//! *Taking office*: bring the in-sync members to the own log ([`Office::Gathering`]), compare the log with the
//! catalog's journal ([`Office::Reconciling`]), commit the orders of open sales ([`Office::RollingForward`]), and only
//! then sell ([`Office::Serving`]). When the catalog has started again, the second and third step are repeated. With a
//! shared log the first step is to load it ([`Office::Loading`]).
//!
//! *Durable*: an order is appended when the catalog has reserved it, and committed when its sale is durable, too: as told
//! by the incarnation that reserved it, or because it was part of a reconcile that was answered.
//!
//! *Joining*: an outsider that has kept up for [`KEPT_UP`] enters the commit set first, and only
//! then is reported to the controller as caught up. So nothing is committed without a
//! replica that the controller may be making a member just now. It leaves the commit set only with
//! a newer view.

use super::log::Log;
use crate::error::{Error, Result};
use crate::model::{Epoch, Identity, Item, Key, Member, Moment, OrderNumber, ReplicaId, View};
use crate::monitoring::status::FollowerStatus;
use crate::protocol::catalog::{Incarnation, Open, Reconcile, SETTLED_MAX, Settle, Standing};
use crate::protocol::order::{AppendOutcome, Appended};
use crate::protocol::purchase::{PURCHASES_MAX, Purchase, Refusals};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The leader sends a follower something at least this often: if nothing else, an append without entries.
pub const HEARTBEAT: Duration = Duration::from_millis(100);
/// A member that has not answered an append for this long is lagging.
const OVERDUE: Duration = Duration::from_millis(500);
/// An outsider joins the commit set when it has kept up for this long, so that it does not flap.
const KEPT_UP: Duration = Duration::from_secs(2);
/// How often a serving leader reconciles. There may be open sales that no request waits for: a late duplicate can
/// arrive after the request was given up or refused.
const RECONCILE_EVERY: Duration = Duration::from_secs(5);

const _: () =
    assert!(HEARTBEAT.as_millis() * 3 < OVERDUE.as_millis(), "one lost heartbeat is no lag");

/// How far a leader is in taking office.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Office {
    /// Taking the shared log from its writer, and reading it.
    Loading,
    /// Bringing the in-sync members to the own log.
    Gathering,
    /// Comparing the log with the catalog's journal. Nothing is appended meanwhile, except what the answer brings.
    Reconciling,
    /// Committing the log up to this number.
    RollingForward(OrderNumber),
    /// Selling.
    Serving,
}

/// What to do with a `buy`.
#[derive(Debug, PartialEq, Eq)]
pub enum Begin {
    /// The order is in the log: answer with it once it is committed.
    Logged(OrderNumber),
    /// Office is not taken yet: wait for a change.
    Wait,
    /// The same purchase is at the catalog already: wait for a change.
    Join,
    /// Ask the catalog to sell.
    Ask,
}

/// What the leader has to do with the catalog.
#[derive(Debug, PartialEq, Eq)]
pub enum Duty {
    /// Ask what is settled, and load the shared log from there.
    Load(Epoch),
    /// Ask for its standing, and reconcile with it.
    Reconcile(Epoch),
    /// Tell it that these orders are committed.
    Settle(Epoch, Settle),
}

/// The state of one leadership.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Leadership {
    epoch: Epoch,
    me: ReplicaId,
    members: BTreeMap<ReplicaId, Identity>,
    /// The members, and the outsiders that are joining.
    commit_set: BTreeMap<ReplicaId, Identity>,
    followers: BTreeMap<ReplicaId, Follower>,
    /// The last number of the log when the view was accepted.
    base: OrderNumber,
    office: Office,
    /// See [`Leadership::imbalance`].
    imbalance: Option<i64>,
    /// A sale may be open at the catalog that no request waits for, or the catalog may have started again.
    must_reconcile: bool,
    /// It is to be known whether it still led at this moment.
    to_confirm: Moment,
    /// When it last began to reconcile.
    asked: Moment,
    /// The catalog's incarnation that it has reconciled with; `None` before, and as soon as there is another one.
    incarnation: Option<Incarnation>,
    /// The rows of that incarnation's journal up to this position are durable.
    durable: u64,
    /// The orders whose sale is not known to be durable, in order, and the position of the sale.
    reserved: VecDeque<(OrderNumber, u64)>,
    in_flight: BTreeMap<Key, Item>,
    refusals: Refusals,
    /// The orders up to this one are settled at the catalog.
    settled: OrderNumber,
    /// Keys of orders before that, which an earlier version of the store has left open.
    unsettled: Vec<Key>,
}

/// What the leader knows of one other replica.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Follower {
    /// Its disk, once it has answered.
    identity: Option<Identity>,
    /// The next number to send.
    next: OrderNumber,
    /// It has everything up to here on disk, as the leader has it; `None` before it has acknowledged an append.
    matched: Option<OrderNumber>,
    sent: Option<Moment>,
    /// It followed this leader then, or later: when the last append that it answered was sent.
    followed: Moment,
    /// What was committed when the last append was sent.
    sent_committed: OrderNumber,
    /// When its last answer came.
    answered: Moment,
    keeping_up_since: Option<Moment>,
}

impl Leadership {
    /// The leadership of `view` by `me`, whose log ends at `last`.
    pub fn new(
        me: &Member,
        view: &View,
        others: &[ReplicaId],
        last: OrderNumber,
        now: Moment,
    ) -> Leadership {
        let members: BTreeMap<_, _> =
            view.in_sync.iter().map(|member| (member.id, member.identity.clone())).collect();
        let follower = Follower {
            identity: None,
            next: last.next(),
            matched: None,
            sent: None,
            followed: Moment::START,
            sent_committed: OrderNumber(0),
            answered: now,
            keeping_up_since: None,
        };
        Leadership {
            epoch: view.epoch,
            me: me.id,
            commit_set: members.clone(),
            members,
            followers: others.iter().map(|id| (*id, follower.clone())).collect(),
            base: last,
            office: Office::Gathering,
            imbalance: None,
            must_reconcile: false,
            to_confirm: Moment::START,
            asked: now,
            incarnation: None,
            durable: 0,
            reserved: VecDeque::new(),
            in_flight: BTreeMap::new(),
            refusals: Refusals::default(),
            settled: OrderNumber(0),
            unsettled: Vec::new(),
        }
    }

    /// Its epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How far it is in taking office.
    pub fn office(&self) -> Office {
        self.office
    }

    /// The last number of the log when the view was accepted. What a follower has after it from an older epoch is
    /// not in this log.
    pub fn base(&self) -> OrderNumber {
        self.base
    }

    /// The shared log is to be loaded.
    pub fn load(&mut self) {
        self.office = Office::Loading;
    }

    /// The shared log was loaded, up to `last`.
    pub fn loaded(&mut self, last: OrderNumber) {
        self.base = last;
        self.incarnation = None;
        self.office = Office::Reconciling;
    }

    /// The catalog's incarnation that it has reconciled with.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.incarnation
    }

    /// A purchase that the log does not have: in flight already, one too many, refused before, or to be
    /// asked for.
    pub fn begin(&mut self, purchase: &Purchase) -> Result<Begin> {
        match self.in_flight.get(&purchase.key) {
            Some(item) if *item != purchase.item => Err(Error::KeyReused),
            Some(_) => Ok(Begin::Join),
            None if self.in_flight.len() >= PURCHASES_MAX => {
                Err(Error::unavailable(format!("{PURCHASES_MAX} purchases are in flight")))
            }
            None => {
                self.refusals.check(purchase)?;
                self.in_flight.insert(purchase.key.clone(), purchase.item.clone());
                Ok(Begin::Ask)
            }
        }
    }

    /// The catalog refused a purchase: nothing was sold, and for this purchase nothing will be.
    pub fn refuse(&mut self, purchase: &Purchase, refusal: &Error) {
        self.refusals.note(purchase.id, refusal);
        self.end(&purchase.key);
    }

    /// A purchase is no longer in flight.
    pub fn end(&mut self, key: &Key) {
        self.in_flight.remove(key);
    }

    /// The purchase of this key is given up. It may be open at the catalog, or be sold there later.
    pub fn give_up(&mut self, key: &Key) {
        self.end(key);
        self.must_reconcile();
    }

    /// A call to the catalog failed: perhaps it has started again.
    pub fn must_reconcile(&mut self) {
        self.must_reconcile = true;
    }

    /// Order `number` is in the log; its sale is at this position of the journal of the current incarnation.
    pub fn reserved(&mut self, number: OrderNumber, position: u64) {
        self.reserved.push_back((number, position));
        self.durable(self.durable);
    }

    /// The rows of the current incarnation's journal up to this position are durable.
    pub fn durable(&mut self, position: u64) {
        self.durable = self.durable.max(position);
        while self.reserved.front().is_some_and(|(_, position)| *position <= self.durable) {
            self.reserved.pop_front();
        }
    }

    /// Whether the row at this position of the current incarnation's journal is durable.
    pub fn is_durable(&self, position: u64) -> bool {
        position <= self.durable
    }

    /// The number before the next entry for `follower`, if an append to it is due.
    pub fn send(
        &mut self,
        follower: ReplicaId,
        last: OrderNumber,
        committed: OrderNumber,
        now: Moment,
    ) -> Option<OrderNumber> {
        let follower = self.followers.get_mut(&follower)?;
        let is_due = |sent| now >= sent + HEARTBEAT || sent < self.to_confirm;
        if follower.next > last && !follower.sent.is_none_or(is_due) {
            return None;
        }
        follower.sent = Some(now);
        follower.sent_committed = committed;
        Some(OrderNumber(follower.next.0 - 1))
    }

    /// Takes a follower's answer. One from another disk than the commit set names does not count.
    pub fn answered(&mut self, id: ReplicaId, answer: &Appended, log: &Log, now: Moment) {
        let Some(follower) = self.followers.get_mut(&id) else { return };
        if self.commit_set.get(&id).is_some_and(|identity| *identity != answer.identity) {
            return;
        }
        if follower.identity.as_ref() != Some(&answer.identity) {
            follower.identity = Some(answer.identity.clone());
            follower.matched = None;
            follower.keeping_up_since = None;
        }
        follower.answered = now;
        follower.followed = follower.sent.unwrap_or(follower.followed);
        match &answer.outcome {
            AppendOutcome::Synced(number) => {
                follower.matched = follower.matched.max(Some(*number));
                follower.next = number.next();
            }
            AppendOutcome::Mismatch(epochs) => follower.next = log.last_common(epochs).next(),
        }
        if follower.matched < Some(follower.sent_committed) {
            follower.keeping_up_since = None;
        } else if follower.keeping_up_since.is_none() {
            follower.keeping_up_since = Some(now);
        }
    }

    /// Whether nobody led after it before this moment. If that is not known, the next appends, which are due at once, will
    /// tell: the next leader is a member, and a member that still answers this one's append does not lead
    /// (the read index of Raft, §6.4 of Ongaro's thesis, where a majority is enough, since it elects).
    pub fn confirm(&mut self, moment: Moment) -> bool {
        self.to_confirm = self.to_confirm.max(moment);
        self.confirmed() >= moment
    }

    /// The last moment at which it is known that nobody led after it, or the last one asked for.
    pub fn confirmed(&self) -> Moment {
        let members = self.members.keys().filter_map(|id| self.followers.get(id));
        let followed = members.map(|member| member.followed).min();
        followed.map_or(self.to_confirm, |followed| followed.min(self.to_confirm))
    }

    /// What is committed, given what is on the leader's own disk. Takes the next step into office
    /// where it can.
    pub fn advance(&mut self, durable: OrderNumber, committed: OrderNumber) -> OrderNumber {
        let matched = |id: &ReplicaId| match self.followers.get(id) {
            _ if *id == self.me => Some(durable),
            Some(follower) => follower.matched,
            None => None,
        };
        if self.office == Office::Gathering
            && self.members.keys().all(|id| matched(id) >= Some(self.base))
        {
            self.office = Office::Reconciling;
        }
        if matches!(self.office, Office::Loading | Office::Gathering | Office::Reconciling) {
            return committed;
        }
        let everywhere = self.commit_set.keys().map(matched).min().flatten().unwrap_or(committed);
        let sold = self.reserved.front().map(|(number, _)| OrderNumber(number.0 - 1));
        let committed = committed.max(sold.map_or(everywhere, |sold| everywhere.min(sold)));
        if let Office::RollingForward(upto) = self.office
            && committed >= upto
        {
            self.office = Office::Serving;
        }
        committed
    }

    /// The catalog has answered with its standing: the question to reconcile with it. If it has started again, nothing
    /// is sold or committed before the answer. `None` if it has settled less than is past: then the log is loaded again.
    pub fn reconcile(&mut self, standing: Standing, log: &Log) -> Option<Reconcile> {
        if self.incarnation != Some(standing.incarnation) {
            self.incarnation = None;
            self.office = Office::Reconciling;
        }
        let after = standing.settled.unwrap_or(log.last()).min(log.last());
        if after < log.past().last {
            self.load();
            return None;
        }
        self.settled = after;
        let entries = log.between(after, log.last(), usize::MAX).iter().map(Open::of).collect();
        Some(Reconcile { epoch: self.epoch, incarnation: standing.incarnation, after, entries })
    }

    /// The catalog has reconciled up to this position, and the open sales are in the log. `sold` is how many toys the
    /// catalog sold for orders, ever. `open` are the keys of open sales that were not among the entries.
    pub fn reconciled(
        &mut self,
        incarnation: Incarnation,
        (position, sold): (u64, Option<u64>),
        open: &[Key],
        log: &Log,
    ) {
        let is_early = |key: &&Key| log.find(key).is_some_and(|entry| entry.number <= self.settled);
        self.unsettled = open.iter().filter(is_early).cloned().collect();
        if self.incarnation == Some(incarnation) {
            return self.durable(position);
        }
        self.incarnation = Some(incarnation);
        self.durable = position;
        self.reserved.clear();
        self.office = Office::RollingForward(log.last());
        let ordered = log.ordered();
        let sold = sold.unwrap_or(ordered);
        self.imbalance = (sold != ordered).then(|| sold.cast_signed() - ordered.cast_signed());
    }

    /// How many more toys the catalog had sold than the log has orders for when this leader took office, if the
    /// two differed. Fewer: the catalog's journal lost rows. More: the log lost orders.
    pub fn imbalance(&self) -> Option<i64> {
        self.imbalance
    }

    /// What has to be done with the catalog now. A reconcile counts as begun with this call; the caller requests it
    /// again if the catalog does not answer.
    pub fn duty(&mut self, log: &Log, committed: OrderNumber, now: Moment) -> Option<Duty> {
        if self.office == Office::Loading {
            return Some(Duty::Load(self.epoch));
        }
        let is_due = self.must_reconcile || now >= self.asked + RECONCILE_EVERY;
        if self.office == Office::Reconciling || is_due && self.office == Office::Serving {
            self.must_reconcile = false;
            self.asked = now;
            return Some(Duty::Reconcile(self.epoch));
        }
        // Before it has reconciled it does not know what is settled.
        self.incarnation?;
        let after = self.settled;
        let (through, keys) = if self.unsettled.is_empty() {
            let entries = log.between(after, committed, SETTLED_MAX);
            (entries.last()?.number, entries.iter().map(|entry| entry.key.clone()).collect())
        } else {
            (after, self.unsettled.iter().take(SETTLED_MAX).cloned().collect())
        };
        Some(Duty::Settle(self.epoch, Settle { after, through, keys }))
    }

    /// The catalog has settled these.
    pub fn settled(&mut self, settle: &Settle) {
        self.settled = self.settled.max(settle.through);
        self.unsettled.retain(|key| !settle.keys.contains(key));
    }

    /// The orders up to this one are settled at the catalog.
    pub fn is_settled_through(&self) -> OrderNumber {
        self.settled
    }

    /// Puts outsiders that have kept up into the commit set.
    pub fn admit(&mut self, now: Moment) {
        if self.office != Office::Serving {
            return;
        }
        for (id, follower) in &mut self.followers {
            if now > follower.answered + OVERDUE {
                follower.keeping_up_since = None;
            }
            let kept_up = follower.keeping_up_since.is_some_and(|since| now >= since + KEPT_UP);
            if let Some(identity) = &follower.identity
                && kept_up
                && !self.commit_set.contains_key(id)
            {
                self.commit_set.insert(*id, identity.clone());
            }
        }
    }

    /// Replicas whose acknowledgement commits wait for, and who have been silent too long.
    pub fn lagging(&self, now: Moment) -> Vec<ReplicaId> {
        let silent = |id: &ReplicaId| {
            self.followers.get(id).is_some_and(|follower| now > follower.answered + OVERDUE)
        };
        self.commit_set.keys().copied().filter(silent).collect()
    }

    /// How far every other replica is behind a log that ends at `last`.
    pub fn followers(&self, last: OrderNumber) -> Vec<FollowerStatus> {
        let status = |(id, follower): (&ReplicaId, &Follower)| {
            let matched = follower.matched.unwrap_or_default();
            FollowerStatus { id: *id, matched, lag: last.0.saturating_sub(matched.0) }
        };
        self.followers.iter().map(status).collect()
    }

    /// Outsiders in the commit set that have everything committed. They were admitted while this leader served, so that
    /// contains the log with which it came, and they have nothing else of an older epoch.
    pub fn caught_up(&self, committed: OrderNumber) -> Vec<Member> {
        let wanted = Some(committed);
        self.commit_set
            .iter()
            .filter(|(id, _)| !self.members.contains_key(id))
            .filter(|(id, _)| self.followers.get(id).is_some_and(|f| f.matched >= wanted))
            .map(|(id, identity)| Member { id: *id, identity: identity.clone() })
            .collect()
    }
}
