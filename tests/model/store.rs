//! The order side of the store as a transition system: three replicas, the catalog's stock, a
//! controller, and a network that delays, loses and repeats.
//!
//! A pause or a partition is an action that is not taken for a while. Messages to the catalog stay
//! in flight for ever, so they come late, twice or never; so do a leader's requests for a larger
//! in-sync set. An append and its answer are one call, of which the answer may get lost; a bounded
//! number of appends come late as well.

use crate::server::{EARLY, LATE, Server, member};
use stateright::{Model, Property};
use std::collections::BTreeSet;
use std::sync::Arc;
use toystore::catalog::stock::{Shelf, Stock};
use toystore::error::Error;
use toystore::frontend::controller::{Controller, Report, Unclean};
use toystore::model::{
    CallId, Entry, Epoch, Item, Key, Member, OrderNumber, Price, Quantity, ReplicaId, View,
};
use toystore::order::leadership::Office;
use toystore::order::replica::{Begin, Duty};
use toystore::protocol::catalog::Purchase;
use toystore::protocol::order::{Append, Buy};

/// What is explored.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub chooser: Chooser,
    /// The last epoch.
    pub epochs: u64,
    pub orders: usize,
    /// How many toys there are to sell.
    pub stock: u64,
    /// Kills of replicas.
    pub crashes: u8,
    /// Kills of the front-end.
    pub restarts: u8,
    /// Kills of the catalog.
    pub reloads: u8,
    /// How often a customer or a leader gives up waiting for an answer.
    pub doubts: u8,
    /// Appends whose answer is lost.
    pub losses: u8,
    /// Appends that come late.
    pub late_appends: u8,
}

/// Who makes views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chooser {
    /// Whatever may be right to choose, with whatever delay.
    Any,
    /// `frontend::controller`.
    Controller,
}

/// A state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Store {
    /// The front-end's disk: every view that was made.
    pub views: Arc<Vec<View>>,
    controller: Option<Arc<Controller>>,
    /// The front-end's first epoch since it started.
    incarnation: Epoch,
    calls: u64,
    pub servers: [Arc<Server>; 3],
    /// Leaders' requests to let an outsider in.
    asks: BTreeSet<(Epoch, Member)>,
    late: Vec<(ReplicaId, Append)>,
    pub stock: Arc<Stock>,
    /// The stock as it is on the catalog's disk: without settlements, which are not synced.
    disk: Arc<Stock>,
    purchases: BTreeSet<Sent>,
    answers: BTreeSet<(Sent, Answer)>,
    pub orders: Vec<Order>,
    /// Every decrement there was: whose, and in which epoch.
    pub sold: Vec<(usize, Epoch)>,
    /// Everything that a replica ever held for committed.
    pub committed: Vec<Entry>,
    spent: Spent,
}

/// What a customer wants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Order {
    /// The call at hand.
    call: Option<CallId>,
    /// The highest number acknowledged before it was wanted.
    pub begun_after: Option<OrderNumber>,
    pub number: Option<OrderNumber>,
    refused: bool,
}

/// A purchase on its way to the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sent {
    epoch: Epoch,
    order: usize,
    incarnation: Epoch,
    sequence: u64,
    ack_below: u64,
}

/// What the catalog said to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    Sold,
    Refused,
    Stale(Epoch),
}

/// What of the bounds is used up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Spent {
    crashes: u8,
    restarts: u8,
    reloads: u8,
    doubts: u8,
    losses: u8,
    late_appends: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The controller makes a view.
    Choose(View),
    /// The controller lets an outsider in, as the leader asked.
    Admit(Epoch, Member),
    /// The controller hears from these replicas, and is refused by the others.
    Look(Vec<ReplicaId>),
    /// A leader looks whether it can let an outsider in, and asks the controller.
    LetIn(ReplicaId),
    /// A replica hears of a view from the front-end.
    Learn(ReplicaId, Epoch),
    Append(ReplicaId, ReplicaId, Fate),
    /// A late append arrives.
    Arrive(usize),
    Sync(ReplicaId),
    /// A leader tells the catalog what it owes.
    Duty(ReplicaId),
    TakeOffice(ReplicaId),
    LoseOffice(ReplicaId),
    /// A purchase comes to a leader.
    Buy(ReplicaId, usize),
    /// A purchase comes to the catalog.
    Sell(Sent),
    /// The catalog's answer comes to the leader.
    Answered(Sent, Answer),
    /// A leader gives up waiting for the catalog.
    Doubt(ReplicaId, usize),
    /// A customer gives up waiting, and asks again with the same key.
    Retry(usize),
    /// A customer is told the number.
    Acknowledge(ReplicaId, usize),
    /// A replica is killed and starts, with the help of another.
    Crash(ReplicaId, Option<ReplicaId>),
    /// The front-end is killed and starts.
    Restart,
    /// The catalog is killed and starts.
    Reload,
}

