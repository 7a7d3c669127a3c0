//! Injects one fault after another, drawn from a seed, each for a while, then heals it.
//!
//! - For each fault the nemesis knows whether customers may notice it (`Expect`). They may not
//!   while the front-end, the catalog and one in-sync replica that both can reach are well. A replica
//!   is certainly in sync if all were once and no fault affected it since.
//! - It mostly waits until the whole store is well again. Sometimes it continues before, or leaves a fault
//!   while the next one is injected.
//! - A service that ends without a fault is a failure, and so is a store that does not recover
//!   when everything is healed.

use crate::fault::{Damage, Fate, Fault, Role, draw_directions};
use crate::history::History;
use crate::support::Id::{self, Catalog, Frontend, Order};
use crate::support::{ALL, Cluster, PATIENCE, REPLICAS, own_host};
use crate::unsynced::{Watch, fail_syncs};
use fastrand::Rng;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use std::{fmt, fs};
use toystore::links::{Condition, Links};

/// A file that keeps the identity of a damaged disk, which must change.
const DAMAGED: &str = "identity-before-the-damage";

/// What customers may notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Latency.
    Service,
    /// Errors that ask to try again.
    Outage,
}

/// A fault in the past.
#[derive(Debug)]
pub struct Episode {
    fault: Fault,
    /// What customers might notice.
    pub expect: Expect,
    /// When it began, on the history's clock.
    pub start_us: u64,
    /// When it was healed.
    healed_us: u64,
    /// When the store was well again, or the next fault began.
    pub end_us: u64,
}

impl Episode {
    /// Its name in the counts.
    pub fn kind(&self) -> &'static str {
        self.fault.kind()
    }
}

impl fmt::Display for Episode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [start, healed, end] = [self.start_us, self.healed_us, self.end_us]
            .map(|us| Duration::from_micros(us).as_secs_f64());
        let Episode { fault, expect, .. } = self;
        write!(f, "{start:8.3} s to {healed:.3}, well at {end:.3}: {fault:?}, expect {expect:?}")
    }
}

/// Injects the faults.
pub struct Nemesis {
    pub cluster: Cluster,
    network: Links<Id>,
    /// The addresses of the others that each service is given: the links to them.
    links: BTreeMap<Id, Vec<String>>,
    rng: Rng,
    history: Arc<History>,
    pub episodes: Vec<Episode>,
    /// The replicas that no fault affected since all was well: they are in sync.
    spared: Vec<Id>,
    /// Whether no fault affected the front-end and the catalog since all was well.
    door_is_open: bool,
}

impl Nemesis {
    /// Opens a store that is closed, with a network between its services.
    pub fn open(cluster: Cluster, seed: u64, history: Arc<History>) -> Nemesis {
        // Not the host of the store, where some addresses are only reserved.
        let mut network = Links::at(own_host());
        let mut link = |direction, address: &str| {
            let callee = address.parse().expect("an address with a port");
            network.link(direction, callee).expect("a free port")
        };
        let mut links = BTreeMap::new();
        for caller in ALL.into_iter().filter(|id| *id != Catalog) {
            let flags: &mut Vec<String> = links.entry(caller).or_default();
            for callee in ALL.into_iter().filter(|id| *id != caller && *id != Frontend) {
                let section = callee.section();
                let listen = link((caller, callee), cluster.address(callee));
                let peer = link((caller, callee), cluster.peer_address(callee));
                flags.push(format!("--{section}-listen={listen}"));
                flags.push(format!("--{section}-peer={peer}"));
            }
        }
        let rng = Rng::with_seed(seed);
        let mut nemesis = Nemesis {
            cluster,
            network,
            links,
            rng,
            history,
            episodes: Vec::new(),
            spared: Vec::new(),
            door_is_open: false,
        };
        for id in ALL {
            nemesis.spawn(id, &[]);
        }
        nemesis.await_well().expect("a store without faults opens");
        nemesis
    }

    /// Injects faults until then, and heals everything at the end. An error if the store is not well then.
    pub fn rage(&mut self, until: Instant) -> Result<(), String> {
        while Instant::now() < until {
            let is_well = self.is_well();
            let fault = Fault::draw(&mut self.rng, is_well);
            self.befall(fault)?;
        }
        self.heal(None)?;
        self.await_well()?;
        if let Some(last) = self.episodes.last_mut() {
            last.end_us = self.history.now_us();
        }
        Ok(())
    }

    fn befall(&mut self, fault: Fault) -> Result<(), String> {
        if !fault.lasts() {
            self.heal(None)?;
        }
        let start_us = self.history.now_us();
        // Until now the faults before were being healed.
        if !self.is_well()
            && let Some(before) = self.episodes.last_mut()
        {
            before.end_us = start_us;
        }
        let expect = self.expect(&fault);
        self.inject(&fault);
        let next = self.rng.u32(0..6);
        let stays = fault.lasts() && next == 0;
        let healed = if stays { Ok(()) } else { self.heal(Some(&fault)) };
        let healed_us = self.history.now_us();
        // The data of a damaged disk must be on others again before they may fail, too.
        let waits = healed.is_ok() && !stays && (next > 2 || matches!(fault, Fault::Spoil(..)));
        let well = if waits { self.await_well() } else { healed };
        let end_us = self.history.now_us();
        self.episodes.push(Episode { fault, expect, start_us, healed_us, end_us });
        well
    }

