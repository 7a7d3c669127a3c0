//! The messages of an order replica.

use super::purchase::Purchase;
use crate::error::{Error, Result};
use crate::model::{Entry, Epoch, Identity, Member, OrderNumber, ReplicaId, View};
use serde::{Deserialize, Serialize};

/// On the request address, where customers' traffic goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method_name", rename_all = "snake_case")]
pub enum Request {
    /// Is the replica up, and which orders does it have? Answer: [`Health`].
    HealthCheck,
    /// Buy, each independently. Sent by the front-end, and sent again with the same keys to the current leader, until
    /// there is an answer. Answer: for each in order a [`Bought`] or an error.
    Buy {
        /// All that waited when the call was made.
        purchases: Vec<Purchase>,
    },
    /// One committed order. The leader has all of them; another replica answers with an order that it knows
    /// to be committed, or `NotLeader`. Answer: [`Entry`].
    OrderDetails {
        /// The order.
        number: OrderNumber,
    },
}

/// A committed purchase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bought {
    /// Its number.
    pub number: OrderNumber,
    /// The toy's version after it; unknown when this answers a repetition.
    pub version: Option<u64>,
}

/// On the peer address, which never waits behind customers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method_name", rename_all = "snake_case")]
pub enum Peer {
    /// Sent by the controller to every replica each 100 ms. Answer: [`Health`].
    HealthCheck,
    /// A new view, from the controller. Answer: [`Health`], once the view is on disk; `Stale` if
    /// the replica has a newer one.
    UpdateLeader {
        /// The view.
        view: View,
    },
    /// The leader's log, from leader to each live replica. Answer: [`Appended`].
    Append(Append),
    /// Committed entries that follow `(after, epoch)`, for a replica that starts. Answer:
    /// [`Missed`], empty if the other replica has nothing newer or has another entry there.
    MissedOrders {
        /// The asker's last number.
        after: OrderNumber,
        /// The epoch of that entry; 0 for an empty log.
        epoch: Epoch,
    },
}

/// The health of a replica.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Health {
    /// The replica.
    pub id: ReplicaId,
    /// The identity of its data directory.
    pub identity: Identity,
    /// The last view that it accepted, if any.
    pub view: Option<View>,
    /// It has started and waits for a view newer than `view`.
    pub starting: bool,
    /// The last number in its log.
    pub last: OrderNumber,
    /// The epoch of that order. Two logs whose last orders have the same number and the same epoch are the
    /// same log; of two that differ, the one of the later epoch has the committed orders.
    pub last_epoch: Epoch,
    /// The last number that it knows to be committed.
    pub committed: OrderNumber,
    /// Whether the catalog answers this replica.
    pub catalog_reachable: bool,
    /// From the leader: members whose acknowledgement is overdue.
    pub lagging: Vec<ReplicaId>,
    /// From the leader: outsiders that have caught up and are in its commit set already.
    pub caught_up: Vec<Member>,
}

/// Entries that follow `(prev_number, prev_epoch)` in the leader's log; without entries it is a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Append {
    /// The leader's view, for a follower that has not received it.
    pub view: View,
    /// The number before the first entry; 0 if there is none.
    pub prev_number: OrderNumber,
    /// That entry's epoch.
    pub prev_epoch: Epoch,
    /// In order, without gap.
    pub entries: Vec<Entry>,
    /// What the leader knows to be committed.
    pub committed: OrderNumber,
    /// The last number of the leader's log when it accepted the view. Entries after it belong to this epoch.
    pub base: OrderNumber,
}

impl Append {
    /// The number up to which the receiver's log equals the leader's once it has taken this.
    pub fn last(&self) -> OrderNumber {
        self.entries.last().map_or(self.prev_number, |entry| entry.number)
    }

    /// Entries must follow each other; their epochs must not decrease, and not be higher than the view's.
    pub fn check(&self) -> Result<()> {
        let (mut number, mut epoch) = (self.prev_number, self.prev_epoch);
        for entry in &self.entries {
            let fits = epoch <= entry.epoch && entry.epoch <= self.view.epoch;
            if entry.number != number.next() || !fits {
                return Err(Error::invalid(format!(
                    "an append of epoch {} has order {} of epoch {} after order {number} of epoch {epoch}",
                    self.view.epoch, entry.number, entry.epoch
                )));
            }
            (number, epoch) = (entry.number, entry.epoch);
        }
        Ok(())
    }
}

/// A follower's answer to [`Append`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Appended {
    /// The follower, with the identity of its data directory.
    pub identity: Identity,
    /// The outcome.
    pub outcome: AppendOutcome,
}

/// The outcome of an [`Append`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppendOutcome {
    /// All entries up to this one are the leader's and on disk.
    Synced(OrderNumber),
    /// The entry before the first differs or is missing. The follower sends for each epoch in its
    /// log the last number (KIP-101), from which the leader finds the last common entry.
    Mismatch(Vec<(Epoch, OrderNumber)>),
}

/// The answer to [`Peer::MissedOrders`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// In order, without gap; at most [`ENTRIES_MAX`].
    pub entries: Vec<Entry>,
    /// All of them are committed, and so is everything up to here.
    pub committed: OrderNumber,
}

/// The most entries in one [`Append`] or [`Missed`].
pub const ENTRIES_MAX: usize = 1_000;
