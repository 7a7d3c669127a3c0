//! The effect of each step of the store: the front-end's, the catalog's and the replicas' side of
//! each message. They call the pure modules as the threads in `src/` do.

use crate::server::{EARLY, LATE, Server};
use crate::store::{Answer, Late, Sent, Store, refusal};
use std::sync::Arc;
use toystore::catalog::record::Record;
use toystore::error::Error;
use toystore::frontend::controller::{Controller, HealthReport};
use toystore::model::{Epoch, Member, OrderNumber, PurchaseId, ReplicaId, View};
use toystore::order::leadership::Duty;
use toystore::protocol::catalog::{Incarnation, Reconcile, Reserved, Settle};
use toystore::protocol::order::{Append, Appended, Health};

/// The outcome of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Received, synced and answered.
    Answered,
    /// Received and synced; the answer arrives late.
    AnsweredLate,
    /// Received, but neither synced nor answered.
    Taken,
    /// It arrives late.
    Delayed,
}

/// The front-end.
impl Store {
    /// Writes a view to disk, from where it is sent.
    pub fn choose(&mut self, view: View) {
        self.incarnation.get_or_insert(view.epoch);
        Arc::make_mut(&mut self.views).push(view);
    }

    /// The controller adds an outsider to the in-sync set.
    pub fn admit(&mut self, member: Member) {
        let mut view = self.view().clone();
        view.epoch = view.epoch.next();
        view.in_sync.push(member);
        view.in_sync.sort();
        self.choose(view);
    }

    /// The controller gets reports from these replicas, is refused by the others, and decides. Only its decision is
    /// kept: the next reports replace all others.
    pub fn look(&mut self, up: &[ReplicaId]) {
        let Some(controller) = &self.controller else { return };
        let mut controller = Controller::clone(controller);
        for id in self.ids() {
            let report = if up.contains(&id) {
                let replica = &mut self.server_mut(id).replica;
                replica.tick(LATE);
                let health = replica.health(true, LATE);
                HealthReport::Healthy { health, asked: EARLY, expected: controller.committed() }
            } else {
                HealthReport::Refused
            };
            controller.take_report(id, report, EARLY);
        }
        let Some(decision) = controller.decide(EARLY) else { return };
        if decision.view.epoch > self.view().epoch {
            self.choose(decision.view);
        }
        for server in &self.servers {
            let (health, expected) = (blank(server), OrderNumber(0));
            let report = HealthReport::Healthy { health, asked: EARLY, expected };
            controller.take_report(server.member.id, report, EARLY);
        }
        self.controller = Some(Arc::new(controller));
    }

    /// The front-end is killed and starts. It forgets the purchases in flight; customers ask again.
    pub fn restart(&mut self) {
        self.last_sequence = 0;
        self.orders.iter_mut().for_each(|order| order.id = None);
        self.incarnation = None;
        if self.controller.is_some() {
            self.start_controller(Some(self.view().clone()));
        }
    }

    /// A purchase arrives at replica `at`.
    pub fn submit(&mut self, at: ReplicaId, order: usize) {
        self.begin_purchase(order);
        let Some(id) = self.orders[order].id else { return };
        let Some(epoch) = self.server(at).replica.leads() else { return };
        // While a refusal waits for the disk, the purchase is in flight.
        let known = self.server(at).reconciled_with();
        let waits = |answer: &Answer| {
            let Answer { sent, incarnation, is_sold, .. } = answer;
            !is_sold && (sent.epoch, sent.id()) == (epoch, id) && Some(*incarnation) == known
        };
        if self.answers.iter().any(waits) {
            return;
        }
        let PurchaseId { incarnation, sequence, .. } = id;
        let (ack_below, logged) = (self.ack_below(), OrderNumber(0));
        let sent = Sent { epoch, order, incarnation, sequence, ack_below, logged };
        if let Some((_, logged)) = self.server_mut(at).ask(&sent.purchase()) {
            let asked_in = &mut self.orders[order].asked_in;
            *asked_in = epoch.max(*asked_in);
            self.purchases.insert(Sent { logged, ..sent });
        }
    }