/// What becomes of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Taken, synced and answered; at a moment.
    Answered(Time),
    /// Taken, but not synced, and not answered.
    Taken,
    /// It will come late.
    Delayed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    Early,
    Late,
}

const IDS: [ReplicaId; 3] = [ReplicaId(1), ReplicaId(2), ReplicaId(3)];

fn index(id: ReplicaId) -> usize {
    id.0 as usize - 1
}

fn others(id: ReplicaId) -> Vec<ReplicaId> {
    IDS.into_iter().filter(|other| *other != id).collect()
}

/// Every set of members of `view` that has `leader`.
fn views_after(view: &View) -> Vec<View> {
    let mut views = Vec::new();
    for leader in view.ids() {
        for choice in 0..1_u32 << view.in_sync.len() {
            let chosen = |at: &usize| choice & 1 << at != 0;
            let in_sync: Vec<_> = (0..view.in_sync.len())
                .filter(chosen)
                .map(|at| view.in_sync[at].clone())
                .collect();
            if in_sync.iter().any(|member| member.id == leader) {
                views.push(View { epoch: view.epoch.next(), leader, in_sync });
            }
        }
    }
    views
}

impl Store {
    pub fn server(&self, id: ReplicaId) -> &Server {
        &self.servers[index(id)]
    }

    fn server_mut(&mut self, id: ReplicaId) -> &mut Server {
        Arc::make_mut(&mut self.servers[index(id)])
    }

    pub fn view(&self) -> &View {
        self.views.last().expect("the first view is there from the start")
    }

    /// A new store, before anything happened.
    fn empty(bounds: &Bounds) -> Store {
        let in_sync = IDS.map(member).to_vec();
        let view = View { epoch: Epoch(1), leader: ReplicaId(3), in_sync };
        let shelf = Shelf::new("Tux".into(), Price(1), bounds.stock);
        let stock = Arc::new(Stock::new(vec![shelf], 0));
        let order = Order { call: None, begun_after: None, number: None, refused: false };
        let mut store = Store {
            controller: None,
            incarnation: view.epoch,
            calls: 0,
            views: Arc::new(vec![view]),
            servers: IDS.map(|id| Arc::new(Server::new(id, others(id)))),
            asks: BTreeSet::new(),
            late: vec![],
            disk: stock.clone(),
            stock,
            purchases: BTreeSet::new(),
            answers: BTreeSet::new(),
            orders: vec![order; bounds.orders],
            sold: vec![],
            committed: vec![],
            spent: Spent::default(),
        };
        if bounds.chooser == Chooser::Controller {
            store.start_controller(None);
        }
        store
    }

    /// The front-end starts with this on its disk.
    fn start_controller(&mut self, view: Option<View>) {
        let committed = OrderNumber(0);
        let controller = Controller::new(IDS, view, committed, Unclean::Forbidden, EARLY);
        self.controller = Some(Arc::new(controller));
    }

    /// Makes a view the one of now, if there may be one more.
    fn choose(&mut self, view: View) {
        Arc::make_mut(&mut self.views).push(view);
    }

    /// The key of an order.
    pub fn key(order: usize) -> Key {
        Key::try_from(format!("key-{order}")).expect("it is visible ASCII")
    }

    fn buy(sent: &Sent) -> Buy {
        let Sent { epoch, order, incarnation, sequence, ack_below } = *sent;
        let call = CallId { caller: 0, incarnation, sequence };
        let quantity = Quantity::try_from(1).expect("1 is a quantity");
        let item = Item { name: "Tux".into(), quantity };
        Buy { epoch, call, ack_below, key: Store::key(order), item }
    }

    /// The lowest call in flight.
    fn ack_below(&self) -> u64 {
        let calls = self.orders.iter().filter_map(|order| order.call);
        calls.map(|call| call.sequence).min().unwrap_or(self.calls + 1)
    }

    /// The front-end has an order's call, or begins one.
    fn begin_call(&mut self, order: usize) {
        if self.orders[order].call.is_some() {
            return;
        }
        let highest = self.orders.iter().filter_map(|order| order.number).max();
        self.calls += 1;
        let call = CallId { caller: 0, incarnation: self.incarnation, sequence: self.calls };
        let order = &mut self.orders[order];
        order.call = Some(call);
        order.begun_after.get_or_insert(highest.unwrap_or(OrderNumber(0)));
    }

