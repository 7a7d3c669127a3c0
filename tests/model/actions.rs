//! The order side of the store as a transition system: which actions are possible.
//!
//! A pause or a partition is an action that is not taken for a while; a replica that is down takes
//! no action. So none of these needs an action of its own.

use crate::bounds::{Bounds, Chooser};
use crate::properties;
use crate::steps::Fate;
use crate::store::{Answer, Sent, Store};
use stateright::{Model, Property};
use toystore::model::{Epoch, Member, ReplicaId, View};
use toystore::order::leadership::Office;
use toystore::protocol::catalog::{Incarnation, Reconcile, Reconciled};

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
    /// A leader asks to reconcile.
    AskToReconcile(ReplicaId),
    /// A leader's question to reconcile arrives at the catalog.
    Reconcile(Reconcile),
    /// The records of a reconcile are synced, and the catalog answers it.
    Open(usize),
    /// The answer to a reconcile arrives at the leader.
    Reconciled(Reconcile, Reconciled),
    /// A purchase arrives at a leader.
    Buy(ReplicaId, usize),
    /// A purchase arrives at the catalog.
    Sell(Sent),
    /// The catalog's answer arrives at the leader.
    Answered(Answer),
    /// The catalog's journal is synced.
    SyncCatalog,
    /// A leader learns how far the journal of an incarnation is synced.
    Durable(ReplicaId, Incarnation),
    /// A leader settles what is committed.
    Settle(ReplicaId),
    /// A message that these orders are committed arrives late, or once more.
    SettleLate(u64, u64),
    /// The toy is restocked.
    Restock,
    /// A toy is sold by hand.
    Withdraw,
    /// A customer gives up waiting, and asks again with the same key.
    Retry(usize),
    /// A replica is killed and starts, with the help of another.
    Crash(ReplicaId, Option<ReplicaId>),
    /// A replica is killed, and starts with an empty disk and the help of another.
    Wipe(ReplicaId, Option<ReplicaId>),
    /// The front-end is killed and starts.
    Restart,
    /// The catalog is killed, keeps so many records of its journal, and starts.
    Reload(u64),
}

impl Model for Bounds {
    type State = Store;
    type Action = Action;

    /// A store whose first leader is in office.
    fn init_states(&self) -> Vec<Store> {
        let mut store = Store::new(self);
        let view = store.view().clone();
        for id in store.ids() {
            store.server_mut(id).learn(&view);
        }
        for id in store.ids() {
            store.append(view.leader, id, Fate::Answered);
        }
        store.ask_to_reconcile(view.leader);
        let asked = store.questions.first().cloned().expect("it asks to reconcile");
        store.reconcile(&asked);
        store.catalog_mut().sync();
        store.open(0);
        let (asked, answer) = store.reconciled.first().cloned().expect("it is answered");
        store.server_mut(view.leader).reconciled(&asked, answer);
        store.tidy();
        vec![store]
    }

    fn actions(&self, store: &Store, actions: &mut Vec<Action>) {
        let may_choose = store.view().epoch.0 < self.epochs;
        if may_choose {
            self.controller_actions(store, actions);
        }
        for id in store.ids() {
            self.server_actions(store, id, actions);
        }
        self.customer_actions(store, actions);
        self.catalog_actions(store, actions);
        actions.extend((0..store.late.len()).map(Action::Arrive));
        if store.spent.restarts < self.faults.restarts && may_choose {
            actions.push(Action::Restart);
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
            Action::AskToReconcile(id) => {
                let (server, current) = (self.server(id), self.catalog.incarnation());
                if server.asking.as_ref().is_some_and(|asked| asked.incarnation == current) {
                    self.spent.doubts += 1;
                } else if server.reconciled_with() == Some(current) {
                    self.spent.rounds += 1;
                }
                self.ask_to_reconcile(id);
            }
            Action::Reconcile(asked) => self.reconcile(&asked),
            Action::Open(at) => self.open(at),
            Action::Reconciled(asked, answer) => {
                let is_it = |id: &ReplicaId| self.server(*id).asking.as_ref() == Some(&asked);
                let leader = self.ids().into_iter().find(is_it)?;
                self.server_mut(leader).reconciled(&asked, answer);
            }
            Action::Buy(at, order) => self.submit(at, order),
            Action::Sell(sent) => self.sell(&sent),
            Action::Answered(answer) => self.answered(&answer),
            Action::SyncCatalog => self.catalog_mut().sync(),
            Action::Durable(id, incarnation) => self.durable(id, incarnation),
            Action::Settle(id) => self.settle(id),
            Action::SettleLate(after, through) => self.settle_late(after, through),
            fault => return self.suffer(&fault),
        }
        Some(())
    }

