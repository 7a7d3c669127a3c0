//! One order, as a replica finds it: in its memory, or in the database that it shares. A leader that does not know the order
//! waits until it is known that no other leader may have made it. Called by [`service`](super::service) on one of its ten
//! threads.

use super::durable::Durable;
use super::node::Node;
use crate::blocking::Blocking;
use crate::error::{Error, Result};
use crate::model::{Entry, OrderNumber};
use crate::trace::scope;
use std::time::{Duration, Instant};

/// For the other replicas, which may be lost: after that the front-end has elected.
const DEADLINE: Duration = Duration::from_secs(5);

/// Order `number`. `UnknownOrder` is final: no order of this number was acknowledged before this call.
pub fn order(node: &Node, number: OrderNumber) -> Result<Entry> {
    match (in_memory(node, number), &node.durable) {
        // Also what a leader does not know, which may have been replaced without knowing it.
        (Err(not_here), Durable::Table(table)) => table.find(number)?.ok_or(not_here),
        (known, _) => known,
    }
}

fn in_memory(node: &Node, number: OrderNumber) -> Result<Entry> {
    let deadline = Instant::now() + DEADLINE;
    let mut replica = node.replica.lock();
    let asked = node.now();
    loop {
        if let Some(entry) = replica.order(number, asked)? {
            return Ok(entry.clone());
        }
        node.work.notify_all();
        let _waiting = Blocking::new();
        let _step = scope::wait("wait until the leader is confirmed");
        if node.progress.wait_until(&mut replica, deadline).timed_out() {
            return Err(Error::unavailable(format!(
                "order {number} is not here, and not all replicas in sync confirm that this one still leads"
            )));
        }
    }
}
