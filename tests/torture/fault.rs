//! The faults, drawn from a seed, and whether customers may notice them. Pure: the nemesis injects them.

use crate::support::Id::{self, Catalog, Frontend, Order};
use crate::support::{ALL, REPLICAS};
use fastrand::Rng;
use std::time::Duration;
use toystore::links::Condition;

/// A fault.
#[derive(Debug, Clone)]
pub enum Fault {
    /// `kill -9`, of these at once.
    Kill(Vec<Id>),
    /// These are paused.
    Pause(Vec<Id>),
    /// The network fails.
    Condition(Vec<(Id, Id)>, Condition),
    /// A replica is started again with a failure that it simulates after this number of further orders (O8), in
    /// this role if possible.
    Play(Id, Role, &'static str, u64),
    /// Every sync of a service fails, by strace.
    SyncError(Id),
    /// The catalog's machine dies: it loses this share, in percent, of what its journal had beyond the last sync.
    Unsynced(u64),
    /// A service is killed, and its disk is damaged.
    Spoil(Id, Damage),
    /// The leader's messages to the other replicas are held, and the leader is killed.
    Strand(Fate),
    /// This number of faults, quickly one after the other.
    Storm(u32),
}

/// The role of a replica when it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Leader,
    Follower,
}

/// What happens to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    Wiped,
    ByteFlipped,
}

/// What happens to the messages of the killed leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Late,
    Lost,
}

impl Fault {
    /// A random fault. Disks are damaged only when `all_well`, because other disks must have the same data. For the
    /// same reason a leader is disconnected only then: there must be one.
    pub fn draw(rng: &mut Rng, all_well: bool) -> Fault {
        let how = ["crash", "hang", "fail-write"][rng.usize(0..3)];
        match rng.u32(0..100) {
            0..26 => Fault::Kill(draw_victims(rng)),
            26..30 => Fault::Unsynced(if rng.bool() { 100 } else { rng.u64(1..100) }),
            30..45 => Fault::Pause(draw_victims(rng)),
            45..60 => Fault::Condition(draw_directions(rng), Condition::Held),
            60..68 => Fault::Condition(draw_directions(rng), Condition::Cut),
            68..74 => {
                let by = Duration::from_millis(rng.u64(5..120));
                Fault::Condition(draw_directions(rng), Condition::Slow(by))
            }
            74..80 => Fault::Play(draw_replica(rng), Role::Follower, how, rng.u64(1..120)),
            80..84 => Fault::Play(draw_replica(rng), Role::Leader, how, rng.u64(600..1_200)),
            84..88 if all_well => match rng.u32(0..5) {
                0 => Fault::Spoil(Frontend, Damage::Wiped),
                1..3 => Fault::Spoil(draw_replica(rng), Damage::Wiped),
                _ => Fault::Spoil(draw_replica(rng), Damage::ByteFlipped),
            },
            88..92 if rng.u32(0..4) == 0 => Fault::SyncError(Catalog),
            88..92 => Fault::SyncError(draw_replica(rng)),
            92..96 if all_well => Fault::Strand(if rng.bool() { Fate::Late } else { Fate::Lost }),
            _ => Fault::Storm(rng.u32(4..16)),
        }
    }

    /// Whether it affects a replica.
    pub fn touches(&self, replica: Id) -> bool {
        match self {
            Fault::Kill(ids) | Fault::Pause(ids) => ids.contains(&replica),
            Fault::Condition(_, Condition::Slow(_)) | Fault::Unsynced(_) => false,
            Fault::Condition(directions, _) => {
                directions.iter().any(|(from, to)| [*from, *to].contains(&replica))
            }
            Fault::Play(victim, Role::Follower, ..)
            | Fault::SyncError(victim)
            | Fault::Spoil(victim, _) => *victim == replica,
            // The current leader.
            Fault::Play(_, Role::Leader, ..) | Fault::Strand(_) | Fault::Storm(_) => true,
        }
    }

