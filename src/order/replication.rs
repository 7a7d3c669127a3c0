//! The leader's sending side: a thread per other replica, which runs as long as the process and has
//! something to do only while this replica leads. One append is on its way to a follower at a time,
//! with all entries that wait. So with a slow disk there are fewer and larger appends.

use super::leadership::Office;
use super::node::{Node, Threads};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Epoch, ReplicaId};
use crate::net::{Rpc, Transport};
use crate::protocol::ask;
use crate::protocol::order::{Append, Appended, Peer};
use crate::trace::Scope;
use std::thread;
use std::time::{Duration, Instant};

/// An append that is not answered after this long is sent again.
const DEADLINE: Duration = Duration::from_secs(1);
/// The pause after an append that failed.
const PAUSE: Duration = Duration::from_millis(50);

/// Starts a sender to each other replica.
pub fn start(threads: &mut Threads, config: &Config, transport: &Transport) -> Result<()> {
    let me = threads.node().id;
    for (id, settings) in config.order.replicas.iter().filter(|(id, _)| **id != me) {
        let (id, peer) = (*id, transport.rpc(&settings.peer)?);
        threads.start(format!("to-replica-{id}"), move |node| send_to(node, id, &peer))?;
    }
    Ok(())
}

/// Sends what is due to one follower.
fn send_to(node: &Node, follower: ReplicaId, peer: &Rpc) {
    while !node.is_stopping() {
        let mut replica = node.replica.lock();
        let Some(append) = replica.next_append(follower, node.now()) else {
            node.await_work(&mut replica);
            continue;
        };
        drop(replica);
        let epoch = append.view.epoch;
        match send(node, peer, append) {
            Ok(answer) => {
                let office = node.step(|replica| {
                    replica.answered(epoch, follower, &answer, node.now());
                    replica.office()
                });
                if office == Some(Office::Reconciling) {
                    node.work.notify_all();
                }
            }
            Err(Error::Stale { epoch: newer }) if Epoch(newer) > epoch => {
                node.step_down(Epoch(newer));
            }
            Err(error) => {
                tracing::debug!("append to replica {follower}: {error}");
                thread::sleep(PAUSE);
            }
        }
    }
}

fn send(node: &Node, peer: &Rpc, append: Append) -> Result<Appended> {
    let epoch = append.view.epoch;
    let deposed = || node.is_stopping() || !node.leads_in(epoch);
    let sampled = node.trails.between(append.prev_number.0, append.last().0);
    let scope = Scope::together(sampled.into_iter().map(|(scope, _)| scope));
    let _entered = scope.map(Scope::enter);
    ask(peer, &Peer::Append(append), Instant::now() + DEADLINE, &deposed)
}
