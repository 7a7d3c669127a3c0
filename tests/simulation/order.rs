//! A replica, as `src/order/{service,purchase,lookup,replication,office,recovery}.rs` run it. Each of their
//! threads is a small state machine, which is run whenever something has happened at this replica.

mod leader;
pub mod shared;

use crate::context::Context;
use crate::wire::{Answer, CustomerRequest, Input, Node, Question, Reply, Tag, Timer, sync_time};
use crate::world::{REPLICAS, ms};
use fastrand::Rng;
use leader::{Officer, Purchasing, Sender, Stage, Watch};
use shared::{Loading, Table, Writer};
use std::mem;
use toystore::error::{Error, Result};
use toystore::model::{Entry, Epoch, Identity, Member, Moment, OrderNumber, ReplicaId, View};
use toystore::order::buying;
use toystore::order::replica::{Replica, Taken};
use toystore::protocol::order::{Append, AppendOutcome, Appended, Peer, Request};

/// A replica's disk, as `src/order/file.rs` writes it.
#[derive(Debug, Clone)]
pub struct Disk {
    pub identity: Identity,
    /// The entries in the file, or waiting to be written.
    pub entries: Vec<Entry>,
    /// How many of them are synced.
    pub durable: usize,
    pub view: Option<View>,
    pub committed: OrderNumber,
    /// Grows when entries are cut: a sync that began before says nothing about the entries after.
    generation: u64,
    /// Where the entries are in truth, if the replicas share them, and the leadership that writes.
    table: Option<Table>,
    writer: Option<Writer>,
}

impl Disk {
    /// An empty disk, with its sequence number among the disks of this replica.
    pub fn new(id: ReplicaId, nth: u64) -> Disk {
        Disk {
            identity: Identity(format!("disk-{id}-{nth}")),
            entries: Vec::new(),
            durable: 0,
            view: None,
            committed: OrderNumber(0),
            generation: 0,
            table: None,
            writer: None,
        }
    }

    /// After a crash: synced entries are there; of the others some prefix may be.
    pub fn after_crash(&self, id: ReplicaId, rng: &mut Rng) -> Disk {
        if let Some(table) = &self.table {
            return Disk::sharing(id, table);
        }
        let mut disk = self.clone();
        disk.entries.truncate(rng.usize(self.durable..=self.entries.len()));
        disk.durable = disk.entries.len();
        disk
    }
}

/// A running replica.
pub struct Order {
    pub disk: Disk,
    pub replica: Replica,
    syncing: bool,
    /// The replicas that it still asks for missing orders. It does not listen until it has asked all.
    recovering: Vec<ReplicaId>,
    recovery: Option<Tag>,
    appends: Vec<Appending>,
    purchases: Vec<Purchasing>,
    looking_up: Vec<LookingUp>,
    bought_by_hand: u64,
    senders: Vec<Sender>,
    office: Officer,
    loading: Option<Loading>,
    watch: Watch,
    hinted: Moment,
    /// A purchase that ended with a definite error after the catalog may have sold it.
    pub false_refusal: Option<String>,
}

/// A follower's thread that waits for a sync.
struct Appending {
    tag: Tag,
    epoch: Epoch,
    last: OrderNumber,
}

/// A thread that looks an order up.
struct LookingUp {
    tag: Tag,
    number: OrderNumber,
    asked: Moment,
}

impl Order {
    pub fn new(id: ReplicaId, disk: Disk) -> Order {
        let me = Member { id, identity: disk.identity.clone() };
        let mut others: Vec<_> =
            (1..=REPLICAS).map(ReplicaId).filter(|other| *other != id).collect();
        if disk.table.is_some() {
            others.clear();
        }
        let senders = others.iter().map(|follower| Sender {
            follower: *follower,
            asked: None,
            paused_until: Moment::START,
        });
        let senders = senders.collect();
        let view = disk.view.clone();
        let replica = match disk.table {
            None => Replica::new(me, others.clone(), disk.log(), view, disk.committed),
            Some(_) => Replica::sharing(me, view),
        };
        others.sort_by_key(|other| std::cmp::Reverse(other.0.abs_diff(id.0)));
        Order {
            disk,
            replica,
            syncing: false,
            recovering: others,
            recovery: None,
            appends: Vec::new(),
            purchases: Vec::new(),
            looking_up: Vec::new(),
            bought_by_hand: 0,
            senders,
            office: Officer::default(),
            loading: None,
            watch: Watch::default(),
            hinted: Moment::START,
            false_refusal: None,
        }
    }

