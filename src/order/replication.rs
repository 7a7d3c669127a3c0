//! The leader's sending side: a thread per other replica, which runs as long as the process and has
//! something to do only while this replica leads. One append is on its way to a follower at a time,
//! with all entries that wait; so a slow disk makes them fewer and larger by itself.

use super::leadership::{HEARTBEAT, Office};
use super::service::{Order, Threads};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Epoch, ReplicaId};
use crate::net::{Rpc, Transport};
use crate::protocol::ask;
use crate::protocol::order::{Append, Appended, Peer};
use std::thread;
use std::time::{Duration, Instant};

/// An append that is not answered after this long is sent again.
const DEADLINE: Duration = Duration::from_secs(1);
/// The pause after an append that failed.
const PAUSE: Duration = Duration::from_millis(50);

/// Starts a sender to each other replica.
pub fn start(threads: &mut Threads, config: &Config, transport: &Transport) -> Result<()> {
    let me = threads.order().id;
    for (id, settings) in config.order.replicas.iter().filter(|(id, _)| **id != me) {
        let (id, peer) = (*id, transport.rpc(&settings.peer)?);
        threads.start(format!("to-replica-{id}"), move |order| send_to(order, id, &peer))?;
    }
    Ok(())
}

/// Sends what is due to one follower.
fn send_to(order: &Order, follower: ReplicaId, peer: &Rpc) {
    while !order.is_stopping() {
        let mut replica = order.replica.lock();
        let Some(append) = replica.next_append(follower, order.now()) else {
            order.work.wait_for(&mut replica, HEARTBEAT);
            continue;
        };
        drop(replica);
        let epoch = append.view.epoch;
        match send(order, peer, append) {
            Ok(answer) => {
                let office = order.step(|replica| {
                    replica.answered(epoch, follower, &answer, order.now());
                    replica.office()
                });
                if office == Some(Office::Asking) {
                    order.work.notify_all();
                }
            }
            Err(Error::Stale { epoch: newer }) if Epoch(newer) > epoch => {
                order.step_down(Epoch(newer));
            }
            Err(error) => {
                tracing::debug!("append to replica {follower}: {error}");
                thread::sleep(PAUSE);
            }
        }
    }
}

fn send(order: &Order, peer: &Rpc, append: Append) -> Result<Appended> {
    let epoch = append.view.epoch;
    let deposed = || order.is_stopping() || order.replica.lock().leads() != Some(epoch);
    ask(peer, &Peer::Append(append), Instant::now() + DEADLINE, &deposed)
}
