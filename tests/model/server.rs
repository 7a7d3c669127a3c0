//! An order replica as a process with a disk: it handles one message in one step.

use crate::store::refusal;
use std::time::Duration;
use toystore::error::Error;
use toystore::model::{Epoch, Identity, Key, Member, Moment, OrderNumber, ReplicaId, View};
use toystore::order::buying::{Buying, Next};
use toystore::order::leadership::{Duty, Office};
use toystore::order::log::Log;
use toystore::order::replica::{Replica, Taken};
use toystore::protocol::catalog::{Incarnation, Reconcile, Reconciled, Reserved, Standing};
use toystore::protocol::order::{Append, AppendOutcome, Appended};
use toystore::protocol::purchase::Purchase;

/// The time of the beginning.
pub const EARLY: Moment = Moment::START;
/// Much later: a replica that answered only at `EARLY` is overdue now; one that answered then and now has kept up.
pub const LATE: Moment = Moment::after(Duration::from_secs(3));

/// A replica with its first disk.
pub fn member(id: ReplicaId) -> Member {
    Member { id, identity: Identity(format!("disk {id}")) }
}

/// A replica, which part of its log is on its disk, and what its threads wait for. The accepted view is
/// always on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    pub member: Member,
    pub replica: Replica,
    /// How many entries are synced.
    pub durable: u64,
    pub others: Vec<ReplicaId>,
    /// The reconcile whose answer it waits for; answers to earlier ones are not read any more.
    pub asking: Option<Reconcile>,
    /// It got a request that a correct store never sends.
    pub is_confused: bool,
}

impl Server {
    /// It starts with this disk. The committed number on disk is only a hint, and may be older.
    pub fn start(member: Member, others: Vec<ReplicaId>, log: Log, view: Option<View>) -> Server {
        let durable = log.last().0;
        let replica = Replica::new(member.clone(), others.clone(), log, view, OrderNumber(0));
        Server { member, replica, durable, others, asking: None, is_confused: false }
    }

    /// It is killed, loses what was not synced, and starts again.
    pub fn restart(&mut self) {
        let mut log = Log::default();
        for entry in self.replica.log().between(OrderNumber(0), OrderNumber(self.durable), 1_000) {
            log.push(entry.clone()).expect("a file holds what a log held");
        }
        let was_confused = self.is_confused;
        let (others, view) = (self.others.clone(), self.replica.view().cloned());
        *self = Server::start(self.member.clone(), others, log, view);
        self.is_confused = was_confused;
    }

    /// It is killed, and starts with an empty disk.
    pub fn wipe(&mut self) {
        self.member.identity.0.push_str(" anew");
        let others = self.others.clone();
        *self = Server::start(self.member.clone(), others, Log::default(), None);
    }

    /// It fetches missing orders from another replica, before it accepts connections.
    pub fn catch_up_from(&mut self, helper: &Server) {
        let log = self.replica.log();
        let missed = helper.replica.missed(log.last(), log.last_epoch());
        self.is_confused |= self.replica.catch_up(missed).is_err();
        self.sync();
    }

    /// Everything in its log is on its disk.
    pub fn sync(&mut self) {
        let last = self.replica.log().last();
        self.durable = last.0;
        self.replica.synced(last);
    }

    /// It receives a view.
    pub fn learn(&mut self, view: &View) {
        if let Ok(true) = self.replica.is_news(view) {
            self.replica.accept(view.clone(), EARLY);
        }
    }

    /// The next append for a follower. When it is due, and whether a follower keeps up, depend on time: so any moment
    /// is possible, and the call changes no state.
    pub fn next_append(&self, to: ReplicaId) -> Option<Append> {
        self.replica.clone().next_append(to, LATE)
    }