    pub fn handle(&mut self, input: Input, context: &mut Context<'_>) {
        match input {
            Input::Question(tag, _) if !self.recovering.is_empty() => {
                let address = format!("{:?}", context.me);
                let why = "not listening yet".into();
                context.answer(tag, Err(Error::Unreachable { address, why }));
            }
            Input::Question(tag, question) => {
                if let Some(reply) = self.question(tag, question, context) {
                    context.answer(tag, reply);
                }
            }
            Input::Reply(tag, reply) => self.reply(tag, reply, context),
            Input::Timer(Timer::Synced { generation, upto }) => {
                self.syncing = false;
                if generation == self.disk.generation {
                    let upto = usize::try_from(upto).unwrap();
                    match self.disk.commit(upto) {
                        Ok(()) => self.disk.durable = self.disk.durable.max(upto),
                        Err(epoch) => self.replica.fenced(epoch),
                    }
                }
                self.replica.synced(OrderNumber(self.disk.durable as u64));
            }
            Input::Timer(Timer::Tick) => context.after(ms(50), Timer::Tick),
            Input::Timer(_) => {}
        }
        self.go_on(context);
    }

    fn question(
        &mut self,
        tag: Tag,
        question: Question,
        context: &mut Context<'_>,
    ) -> Option<Reply> {
        let reachable = self.watch.reachable;
        Some(match question {
            Question::OrderPeer(Peer::HealthCheck) => {
                Ok(Answer::Health(self.replica.health(reachable, context.now)))
            }
            Question::OrderPeer(Peer::UpdateLeader { view }) => self
                .accept(&view, context)
                .map(|()| Answer::Health(self.replica.health(reachable, context.now))),
            Question::OrderPeer(Peer::Append(append)) => match self.append(tag, append, context) {
                Ok(None) => return None,
                Ok(Some(appended)) => Ok(Answer::Appended(appended)),
                Err(error) => Err(error),
            },
            Question::OrderPeer(Peer::MissedOrders { after, epoch }) => {
                Ok(Answer::Missed(self.replica.missed(after, epoch)))
            }
            Question::Order(Request::Buy { purchases }) => {
                self.purchases.push(Purchasing::new(tag, purchases, context.now));
                return None;
            }
            Question::Customer(CustomerRequest::Buy { key, item }) => {
                self.bought_by_hand += 1;
                match buying::by_hand(&self.replica, self.bought_by_hand, key, item) {
                    Ok(purchase) => {
                        context.begins(tag, &purchase);
                        let task = Purchasing::new(tag, vec![purchase], context.now);
                        self.purchases.push(Purchasing { is_by_hand: true, ..task });
                        return None;
                    }
                    Err(error) => Err(error),
                }
            }
            Question::Order(Request::OrderDetails { number }) => {
                self.looking_up.push(LookingUp { tag, number, asked: context.now });
                return None;
            }
            other => Err(Error::invalid(format!("{other:?}"))),
        })
    }

    /// `lookup::order`, for each call under way.
    fn look_up(&mut self, context: &mut Context<'_>) {
        let Order { replica, disk, looking_up, .. } = self;
        looking_up.retain(|LookingUp { tag, number, asked }| {
            let found = match (replica.order(*number, *asked).transpose(), &disk.table) {
                (None, _) => return true,
                (Some(Err(not_here)), Some(table)) => table.find(*number).ok_or(not_here),
                (Some(known), _) => known.cloned(),
            };
            context.answer(*tag, found.map(Answer::Entry));
            false
        });
    }

    /// `Order::accept`.
    fn accept(&mut self, view: &View, context: &mut Context<'_>) -> Result<()> {
        if !self.replica.is_news(view)? {
            return Ok(());
        }
        self.disk.view = Some(view.clone());
        self.replica.accept(view.clone(), context.now);
        context.note(|| view.to_string());
        Ok(())
    }

    /// `Order::append`, up to the sync.
    fn append(
        &mut self,
        tag: Tag,
        append: Append,
        context: &mut Context<'_>,
    ) -> Result<Option<Appended>> {
        self.accept(&append.view, context)?;
        let epoch = append.view.epoch;
        match self.replica.take(append)? {
            Taken::Mismatch(epochs) => {
                self.replica.acknowledge(epoch, AppendOutcome::Mismatch(epochs)).map(Some)
            }
            Taken::Entries { cut_after, write_after, last } => {
                if let Some(number) = cut_after {
                    context.note(|| format!("cuts after {number}"));
                    self.disk.entries.truncate(usize::try_from(number.0).unwrap());
                    self.disk.durable = self.disk.entries.len();
                    self.disk.generation += 1;
                }
                self.write(write_after);
                self.appends.push(Appending { tag, epoch, last });
                Ok(None)
            }
        }
    }

    fn write(&mut self, after: OrderNumber) {
        let log = self.replica.log();
        assert_eq!(self.disk.entries.len() as u64, after.0, "the file has no gap");
        self.disk.entries.extend_from_slice(log.between(after, log.last(), usize::MAX));
    }

    fn step_down(&mut self, newer: Epoch, context: &mut Context<'_>) {
        if self.replica.leads().is_some_and(|epoch| epoch < newer) {
            context.note(|| format!("steps down for epoch {newer}"));
            self.replica.step_down(newer);
        }
    }

