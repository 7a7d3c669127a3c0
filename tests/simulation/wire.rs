//! The processes, and the messages between them: the store's own messages, not encoded as bytes.

use crate::world::{FRONTEND, between, ms};
use fastrand::Rng;
use std::fmt;
use std::time::Duration;
use toystore::error::{Error, Result};
use toystore::model::{Entry, FrontendId, Item, Key, OrderNumber, ReplicaId, Toy, View};
use toystore::protocol::purchase::Purchase;
use toystore::protocol::{self, catalog, frontend, order};

/// A process, or a customer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    Frontend(FrontendId),
    Catalog,
    Replica(ReplicaId),
    Client(u32),
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Frontend(FRONTEND) => write!(f, "frontend"),
            Node::Frontend(id) => write!(f, "frontend {id}"),
            Node::Catalog => write!(f, "catalog"),
            Node::Replica(id) => write!(f, "replica {id}"),
            Node::Client(id) => write!(f, "client {id}"),
        }
    }
}

/// One call. Its question and its answer have the same tag.
pub type Tag = u64;

/// A question, and the address it is sent to.
#[derive(Debug, Clone)]
pub enum Question {
    Order(order::Request),
    OrderPeer(order::Peer),
    Catalog(catalog::Request),
    CatalogPeer(catalog::Peer),
    FrontendPeer(frontend::Peer),
    Customer(CustomerRequest),
}

/// A customer's request to the front-end; to a replica, to buy by hand (O7); or to the catalog, to withdraw by hand
/// (C6).
#[derive(Debug, Clone)]
pub enum CustomerRequest {
    Buy { key: Option<Key>, item: Item },
    Query { name: String },
    LookUp { number: OrderNumber },
    Withdraw { item: Item },
}

/// An answer.
#[derive(Debug, Clone)]
pub enum Answer {
    Done,
    Health(order::Health),
    Bought(Vec<Result<order::Bought>>),
    Entry(Entry),
    Appended(order::Appended),
    Missed(order::Missed),
    Toy(Toy),
    Withdrawn(catalog::Sold),
    Reserved(catalog::Reserved),
    Standing(catalog::Standing),
    Reconciled(catalog::Reconciled),
    Changes(catalog::Changes),
    Number(OrderNumber),
    View(View),
}

pub type Reply = Result<Answer>;

/// An input of a process.
pub enum Input {
    Question(Tag, Question),
    Reply(Tag, Reply),
    /// A timer has fired.
    Timer(Timer),
}

/// The purpose of a timer.
#[derive(Debug, Clone, Copy)]
pub enum Timer {
    /// To check whether something is due.
    Wake,
    /// To check the clock from time to time.
    Tick,
    /// Its disk has synced what was written before the sync began, in this generation of the file.
    Synced { generation: u64, upto: u64 },
    /// To restock.
    Restock,
}

/// The duration of a sync. Now and then the disk is slow, and a crash comes before its end.
pub fn sync_time(rng: &mut Rng) -> Duration {
    let is_slow = rng.u32(0..20) == 0;
    let range = if is_slow { ms(8)..ms(200) } else { Duration::from_micros(200)..ms(8) };
    between(rng, &range)
}

/// The question in short, for the trace.
pub fn describe(question: &Question) -> String {
    use order::Peer::{Append, HealthCheck, MissedOrders, UpdateLeader};
    match question {
        Question::OrderPeer(HealthCheck) => "health?".into(),
        Question::OrderPeer(UpdateLeader { view }) => format!("lead: {view}"),
        Question::OrderPeer(Append(append)) => format!(
            "append of epoch {}: {}..={} committed {}",
            append.view.epoch,
            append.prev_number.next(),
            append.last(),
            append.committed
        ),
        Question::OrderPeer(MissedOrders { after, .. }) => format!("missed after {after}?"),
        Question::Order(order::Request::Buy { purchases }) => {
            let buy = |Purchase { key, item, epoch, .. }: &Purchase| {
                format!("{key} {}×{} in {epoch}", item.quantity.get(), item.name)
            };
            format!("buy {}", purchases.iter().map(buy).collect::<Vec<_>>().join(", "))
        }
        Question::Catalog(catalog::Request::Purchase { purchases, .. }) => {
            let sale =
                |purchase: &Purchase| format!("{} in epoch {}", purchase.key, purchase.epoch);
            format!("sell {}", purchases.iter().map(sale).collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}

/// The answer in short, for the trace.
pub fn describe_reply(reply: &Reply) -> String {
    match reply {
        Ok(Answer::Health(health)) => format!(
            "epoch {} last {} committed {}{} lagging {:?} caught up {:?}",
            health.view.as_ref().map_or(0, |view| view.epoch.0),
            health.last,
            health.committed,
            if health.starting { " STARTING" } else { "" },
            health.lagging,
            health.caught_up,
        ),
        Ok(Answer::Toy(toy)) => {
            format!("{}: {} left, version {}", toy.name, toy.quantity, toy.version)
        }
        Ok(answer) => format!("{answer:?}"),
        Err(error) => format!("ERROR {error}"),
    }
}

/// An error for a call without an answer.
pub fn unanswered(why: &str) -> Error {
    Error::unanswered(why)
}

/// The reply to a question that was sent twice, as `protocol::ask` and `ask_each` treat it.
pub fn of_repeated(reply: Reply) -> Reply {
    protocol::of_repeated(reply).map(|answer| match answer {
        Answer::Bought(all) => Answer::Bought(all.into_iter().map(protocol::of_repeated).collect()),
        other => other,
    })
}
