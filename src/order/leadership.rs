//! What a leader keeps while it leads one view: who has what, whose acknowledgement a commit needs,
//! how far it is in taking office, and which purchases are in flight. Pure; a part of
//! [`Replica`](super::replica::Replica), made with a view and dropped with it.
//!
//! *Taking office* (replication.md): bring the in-sync members to the own log ([`Office::Gathering`]),
//! fence older epochs at the catalog and learn of open purchases ([`Office::Asking`]), append and
//! commit those ([`Office::RollingForward`]), and only then sell ([`Office::Serving`]).
//!
//! *Joining*: an outsider that has kept up for [`KEPT_UP`] enters the commit set first, and only
//! then is reported to the controller as caught up. So nothing is committed without a
//! replica that the controller may be making a member just now. It leaves the commit set only with
//! a newer view.

use super::log::Log;
use crate::error::{Error, Result};
use crate::model::{Epoch, Identity, Item, Key, Member, Moment, OrderNumber, ReplicaId, View};
use crate::monitoring::status::FollowerStatus;
use crate::protocol::order::{AppendOutcome, Appended, ENTRIES_MAX};
use crate::protocol::purchase::{PURCHASES_MAX, Purchase, Refusals};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// The leader sends a follower something at least this often: if nothing else, an append without entries.
pub const HEARTBEAT: Duration = Duration::from_millis(100);
/// A member that has not answered an append for this long is lagging.
const OVERDUE: Duration = Duration::from_millis(500);
/// An outsider joins the commit set when it has kept up for this long, so that it does not flap.
const KEPT_UP: Duration = Duration::from_secs(2);
/// How often a serving leader asks the catalog for open purchases. There may be some that no request
/// waits for: a late duplicate can arrive after the request was given up or refused.
const ASK_EVERY: Duration = Duration::from_secs(5);

const _: () =
    assert!(HEARTBEAT.as_millis() * 3 < OVERDUE.as_millis(), "one lost heartbeat is no lag");

/// How far a leader is in taking office.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Office {
    /// Bringing the in-sync members up to this number.
    Gathering(OrderNumber),
    /// Asking the catalog to fence older epochs.
    Asking,
    /// Committing the orders of open purchases, up to this number.
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

/// What the leader has to tell or ask the catalog.
#[derive(Debug, PartialEq, Eq)]
pub enum Duty {
    /// Fence older epochs and learn of open purchases.
    TakeOffice(Epoch),
    /// Tell it that these purchases are committed orders.
    Settle(Epoch, Vec<Key>),
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
    office: Office,
    /// See [`Leadership::imbalance`].
    imbalance: Option<i64>,
    /// A purchase may be open at the catalog that no request waits for.
    must_ask: bool,
    /// When the catalog was asked for open purchases.
    asked: Moment,
    in_flight: BTreeMap<Key, Item>,
    refusals: Refusals,
    /// Purchases to be settled at the catalog once they are committed, in order of number.
    unsettled: VecDeque<(OrderNumber, Key)>,
}

