//! Injects faults: kills, pauses, cuts links, wipes disks, within the assumptions of docs/correctness.md.

use crate::frontend::views;
use crate::judge::disk;
use crate::order;
use crate::wire::Node;
use crate::world::{FRONTEND, REPLICAS, Slot, World, between, ms};
use fastrand::Rng;
use std::mem;
use std::time::Duration;
use toystore::catalog::record::Record;
use toystore::model::{Epoch, FrontendId, Moment, ReplicaId};

/// Its state.
pub struct Nemesis {
    /// After this it injects no more faults.
    pub until: Moment,
    /// The longest pause between two faults.
    pause: Duration,
    wipes: u64,
    /// The next fault is the catalog's death.
    kills_catalog: bool,
}

impl Nemesis {
    pub fn new(rng: &mut Rng) -> Nemesis {
        Nemesis {
            until: Moment::after(if rng.u32(0..8) == 0 {
                // Long enough for what a leader does every five seconds.
                between(rng, &(ms(5_000)..ms(12_000)))
            } else {
                between(rng, &(ms(1_500)..ms(5_000)))
            }),
            pause: between(rng, &(ms(50)..ms(1_200))),
            wipes: 0,
            kills_catalog: false,
        }
    }

    /// Injects a fault. Returns when it will inject the next one, if it will.
    pub fn strike(world: &mut World) -> Option<Duration> {
        let until = world.nemesis().until;
        if world.now >= until {
            return None;
        }
        let node = Nemesis::choose(world);
        // Often so short that only the processes concerned notice.
        let longest = if world.rng.u32(0..3) == 0 { ms(30) } else { ms(1_500) };
        let outage = between(&mut world.rng, &(ms(1)..longest));
        let kills_catalog = mem::take(&mut world.nemesis().kills_catalog);
        match world.rng.u32(0..100) {
            _ if kills_catalog => Nemesis::kill(world, Node::Catalog, ms(5)),
            0..6 => Nemesis::stall(world),
            6..30 => Nemesis::kill(world, node, outage),
            30..45 => {
                world.trace.add(world.now, || format!("{node:?} IS PAUSED for {outage:?}"));
                world.pause(node, outage);
            }
            45..70 => Nemesis::cut(world, node, outage),
            70..80 => {
                let node = if world.rng.bool() { Node::Catalog } else { node };
                world.trace.add(world.now, || format!("{node:?}: CONNECTIONS BREAK"));
                world.break_connections(node);
            }
            80..88 => {
                let id = ReplicaId(world.rng.u32(1..=REPLICAS));
                if world.table.is_some() {
                    // It has nothing to lose.
                    Nemesis::kill(world, Node::Replica(id), outage);
                } else {
                    Nemesis::wipe(world, id, outage);
                }
            }
            88..92 => Nemesis::lose_view(world, outage),
            92..96 => {
                for id in 1..=REPLICAS {
                    let outage = between(&mut world.rng, &(ms(5)..ms(1_000)));
                    Nemesis::kill(world, Node::Replica(ReplicaId(id)), outage);
                }
            }
            _ => Nemesis::kill(world, Node::Catalog, outage),
        }
        let nemesis = world.nemesis();
        let pause = if nemesis.kills_catalog { ms(40) } else { nemesis.pause };
        Some(between(&mut world.rng, &(ms(1)..pause)))
    }

    /// A random process, more often the leader.
    fn choose(world: &mut World) -> Node {
        let leader = world.judge.view().map_or(ReplicaId(3), |view| view.leader);
        match world.rng.u32(0..10) {
            0 | 1 => {
                let count = u32::try_from(world.frontends.len()).unwrap();
                let id = if count > 1 { world.rng.u32(1..=count) } else { 1 };
                Node::Frontend(FrontendId(id))
            }
            2 | 3 => Node::Catalog,
            4..7 => Node::Replica(leader),
            _ => Node::Replica(ReplicaId(world.rng.u32(1..=REPLICAS))),
        }
    }

    fn kill(world: &mut World, node: Node, outage: Duration) {
        world.trace.add(world.now, || format!("{node:?} IS KILLED"));
        world.crash(node);
        world.restart_after(node, outage);
    }