    fn submit(&mut self, at: ReplicaId, order: usize) {
        self.begin_call(order);
        let Some(call) = self.orders[order].call else { return };
        let Some(epoch) = self.server(at).replica.leads() else { return };
        let CallId { incarnation, sequence, .. } = call;
        let ack_below = self.ack_below();
        let mut sent = Sent { epoch, order, incarnation, sequence, ack_below };
        if let Ok(Begin::Ask(epoch)) = self.server_mut(at).replica.begin(&Store::buy(&sent)) {
            sent.epoch = epoch;
            self.purchases.insert(sent);
        }
    }

    fn sell(&mut self, sent: Sent) {
        let Buy { epoch, call, ack_below, key, item } = Store::buy(&sent);
        let purchase = Purchase { epoch, call, ack_below, key, item };
        let answer = match Arc::make_mut(&mut self.stock).purchase(purchase) {
            Ok((_, record)) => {
                if record.is_some() {
                    self.sold.push((sent.order, sent.epoch));
                    self.disk = self.stock.clone();
                }
                Answer::Sold
            }
            Err(Error::Stale { epoch }) => Answer::Stale(Epoch(epoch)),
            Err(error) if error.is_passing() => return,
            Err(_) => Answer::Refused,
        };
        self.answers.insert((sent, answer));
    }

    fn answered(&mut self, sent: &Sent, answer: Answer) {
        let (epoch, buy) = (sent.epoch, Store::buy(sent));
        let Some(leader) = IDS.into_iter().find(|id| self.server(*id).replica.leads() == Some(epoch))
        else {
            return;
        };
        let server = self.server_mut(leader);
        match answer {
            Answer::Sold => server.sold(epoch, &buy),
            Answer::Stale(newer) => server.replica.step_down(newer),
            Answer::Refused => {
                server.replica.refused(epoch, &buy.key);
                let order = &mut self.orders[sent.order];
                if order.call == Some(buy.call) {
                    order.call = None;
                    order.refused = true;
                }
            }
        }
    }

    fn duty(&mut self, leader: ReplicaId) {
        match self.server_mut(leader).replica.duty(EARLY) {
            None => {}
            Some(Duty::TakeOffice(epoch)) => {
                match Arc::make_mut(&mut self.stock).take_office(epoch) {
                    Ok((open, record)) => {
                        if record.is_some() {
                            self.disk = self.stock.clone();
                        }
                        self.server_mut(leader).office = Some((epoch, open));
                    }
                    Err(Error::Stale { epoch }) => {
                        self.server_mut(leader).replica.step_down(Epoch(epoch));
                    }
                    Err(_) => self.server_mut(leader).is_confused = true,
                }
            }
            Some(Duty::Settle(epoch, keys)) => {
                let count = keys.len();
                match Arc::make_mut(&mut self.stock).settle(epoch, keys) {
                    Ok(_) => self.server_mut(leader).replica.settled(epoch, count),
                    Err(Error::Stale { epoch }) => {
                        self.server_mut(leader).replica.step_down(Epoch(epoch));
                    }
                    Err(_) => self.server_mut(leader).is_confused = true,
                }
            }
        }
    }

    fn append(&mut self, from: ReplicaId, to: ReplicaId, fate: Fate) {
        let Some(append) = self.server_mut(from).next_append(to) else { return };
        let epoch = append.view.epoch;
        let time = match fate {
            Fate::Answered(time) => time,
            Fate::Taken => {
                self.spent.losses += 1;
                // What an append that is not answered does is all in the log and the view.
                let _ = self.server_mut(to).take(&append);
                return;
            }
            Fate::Delayed => {
                self.spent.late_appends += 1;
                self.late.push((to, append));
                return;
            }
        };
        match self.server_mut(to).append(&append) {
            Ok(answer) => {
                let now = if time == Time::Early { EARLY } else { LATE };
                self.server_mut(from).replica.answered(epoch, to, &answer, now);
            }
            Err(Error::Stale { epoch: newer }) if Epoch(newer) > epoch => {
                self.server_mut(from).replica.step_down(Epoch(newer));
            }
            Err(_) => {}
        }
    }

    fn let_in(&mut self, leader: ReplicaId) {
        let Some(epoch) = self.server(leader).replica.leads() else { return };
        let health = self.server_mut(leader).replica.health(true, LATE);
        self.asks.extend(health.caught_up.into_iter().map(|member| (epoch, member)));
    }

    fn admit(&mut self, member: Member) {
        let mut view = self.view().clone();
        view.epoch = view.epoch.next();
        view.in_sync.push(member);
        view.in_sync.sort();
        self.choose(view);
    }

