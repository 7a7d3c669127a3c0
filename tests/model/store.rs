//! The state of the order side: the replicas, the catalog, a controller, the customers, and a network that
//! delays, loses and repeats messages.
//!
//! Messages between a leader and the catalog stay in flight for ever, so they arrive late, twice or never; so do a
//! leader's reports for a larger in-sync set. An append and its answer are one call; a bounded number of
//! them are lost or arrive late. [`steps`](crate::steps) has the effect of each step, [`actions`](crate::actions)
//! says when it is possible.

use crate::bounds::{Bounds, Chooser, Faults};
use crate::catalog::{self, Catalog};
use crate::server::{EARLY, Server, member};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use toystore::error::Error;
use toystore::frontend::controller::{Controller, Unclean};
use toystore::model::{
    Entry, Epoch, Item, Key, Member, OrderNumber, PurchaseId, Quantity, ReplicaId, View,
};
use toystore::order::log::Log;
use toystore::protocol::catalog::{Incarnation, Reconcile, Reconciled};
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
    pub servers: Vec<Arc<Server>>,
    /// The leaders' reports of outsiders that have caught up.
    pub asks: BTreeSet<(Epoch, Member)>,
    pub late: Vec<Late>,
    pub catalog: Arc<Catalog>,
    pub purchases: BTreeSet<Sent>,
    pub answers: BTreeSet<Answer>,
    pub questions: BTreeSet<Reconcile>,
    pub reconciled: BTreeSet<(Reconcile, Reconciled)>,
    pub orders: Vec<Order>,
    /// Every entry that a replica ever considered committed.
    pub committed: Vec<Entry>,
    /// A customer was refused though there was a toy, as far as is on the catalog's disk.
    pub is_unjust: bool,
    /// The catalog got a question that a correct store never asks.
    pub is_confused: bool,
    pub spent: Faults,
}

/// The purchase of a customer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Order {
    /// The identity of its current purchase.
    pub id: Option<PurchaseId>,
    /// The highest number that was acknowledged before the customer asked.
    pub begun_after: Option<OrderNumber>,
    /// The last epoch whose leader asked the catalog for it: the front-end waits for that one's answer only.
    pub asked_in: Epoch,
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
    /// How long the leader's log was, which did not have the key.
    pub logged: OrderNumber,
}

/// The catalog's answer: a sale or a refusal, which rests on the journal of this incarnation up to this position.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Answer {
    pub sent: Sent,
    pub incarnation: Incarnation,
    pub position: u64,
    pub is_sold: bool,
}

/// A message between replicas that arrives late.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Late {
    Append { to: ReplicaId, append: Append },
    Answer { to: ReplicaId, epoch: Epoch, from: ReplicaId, answer: Appended },
}

impl Order {
    /// A customer who has not asked yet.
    const NEW: Order =
        Order { id: None, begun_after: None, asked_in: Epoch(0), number: None, refused: false };

    /// Whether the customer has an answer.
    pub fn is_done(&self) -> bool {
        self.number.is_some() || self.refused
    }
}

impl Sent {
    /// The purchase that the front-end sends to the leader, and the leader to the catalog.
    pub fn purchase(&self) -> Purchase {
        let Sent { epoch, order, ack_below, .. } = *self;
        Purchase { epoch, id: self.id(), ack_below, key: key(order), item: item() }
    }

    pub fn id(&self) -> PurchaseId {
        PurchaseId { caller: 0, incarnation: self.incarnation, sequence: self.sequence }
    }
}

/// What each customer buys.
pub fn item() -> Item {
    let quantity = Quantity::try_from(1).expect("1 is a quantity");
    Item { name: "Tux".parse().expect("a name"), quantity }
}

/// The key of an order.
pub fn key(order: usize) -> Key {
    Key::try_from(format!("key-{order}")).expect("it is visible ASCII")
}

impl Store {
    /// A new store, with its first view, which no replica has received yet.
    pub fn new(bounds: &Bounds) -> Store {
        let ids: Vec<ReplicaId> = (1..=bounds.replicas).map(ReplicaId).collect();
        let view = View {
            epoch: Epoch(1),
            leader: ReplicaId(bounds.replicas),
            in_sync: ids.iter().map(|id| member(*id)).collect(),
        };
        let server = |id: &ReplicaId| {
            let others = ids.iter().copied().filter(|other| other != id).collect();
            Arc::new(Server::start(member(*id), others, Log::default(), None))
        };
        let mut store = Store {
            controller: None,
            incarnation: Some(view.epoch),
            last_sequence: 0,
            views: Arc::new(vec![view]),
            servers: ids.iter().map(server).collect(),
            asks: BTreeSet::new(),
            late: vec![],
            catalog: Arc::new(Catalog::new(bounds.stock)),
            purchases: BTreeSet::new(),
            answers: BTreeSet::new(),
            questions: BTreeSet::new(),
            reconciled: BTreeSet::new(),
            orders: vec![Order::NEW; bounds.orders],
            committed: vec![],
            is_unjust: false,
            is_confused: false,
            spent: Faults::default(),
        };
        if bounds.chooser == Chooser::Controller {
            store.start_controller(None);
            store.look(&ids);
        }
        store
    }