    /// Whether there was no fault since all was well.
    fn is_well(&self) -> bool {
        self.door_is_open && self.spared.len() == REPLICAS.len()
    }

    /// What customers may notice of this fault, after all faults since all was well.
    fn expect(&mut self, fault: &Fault) -> Expect {
        let all_were_spared = self.spared.len() == REPLICAS.len();
        self.spared.retain(|replica| !fault.touches(*replica));
        self.door_is_open &= fault.leaves_the_door_open();
        let survives = !self.spared.is_empty() || all_were_spared && fault.leaves_a_replica();
        if survives && self.door_is_open { Expect::Service } else { Expect::Outage }
    }

    fn inject(&mut self, fault: &Fault) {
        match fault {
            Fault::Kill(ids) => ids.iter().for_each(|id| self.kill(*id)),
            Fault::Pause(ids) => {
                let running = ids.iter().filter(|id| self.cluster.is_started(**id));
                running.for_each(|id| self.cluster.pause(*id));
            }
            Fault::Condition(directions, condition) => {
                self.network.set(directions.iter().copied(), *condition);
            }
            Fault::Play(id, role, how, after) => {
                self.kill(*id);
                let at = self.orders_on_disk() + after;
                self.spawn(*id, &[&format!("--order-fail={how}@{at}")]);
                return self.play(*id, *role);
            }
            Fault::Spoil(id, damage) => {
                self.kill(*id);
                self.spoil(*id, *damage);
            }
            Fault::Unsynced(percent) => return self.lose_unsynced(*percent),
            Fault::Strand(fate) => return self.strand(*fate),
            Fault::SyncError(id) => return self.fail_syncs(*id),
            Fault::Storm(blows) => return (0..*blows).for_each(|_| self.blow()),
        }
        // Often about as long as a lease, or as the silence after which a replica counts as down.
        let longest = if self.rng.bool() { 900 } else { 2_500 };
        let some_time = self.rng.u64(50..longest);
        thread::sleep(Duration::from_millis(some_time));
    }

    fn strand(&mut self, fate: Fate) {
        let leader = Order(self.cluster.leader());
        let directions = REPLICAS.map(|follower| (leader, Order(follower)));
        self.network.set(directions, Condition::Held);
        let some_time = self.rng.u64(20..900);
        thread::sleep(Duration::from_millis(some_time));
        self.kill(leader);
        if fate == Fate::Lost {
            self.network.set(directions, Condition::Cut);
        }
    }

    /// The highest number in any replica's log, whether the replica runs or not.
    fn orders_on_disk(&self) -> u64 {
        let rows = |id| self.cluster.orders_csv(id).split(|byte| *byte == b'\n').count();
        REPLICAS.into_iter().map(rows).max().unwrap_or(0) as u64
    }

    fn play(&mut self, id: Id, role: Role) {
        let in_sync = |nemesis: &mut Nemesis| nemesis.cluster.is_in_sync();
        if role == Role::Leader && self.wait(PATIENCE / 3, in_sync) {
            let leader = Order(self.cluster.leader());
            if leader != id {
                self.kill(leader);
                self.spawn(leader, &[]);
            }
        }
        self.wait(PATIENCE / 3, |nemesis| nemesis.has_stopped(id));
        // A replica that hangs first continues, although the others have a newer view.
        self.cluster.resume(id);
        thread::sleep(Duration::from_millis(300));
        // The failure must not be simulated again, whether it happened or not.
        self.cluster.reap(id);
        self.kill(id);
    }

    fn spoil(&self, id: Id, damage: Damage) {
        let data = self.cluster.data(id);
        let log = data.join("orders.csv");
        match damage {
            Damage::Wiped => fs::remove_dir_all(data).expect("it is closed"),
            Damage::ByteFlipped => {
                let mut bytes = fs::read(&log).expect("it is there");
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(&log, bytes).expect("a disk that is not full");
                fs::copy(data.join("identity"), data.join(DAMAGED)).expect("it has one");
            }
        }
    }

    fn fail_syncs(&mut self, id: Id) {
        let mut strace = fail_syncs(&self.cluster, id);
        self.wait(PATIENCE / 3, |nemesis| nemesis.has_stopped(id));
        self.cluster.reap(id);
        self.kill(id);
        if let Some(strace) = &mut strace {
            strace.kill().and_then(|()| strace.wait()).expect("it is our child");
        }
    }