    /// Whether one of the replicas can continue, if all are in sync: one that is not affected, and that the front-end
    /// and the catalog reach.
    pub fn leaves_a_replica(&self) -> bool {
        let spares = |replica: Id| match self {
            Fault::Condition(directions, _) => {
                let parts = |other| {
                    directions.contains(&(replica, other)) || directions.contains(&(other, replica))
                };
                self.is_slow() || !parts(Frontend) && !parts(Catalog)
            }
            Fault::Play(..) => true,
            _ => !self.touches(replica),
        };
        REPLICAS.into_iter().any(|id| spares(Order(id)))
    }

    /// Whether the front-end and the catalog continue, and reach each other.
    pub fn leaves_the_door_open(&self) -> bool {
        let is_inside = |id: &Id| matches!(id, Order(_));
        match self {
            Fault::Kill(ids) | Fault::Pause(ids) => ids.iter().all(is_inside),
            Fault::Condition(directions, _) => {
                self.is_slow()
                    || directions.iter().all(|(from, to)| is_inside(from) || is_inside(to))
            }
            Fault::Play(victim, ..) | Fault::SyncError(victim) | Fault::Spoil(victim, _) => {
                is_inside(victim)
            }
            // The leader may have been alone in the view before it was killed.
            Fault::Strand(_) | Fault::Storm(_) | Fault::Unsynced(_) => false,
        }
    }

    /// Whether it lasts until it is healed, so that other faults can be added.
    pub fn lasts(&self) -> bool {
        matches!(self, Fault::Kill(_) | Fault::Pause(_) | Fault::Condition(..))
    }

    /// Whether it may make a service end by itself.
    pub fn may_end(&self, id: Id) -> bool {
        matches!(self, Fault::Play(victim, ..) | Fault::SyncError(victim) if *victim == id)
    }

    /// Its name in the counts.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Kill(_) => "kill",
            Fault::Pause(_) => "pause",
            Fault::Condition(_, Condition::Held) => "hold",
            Fault::Condition(_, Condition::Slow(_)) => "slow",
            Fault::Condition(_, Condition::Cut) => "cut",
            Fault::Play(_, _, how, _) => how,
            Fault::SyncError(_) => "sync-error",
            Fault::Unsynced(_) => "unsynced",
            Fault::Spoil(_, Damage::Wiped) => "wipe",
            Fault::Spoil(_, Damage::ByteFlipped) => "flip",
            Fault::Strand(_) => "strand",
            Fault::Storm(_) => "storm",
        }
    }

    fn is_slow(&self) -> bool {
        matches!(self, Fault::Condition(_, Condition::Slow(_)))
    }
}

fn draw_replica(rng: &mut Rng) -> Id {
    Order(*rng.choice(&REPLICAS).expect("three"))
}

/// Mostly replicas, so that one is left; sometimes any services, sometimes all.
fn draw_victims(rng: &mut Rng) -> Vec<Id> {
    let (from, most): (&[Id], usize) = match rng.u32(0..10) {
        0..6 => (&ALL[1..4], 2),
        6 => (&ALL[1..4], 3),
        7 => (&[Frontend], 1),
        8 => (&[Catalog], 1),
        _ => (&ALL, ALL.len()),
    };
    let count = rng.usize(1..=most);
    rng.choose_multiple(from.iter().copied(), count)
}

/// Between one service and some others, in one direction or both.
pub fn draw_directions(rng: &mut Rng) -> Vec<(Id, Id)> {
    let one = *rng.choice(&ALL).expect("five");
    let count = rng.usize(1..=3);
    let others = rng.choose_multiple(ALL.into_iter().filter(|other| *other != one), count);
    let which = rng.u32(0..3);
    let directions = |other| match which {
        0 => vec![(one, other)],
        1 => vec![(other, one)],
        _ => vec![(one, other), (other, one)],
    };
    others.into_iter().flat_map(directions).collect()
}
