//! The controller: health reports in, views out. Pure. Only the controller makes views, in one front-end at a time. Its
//! thread, in [`controlling`](super::controlling), writes each view before it is sent.
//!
//! A new view is made when the current one does not fit any more: its leader is down, has just started, or cannot
//! reach the catalog while another member can; a member is down or has just started; another front-end has started; the
//! leader reports a member lagging or an outsider caught up. Then
//! - epoch = the one before + 1,
//! - in-sync = the old in-sync set without those that are down or lagging, with those caught up,
//! - leader = the old one if it is fit, else the highest id of the old in-sync set that is up and fit.
//!
//! If no member is fit there is no new view, and no leader, until one is. An outsider never leads,
//! unless the operator allows an unclean election.
//!
//! With a [shared](Controller::sharing) log, in a database, every replica that is up and uses this database has every
//! order. So each of them is fit, and the in-sync set is the leader alone.

use crate::model::{Epoch, Member, Moment, OrderNumber, ReplicaId, View};
use crate::protocol::order::Health;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A replica that has not answered for this long is down.
pub const SILENT: Duration = Duration::from_millis(450);

/// A controller that did not run for this long was paused itself. It cannot know which replicas were
/// silent, so it waits for new reports first.
const PAUSED: Duration = Duration::from_millis(250);

/// A leader that cannot reach the catalog stays the leader until it has been so, and another replica has reached the catalog,
/// for this long: perhaps the catalog is down for all replicas, or has just come back.
const CUT_OFF: Duration = Duration::from_millis(300);

/// A front-end that lost its view file does not know which epochs it used last. It skips more epochs
/// than it can have used without any replica knowing.
const EPOCHS_SKIPPED: u64 = 1_000;

/// The result of a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthReport {
    /// The replica answered.
    Healthy {
        /// What it said.
        health: Health,
        /// When it was asked. The report says nothing about later times.
        asked: Moment,
        /// The [committed](Controller::committed) number when it was asked: a fit replica that may
        /// have to have every committed order has at least these.
        expected: OrderNumber,
    },
    /// It did not answer in time.
    Silent,
    /// Its address refused or reset the connection: its process is gone.
    Refused,
}

/// Whether the operator lets outsiders lead when no member is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unclean {
    /// Never: committed orders could be lost.
    Forbidden,
    /// Accept the loss of orders rather than have no leader.
    Allowed,
}

/// The controller's knowledge.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Controller {
    replicas: BTreeMap<ReplicaId, Replica>,
    view: Option<View>,
    /// Whether `view` is in force: it was made here, or this front-end has joined before.
    fresh: bool,
    /// Another front-end has started since `view` was made.
    joined: bool,
    /// The highest committed number in any report.
    committed: OrderNumber,
    /// Another front-end makes views: the epoch of its view.
    superseded_by: Option<Epoch>,
    unclean: Unclean,
    /// The replicas share a log.
    shares: bool,
    /// Since when it runs without a pause.
    looking_since: Moment,
    looked: Moment,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Replica {
    health: Option<Health>,
    expected: OrderNumber,
    /// When it was asked for `health`.
    asked: Moment,
    refused: bool,
    /// Since when it says the same about the catalog: that it reaches it, or that it does not.
    same_since: Moment,
}

/// A new view, and why it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// To be put on disk, then told.
    pub view: View,
    /// For people.
    pub reason: String,
}

impl Controller {
    /// A controller that remembers `view` and `committed` from its disk.
    pub fn new(
        replicas: impl IntoIterator<Item = ReplicaId>,
        view: Option<View>,
        committed: OrderNumber,
        unclean: Unclean,
        now: Moment,
    ) -> Controller {
        let replicas = replicas.into_iter().map(|id| (id, Replica::default())).collect();
        Controller {
            replicas,
            view,
            fresh: false,
            joined: false,
            committed,
            superseded_by: None,
            unclean,
            shares: false,
            looking_since: now,
            looked: now,
        }
    }