/// What the leader knows of one other replica.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Follower {
    /// Its disk, once it has answered.
    identity: Option<Identity>,
    /// The next number to send.
    next: OrderNumber,
    /// It has everything up to here on disk, as the leader has it.
    matched: OrderNumber,
    sent: Option<Moment>,
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
            matched: OrderNumber(0),
            sent: None,
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
            office: Office::Gathering(last),
            imbalance: None,
            must_ask: false,
            asked: now,
            in_flight: BTreeMap::new(),
            refusals: Refusals::default(),
            unsettled: VecDeque::new(),
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

    /// The open purchases have to be asked for again.
    pub fn ask_again(&mut self) {
        self.must_ask = true;
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
        let silent = follower.sent.is_none_or(|sent| now >= sent + HEARTBEAT);
        if follower.next > last && !silent {
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
            follower.matched = OrderNumber(0);
            follower.keeping_up_since = None;
        }
        follower.answered = now;
        match &answer.outcome {
            AppendOutcome::Synced(number) => {
                follower.matched = follower.matched.max(*number);
                follower.next = number.next();
            }
            AppendOutcome::Mismatch(epochs) => follower.next = log.last_common(epochs).next(),
        }
        if follower.matched < follower.sent_committed {
            follower.keeping_up_since = None;
        } else if follower.keeping_up_since.is_none() {
            follower.keeping_up_since = Some(now);
        }
    }

    /// What is committed, given what is on the leader's own disk. Takes the next step into office
    /// where it can.
    pub fn advance(&mut self, durable: OrderNumber, committed: OrderNumber) -> OrderNumber {
        let matched = |id: &ReplicaId| match self.followers.get(id) {
            _ if *id == self.me => durable,
            Some(follower) => follower.matched,
            None => OrderNumber(0),
        };
        if let Office::Gathering(upto) = self.office
            && self.members.keys().all(|id| matched(id) >= upto)
        {
            self.office = Office::Asking;
        }
        if matches!(self.office, Office::Gathering(_) | Office::Asking) {
            return committed;
        }
        let everywhere = self.commit_set.keys().map(matched).min().unwrap_or(committed);
        let committed = committed.max(everywhere);
        if let Office::RollingForward(upto) = self.office
            && committed >= upto
        {
            self.office = Office::Serving;
        }
        committed
    }

    /// The catalog fenced older epochs, and every open purchase is in the log. `sold` is how many toys the catalog
    /// sold for orders, ever.
    pub fn took_office(&mut self, log: &Log, sold: Option<u64>) {
        if self.office != Office::Asking {
            return;
        }
        self.office = Office::RollingForward(log.last());
        let entries = log.between(OrderNumber(0), log.last(), usize::MAX).iter();
        let ordered: u64 = entries.map(|entry| entry.item.quantity.get()).sum();
        let sold = sold.unwrap_or(ordered);
        self.imbalance = (sold != ordered).then(|| sold.cast_signed() - ordered.cast_signed());
    }

    /// How many more toys the catalog had sold than the log has orders for when this leader took office, if the
    /// two differed. Fewer: the catalog's journal lost rows. More: the log lost orders.
    pub fn imbalance(&self) -> Option<i64> {
        self.imbalance
    }

    /// Remembers to settle a purchase once its order is committed.
    pub fn owe(&mut self, number: OrderNumber, key: Key) {
        self.unsettled.push_back((number, key));
    }

    /// What the catalog has to be told or asked now. The open purchases count as asked for with this call; the
    /// caller requests it again if the catalog does not answer.
    pub fn duty(&mut self, committed: OrderNumber, now: Moment) -> Option<Duty> {
        let must_ask = self.must_ask || now >= self.asked + ASK_EVERY;
        if self.office == Office::Asking || must_ask && self.office == Office::Serving {
            self.must_ask = false;
            self.asked = now;
            return Some(Duty::TakeOffice(self.epoch));
        }
        let keys: Vec<Key> = self
            .unsettled
            .iter()
            .take_while(|(number, _)| *number <= committed)
            .take(ENTRIES_MAX)
            .map(|(_, key)| key.clone())
            .collect();
        if keys.is_empty() { None } else { Some(Duty::Settle(self.epoch, keys)) }
    }

    /// The first `count` unsettled purchases are settled.
    pub fn settled(&mut self, count: usize) {
        self.unsettled.drain(..count.min(self.unsettled.len()));
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
            let matched = follower.matched;
            FollowerStatus { id: *id, matched, lag: last.0.saturating_sub(matched.0) }
        };
        self.followers.iter().map(status).collect()
    }

    /// Outsiders in the commit set that have everything committed.
    pub fn caught_up(&self, committed: OrderNumber) -> Vec<Member> {
        self.commit_set
            .iter()
            .filter(|(id, _)| !self.members.contains_key(id))
            .filter(|(id, _)| self.followers.get(id).is_some_and(|f| f.matched >= committed))
            .map(|(id, identity)| Member { id: *id, identity: identity.clone() })
            .collect()
    }
}
