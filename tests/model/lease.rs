//! The lease of a log in a database as a transition system: processes that want to write it
//! ([`candidates`](super::candidates)), and a clock that moves in steps. Their requests may get lost, or come late.
//!
//! Who has the lease is the active catalog, or the front-end that makes the views.

use super::candidates::Candidates;
use stateright::{Model, Property};
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// Bounds.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub processes: usize,
    /// The length of a step of the clock. A process asks once in a step.
    pub step_ms: u64,
    /// The number of steps.
    pub steps: u32,
    /// How many requests or answers get lost.
    pub losses: u8,
}

const TWO: Bounds = Bounds { processes: 2, step_ms: 200, steps: 5, losses: 1 };

/// For `cargo test`.
pub const SMALL: [Bounds; 1] = [TWO];

/// For `make model`.
pub const LARGE: [Bounds; 3] = [
    Bounds { losses: 2, ..TWO },
    Bounds { step_ms: 100, steps: 6, ..TWO },
    Bounds { processes: 3, steps: 3, ..TWO },
];

impl Display for Bounds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Bounds { processes, step_ms, steps, losses } = self;
        write!(f, "candidates {processes}: {steps} × {step_ms} ms, lost {losses}")
    }
}

/// A state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    candidates: Candidates,
    /// Who has asked since the clock moved.
    asked: Vec<bool>,
    losses: u8,
    /// Who was the first to have the lease.
    first: Option<usize>,
}

/// What happens. A number is the place of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The clock moves.
    Step,
    /// A process asks, its request arrives, or the answer does.
    Go(usize),
    /// What it asks, or the answer, gets lost.
    Lose(usize),
    /// A request that was lost arrives.
    Late,
}

impl Model for Bounds {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            candidates: Candidates::new(self.processes),
            asked: vec![false; self.processes],
            losses: 0,
            first: None,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let candidates = &state.candidates;
        if candidates.now() < Duration::from_millis(self.step_ms) * self.steps {
            actions.push(Action::Step);
        }
        for n in 0..self.processes {
            let is_asking = candidates.is_asking(n);
            if is_asking || !state.asked[n] {
                actions.push(Action::Go(n));
            }
            if is_asking && state.losses < self.losses {
                actions.push(Action::Lose(n));
            }
        }
        actions.push(Action::Late);
    }

    fn next_state(&self, old: &State, action: Action) -> Option<State> {
        let mut state = old.clone();
        let candidates = &mut state.candidates;
        match action {
            Action::Step => {
                candidates.wait(Duration::from_millis(self.step_ms));
                state.asked.fill(false);
            }
            Action::Go(n) => {
                state.asked[n] |= !candidates.is_asking(n);
                candidates.go(n);
            }
            Action::Lose(n) => {
                candidates.lose(n);
                state.losses += 1;
            }
            Action::Late if !candidates.arrive_late() => return None,
            Action::Late => {}
        }
        state.first = state.first.or(state.candidates.with_lease().first().copied());
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Bounds>> {
        vec![
            Property::always("two never have the lease", |_, state: &State| {
                state.candidates.with_lease().len() <= 1
            }),
            Property::always("who has the lease has the log", |_, state: &State| {
                let with_lease = state.candidates.with_lease();
                with_lease.iter().all(|n| state.candidates.is_writer(*n))
            }),
            Property::sometimes("another one has the lease later", |_, state: &State| {
                state
                    .first
                    .is_some_and(|first| state.candidates.with_lease().iter().any(|n| *n != first))
            }),
        ]
    }
}
