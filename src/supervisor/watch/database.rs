//! The nodes of the database, as the cluster page and `status` show them. Pure.

use crate::error::Result;
use crate::storage::database::NodeStatus;
use serde::Serialize;
use std::fmt::{self, Display};

/// What is known of one node.
#[derive(Debug)]
pub struct KnownNode {
    pub address: String,
    /// Its last answer, once it was asked.
    pub answer: Option<Result<NodeStatus>>,
}

/// The state of a node.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct NodePicture {
    address: String,
    fitness: Fitness,
    /// Its state in the words of the database, as far as it tells.
    state: String,
    /// How many nodes it counts, if it tells.
    count: Option<u32>,
    /// Why it does not answer.
    why: Option<String>,
}

/// What the store can do with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Fitness {
    /// Read and write.
    Fit,
    /// Nothing, or only read.
    Unfit,
    /// Nobody knows: it does not answer.
    Silent,
}

impl KnownNode {
    /// A node that was not asked yet.
    pub fn new(address: &str) -> KnownNode {
        KnownNode { address: address.to_owned(), answer: None }
    }
}

impl NodePicture {
    /// The state of this node.
    pub fn of(node: &KnownNode) -> NodePicture {
        let (fitness, state) = match &node.answer {
            None | Some(Err(_)) => (Fitness::Silent, "does not answer".to_owned()),
            Some(Ok(NodeStatus { is_primary: Some(false), .. })) => {
                (Fitness::Unfit, "not primary".to_owned())
            }
            Some(Ok(NodeStatus { is_read_only: true, .. })) => {
                (Fitness::Unfit, "read-only".to_owned())
            }
            Some(Ok(NodeStatus { state: Some(state), .. })) if state != "Synced" => {
                (Fitness::Unfit, state.clone())
            }
            Some(Ok(status)) => {
                (Fitness::Fit, status.state.clone().unwrap_or_else(|| "up".to_owned()))
            }
        };
        let answer = node.answer.as_ref();
        NodePicture {
            address: node.address.clone(),
            fitness,
            state,
            count: answer.and_then(|answer| answer.as_ref().ok()?.count),
            why: answer.and_then(|answer| Some(answer.as_ref().err()?.to_string())),
        }
    }
}

impl Display for NodePicture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database at {}: {}", self.address, self.state)?;
        if let Some(count) = self.count {
            write!(f, ", cluster size {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_node_is_what_it_says_and_silent_if_it_says_nothing() {
        let galera = |state: &str| NodeStatus {
            state: Some(state.to_owned()),
            is_primary: Some(true),
            count: Some(3),
            is_read_only: false,
        };
        let shown = |answer| {
            let node = KnownNode { answer, ..KnownNode::new("db-1:3306") };
            let picture = NodePicture::of(&node);
            (picture.fitness, picture.to_string())
        };
        let refused = Error::unavailable("connection refused");
        for (answer, fitness, said) in [
            (None, Fitness::Silent, "does not answer"),
            (Some(Err(refused)), Fitness::Silent, "does not answer"),
            (Some(Ok(galera("Synced"))), Fitness::Fit, "Synced, cluster size 3"),
            (Some(Ok(galera("Joining"))), Fitness::Unfit, "Joining, cluster size 3"),
            (
                Some(Ok(NodeStatus { is_read_only: true, ..galera("Synced") })),
                Fitness::Unfit,
                "read-only, cluster size 3",
            ),
            (
                Some(Ok(NodeStatus {
                    is_primary: Some(false),
                    count: Some(1),
                    ..galera("Initialized")
                })),
                Fitness::Unfit,
                "not primary, cluster size 1",
            ),
            (Some(Ok(NodeStatus::default())), Fitness::Fit, "up"),
        ] {
            assert_eq!(shown(answer), (fitness, format!("database at db-1:3306: {said}")));
        }
    }
}
