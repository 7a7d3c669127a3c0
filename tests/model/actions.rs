//! The order side of the store as a transition system: which actions are possible.
//!
//! A pause or a partition is an action that is not taken for a while; a replica that is down takes
//! no action. So none of these needs an action of its own.

use crate::bounds::{Bounds, Chooser};
use crate::properties;
use crate::server::{IDS, others};
use crate::steps::Fate;
use crate::store::{Answer, Sent, Store, key};
use stateright::{Model, Property};
use toystore::model::{Epoch, Member, ReplicaId, View};
use toystore::order::leadership::Office;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The controller makes a view.
    Choose(View),
    /// The controller adds an outsider to the in-sync set, as the leader of this epoch reported it.
    Admit(Epoch, Member),
    /// The controller gets reports from these replicas, and is refused by the others.
    Look(Vec<ReplicaId>),
    /// A leader checks whether it can add an outsider, and reports it to the controller.
    Report(ReplicaId),
    /// A replica receives a view from the front-end.
    Learn(ReplicaId, Epoch),
    /// A leader sends an append.
    Append(ReplicaId, ReplicaId, Fate),
    /// A late message arrives.
    Arrive(usize),
    /// A replica's log is synced.
    Sync(ReplicaId),
    /// A leader settles purchases at the catalog.
    Duty(ReplicaId),
    /// The answer to `take_office` arrives.
    TakeOffice(ReplicaId),
    /// The answer to `take_office` is lost.
    LoseOffice(ReplicaId),
    /// A purchase arrives at a leader.
    Buy(ReplicaId, usize),
    /// A purchase arrives at the catalog.
    Sell(Sent),
    /// The catalog's answer arrives at the leader.
    Answered(Sent, Answer),
    /// A leader gives up waiting for the catalog.
    Doubt(ReplicaId, usize),
    /// A customer gives up waiting, and asks again with the same key.
    Retry(usize),
    /// A customer gets the number.
    Acknowledge(ReplicaId, usize),
    /// A replica is killed and starts, with the help of another.
    Crash(ReplicaId, Option<ReplicaId>),
    /// A replica is killed, and starts with an empty disk and the help of another.
    Wipe(ReplicaId, Option<ReplicaId>),
    /// The front-end is killed and starts.
    Restart,
    /// The catalog is killed and starts.
    Reload,
}

impl Model for Bounds {
    type State = Store;
    type Action = Action;

    /// A store whose first leader is in office.
    fn init_states(&self) -> Vec<Store> {
        let leader = ReplicaId(3);
        let mut store = Store::new(self);
        for id in IDS {
            let view = store.view().clone();
            store.server_mut(id).learn(&view);
        }
        for id in others(leader) {
            store.append(leader, id, Fate::Answered);
        }
        store.duty(leader);
        store.server_mut(leader).take_office();
        vec![store]
    }

    fn actions(&self, store: &Store, actions: &mut Vec<Action>) {
        let may_choose = store.view().epoch.0 < self.epochs;
        if may_choose {
            self.controller_actions(store, actions);
        }
        for id in IDS {
            self.server_actions(store, id, actions);
        }
        self.customer_actions(store, actions);
        actions.extend(store.purchases.iter().cloned().map(Action::Sell));
        actions.extend(store.answers.iter().cloned().map(|(s, a)| Action::Answered(s, a)));
        actions.extend((0..store.late.len()).map(Action::Arrive));
        if store.spent.restarts < self.faults.restarts && may_choose {
            actions.push(Action::Restart);
        }
        if store.spent.reloads < self.faults.reloads {
            actions.push(Action::Reload);
        }
    }

    fn next_state(&self, old: &Store, action: Action) -> Option<Store> {
        let mut store = old.clone();
        store.take(action)?;
        store.observe();
        store.tidy();
        (store != *old).then_some(store)
    }

    fn properties(&self) -> Vec<Property<Bounds>> {
        properties::of(self)
    }
}

impl Store {
    fn take(&mut self, action: Action) -> Option<()> {
        match action {
            Action::Choose(view) => self.choose(view),
            Action::Admit(_, member) => self.admit(member),
            Action::Look(up) => self.look(&up),
            Action::Report(id) => self.report(id),
            Action::Learn(id, epoch) => {
                let view = self.views.iter().find(|view| view.epoch == epoch)?.clone();
                self.server_mut(id).learn(&view);
            }
            Action::Append(from, to, fate) => self.append(from, to, fate),
            Action::Arrive(at) => {
                let late = self.late.remove(at);
                self.arrive(late);
            }
            Action::Sync(id) => self.server_mut(id).sync(),
            Action::Duty(id) => self.duty(id),
            Action::TakeOffice(id) => self.server_mut(id).take_office(),
            Action::Buy(at, order) => self.submit(at, order),
            Action::Sell(sent) => self.sell(sent),
            Action::Answered(sent, answer) => self.answered(&sent, answer),
            Action::Acknowledge(id, order) => {
                let number = self.server(id).bought(&key(order))?;
                self.orders[order].number = Some(number);
                self.orders[order].id = None;
            }
            fault => return self.suffer(&fault),
        }
        Some(())
    }