    fn reply(&mut self, tag: Tag, reply: Reply, context: &mut Context<'_>) {
        if self.recovery == Some(tag) {
            self.recovery = None;
            self.recovered(reply);
        } else if self.watch.asked == Some(tag) {
            self.watch.asked = None;
            self.watch.reachable = reply.is_ok();
        } else if self.office.asked.as_ref().is_some_and(|(asked, _)| *asked == tag) {
            let (_, asked) = self.office.asked.take().expect("it asked");
            self.office_answered(asked, reply, context);
        } else if let Some(at) =
            self.senders.iter().position(|s| s.asked.is_some_and(|a| a.0 == tag))
        {
            let (_, epoch) = self.senders[at].asked.take().expect("it asked");
            let follower = self.senders[at].follower;
            match reply {
                Ok(Answer::Appended(answer)) => {
                    self.replica.answered(epoch, follower, &answer, context.now);
                }
                Err(Error::Stale { epoch: newer }) if Epoch(newer) > epoch => {
                    self.step_down(Epoch(newer), context);
                }
                _ => self.senders[at].pause(context),
            }
        } else {
            for purchase in &mut self.purchases {
                if let Stage::Selling { tag: asked, reply: answer, .. }
                | Stage::Syncing { tag: asked, reply: answer, .. } = &mut purchase.stage
                    && *asked == tag
                {
                    *answer = Some(reply);
                    return;
                }
            }
        }
    }

    /// Lets every thread do what it can.
    fn go_on(&mut self, context: &mut Context<'_>) {
        if self.recover(context) {
            self.start_sync(context);
            return;
        }
        self.acknowledge(context);
        let mut purchases = mem::take(&mut self.purchases);
        purchases.retain_mut(|purchase| match self.purchase(purchase, context) {
            None => true,
            Some(outcomes) => {
                for (key, outcome) in purchase.keys.iter().zip(&outcomes) {
                    if let Err(error) = outcome
                        && purchase.may_be_sold.contains(key)
                        && error.is_transient()
                        && error.is_definite()
                    {
                        self.false_refusal = Some(format!("{key}: {error}"));
                    }
                }
                let reply = if purchase.is_by_hand {
                    outcomes.into_iter().next().unwrap().map(|bought| Answer::Number(bought.number))
                } else {
                    Ok(Answer::Bought(outcomes))
                };
                context.answer(purchase.tag, reply);
                false
            }
        });
        self.purchases = purchases;
        self.look_up(context);
        self.hold_office(context);
        self.send(context);
        self.watch_catalog(context);
        if context.now > self.hinted + ms(1_000) {
            let durable = OrderNumber(self.disk.durable as u64);
            self.disk.committed = self.replica.committed().min(durable);
            self.hinted = context.now;
        }
        self.start_sync(context);
    }

    fn start_sync(&mut self, context: &mut Context<'_>) {
        let is_fenced = self.disk.table.is_some() && self.disk.writer.is_none();
        if !self.syncing && !is_fenced && self.disk.durable < self.disk.entries.len() {
            self.syncing = true;
            let (generation, upto) = (self.disk.generation, self.disk.entries.len() as u64);
            let wait = sync_time(context.rng);
            context.after(wait, Timer::Synced { generation, upto });
            if self.disk.table.is_some() && context.rng.bool() {
                self.disk.commit_unanswered(self.disk.entries.len());
            }
        }
    }

    /// `recovery::catch_up`. Returns whether it continues.
    fn recover(&mut self, context: &mut Context<'_>) -> bool {
        let Some(peer) = self.recovering.last() else { return false };
        let is_synced = self.disk.durable == self.disk.entries.len();
        if self.recovery.is_none() && is_synced {
            let log = self.replica.log();
            let question = Peer::MissedOrders { after: log.last(), epoch: log.last_epoch() };
            let deadline = context.now + ms(1_000);
            let asked = context.ask(Node::Replica(*peer), Question::OrderPeer(question), deadline);
            self.recovery = Some(asked);
        }
        true
    }

    fn recovered(&mut self, reply: Reply) {
        let after = self.replica.log().last();
        match reply {
            Ok(Answer::Missed(missed)) if !missed.entries.is_empty() => {
                self.replica.catch_up(missed).expect("what a replica sends fits");
                self.write(after);
            }
            _ => drop(self.recovering.pop()),
        }
    }

    /// The end of `Order::append`.
    fn acknowledge(&mut self, context: &mut Context<'_>) {
        let (durable, written) = (self.disk.durable as u64, self.disk.entries.len() as u64);
        let replica = &self.replica;
        self.appends.retain(|append| {
            let is_cut = written < append.last.0;
            if durable < append.last.0 && !is_cut {
                return true;
            }
            let appended = replica.acknowledge(append.epoch, AppendOutcome::Synced(append.last));
            context.answer(append.tag, appended.map(Answer::Appended));
            false
        });
    }
}
