//! The effect of each step of the store: the front-end's, the catalog's and the replicas' side of
//! each message. They call the pure modules as the threads in `src/` do.

use crate::server::{EARLY, IDS, LATE, Server};
use crate::store::{Answer, Late, Sent, Store};
use std::sync::Arc;
use toystore::catalog::stock::Stock;
use toystore::error::Error;
use toystore::frontend::controller::{Controller, HealthReport};
use toystore::model::{Epoch, Member, OrderNumber, PurchaseId, ReplicaId, View};
use toystore::order::leadership::{Begin, Duty};
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
        for id in IDS {
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
        let Some(PurchaseId { incarnation, sequence, .. }) = self.orders[order].id else { return };
        let Some(epoch) = self.server(at).replica.leads() else { return };
        let ack_below = self.ack_below();
        let sent = Sent { epoch, order, incarnation, sequence, ack_below };
        if let Ok(Begin::Ask) = self.server_mut(at).replica.begin(&sent.purchase()) {
            self.purchases.insert(sent);
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
    /// A purchase arrives, and its change is synced.
    pub fn sell(&mut self, sent: Sent) {
        let answer = match Arc::make_mut(&mut self.stock).purchase(sent.purchase()) {
            Ok((_, record)) => {
                if record.is_some() {
                    self.sold.push((sent.order, sent.epoch));
                    self.disk = self.stock.clone();
                }
                Answer::Sold
            }
            Err(Error::Stale { epoch }) => Answer::Stale(Epoch(epoch)),
            Err(error) if error.is_transient() => return,
            Err(_) => Answer::Refused,
        };
        self.answers.insert((sent, answer));
    }

    /// A leader settles purchases at the catalog.
    pub fn duty(&mut self, leader: ReplicaId) {
        let stale = match self.server_mut(leader).replica.duty(EARLY) {
            None => return,
            Some(Duty::TakeOffice(epoch)) => {
                match Arc::make_mut(&mut self.stock).take_office(epoch) {
                    Ok((open, record)) => {
                        if record.is_some() {
                            self.disk = self.stock.clone();
                        }
                        self.fence = self.fence.max(epoch);
                        self.server_mut(leader).office = Some((epoch, open));
                        return;
                    }
                    Err(error) => error,
                }
            }
            Some(Duty::Settle(epoch, keys)) => {
                let count = keys.len();
                match Arc::make_mut(&mut self.stock).settle(epoch, keys) {
                    Ok(_) => return self.server_mut(leader).replica.settled(epoch, count),
                    Err(error) => error,
                }
            }
        };
        match stale {
            Error::Stale { epoch } => self.server_mut(leader).replica.step_down(Epoch(epoch)),
            _ => self.server_mut(leader).is_confused = true,
        }
    }

    /// The catalog is killed, loses what was not synced, and starts with a new journal.
    pub fn reload(&mut self) {
        let mut stock = Stock::new(self.disk.shelves().to_vec(), self.disk.position());
        for (position, record) in self.disk.carried() {
            stock.replay(position, &record).expect("a journal has no gap");
        }
        self.stock = Arc::new(stock);
        self.disk = self.stock.clone();
    }
}

/// The replicas.
impl Store {
    /// The catalog's answer to a purchase arrives at the leader that asked.
    pub fn answered(&mut self, sent: &Sent, answer: Answer) {
        let purchase = sent.purchase();
        let Some(leader) = self.leader(sent.epoch) else { return };
        let server = self.server_mut(leader);
        match answer {
            Answer::Sold => server.sold(&purchase),
            Answer::Stale(newer) => server.replica.step_down(newer),
            Answer::Refused => {
                server.replica.refused(&purchase, &Error::NotEnoughStock);
                let order = &mut self.orders[sent.order];
                if order.id == Some(purchase.id) {
                    order.id = None;
                    order.refused = true;
                }
            }
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