    fn suffer(&mut self, fault: &Action) -> Option<()> {
        match *fault {
            Action::Restock => {
                self.spent.restocks += 1;
                self.catalog_mut().restock()?;
            }
            Action::Withdraw => {
                self.spent.withdrawals += 1;
                self.catalog_mut().withdraw()?;
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
            Action::Reload(kept) => {
                self.spent.reloads += 1;
                self.reload(kept);
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
                    store.ids().into_iter().filter(|id| choice >> (id.0 - 1) & 1 == 1).collect()
                };
                actions.extend((1..1 << self.replicas).map(chosen).map(Action::Look));
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
        let helpers = || server.others.iter().copied().map(Some).chain([None]);
        if spent.crashes < faults.crashes {
            actions.extend(helpers().map(|helper| Action::Crash(id, helper)));
        }
        if spent.wipes < faults.wipes {
            actions.extend(helpers().map(|helper| Action::Wipe(id, helper)));
        }
        if server.replica.leads().is_some() {
            self.leader_actions(store, id, actions);
        }
    }

    fn leader_actions(&self, store: &Store, id: ReplicaId, actions: &mut Vec<Action>) {
        let (server, spent, faults) = (store.server(id), &store.spent, &self.faults);
        for to in server.others.iter().copied() {
            actions.push(Action::Append(id, to, Fate::Answered));
            if spent.losses < faults.losses {
                actions.push(Action::Append(id, to, Fate::Taken));
            }
            if spent.delays < faults.delays {
                actions.push(Action::Append(id, to, Fate::Delayed));
                actions.push(Action::Append(id, to, Fate::AnsweredLate));
            }
        }
        let office = server.replica.office();
        if office == Some(Office::Gathering) {
            return;
        }
        let current = store.catalog.incarnation();
        let incarnations = (1..=current.0).map(Incarnation);
        actions.extend(incarnations.map(|incarnation| Action::Durable(id, incarnation)));
        let asks = server.asking.as_ref().is_some_and(|asked| asked.incarnation == current);
        let may_ask = match server.reconciled_with() == Some(current) {
            _ if asks => spent.doubts < faults.doubts,
            true => spent.rounds < faults.rounds,
            false => true,
        };
        if may_ask {
            actions.push(Action::AskToReconcile(id));
        }
        if office != Some(Office::Serving) {
            return;
        }
        actions.push(Action::Settle(id));
        if self.chooser == Chooser::Any {
            actions.push(Action::Report(id));
        }
        if store.incarnation.is_some() {
            let wanted = (0..self.orders).filter(|order| is_wanted(store, *order));
            actions.extend(wanted.map(|order| Action::Buy(id, order)));
        }
    }

    fn catalog_actions(&self, store: &Store, actions: &mut Vec<Action>) {
        let (catalog, spent, faults) = (&store.catalog, &store.spent, &self.faults);
        actions.extend(store.purchases.iter().cloned().map(Action::Sell));
        actions.extend(store.answers.iter().cloned().map(Action::Answered));
        actions.extend(store.questions.iter().cloned().map(Action::Reconcile));
        let reconciled = store.reconciled.iter().cloned();
        actions.extend(reconciled.map(|(asked, answer)| Action::Reconciled(asked, answer)));
        for through in 1..=store.committed.len() as u64 {
            actions.extend((0..through).map(|after| Action::SettleLate(after, through)));
        }
        let waiting = catalog.opening.iter().enumerate();
        let synced = waiting.filter(|(_, (position, _))| *position <= catalog.synced);
        actions.extend(synced.map(|(at, _)| Action::Open(at)));
        let written = catalog.records.len() as u64;
        if catalog.synced < written {
            actions.push(Action::SyncCatalog);
        }
        if spent.reloads < faults.reloads {
            actions.extend((catalog.synced..=written).map(Action::Reload));
        }
        if spent.restocks < faults.restocks {
            actions.push(Action::Restock);
        }
        if spent.withdrawals < faults.withdrawals {
            actions.push(Action::Withdraw);
        }
    }

    fn customer_actions(&self, store: &Store, actions: &mut Vec<Action>) {
        let waits = |order: &usize| store.orders[*order].id.is_some();
        for order in (0..self.orders).filter(waits) {
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