    /// The controller takes reports and decides. What it heard is kept only if it makes a view: the
    /// next look replaces it.
    fn look(&mut self, up: &[ReplicaId]) {
        let Some(controller) = &self.controller else { return };
        let mut controller = Controller::clone(controller);
        for id in IDS {
            let report = if up.contains(&id) {
                let health = self.server_mut(id).replica.health(true, LATE);
                Report::Healthy { health, asked: EARLY, expected: controller.committed() }
            } else {
                Report::Refused
            };
            controller.hear(id, report, EARLY);
        }
        if let Some(decision) = controller.decide(EARLY) {
            if decision.view.epoch > self.view().epoch {
                self.choose(decision.view);
            }
            self.controller = Some(Arc::new(controller));
        }
    }

    /// The front-end forgets the calls in flight; customers ask again.
    fn restart(&mut self) {
        self.spent.restarts += 1;
        self.calls = 0;
        self.orders.iter_mut().for_each(|order| order.call = None);
        if self.controller.is_some() {
            self.start_controller(Some(self.view().clone()));
        } else {
            let view = View { epoch: self.view().epoch.next(), ..self.view().clone() };
            self.choose(view);
        }
        self.incarnation = self.view().epoch;
    }

    /// The catalog loses what was not synced, and starts with a new journal.
    fn reload(&mut self) {
        self.spent.reloads += 1;
        let mut stock = Stock::new(self.disk.shelves().to_vec(), self.disk.position());
        for (position, record) in self.disk.carried() {
            stock.replay(position, &record);
        }
        self.stock = Arc::new(stock);
        self.disk = self.stock.clone();
    }

    /// Notes what became committed.
    fn observe(&mut self) {
        for at in 0..3 {
            let replica = &self.servers[at].replica;
            let known = OrderNumber(self.committed.len() as u64);
            let new = replica.log().between(known, replica.committed(), usize::MAX);
            self.committed.extend_from_slice(new);
        }
    }
}

impl Model for Bounds {
    type State = Store;
    type Action = Action;

    fn init_states(&self) -> Vec<Store> {
        let leader = ReplicaId(3);
        let mut store = Store::empty(self);
        if self.chooser == Chooser::Controller {
            // It makes the same first view.
            store.look(&IDS);
        }
        for id in IDS {
            let view = store.view().clone();
            store.server_mut(id).learn(&view);
        }
        for id in others(leader) {
            store.append(leader, id, Fate::Answered(Time::Late));
        }
        store.duty(leader);
        store.server_mut(leader).take_office();
        vec![store]
    }

    fn actions(&self, store: &Store, actions: &mut Vec<Action>) {
        let may_choose = store.view().epoch.0 < self.epochs;
        self.controller_actions(store, may_choose, actions);
        for id in IDS {
            self.server_actions(store, id, actions);
        }
        actions.extend(store.purchases.iter().cloned().map(Action::Sell));
        actions.extend(store.answers.iter().cloned().map(|(s, a)| Action::Answered(s, a)));
        actions.extend((0..store.late.len()).map(Action::Arrive));
        if store.spent.restarts < self.restarts && may_choose {
            actions.push(Action::Restart);
        }
        if store.spent.reloads < self.reloads {
            actions.push(Action::Reload);
        }
        if store.spent.doubts < self.doubts {
            let waits = |order: &usize| {
                let order = &store.orders[*order];
                order.call.is_some() && order.number.is_none()
            };
            actions.extend((0..self.orders).filter(waits).map(Action::Retry));
        }
    }

