//! What a process of the simulation may do in one step, and the trace of all steps. Every process uses it; `world`
//! carries out what it did.

use crate::wire::{Node, Question, Reply, Tag, Timer};
use fastrand::Rng;
use std::time::Duration;
use toystore::model::{Key, Moment, PurchaseId, ToyName};
use toystore::protocol::purchase::Purchase;

/// What a process may do while it handles an input.
pub struct Context<'a> {
    pub me: Node,
    pub now: Moment,
    pub rng: &'a mut Rng,
    pub effects: Vec<Effect>,
    pub next_tag: &'a mut Tag,
    pub trace: &'a mut Trace,
}

/// What it did. Carried out by the world after the step.
pub enum Effect {
    Ask {
        tag: Tag,
        to: Node,
        question: Question,
        deadline: Moment,
    },
    Answer {
        tag: Tag,
        reply: Reply,
    },
    Timer {
        wait: Duration,
        timer: Timer,
    },
    /// An attempt to buy becomes this purchase.
    Begin {
        tag: Tag,
        id: PurchaseId,
        key: Key,
    },
    /// From now on every query shows this version of the toy, or a newer one.
    Show {
        name: ToyName,
        version: u64,
    },
}

impl Context<'_> {
    /// Sends a question. The reply is an input, at the deadline at the latest.
    pub fn ask(&mut self, to: Node, question: Question, deadline: Moment) -> Tag {
        *self.next_tag += 1;
        let tag = *self.next_tag;
        self.effects.push(Effect::Ask { tag, to, question, deadline });
        tag
    }

    pub fn answer(&mut self, tag: Tag, reply: Reply) {
        self.effects.push(Effect::Answer { tag, reply });
    }

    /// For the judge: the request with `tag` is sent on as this purchase.
    pub fn begins(&mut self, tag: Tag, purchase: &Purchase) {
        self.effects.push(Effect::Begin { tag, id: purchase.id, key: purchase.key.clone() });
    }

    /// For the judge: no cache has older versions than these any more.
    pub fn shows(&mut self, versions: &[(ToyName, u64)]) {
        for (name, version) in versions.iter().cloned() {
            self.effects.push(Effect::Show { name, version });
        }
    }

    pub fn after(&mut self, wait: Duration, timer: Timer) {
        self.effects.push(Effect::Timer { wait, timer });
    }

    /// Adds a line to the trace.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let (now, me) = (self.now, self.me);
        self.trace.add(now, || format!("{me:?}: {}", line()));
    }
}

/// What happened, in words. Kept only if it will be shown.
#[derive(Default)]
pub struct Trace(Option<Vec<String>>);

impl Trace {
    pub fn kept() -> Trace {
        Trace(Some(Vec::new()))
    }

    pub fn add(&mut self, now: Moment, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.0 {
            lines.push(format!(
                "{:>9.3} ms  {}",
                (now - Moment::START).as_secs_f64() * 1e3,
                line()
            ));
        }
    }

    pub fn lines(&self) -> &[String] {
        self.0.as_deref().unwrap_or_default()
    }
}