    /// The same for replicas that share a log.
    #[must_use]
    pub fn sharing(self) -> Controller {
        Controller { shares: true, ..self }
    }

    /// The same in a front-end that has joined at the controller before it. It goes on with the last view, and makes
    /// another one only if this does not fit.
    #[must_use]
    pub fn continuing(self) -> Controller {
        Controller { fresh: self.view.is_some(), ..self }
    }

    /// The view that is in force: none before this process has made one, unless it [continues](Controller::continuing).
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref().filter(|_| self.fresh && self.superseded_by.is_none())
    }

    /// The last view made, by this process or one before it.
    pub fn last_view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// The epoch of the last view made.
    pub fn epoch(&self) -> Epoch {
        self.view.as_ref().map_or(Epoch(0), |view| view.epoch)
    }

    /// Whether the leader of the view in force answers.
    pub fn is_led(&self, now: Moment) -> bool {
        let up = self.up(now);
        let leads = |view: &View| {
            up.get(&view.leader).is_some_and(|health| view.has(health.id, &health.identity))
        };
        self.view().is_some_and(leads)
    }

    /// Whether all replicas answer, and none has the data of a member of the last view: it waits for what is lost.
    pub fn knows_nobody(&self, now: Moment) -> bool {
        let up = self.up(now);
        let knows = |view| !self.members(view, &up).is_empty();
        up.len() == self.replicas.len() && self.view.as_ref().is_some_and(|view| !knows(view))
    }

    /// The highest committed number in any report.
    pub fn committed(&self) -> OrderNumber {
        self.committed
    }

    /// The epoch of another front-end's view, if there is another one.
    pub fn superseded_by(&self) -> Option<Epoch> {
        self.superseded_by
    }

    /// Another front-end has started. The next view is made for it, even if the current one fits: its epoch, which no
    /// other start of that front-end has, is where its purchases are counted from.
    pub fn join(&mut self) {
        self.joined = true;
    }

    /// Takes a report.
    pub fn take_report(&mut self, id: ReplicaId, report: HealthReport, now: Moment) {
        let Some(replica) = self.replicas.get_mut(&id) else { return };
        match report {
            HealthReport::Healthy { health, asked, expected } => {
                // What others hold for committed may have been given up by an unclean election.
                if self.view.as_ref().is_none_or(|view| view.has(id, &health.identity)) {
                    self.committed = self.committed.max(health.committed);
                }
                let theirs = health.view.as_ref().map_or(Epoch(0), |view| view.epoch);
                if self.view.as_ref().is_some_and(|view| theirs > view.epoch) {
                    self.superseded_by = Some(theirs);
                }
                let before = replica.health.as_ref().map(|health| health.catalog_reachable);
                let is_same = before == Some(health.catalog_reachable);
                let same_since = if is_same { replica.same_since } else { now };
                let health = Some(health);
                *replica = Replica { health, expected, asked, refused: false, same_since };
            }
            HealthReport::Silent => {}
            HealthReport::Refused => replica.refused = true,
        }
    }

    /// The next view, if the current one does not fit any more.
    pub fn decide(&mut self, now: Moment) -> Option<Decision> {
        if now > self.looked + PAUSED {
            self.looking_since = now;
        }
        self.looked = now;
        if self.superseded_by.is_some() || !self.has_looked_around(now) {
            return None;
        }
        let decision = match &self.view {
            None => self.first_view(now),
            Some(view) => self.next_view(view, now),
        }?;
        let leader = &self.replicas[&decision.view.leader];
        if let Some(health) = leader.health.as_ref().filter(|health| !self.is_fit(health)) {
            // An unclean election: what it lacks is lost.
            self.committed = health.last;
        }
        self.view = Some(decision.view.clone());
        self.fresh = true;
        self.joined = false;
        Some(decision)
    }

    /// Whether each replica has answered, or had time to answer. A view made too early would
    /// not include a replica that answers a moment later.
    pub fn has_looked_around(&self, now: Moment) -> bool {
        let answered =
            |replica: &Replica| replica.health.is_some() && replica.asked >= self.looking_since;
        now > self.looking_since + SILENT
            || self.replicas.values().all(|replica| replica.refused || answered(replica))
    }

    /// Without a view file: every replica has to say which view it accepted last. If there is none
    /// at all, the store is new. The operator may allow to go on with those that answer.
    fn first_view(&self, now: Moment) -> Option<Decision> {
        let up = self.up(now);
        if up.len() < self.replicas.len() && self.unclean == Unclean::Forbidden {
            return None;
        }
        let newest = up.values().filter_map(|health| health.view.as_ref()).max_by_key(|v| v.epoch);
        if let Some(newest) = newest {
            let old = View { epoch: Epoch(newest.epoch.0 + EPOCHS_SKIPPED), ..newest.clone() };
            let mut decision = self.next_view(&old, now)?;
            decision.reason = "the front-end lost its view and asked all replicas".into();
            return Some(decision);
        }
        let in_sync: Vec<Member> = up.values().map(|health| member(health)).collect();
        let best = best_log(&up)?;
        let in_sync = match best.last {
            OrderNumber(0) if !self.shares => in_sync,
            // Logs without any view were put there by hand; the best one leads, alone at first. So does who takes a
            // shared one.
            _ => in_sync.into_iter().filter(|one| one.id == best.id).collect(),
        };
        let leader = in_sync.iter().map(|member| member.id).max()?;
        let view = View { epoch: Epoch(1), leader, in_sync };
        Some(Decision { view, reason: "a new store".into() })
    }

    fn next_view(&self, old: &View, now: Moment) -> Option<Decision> {
        let up = self.up(now);
        let present = |member: &&Member| {
            up.get(&member.id).is_some_and(|health| health.identity == member.identity)
        };
        let members = self.members(old, &up);
        let Some(leader) = self.leader(old, &members, &up, now) else {
            return self.unclean_view(old, &up);
        };
        let report = up[&leader.id];
        let reported_in_office = leader.id == old.leader && epoch(report) == old.epoch;
        let lagging: BTreeSet<ReplicaId> = report
            .lagging
            .iter()
            .copied()
            .filter(|id| reported_in_office && *id != leader.id)
            .collect();
        let caught_up = report
            .caught_up
            .iter()
            .filter(|_| reported_in_office)
            .filter(|member| present(member) && !lagging.contains(&member.id))
            .filter(|member| !old.in_sync.contains(member));
        let mut in_sync: Vec<Member> = members
            .iter()
            .filter(|member| !lagging.contains(&member.id))
            .filter(|member| !self.shares || member.id == leader.id)
            .chain(caught_up)
            .cloned()
            .collect();
        in_sync.sort();
        let started = up.values().find(|health| has_restarted(health, old)).map(|h| h.id);
        let reason = if leader.id != old.leader {
            format!("replica {} {}", old.leader, self.failing(old.leader, now))
        } else if let Some(id) = started {
            format!("replica {id} has started")
        } else if !self.fresh || self.joined {
            "a front-end has started".into()
        } else if let Some(member) = in_sync.iter().find(|member| !old.in_sync.contains(member)) {
            format!("replica {} has caught up and joins the in-sync set", member.id)
        } else if let Some(member) = old.in_sync.iter().find(|member| !in_sync.contains(member)) {
            format!(
                "replica {} {} and leaves the in-sync set",
                member.id,
                self.failing(member.id, now)
            )
        } else if let Some(id) = lagging.first() {
            format!("replica {id} lags behind and leaves the in-sync set")
        } else {
            return None;
        };
        let view = View { epoch: old.epoch.next(), leader: leader.id, in_sync };
        Some(Decision { view, reason })
    }

    /// Those that are up and may have every order: of the old in-sync set, or all that use the database of its log.
    fn members(&self, old: &View, up: &BTreeMap<ReplicaId, &Health>) -> Vec<Member> {
        let is_member = |one: &Member| {
            let uses = |member: &Member| self.shares && member.identity == one.identity;
            old.in_sync.iter().any(|member| member == one || uses(member))
        };
        up.values().map(|health| member(health)).filter(is_member).collect()
    }

    /// The old leader if it is fit, else the highest fit member, those that reach the catalog first.
    fn leader<'a>(
        &self,
        old: &View,
        members: &'a [Member],
        up: &BTreeMap<ReplicaId, &Health>,
        now: Moment,
    ) -> Option<&'a Member> {
        let reaches = |id| up[&id].catalog_reachable;
        let is_steady = |id| now >= self.replicas[&id].same_since + CUT_OFF;
        let fit: Vec<&Member> =
            members.iter().filter(|member| self.is_fit(up[&member.id])).collect();
        let some_reach = fit.iter().any(|member| reaches(member.id));
        let is_cut_off = |id| {
            let other_reaches = |other: &&Member| reaches(other.id) && is_steady(other.id);
            !reaches(id) && is_steady(id) && fit.iter().any(other_reaches)
        };
        let stays = |id| id == old.leader && !has_restarted(up[&id], old) && !is_cut_off(id);
        let best = || {
            let will_do = |member: &&Member| !some_reach || reaches(member.id);
            fit.iter().copied().filter(will_do).max_by_key(|member| member.id)
        };
        fit.iter().copied().find(|member| stays(member.id)).or_else(best)
    }

    /// Whether a member has every committed order.
    fn is_fit(&self, health: &Health) -> bool {
        self.shares || health.last >= self.replicas[&health.id].expected.min(self.committed)
    }

    /// With nobody fit: nothing, or, if the operator says so, the best log of those that are up.
    fn unclean_view(&self, old: &View, up: &BTreeMap<ReplicaId, &Health>) -> Option<Decision> {
        if self.unclean == Unclean::Forbidden {
            return None;
        }
        let best = best_log(up)?;
        let view = View { epoch: old.epoch.next(), leader: best.id, in_sync: vec![member(best)] };
        Some(Decision { view, reason: "UNCLEAN ELECTION, orders may be lost".into() })
    }

    fn up(&self, now: Moment) -> BTreeMap<ReplicaId, &Health> {
        self.replicas
            .iter()
            .filter(|(_, replica)| !replica.refused && now <= replica.asked + SILENT)
            .filter_map(|(id, replica)| Some((*id, replica.health.as_ref()?)))
            .collect()
    }

    /// Why the state of a replica changed, in words.
    fn failing(&self, id: ReplicaId, now: Moment) -> &'static str {
        let Some(replica) = self.replicas.get(&id) else { return "is not configured" };
        match &replica.health {
            _ if replica.refused => "is down",
            Some(_) if now > replica.asked + SILENT => "is silent",
            Some(health) if health.starting => "has started",
            Some(health) if !health.catalog_reachable => "cannot reach the catalog",
            Some(health) if !self.is_fit(health) => "lacks committed orders",
            Some(_) => "lags behind or has another data directory",
            None => "has never answered",
        }
    }
}

/// Whether it took part in this view before it started. If it does not have the view yet, it can
/// still take part; the report may be from before it was told.
fn has_restarted(health: &Health, view: &View) -> bool {
    health.starting && epoch(health) == view.epoch
}

/// The log that lacks the fewest committed orders, as far as logs alone can tell: that of the latest epoch,
/// and of these the longest. A leader that was cut off may have a long tail that nobody committed; of
/// whoever has an order of a later epoch, that tail was cut.
fn best_log<'a>(up: &BTreeMap<ReplicaId, &'a Health>) -> Option<&'a Health> {
    up.values().copied().max_by_key(|health| (health.last_epoch, health.last, health.id))
}

fn epoch(health: &Health) -> Epoch {
    health.view.as_ref().map_or(Epoch(0), |view| view.epoch)
}

fn member(health: &Health) -> Member {
    Member { id: health.id, identity: health.identity.clone() }
}