    /// Receives an append, without the sync.
    pub fn take(&mut self, append: &Append) -> Result<AppendOutcome, Error> {
        self.learn(&append.view);
        self.replica.is_news(&append.view)?;
        match self.replica.take(append.clone()) {
            Ok(Taken::Mismatch(epochs)) => Ok(AppendOutcome::Mismatch(epochs)),
            Ok(Taken::Entries { cut_after, last, .. }) => {
                if let Some(number) = cut_after {
                    self.durable = self.durable.min(number.0);
                }
                Ok(AppendOutcome::Synced(last))
            }
            Err(error) => {
                // A deposed leader may send this to an outsider that has lost its disk, and the newer view
                // with it.
                let is_member = append.view.has(self.member.id, &self.member.identity);
                self.is_confused |= is_member && matches!(error, Error::Invalid { .. });
                Err(error)
            }
        }
    }

    /// Receives an append, syncs, and acknowledges.
    pub fn append(&mut self, append: &Append) -> Result<Appended, Error> {
        let outcome = self.take(append)?;
        if let AppendOutcome::Synced(_) = outcome {
            self.sync();
        }
        self.replica.acknowledge(append.view.epoch, outcome)
    }

    /// An answer to an append arrives. It may always be the last of two seconds of answers, so that an
    /// outsider has kept up.
    pub fn answered(&mut self, epoch: Epoch, from: ReplicaId, answer: &Appended) {
        self.replica.answered(epoch, from, answer, EARLY);
        self.replica.answered(epoch, from, answer, LATE);
    }

    /// Takes a purchase until it waits for the catalog's answer. `None` if it does not ask the catalog. That it is in
    /// flight is not kept: a call may be repeated at any time.
    pub fn ask(&mut self, purchase: &Purchase) -> Option<(Buying, OrderNumber)> {
        let mut buying = Buying::new(vec![purchase.clone()]);
        let next = buying.next(&mut self.replica);
        if let Some(leadership) = self.replica.leading(purchase.epoch) {
            leadership.end(&purchase.key);
        }
        match next {
            Next::Ask { logged, .. } => Some((buying, logged)),
            _ => None,
        }
    }

    /// The catalog sold.
    pub fn reserved(&mut self, purchase: &Purchase, incarnation: Incarnation, position: u64) {
        let reserved = self.replica.reserved(purchase, incarnation, position);
        self.is_confused |= reserved.is_err_and(|error| !matches!(error, Error::Unanswered { .. }));
    }

    /// The catalog refused. Whether the front-end is told so now.
    pub fn refused(&mut self, purchase: &Purchase, answer: Reserved) -> bool {
        let Some((mut buying, _)) = self.ask(purchase) else { return false };
        buying.told(&mut self.replica, Ok(answer), false);
        match buying.next(&mut self.replica) {
            Next::Over(outcomes) => outcomes == [Err(refusal())],
            _ => false,
        }
    }

    /// It asks the catalog to reconcile.
    pub fn ask_to_reconcile(&mut self, standing: Standing) -> Option<Reconcile> {
        let leadership = self.replica.leading(self.replica.leads()?)?;
        if leadership.office() == Office::Serving {
            leadership.must_reconcile();
        }
        let Some(Duty::Reconcile(epoch)) = self.replica.duty(EARLY) else { return None };
        self.asking = self.replica.reconcile(epoch, standing);
        self.asking.clone()
    }

    /// The catalog has reconciled.
    pub fn reconciled(&mut self, asked: &Reconcile, answer: Reconciled) {
        if self.asking.take_if(|asking| asking == asked).is_some() {
            let taken = self.replica.reconciled(asked.epoch, asked.incarnation, answer);
            self.is_confused |= taken.is_err();
        }
    }

    /// The incarnation of the catalog that it has reconciled with, as a leader.
    pub fn reconciled_with(&self) -> Option<Incarnation> {
        let epoch = self.replica.leads()?;
        self.replica.clone().leading(epoch)?.incarnation()
    }

    /// The number of a committed purchase, as a customer would get it.
    pub fn bought(&self, key: &Key) -> Option<OrderNumber> {
        let number = self.replica.log().find(key)?.number;
        self.replica.outcome(number, key).ok()?.map(|bought| bought.number)
    }
}
