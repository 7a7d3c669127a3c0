//! One node of the database by itself: whether it answers, and what it says of itself. Asked by the watch of `run-all`, on a
//! thread for each node.

use super::fault::Fault;
use super::nodes::{Nodes, Session};
use super::opened::unavailable;
use crate::config;
use crate::error::Result;
use std::sync::Arc;
use std::time::Duration;

/// A node that takes longer is shown as one that does not answer.
const DEADLINE: Duration = Duration::from_millis(400);

/// They need no rights, and a node that is no part of the database answers them, too.
const QUESTIONS: [&str; 2] = [
    "SHOW GLOBAL STATUS LIKE 'wsrep_%'",
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'innodb_read_only')",
];

/// A node, and the connection on which it was asked last.
pub struct Node {
    nodes: Arc<Nodes>,
    session: Option<Session>,
}

/// What a node says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeStatus {
    /// With Galera, such as `Synced`.
    pub state: Option<String>,
    /// With Galera: whether it is a part of the database now.
    pub is_primary: Option<bool>,
    /// With Galera: how many nodes it counts, itself included.
    pub count: Option<u32>,
    /// Whether the store can write nothing at it.
    pub is_read_only: bool,
}

impl Node {
    /// Each node of these settings.
    pub fn each(settings: &config::Database) -> Result<Vec<Node>> {
        let one = |address: &String| {
            let settings =
                config::Database { addresses: vec![address.clone()], ..settings.clone() };
            let nodes = Arc::new(Nodes::new(&settings, settings.prefix.clone())?);
            Ok(Node { nodes, session: None })
        };
        settings.addresses.iter().map(one).collect()
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.nodes.addresses[0]
    }

    /// Asks it. An error says why it did not answer.
    pub fn ask(&mut self) -> Result<NodeStatus> {
        self.answer().map_err(unavailable)
    }

    fn answer(&mut self) -> Result<NodeStatus, Fault> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.connect()?,
        };
        let mut status = NodeStatus::default();
        for question in QUESTIONS {
            let rows: Vec<(String, String)> =
                session.with(|connection| connection.rows(question))?;
            for (name, value) in rows {
                status.take(&name, value);
            }
        }
        self.session = Some(session);
        Ok(status)
    }

    /// A connection that answers at once, also from a node that does not have yet what others have committed.
    fn connect(&self) -> Result<Session, Fault> {
        let mut session = self.nodes.connect(DEADLINE, None)?;
        session.see_others(false)?;
        Ok(session)
    }
}

impl NodeStatus {
    fn take(&mut self, name: &str, value: String) {
        match name {
            "wsrep_local_state_comment" => self.state = Some(value),
            "wsrep_cluster_status" => self.is_primary = Some(value == "Primary"),
            "wsrep_cluster_size" => self.count = value.parse().ok(),
            "read_only" | "innodb_read_only" => self.is_read_only |= value != "OFF",
            _ => {}
        }
    }
}