    fn lose_unsynced(&mut self, percent: u64) {
        // Without strace it is killed, and loses nothing.
        let watch = Watch::begin(&self.cluster);
        if let Some(watch) = &watch {
            self.wait(PATIENCE / 3, |_| watch.has_begun());
        }
        let some_time = self.rng.u64(0..100);
        thread::sleep(Duration::from_millis(some_time));
        self.kill(Catalog);
        if let Some(watch) = watch {
            watch.cut(percent);
        }
    }

    fn blow(&mut self) {
        let id = *self.rng.choice(&ALL).expect("five");
        match self.rng.u32(0..8) {
            0..3 if self.cluster.is_started(id) => self.kill(id),
            0..3 => self.spawn(id, &[]),
            3 if self.cluster.is_started(id) => self.cluster.pause(id),
            4 if self.cluster.is_started(id) => self.cluster.resume(id),
            5 => {
                let directions = draw_directions(&mut self.rng);
                self.network.set(directions, Condition::Held);
            }
            6 => {
                let directions = draw_directions(&mut self.rng);
                self.network.set(directions, Condition::Cut);
            }
            _ => self.network.clear(),
        }
        let some_time = self.rng.u64(1..400);
        thread::sleep(Duration::from_millis(some_time));
    }

    /// Heals everything: all processes run and reach each other.
    fn heal(&mut self, fault: Option<&Fault>) -> Result<(), String> {
        self.network.clear();
        for id in ALL {
            if let Some(status) = self.cluster.reap(id)
                && !fault.is_some_and(|fault| fault.may_end(id))
            {
                return Err(format!("{id:?} has ended by itself: {status}"));
            }
            if self.cluster.is_started(id) {
                self.cluster.resume(id);
            } else {
                self.spawn(id, &[]);
            }
        }
        Ok(())
    }

    /// Waits until every service answers and all replicas are in sync.
    fn await_well(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        let well = self.wait(PATIENCE, |nemesis| {
            nemesis.cluster.is_ready(Frontend)
                && nemesis.cluster.is_ready(Catalog)
                && nemesis.cluster.is_in_sync()
        });
        self.spared = REPLICAS.map(Order).into();
        self.door_is_open = true;
        if !well {
            return Err(format!("the store is not well {:?} after all is healed", begun.elapsed()));
        }
        match REPLICAS.into_iter().find(|id| self.is_ghost(Order(*id))) {
            Some(id) => {
                Err(format!("replica {id} passes for what it was before its disk was damaged"))
            }
            None => Ok(()),
        }
    }

    /// Whether a disk that was damaged has its old identity.
    fn is_ghost(&self, id: Id) -> bool {
        let read = |name| fs::read(self.cluster.data(id).join(name)).ok();
        read(DAMAGED).is_some_and(|damaged| read("identity") == Some(damaged))
    }

    /// Waits until all disks have the same log and the same view; no customer may be buying.
    pub fn await_agreement(&mut self) -> Result<(), String> {
        if !self.wait(PATIENCE, |nemesis| nemesis.cluster.logs_agree()) {
            return Err("the replicas do not come to have the same log".into());
        }
        let read = |nemesis: &Nemesis, id| -> Value {
            let file = fs::read(nemesis.cluster.data(id).join("view.json")).unwrap_or_default();
            serde_json::from_slice(&file).unwrap_or_default()
        };
        let agree = |nemesis: &mut Nemesis| {
            let view = &read(nemesis, Frontend)["view"];
            !view.is_null() && REPLICAS.iter().all(|id| read(nemesis, Order(*id)) == *view)
        };
        let agreed = self.wait(PATIENCE, agree);
        agreed.then_some(()).ok_or_else(|| "the disks do not come to have the same view".into())
    }

    /// Closes the store, or what is left of it. Returns the store, and the faults.
    pub fn end(mut self) -> (Cluster, Vec<Episode>) {
        for id in ALL.into_iter().rev() {
            self.cluster.reap(id);
            self.kill(id);
        }
        (self.cluster, self.episodes)
    }

    fn wait(&mut self, patience: Duration, is_so: impl Fn(&mut Nemesis) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if is_so(self) {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    fn spawn(&mut self, id: Id, settings: &[&str]) {
        let links = self.links.get(&id).map_or(&[][..], Vec::as_slice);
        let settings: Vec<&str> =
            links.iter().map(String::as_str).chain(settings.iter().copied()).collect();
        self.cluster.spawn(id, &settings);
    }

    fn kill(&mut self, id: Id) {
        if self.cluster.is_started(id) {
            self.cluster.kill(id);
        }
    }

    /// Whether a service has ended or is paused.
    fn has_stopped(&mut self, id: Id) -> bool {
        let state = fs::read_to_string(format!("/proc/{}/stat", self.cluster.pid(id)));
        let state = state.unwrap_or_default();
        // The state follows the name, which is in parentheses; Z has ended, T is stopped.
        state
            .rsplit(')')
            .next()
            .is_none_or(|rest| matches!(rest.trim_start().chars().next(), Some('Z' | 'T') | None))
    }
}
