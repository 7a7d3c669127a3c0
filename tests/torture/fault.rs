//! What may go wrong, drawn from a seed, and what it means for customers. Pure: the nemesis does it.

use crate::proxy::{Way, Weather};
use crate::support::Id::{self, Catalog, Frontend, Order};
use crate::support::{ALL, REPLICAS};
use fastrand::Rng;
use std::time::Duration;

/// Something that goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// `kill -9`, at once.
    Kill(Vec<Id>),
    /// These stand still.
    Pause(Vec<Id>),
    /// The network.
    Weather(Vec<Way>, Weather),
    /// A replica is started again with a failure that it plays after so many more orders (O8), in
    /// this role if it can be had.
    Play(Id, Role, &'static str, u64),
    /// Every sync of a service fails, by strace.
    SyncError(Id),
    /// A service is killed, and its disk is not what it was.
    Spoil(Id, Damage),
    /// What the leader sends to the other replicas is held, and the leader killed.
    Strand(Fate),
    /// All of it, quickly, one on top of the other; so many blows.
    Storm(u32),
}

/// What a replica is when its failure comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Leader,
    Follower,
}

/// What becomes of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    Wiped,
    ByteFlipped,
}

/// What becomes of what the dead leader sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Late,
    Lost,
}

impl Fault {
    /// Any of them. Disks are spoiled only when `all_well`: what is on one must be on others,
    /// too. So is a leader stranded: there must be one.
    pub fn draw(rng: &mut Rng, all_well: bool) -> Fault {
        let how = ["crash", "hang", "fail-write"][rng.usize(0..3)];
        match rng.u32(0..100) {
            0..30 => Fault::Kill(draw_victims(rng)),
            30..45 => Fault::Pause(draw_victims(rng)),
            45..60 => Fault::Weather(draw_ways(rng), Weather::Held),
            60..68 => Fault::Weather(draw_ways(rng), Weather::Cut),
            68..74 => {
                let by = Duration::from_millis(rng.u64(5..120));
                Fault::Weather(draw_ways(rng), Weather::Slow(by))
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

    /// Whether it does anything to a replica.
    pub fn touches(&self, replica: Id) -> bool {
        match self {
            Fault::Kill(ids) | Fault::Pause(ids) => ids.contains(&replica),
            Fault::Weather(_, Weather::Slow(_)) => false,
            Fault::Weather(ways, _) => {
                ways.iter().any(|(from, to)| [*from, *to].contains(&replica))
            }
            Fault::Play(victim, Role::Follower, ..)
            | Fault::SyncError(victim)
            | Fault::Spoil(victim, _) => *victim == replica,
            // Whoever leads.
            Fault::Play(_, Role::Leader, ..) | Fault::Strand(_) | Fault::Storm(_) => true,
        }
    }

    /// Whether one of all replicas, if they are in sync, can go on: what happens among the replicas,
    /// one of those that the front-end and the catalog reach survives.
    pub fn leaves_a_replica(&self) -> bool {
        let spares = |replica: Id| match self {
            Fault::Weather(ways, _) => {
                let parts =
                    |other| ways.contains(&(replica, other)) || ways.contains(&(other, replica));
                self.is_slow() || !parts(Frontend) && !parts(Catalog)
            }
            Fault::Play(..) => true,
            _ => !self.touches(replica),
        };
        REPLICAS.into_iter().any(|id| spares(Order(id)))
    }

    /// Whether the front-end and the catalog go on, and reach each other.
    pub fn leaves_the_door_open(&self) -> bool {
        let is_inside = |id: &Id| matches!(id, Order(_));
        match self {
            Fault::Kill(ids) | Fault::Pause(ids) => ids.iter().all(is_inside),
            Fault::Weather(ways, _) => {
                self.is_slow() || ways.iter().all(|(from, to)| is_inside(from) || is_inside(to))
            }
            Fault::Play(victim, ..) | Fault::SyncError(victim) | Fault::Spoil(victim, _) => {
                is_inside(victim)
            }
            // The leader may have been left alone in the view before it died.
            Fault::Strand(_) | Fault::Storm(_) => false,
        }
    }

    /// Whether it stays until it is healed, while other things happen.
    pub fn lasts(&self) -> bool {
        matches!(self, Fault::Kill(_) | Fault::Pause(_) | Fault::Weather(..))
    }

    /// Whether a service may end by itself of it.
    pub fn may_end(&self, id: Id) -> bool {
        matches!(self, Fault::Play(victim, ..) | Fault::SyncError(victim) if *victim == id)
    }

    /// What it is counted as.
    pub fn kind(&self) -> &'static str {
        match self {
            Fault::Kill(_) => "kill",
            Fault::Pause(_) => "pause",
            Fault::Weather(_, Weather::Held) => "hold",
            Fault::Weather(_, Weather::Slow(_)) => "slow",
            Fault::Weather(_, Weather::Cut) => "cut",
            Fault::Play(_, _, how, _) => how,
            Fault::SyncError(_) => "sync-error",
            Fault::Spoil(_, Damage::Wiped) => "wipe",
            Fault::Spoil(_, Damage::ByteFlipped) => "flip",
            Fault::Strand(_) => "strand",
            Fault::Storm(_) => "storm",
        }
    }

    fn is_slow(&self) -> bool {
        matches!(self, Fault::Weather(_, Weather::Slow(_)))
    }
}

fn draw_replica(rng: &mut Rng) -> Id {
    Order(*rng.choice(&REPLICAS).expect("three"))
}

/// Mostly replicas, of which one is left; sometimes anybody, sometimes all.
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

/// Between one service and some others, one way or both.
pub fn draw_ways(rng: &mut Rng) -> Vec<Way> {
    let one = *rng.choice(&ALL).expect("five");
    let count = rng.usize(1..=3);
    let others = rng.choose_multiple(ALL.into_iter().filter(|other| *other != one), count);
    let which = rng.u32(0..3);
    let ways = |other| match which {
        0 => vec![(one, other)],
        1 => vec![(other, one)],
        _ => vec![(one, other), (other, one)],
    };
    others.into_iter().flat_map(ways).collect()
}