    fn suffer(&mut self, fault: &Action) -> Option<()> {
        match *fault {
            Action::LoseOffice(id) => {
                self.spent.doubts += 1;
                self.server_mut(id).lose_office();
            }
            Action::Doubt(id, order) => {
                self.spent.doubts += 1;
                let epoch = self.server(id).replica.leads()?;
                let is_it = |sent: &&Sent| sent.order == order && sent.epoch == epoch;
                let purchase = self.purchases.iter().find(is_it)?.purchase();
                self.server_mut(id).replica.sale_is_indefinite(&purchase);
            }
            Action::Retry(order) => {
                self.spent.doubts += 1;
                self.orders[order].id = None;
                self.begin_purchase(order);
            }
            Action::Crash(id, helper) => {
                self.spent.crashes += 1;
                self.server_mut(id).restart();
                self.catch_up(id, helper);
            }
            Action::Wipe(id, helper) => {
                self.spent.wipes += 1;
                self.server_mut(id).wipe();
                self.catch_up(id, helper);
            }
            Action::Restart => {
                self.spent.restarts += 1;
                self.restart();
            }
            Action::Reload => {
                self.spent.reloads += 1;
                self.reload();
            }
            _ => return None,
        }
        Some(())
    }

    fn catch_up(&mut self, id: ReplicaId, helper: Option<ReplicaId>) {
        if let Some(helper) = helper {
            let helper = self.server(helper).clone();
            self.server_mut(id).catch_up_from(&helper);
        }
    }
}

impl Bounds {
    fn controller_actions(&self, store: &Store, actions: &mut Vec<Action>) {
        match self.chooser {
            Chooser::Any => {
                actions.extend(views_after(store.view()).into_iter().map(Action::Choose));
                let is_news =
                    |(_, member): &&(Epoch, Member)| !store.view().in_sync.contains(member);
                let asks = store.asks.iter().filter(is_news).cloned();
                actions.extend(asks.map(|(epoch, member)| Action::Admit(epoch, member)));
            }
            Chooser::Controller => {
                let chosen = |choice: u8| {
                    IDS.into_iter().filter(move |id| choice >> (id.0 - 1) & 1 == 1).collect()
                };
                actions.extend((1..8).map(chosen).map(Action::Look));
            }
        }
    }

    fn server_actions(&self, store: &Store, id: ReplicaId, actions: &mut Vec<Action>) {
        let (server, spent, faults) = (store.server(id), &store.spent, &self.faults);
        let accepted = server.replica.view().map_or(Epoch(0), |view| view.epoch);
        // A view may be sent again, to a replica that has started since.
        let views = store.views.iter().filter(|view| view.epoch >= accepted);
        actions.extend(views.map(|view| Action::Learn(id, view.epoch)));
        if server.durable < server.replica.log().last().0 {
            actions.push(Action::Sync(id));
        }
        if server.office.is_some() {
            actions.push(Action::TakeOffice(id));
            if spent.doubts < faults.doubts {
                actions.push(Action::LoseOffice(id));
            }
        }
        let helpers = || others(id).into_iter().map(Some).chain([None]);
        if spent.crashes < faults.crashes {
            actions.extend(helpers().map(|helper| Action::Crash(id, helper)));
        }
        if spent.wipes < faults.wipes {
            actions.extend(helpers().map(|helper| Action::Wipe(id, helper)));
        }
        if let Some(epoch) = server.replica.leads() {
            self.leader_actions(store, id, epoch, actions);
        }
    }

    fn leader_actions(
        &self,
        store: &Store,
        id: ReplicaId,
        epoch: Epoch,
        actions: &mut Vec<Action>,
    ) {
        let (server, spent, faults) = (store.server(id), &store.spent, &self.faults);
        for to in others(id) {
            actions.push(Action::Append(id, to, Fate::Answered));
            if spent.losses < faults.losses {
                actions.push(Action::Append(id, to, Fate::Taken));
            }
            if spent.delays < faults.delays {
                actions.push(Action::Append(id, to, Fate::Delayed));
                actions.push(Action::Append(id, to, Fate::AnsweredLate));
            }
        }
        if server.office.is_none() {
            actions.push(Action::Duty(id));
        }
        if server.replica.office() != Some(Office::Serving) {
            return;
        }
        if self.chooser == Chooser::Any {
            actions.push(Action::Report(id));
        }
        if store.incarnation.is_some() {
            let wanted = (0..self.orders).filter(|order| is_wanted(store, *order));
            actions.extend(wanted.map(|order| Action::Buy(id, order)));
        }
        if spent.doubts < faults.doubts {
            let asked = store.purchases.iter().filter(|sent| sent.epoch == epoch);
            actions.extend(asked.map(|sent| Action::Doubt(id, sent.order)));
        }
    }

    fn customer_actions(&self, store: &Store, actions: &mut Vec<Action>) {
        let waits = |order: &usize| store.orders[*order].id.is_some();
        for order in (0..self.orders).filter(waits) {
            let knows = |id: &ReplicaId| store.server(*id).bought(&key(order)).is_some();
            let told = IDS.into_iter().find(knows);
            actions.extend(told.map(|id| Action::Acknowledge(id, order)));
            if store.spent.doubts < self.faults.doubts {
                actions.push(Action::Retry(order));
            }
        }
    }
}

/// Whether a customer may ask. All customers are alike, so they ask in order.
fn is_wanted(store: &Store, order: usize) -> bool {
    let is_turn = order == 0 || store.orders[order - 1].begun_after.is_some();
    is_turn && !store.orders[order].is_done()
}

/// Every set of members of `view`, with every leader from it.
fn views_after(view: &View) -> Vec<View> {
    let mut views = Vec::new();
    for choice in 1..1_u8 << view.in_sync.len() {
        let chosen = view.in_sync.iter().enumerate().filter(|(at, _)| choice >> at & 1 == 1);
        let in_sync: Vec<Member> = chosen.map(|(_, member)| member.clone()).collect();
        views.extend(in_sync.iter().map(|leader| View {
            epoch: view.epoch.next(),
            leader: leader.id,
            in_sync: in_sync.clone(),
        }));
    }
    views
}