    /// Cuts a node off from one other node, from all, or from all but the catalog, in one direction or both.
    fn cut(world: &mut World, node: Node, time: Duration) {
        let mut others = Nemesis::nodes(world);
        others.retain(|other| *other != node);
        match world.rng.u32(0..8) {
            0 => {}
            // A leader that is fenced at the catalog only.
            1 => others.retain(|other| *other != Node::Catalog),
            // Requests reach the catalog, but its answers and changes are delayed for longer than a lease.
            2 => {
                let time = between(&mut world.rng, &(ms(500)..ms(1_500)));
                world.trace.add(world.now, || format!("the catalog's answers STALL for {time:?}"));
                for id in world.frontends.keys().copied().collect::<Vec<_>>() {
                    world.cut(Node::Catalog, Node::Frontend(id), time);
                }
                return;
            }
            3 => return Nemesis::split(world, node, time),
            _ => others = vec![others[world.rng.usize(..others.len())]],
        }
        let (to, from) = match world.rng.u32(0..4) {
            0 => (true, false),
            1 => (false, true),
            _ => (true, true),
        };
        world.trace.add(world.now, || {
            format!("{node:?} IS CUT from {others:?} (to: {to}, from: {from}) for {time:?}")
        });
        for other in others {
            if to {
                world.cut(node, other, time);
            }
            if from {
                world.cut(other, node, time);
            }
        }
    }

    /// The network falls into two halves: `node` is in one, and the front-end that makes the views in the other.
    fn split(world: &mut World, node: Node, time: Duration) {
        let (mut here, mut there) = (vec![node], vec![Node::Frontend(FRONTEND)]);
        for other in Nemesis::nodes(world) {
            if !here.contains(&other) && !there.contains(&other) {
                if world.rng.bool() { here.push(other) } else { there.push(other) }
            }
        }
        world.trace.add(world.now, || format!("{here:?} ARE CUT from {there:?} for {time:?}"));
        for (one, other) in here.iter().flat_map(|one| there.iter().map(|other| (*one, *other))) {
            world.cut(one, other, time);
            world.cut(other, one, time);
        }
    }

    fn nodes(world: &World) -> Vec<Node> {
        let frontends = world.frontends.keys().copied().map(Node::Frontend);
        let replicas = (1..=REPLICAS).map(|id| Node::Replica(ReplicaId(id)));
        frontends.chain([Node::Catalog]).chain(replicas).collect()
    }

    /// Delays the catalog's answers to the leader, so that some of them arrive when the catalog has started again.
    fn stall(world: &mut World) {
        let leader = world.judge.view().map_or(ReplicaId(3), |view| view.leader);
        let time = between(&mut world.rng, &(ms(50)..ms(250)));
        world
            .trace
            .add(world.now, || format!("the catalog's answers to {leader} STALL for {time:?}"));
        world.cut(Node::Catalog, Node::Replica(leader), time);
        world.nemesis().kills_catalog = true;
    }

    /// Replaces a replica's disk by an empty one.
    fn wipe(world: &mut World, id: ReplicaId, outage: Duration) {
        // A new controller asks all disks for the newest view.
        let is_view_lost = frontend_disk(world).view().is_none();
        if is_view_lost || !world.judge.has_intact_member(&world.replicas, Some(id)) {
            return;
        }
        world.trace.add(world.now, || format!("replica {id} LOSES ITS DISK"));
        world.crash(Node::Replica(id));
        let nemesis = world.nemesis();
        nemesis.wipes += 1;
        let disk = order::Disk::new(id, nemesis.wipes);
        world.replicas.insert(id, Slot::Down(disk));
        world.restart_after(Node::Replica(id), outage);
    }

    /// Replaces the front-end's disk by an empty one. This takes long enough that no message of the front-end is
    /// still in flight. Not if replicas lost their disks before they could accept a view: then nobody but the catalog would
    /// know which epochs were in office, and the store would have lost its orders. With a database it has nothing to lose.
    fn lose_view(world: &mut World, outage: Duration) {
        if world.table.is_some() {
            return Nemesis::kill(world, Node::Frontend(FRONTEND), outage);
        }
        let views = world.replicas.values().filter_map(|slot| disk(slot).view.as_ref());
        let remembered = views.map(|view| view.epoch).max();
        if last_office(world) > remembered {
            return;
        }
        world.trace.add(world.now, || "frontend LOSES ITS DISK".into());
        world.crash(Node::Frontend(FRONTEND));
        world.forget_questions(Node::Frontend(FRONTEND));
        world.judge.forget_view(&world.replicas);
        world
            .frontends
            .insert(FRONTEND, Slot::Down(views::Disk::File(views::Remembered::default())));
        world.restart_after(Node::Frontend(FRONTEND), outage);
    }
}

/// The last epoch that took office at the catalog.
fn last_office(world: &World) -> Option<Epoch> {
    let disk = match &world.catalog {
        Slot::Up(catalog) => &catalog.disk,
        Slot::Down(disk) => disk,
    };
    let office = |(_, record): &(u64, Record)| match record {
        Record::Office(epoch) => Some(*epoch),
        _ => None,
    };
    disk.history.iter().filter_map(office).max()
}

fn frontend_disk(world: &World) -> &views::Disk {
    match &world.frontends[&FRONTEND] {
        Slot::Up(frontend) => &frontend.disk,
        Slot::Down(disk) => disk,
    }
}
