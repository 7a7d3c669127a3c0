//! On start: asks the other replicas, nearest first, for the committed orders that were missed (O4).
//! The leader sends what is still missing. Called by [`service`](super::service)
//! before anybody can reach this replica.

use super::node::Node;
use crate::config::Config;
use crate::error::Result;
use crate::model::OrderNumber;
use crate::net::{Rpc, Transport};
use crate::protocol::order::{Missed, Peer};
use crate::protocol::{ask, wanted};
use crate::stop::crash;
use crate::trace::Traced;
use std::time::{Duration, Instant};

/// For each question; a replica that is down refuses at once.
const DEADLINE: Duration = Duration::from_secs(1);

/// Fetches what was missed. It is no error if no replica answers: perhaps all start at the same time.
pub fn catch_up(node: &Node, config: &Config, transport: &Transport) {
    let mut others: Vec<_> =
        config.order.replicas.iter().filter(|(id, _)| **id != node.id).collect();
    others.sort_by_key(|(id, _)| id.0.abs_diff(node.id.0));
    let mut traced = Traced::background(&node.recorder, "catch up", Instant::now());
    let _entered = traced.scope().enter();
    let mut fetched = 0;
    for (id, settings) in others {
        match transport.rpc(&settings.peer).and_then(|peer| catch_up_from(node, &peer)) {
            Ok(OrderNumber(0)) => {}
            Ok(count) => {
                fetched += count.0;
                tracing::info!("fetched {count} missing orders from replica {id}");
            }
            Err(error) => tracing::debug!("replica {id} sent no missing orders: {error}"),
        }
    }
    traced.note("orders", fetched);
}

/// Takes batches from one replica until it has no more. Returns how many orders that were.
fn catch_up_from(node: &Node, peer: &Rpc) -> Result<OrderNumber> {
    let mut count = 0;
    loop {
        let (after, epoch) = {
            let replica = node.replica.lock();
            (replica.log().last(), replica.log().last_epoch())
        };
        let question = Peer::MissedOrders { after, epoch };
        let missed: Missed = ask(peer, &question, Instant::now() + DEADLINE, &wanted)?;
        if missed.entries.is_empty() {
            return Ok(OrderNumber(count));
        }
        count += missed.entries.len() as u64;
        let last = {
            let mut replica = node.replica.lock();
            replica.catch_up(missed)?;
            node.write(&replica, after);
            replica.log().last()
        };
        node.durable.sync(last).unwrap_or_else(|error| crash(&error));
        node.replica.lock().synced(node.durable.durable());
    }
}
