//! The leader, as the whole front-end sees it. Pure. Kept by [`election`](super::election) and the simulation:
//! they announce a view when it is on disk, and say whether its leader answers.

use crate::model::{Epoch, ReplicaId, View};

/// The result of the elections so far.
#[derive(Debug, Default)]
pub struct Elected {
    /// Whether the leader of the view answers.
    pub is_led: bool,
    view: Option<View>,
    /// The first epoch since this process started.
    incarnation: Epoch,
}

/// The leader to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leader {
    /// The epoch of the view that it leads.
    pub epoch: Epoch,
    /// Who leads.
    pub id: ReplicaId,
    /// The first epoch since this process started, from which its calls are counted.
    pub incarnation: Epoch,
}

impl Elected {
    /// A view is in force from now on, unless a newer one is.
    pub fn announce(&mut self, view: View) {
        if view.epoch < self.epoch() {
            return;
        }
        if self.view.is_none() {
            self.incarnation = view.epoch;
        }
        self.view = Some(view);
    }

    /// The leader, if there is one that answers.
    pub fn leader(&self) -> Option<Leader> {
        let view = self.view.as_ref().filter(|_| self.is_led)?;
        Some(Leader { epoch: view.epoch, id: view.leader, incarnation: self.incarnation })
    }

    /// The view in force.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Its epoch, 0 before the first.
    pub fn epoch(&self) -> Epoch {
        self.view.as_ref().map_or(Epoch(0), |view| view.epoch)
    }
}