    /// The front-end's purchase for an order; begins one if there is none.
    pub fn begin_purchase(&mut self, order: usize) {
        let Some(incarnation) = self.incarnation else { return };
        if self.orders[order].id.is_some() {
            return;
        }
        let highest = self.orders.iter().filter_map(|order| order.number).max();
        self.last_sequence += 1;
        let id = PurchaseId { caller: 0, incarnation, sequence: self.last_sequence };
        let order = &mut self.orders[order];
        order.id = Some(id);
        order.begun_after.get_or_insert(highest.unwrap_or(OrderNumber(0)));
    }
}

/// An empty report.
fn blank(server: &Server) -> Health {
    Health {
        id: server.member.id,
        identity: server.member.identity.clone(),
        view: None,
        starting: false,
        last: OrderNumber(0),
        last_epoch: Epoch(0),
        committed: OrderNumber(0),
        catalog_reachable: true,
        lagging: vec![],
        caught_up: vec![],
    }
}

/// The catalog.
impl Store {
    /// A purchase arrives.
    pub fn sell(&mut self, sent: &Sent) {
        let (epoch, logged) = (sent.epoch, sent.logged);
        let outcome = self.catalog_mut().purchase(logged, sent.purchase());
        let Some((outcome, position)) = self.unless_stale(epoch, outcome) else { return };
        let incarnation = self.catalog.incarnation();
        let is_sold = outcome.is_ok();
        // Nobody waits for the answer to a late duplicate.
        if is_sold || outcome == Err(refusal()) {
            let sent = Sent { logged: OrderNumber(0), ..sent.clone() };
            self.answers.insert(Answer { sent, incarnation, position, is_sold });
        }
    }

    /// A leader asks to reconcile.
    pub fn ask_to_reconcile(&mut self, leader: ReplicaId) {
        let standing = self.catalog.stock.standing();
        let asked = self.server_mut(leader).ask_to_reconcile(standing);
        self.questions.extend(asked);
    }

    /// A leader's question to reconcile arrives.
    pub fn reconcile(&mut self, asked: &Reconcile) {
        let outcome = self.catalog_mut().reconcile(asked);
        self.unless_stale(asked.epoch, outcome);
    }

    /// The records of a reconcile are synced, and it is answered.
    pub fn open(&mut self, at: usize) {
        let (asked, answer) = self.catalog_mut().open(at);
        if let Some(answer) = self.unless_stale(asked.epoch, answer) {
            self.reconciled.insert((asked, answer));
        }
    }

    /// A leader settles what is committed.
    pub fn settle(&mut self, leader: ReplicaId) {
        let Some(Duty::Settle(epoch, settle)) = self.server_mut(leader).replica.duty(EARLY) else {
            return;
        };
        if self.catalog_mut().settle(settle.clone()).is_ok()
            && let Some(leadership) = self.server_mut(leader).replica.leading(epoch)
        {
            leadership.settled(&settle);
        }
    }

    /// The message of any leader that had committed these orders arrives late, or once more.
    pub fn settle_late(&mut self, after: u64, through: u64) {
        let entries = self.committed.iter();
        let entries = entries.filter(|entry| after < entry.number.0 && entry.number.0 <= through);
        let keys = entries.map(|entry| entry.key.clone()).collect();
        let (after, through) = (OrderNumber(after), OrderNumber(through));
        // It may be refused because what was settled before is lost.
        let _ = self.catalog_mut().settle(Settle { after, through, keys });
    }

    /// The catalog is killed, keeps this many records, and starts. Late copies of purchases that are answered are lost
    /// with the connections; a call that is not answered may be repeated.
    pub fn reload(&mut self, kept: u64) {
        self.catalog_mut().restart(kept);
        let Store { purchases, answers, orders, .. } = self;
        purchases.retain(|sent| {
            let (epoch, id) = (sent.epoch, sent.id());
            let is_it = |answer: &Answer| (answer.sent.epoch, answer.sent.id()) == (epoch, id);
            let is_refused = answers.iter().any(|answer| !answer.is_sold && is_it(answer));
            orders[sent.order].id == Some(id) && !is_refused
        });
    }