    fn next_state(&self, old: &Store, action: Action) -> Option<Store> {
        let mut store = old.clone();
        match action {
            Action::Choose(view) => store.choose(view),
            Action::Admit(_, member) => store.admit(member),
            Action::Look(up) => store.look(&up),
            Action::LetIn(id) => store.let_in(id),
            Action::Learn(id, epoch) => {
                let view = store.views.iter().find(|view| view.epoch == epoch)?.clone();
                store.server_mut(id).learn(&view);
            }
            Action::Append(from, to, fate) => store.append(from, to, fate),
            Action::Arrive(at) => {
                let (to, append) = store.late.remove(at);
                let _ = store.server_mut(to).append(&append);
            }
            Action::Sync(id) => store.server_mut(id).sync(),
            Action::Duty(id) => store.duty(id),
            Action::TakeOffice(id) => store.server_mut(id).take_office(),
            Action::LoseOffice(id) => {
                store.spent.doubts += 1;
                store.server_mut(id).lose_office();
            }
            Action::Buy(at, order) => store.submit(at, order),
            Action::Sell(sent) => store.sell(sent),
            Action::Answered(sent, answer) => store.answered(&sent, answer),
            Action::Doubt(id, order) => {
                store.spent.doubts += 1;
                let epoch = store.server(id).replica.leads()?;
                store.server_mut(id).replica.in_doubt(epoch, &Store::key(order));
            }
            Action::Retry(order) => {
                store.spent.doubts += 1;
                store.orders[order].call = None;
                store.begin_call(order);
            }
            Action::Acknowledge(id, order) => {
                let number = store.server(id).bought(&Store::key(order))?;
                store.orders[order].number = Some(number);
                store.orders[order].call = None;
            }
            Action::Crash(id, helper) => {
                store.spent.crashes += 1;
                let helper = helper.map(|helper| store.servers[index(helper)].clone());
                store.server_mut(id).restart(id, others(id), helper.as_deref());
            }
            Action::Restart => store.restart(),
            Action::Reload => store.reload(),
        }
        store.observe();
        (store != *old).then_some(store)
    }

    fn properties(&self) -> Vec<Property<Bounds>> {
        crate::properties::all()
    }
}

impl Bounds {
    fn controller_actions(&self, store: &Store, may_choose: bool, actions: &mut Vec<Action>) {
        match self.chooser {
            Chooser::Any if may_choose => {
                actions.extend(views_after(store.view()).into_iter().map(Action::Choose));
                let is_news = |(epoch, member): &&(Epoch, Member)| {
                    *epoch == store.view().epoch && !store.view().in_sync.contains(member)
                };
                let asks = store.asks.iter().filter(is_news).cloned();
                actions.extend(asks.map(|(epoch, member)| Action::Admit(epoch, member)));
            }
            Chooser::Controller if may_choose => {
                let subset = |choice: u32| {
                    IDS.into_iter().filter(|id| choice & 1 << index(*id) != 0).collect()
                };
                actions.extend((1..8).map(subset).map(Action::Look));
            }
            _ => {}
        }
    }

    fn server_actions(&self, store: &Store, id: ReplicaId, actions: &mut Vec<Action>) {
        let server = store.server(id);
        let accepted = server.replica.view().map_or(Epoch(0), |view| view.epoch);
        let news = store.views.iter().filter(|view| view.epoch > accepted);
        actions.extend(news.map(|view| Action::Learn(id, view.epoch)));
        if server.durable < server.replica.log().last().0 {
            actions.push(Action::Sync(id));
        }
        if server.office.is_some() {
            actions.push(Action::TakeOffice(id));
        }
        if server.office.is_some() && store.spent.doubts < self.doubts {
            actions.push(Action::LoseOffice(id));
        }
        if store.spent.crashes < self.crashes {
            actions.push(Action::Crash(id, None));
            actions.extend(others(id).into_iter().map(|helper| Action::Crash(id, Some(helper))));
        }
        for order in 0..self.orders {
            if store.orders[order].number.is_none() && server.bought(&Store::key(order)).is_some() {
                actions.push(Action::Acknowledge(id, order));
            }
        }
        if let Some(epoch) = server.replica.leads() {
            self.leader_actions(store, id, epoch, actions);
        }
    }

    fn leader_actions(&self, store: &Store, id: ReplicaId, epoch: Epoch, actions: &mut Vec<Action>) {
        let server = store.server(id);
        let view = server.replica.view().expect("a leader has a view");
        for to in others(id) {
            actions.push(Action::Append(id, to, Fate::Answered(Time::Late)));
            if !view.ids().any(|member| member == to) {
                actions.push(Action::Append(id, to, Fate::Answered(Time::Early)));
            }
            if store.spent.losses < self.losses {
                actions.push(Action::Append(id, to, Fate::Taken));
            }
            if store.spent.late_appends < self.late_appends {
                actions.push(Action::Append(id, to, Fate::Delayed));
            }
        }
        if server.office.is_none() {
            actions.push(Action::Duty(id));
        }
        if server.replica.office() != Some(Office::Serving) {
            return;
        }
        if self.chooser == Chooser::Any {
            actions.push(Action::LetIn(id));
        }
        for order in 0..self.orders {
            let wanted = &store.orders[order];
            if wanted.number.is_none() && !wanted.refused {
                actions.push(Action::Buy(id, order));
            }
            let asked = |sent: &Sent| sent.order == order && sent.epoch == epoch;
            if store.spent.doubts < self.doubts && store.purchases.iter().any(asked) {
                actions.push(Action::Doubt(id, order));
            }
        }
    }
}
