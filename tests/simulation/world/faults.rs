//! The faults that the nemesis causes in the world, and the restart of a process after them.

use super::{Event, Slot, World, index, ms, reset};
use crate::nemesis::Nemesis;
use crate::wire::{Input, Node, Tag, Timer};
use crate::{catalog, frontend, order};
use std::mem;
use std::time::Duration;
use toystore::model::Moment;

impl World {
    /// Kills a process: what it had not synced may be lost, and its connections are reset.
    pub fn crash(&mut self, node: Node) {
        if mem::replace(&mut self.host(node).down, true) {
            return;
        }
        self.host(node).incarnation += 1;
        self.host(node).paused_until = Moment::START;
        let rng = &mut self.rng;
        match node {
            Node::Frontend(id) => {
                if let Some(slot) = self.frontends.get_mut(&id)
                    && let Slot::Up(process) = slot
                {
                    *slot = Slot::Down(process.disk.clone());
                }
            }
            Node::Catalog => {
                if let Slot::Up(process) = &self.catalog {
                    self.catalog = Slot::Down(process.disk.after_crash(rng));
                }
            }
            Node::Replica(id) => {
                if let Some(slot) = self.replicas.get_mut(&id)
                    && let Slot::Up(process) = slot
                {
                    *slot = Slot::Down(process.disk.after_crash(id, rng));
                }
            }
            Node::Client(_) => {}
        }
        self.break_connections(node);
        self.judge.disk_changed();
    }

    /// Breaks the connections to a process. If it lives, it handles the requests that it has, and some of them are sent
    /// again.
    pub fn break_connections(&mut self, node: Node) {
        let mut broken: Vec<Tag> =
            self.calls.iter().filter(|(_, call)| call.to == node).map(|(tag, _)| *tag).collect();
        broken.sort_unstable();
        for tag in broken {
            // What was answered before may still be read.
            if self.calls[&tag].is_answered && self.rng.bool() {
                continue;
            }
            let is_customer = matches!(self.calls[&tag].from, Node::Client(_));
            if !is_customer && !self.is_down(node) && self.rng.bool() {
                self.send_again(tag);
                continue;
            }
            let delay = self.delay();
            self.schedule(delay, Event::Reply { tag, from: Some(node), reply: reset() });
        }
    }

    /// Requests of this process that no process has received are lost.
    pub fn forget_questions(&mut self, asker: Node) {
        for (_, event) in self.events.values_mut() {
            if matches!(event, Event::Question { from, .. } if *from == asker) {
                *event = Event::Nothing;
            }
        }
    }

    pub fn restart_after(&mut self, node: Node, wait: Duration) {
        self.schedule(wait, Event::Restart(node));
    }

    pub fn pause(&mut self, node: Node, time: Duration) {
        let until = self.now + time;
        self.host(node).paused_until = until;
    }

    pub fn cut(&mut self, from: Node, to: Node, time: Duration) {
        self.cuts.insert((from, to));
        self.schedule(time, Event::Heal(from, to));
    }

    pub fn is_down(&self, node: Node) -> bool {
        self.hosts[index(node)].down
    }

    pub fn nemesis(&mut self) -> &mut Nemesis {
        &mut self.nemesis
    }

    /// Ends all faults: links are whole, and processes run.
    pub fn heal(&mut self) {
        self.flaky = 0;
        self.cuts.clear();
        for node in self.nodes.clone() {
            self.host(node).paused_until = Moment::START;
            if self.is_down(node) {
                self.schedule(ms(10), Event::Restart(node));
            }
        }
    }

    pub(super) fn restart(&mut self, node: Node) -> Result<(), String> {
        if !self.is_down(node) {
            return Ok(());
        }
        self.trace.add(self.now, || format!("{node:?} STARTS"));
        let now = self.now;
        match node {
            Node::Frontend(id) => {
                let Some(slot) = self.frontends.get_mut(&id) else { return Ok(()) };
                if let Slot::Down(disk) = slot {
                    let process = frontend::Frontend::new(id, disk.clone(), now, &mut self.rng);
                    *slot = Slot::Up(Box::new(process));
                }
            }
            Node::Catalog => {
                let Slot::Down(disk) = &mut self.catalog else { return Ok(()) };
                let stock = disk.load();
                if self.rng.u32(0..5) == 0 {
                    // Killed between its new snapshot and its new journal.
                    self.schedule(ms(50), Event::Restart(node));
                    return Ok(());
                }
                disk.renew(&stock);
                let process = catalog::Catalog::new(disk.clone(), stock, now);
                self.catalog = Slot::Up(Box::new(process));
            }
            Node::Replica(id) => {
                let Some(slot) = self.replicas.get_mut(&id) else { return Ok(()) };
                if let Slot::Down(disk) = slot {
                    *slot = Slot::Up(Box::new(order::Order::new(id, disk.clone())));
                }
            }
            Node::Client(_) => {}
        }
        self.host(node).down = false;
        self.give(node, Input::Timer(Timer::Tick))
    }
}