    /// What the leader of `epoch` got from the catalog. It steps down if there is a newer leader.
    fn unless_stale<T>(&mut self, epoch: Epoch, outcome: Result<T, Error>) -> Option<T> {
        match &outcome {
            Err(Error::Stale { epoch: newer }) => {
                if let Some(leader) = self.leader(epoch) {
                    self.server_mut(leader).replica.step_down(Epoch(*newer));
                }
            }
            Err(Error::Invalid { .. }) => self.is_confused = true,
            _ => {}
        }
        outcome.ok()
    }
}

/// The replicas.
impl Store {
    /// The catalog's answer to a purchase arrives at the leader that asked.
    pub fn answered(&mut self, answer: &Answer) {
        let Answer { ref sent, incarnation, position, is_sold } = *answer;
        let Some(leader) = self.leader(sent.epoch) else { return };
        let (server, purchase) = (self.server_mut(leader), sent.purchase());
        if is_sold {
            return server.reserved(&purchase, incarnation, position);
        }
        let outcomes = vec![Err(refusal()).into()];
        let is_told = server.refused(&purchase, Reserved { incarnation, position, outcomes });
        let order = &mut self.orders[sent.order];
        if is_told && order.id == Some(purchase.id) && order.asked_in == sent.epoch {
            order.id = None;
            order.refused = true;
            // Restocks only add to the first toys.
            let takes = |r: &&Record| matches!(r, Record::Sale { .. } | Record::Withdraw { .. });
            let count = self.catalog.durable_records().iter().filter(takes).count();
            self.is_unjust |= (count as u64) < self.catalog.initial;
        }
    }

    /// A leader learns how far the journal of this incarnation is synced, or was when it died.
    pub fn durable(&mut self, leader: ReplicaId, incarnation: Incarnation) {
        let position = self.catalog.durable(incarnation);
        let replica = &mut self.server_mut(leader).replica;
        if let Some(epoch) = replica.leads() {
            replica.durable(epoch, incarnation, position);
        }
    }

    /// A leader sends a follower the entries that it lacks, or a heartbeat.
    pub fn append(&mut self, from: ReplicaId, to: ReplicaId, fate: Fate) {
        let Some(append) = self.server(from).next_append(to) else { return };
        match fate {
            Fate::Answered => {
                if let Some(answer) = self.deliver(from, to, &append) {
                    self.server_mut(from).answered(append.view.epoch, to, &answer);
                }
            }
            Fate::AnsweredLate => {
                if let Some(answer) = self.deliver(from, to, &append) {
                    self.spent.delays += 1;
                    let epoch = append.view.epoch;
                    self.late.push(Late::Answer { to: from, epoch, from: to, answer });
                }
            }
            Fate::Taken => {
                self.spent.losses += 1;
                // The effect of an append that is not answered is all in the log and the view.
                let _ = self.server_mut(to).take(&append);
            }
            Fate::Delayed => {
                self.spent.delays += 1;
                self.late.push(Late::Append { to, append });
            }
        }
    }

    /// A message arrives late. The answer to an append is no longer waited for.
    pub fn arrive(&mut self, late: Late) {
        match late {
            Late::Append { to, append } => {
                let _ = self.server_mut(to).append(&append);
            }
            Late::Answer { to, epoch, from, answer } => {
                self.server_mut(to).answered(epoch, from, &answer);
            }
        }
    }

    /// A leader checks whether an outsider has kept up, and reports it to the controller.
    pub fn report(&mut self, leader: ReplicaId) {
        let Some(epoch) = self.server(leader).replica.leads() else { return };
        let replica = &mut self.server_mut(leader).replica;
        replica.tick(LATE);
        let health = replica.health(true, LATE);
        self.asks.extend(health.caught_up.into_iter().map(|member| (epoch, member)));
    }

    fn deliver(&mut self, from: ReplicaId, to: ReplicaId, append: &Append) -> Option<Appended> {
        let answer = self.server_mut(to).append(append);
        if let Err(Error::Stale { epoch: newer }) = answer
            && Epoch(newer) > append.view.epoch
        {
            self.server_mut(from).replica.step_down(Epoch(newer));
        }
        answer.ok()
    }
}
