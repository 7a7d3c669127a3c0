//! The state of the order side: three replicas, the catalog's stock, a controller, the
//! customers, and a network that delays, loses and repeats messages.
//!
//! Messages to the catalog stay in flight for ever, so they arrive late, twice or never; so do a leader's
//! reports for a larger in-sync set. An append and its answer are one call; a bounded number of
//! them are lost or arrive late. [`steps`](crate::steps) has the effect of each step, [`actions`](crate::actions)
//! says when it is possible.

use crate::bounds::{Bounds, Chooser, Faults};
use crate::server::{EARLY, IDS, Server, member};
use std::collections::BTreeSet;
use std::sync::Arc;
use toystore::catalog::stock::{Shelf, Stock};
use toystore::frontend::controller::{Controller, Unclean};
use toystore::model::{
    Entry, Epoch, Item, Key, Member, OrderNumber, Price, PurchaseId, Quantity, ReplicaId, View,
};
use toystore::order::log::Log;
use toystore::protocol::order::{Append, Appended};
use toystore::protocol::purchase::Purchase;

/// A state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Store {
    /// The view on the front-end's disk, and the earlier ones that a replica may not have received.
    pub views: Arc<Vec<View>>,
    pub controller: Option<Arc<Controller>>,
    /// The first epoch since the front-end started; no earlier front-end made views from it on.
    pub incarnation: Option<Epoch>,
    /// The sequence of the last purchase since the front-end started.
    pub last_sequence: u64,
    pub servers: [Arc<Server>; 3],
    /// The leaders' reports of outsiders that have caught up.
    pub asks: BTreeSet<(Epoch, Member)>,
    pub late: Vec<Late>,
    pub stock: Arc<Stock>,
    /// The stock as it is on the catalog's disk: without settlements, which are not synced.
    pub disk: Arc<Stock>,
    /// The last epoch that took office.
    pub fence: Epoch,
    pub purchases: BTreeSet<Sent>,
    pub answers: BTreeSet<(Sent, Answer)>,
    pub orders: Vec<Order>,
    /// Every decrement so far, with its key and epoch.
    pub sold: Vec<(usize, Epoch)>,
    /// Every entry that a replica ever considered committed.
    pub committed: Vec<Entry>,
    pub spent: Faults,
}

/// The purchase of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Order {
    /// The identity of its current purchase.
    pub id: Option<PurchaseId>,
    /// The highest number that was acknowledged before the customer asked.
    pub begun_after: Option<OrderNumber>,
    /// The answer that the customer got.
    pub number: Option<OrderNumber>,
    pub refused: bool,
}

/// A purchase in flight to the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sent {
    pub epoch: Epoch,
    pub order: usize,
    pub incarnation: Epoch,
    pub sequence: u64,
    pub ack_below: u64,
}

/// The catalog's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    Sold,
    Refused,
    Stale(Epoch),
}

/// A message between replicas that arrives late.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Late {
    Append { to: ReplicaId, append: Append },
    Answer { to: ReplicaId, epoch: Epoch, from: ReplicaId, answer: Appended },
}

impl Order {
    /// A customer who has not asked yet.
    const NEW: Order = Order { id: None, begun_after: None, number: None, refused: false };

    /// Whether the customer has an answer.
    pub fn is_done(&self) -> bool {
        self.number.is_some() || self.refused
    }
}

impl Sent {
    /// The purchase that the front-end sends to the leader, and the leader to the catalog.
    pub fn purchase(&self) -> Purchase {
        let Sent { epoch, order, incarnation, sequence, ack_below } = *self;
        let id = PurchaseId { caller: 0, incarnation, sequence };
        let quantity = Quantity::try_from(1).expect("1 is a quantity");
        let item = Item { name: "Tux".parse().expect("a name"), quantity };
        Purchase { epoch, id, ack_below, key: key(order), item }
    }
}

/// The key of an order.
pub fn key(order: usize) -> Key {
    Key::try_from(format!("key-{order}")).expect("it is visible ASCII")
}

impl Store {
    /// A new store, with its first view, which no replica has received yet.
    pub fn new(bounds: &Bounds) -> Store {
        let view =
            View { epoch: Epoch(1), leader: ReplicaId(3), in_sync: IDS.map(member).to_vec() };
        let shelf = Shelf::new("Tux".parse().expect("a name"), Price(1), bounds.stock);
        let stock = Arc::new(Stock::new(vec![shelf], 0));
        let mut store = Store {
            controller: None,
            incarnation: Some(view.epoch),
            last_sequence: 0,
            views: Arc::new(vec![view]),
            servers: IDS.map(|id| Arc::new(Server::start(member(id), Log::default(), None))),
            asks: BTreeSet::new(),
            late: vec![],
            disk: stock.clone(),
            stock,
            fence: Epoch(0),
            purchases: BTreeSet::new(),
            answers: BTreeSet::new(),
            orders: vec![Order::NEW; bounds.orders],
            sold: vec![],
            committed: vec![],
            spent: Faults::default(),
        };
        if bounds.chooser == Chooser::Controller {
            store.start_controller(None);
            store.look(&IDS);
        }
        store
    }

    /// A controller starts with this on its disk.
    pub fn start_controller(&mut self, view: Option<View>) {
        let controller = Controller::new(IDS, view, OrderNumber(0), Unclean::Forbidden, EARLY);
        self.controller = Some(Arc::new(controller));
    }

    pub fn server(&self, id: ReplicaId) -> &Server {
        &self.servers[id.0 as usize - 1]
    }

    pub fn server_mut(&mut self, id: ReplicaId) -> &mut Server {
        Arc::make_mut(&mut self.servers[id.0 as usize - 1])
    }

    /// The newest view.
    pub fn view(&self) -> &View {
        self.views.last().expect("the first view is there from the start")
    }

    /// The lowest sequence in flight.
    pub fn ack_below(&self) -> u64 {
        let in_flight = self.orders.iter().filter_map(|order| order.id);
        in_flight.map(|id| id.sequence).min().unwrap_or(self.last_sequence + 1)
    }

    /// The leader of `epoch`.
    pub fn leader(&self, epoch: Epoch) -> Option<ReplicaId> {
        IDS.into_iter().find(|id| self.server(*id).replica.leads() == Some(epoch))
    }

    /// Records newly committed entries.
    pub fn observe(&mut self) {
        for server in &self.servers {
            let known = OrderNumber(self.committed.len() as u64);
            let committed = server.replica.committed();
            let new = server.replica.log().between(known, committed, usize::MAX);
            self.committed.extend_from_slice(new);
        }
    }

    /// Removes what no step can use any more, so that fewer states are different.
    pub fn tidy(&mut self) {
        let accepted = |server: &Server| server.replica.view().map_or(Epoch(0), |view| view.epoch);
        let oldest = self.servers.iter().map(|server| accepted(server)).min().unwrap_or(Epoch(0));
        let newest = self.view().epoch;
        if self.views[0].epoch <= oldest && self.views[0].epoch < newest {
            let views = Arc::make_mut(&mut self.views);
            views.retain(|view| view.epoch > oldest || view.epoch == newest);
        }
        self.asks.retain(|(epoch, _)| *epoch == newest);
        let may_lead = |epoch: Epoch| {
            let view = self.views.iter().find(|view| view.epoch == epoch);
            self.leader(epoch).is_some()
                || view.is_some_and(|view| accepted(self.server(view.leader)) < epoch)
        };
        let dead: Vec<_> =
            self.answers.iter().filter(|(sent, _)| !may_lead(sent.epoch)).cloned().collect();
        self.answers.retain(|answer| !dead.contains(answer));
    }
}