    /// A controller starts with this on its disk.
    pub fn start_controller(&mut self, view: Option<View>) {
        let controller =
            Controller::new(self.ids(), view, OrderNumber(0), Unclean::Forbidden, EARLY);
        self.controller = Some(Arc::new(controller));
    }

    pub fn ids(&self) -> Vec<ReplicaId> {
        self.servers.iter().map(|server| server.member.id).collect()
    }

    pub fn server(&self, id: ReplicaId) -> &Server {
        &self.servers[id.0 as usize - 1]
    }

    pub fn server_mut(&mut self, id: ReplicaId) -> &mut Server {
        Arc::make_mut(&mut self.servers[id.0 as usize - 1])
    }

    pub fn catalog_mut(&mut self) -> &mut Catalog {
        Arc::make_mut(&mut self.catalog)
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
        self.ids().into_iter().find(|id| self.server(*id).replica.leads() == Some(epoch))
    }

    /// Records newly committed entries. Their customers are told at once.
    pub fn observe(&mut self) {
        for server in &self.servers {
            let known = OrderNumber(self.committed.len() as u64);
            let committed = server.replica.committed();
            let new = server.replica.log().between(known, committed, usize::MAX);
            self.committed.extend_from_slice(new);
            for (at, order) in self.orders.iter_mut().enumerate() {
                let told = order.id.and_then(|_| server.bought(&key(at)));
                if told.is_some() {
                    (order.number, order.id) = (told, None);
                }
            }
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
        self.tidy_questions();
        self.tidy_answers();
    }

    /// What the catalog refuses for ever is dropped, after it has refused it: what is older than a fence or a number that
    /// is on its disk, or for a dead incarnation.
    fn tidy_questions(&mut self) {
        let catalog = self.catalog.clone();
        let (fence, settled) = {
            let records = catalog.durable_records();
            (catalog::fence(records), catalog::settled(records))
        };
        self.purchases.retain(|sent| {
            let Sent { epoch, logged, .. } = *sent;
            let is_old = epoch < fence || logged < settled && catalog.sells_for(epoch);
            !is_old || catalog.stock.clone().purchase(epoch, logged, vec![]).is_ok()
        });
        self.questions.retain(|asked| {
            let is_old = asked.epoch < fence || asked.incarnation != catalog.incarnation();
            !is_old || catalog.stock.clone().reconcile(asked).is_ok()
        });
    }

    /// What no leader waits for, or knows already, is dropped.
    fn tidy_answers(&mut self) {
        for server in &mut self.servers {
            let leads = server.replica.leads();
            if server.asking.as_ref().is_some_and(|asked| leads != Some(asked.epoch)) {
                Arc::make_mut(server).asking = None;
            }
        }
        let Store { servers, orders, reconciled, answers, .. } = self;
        let asking =
            |asked: &Reconcile| servers.iter().any(|server| server.asking.as_ref() == Some(asked));
        reconciled.retain(|(asked, _)| asking(asked));
        // Of answers that say the same, the one that rests on the shortest journal is enough.
        let mut least = BTreeMap::new();
        for Answer { sent, incarnation, position, is_sold } in answers.iter() {
            let what = (sent.epoch, sent.id(), *incarnation, *is_sold);
            let least = least.entry(what).or_insert(*position);
            *least = position.min(least).to_owned();
        }
        answers.retain(|Answer { sent, incarnation, position, is_sold }| {
            least[&(sent.epoch, sent.id(), *incarnation, *is_sold)] == *position
        });
        answers.retain(|Answer { sent, is_sold, .. }| {
            let leader = servers.iter().find(|server| server.replica.leads() == Some(sent.epoch));
            leader.is_some_and(|leader| match is_sold {
                true => leader.replica.log().find(&key(sent.order)).is_none(),
                false => orders[sent.order].id == Some(sent.id()),
            })
        });
    }
}

/// The refusal of a purchase.
pub fn refusal() -> Error {
    Error::NotEnoughStock
}
