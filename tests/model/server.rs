//! An order replica as a process with a disk: what it does with one message, all at once.

use std::mem;
use toystore::error::Error;
use toystore::model::{Epoch, Key, Member, Moment, OrderNumber, ReplicaId, View};
use toystore::order::log::Log;
use toystore::order::replica::{Fresh, Replica, Taken};
use toystore::protocol::catalog::Open;
use toystore::protocol::order::{Append, Appended, Buy, Missed, Outcome};

/// Every view is accepted, and every outsider first heard of, at this moment.
pub const EARLY: Moment = Moment::ZERO;
/// Long after: whoever was heard `EARLY` only is overdue, and has kept up if it was heard now again.
pub const LATE: Moment = Moment::from_secs(3);

/// A replica, what of its log is on its disk, and what its threads wait for. The accepted view is
/// always on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    pub replica: Replica,
    /// So many entries are synced.
    pub durable: u64,
    /// An answer to `take_office` that is still on its way.
    pub office: Option<(Epoch, Vec<Open>)>,
    /// It was asked for something that cannot be, which a correct store never does.
    pub is_confused: bool,
}

/// This replica, whose disk is never lost here.
pub fn member(id: ReplicaId) -> Member {
    Member { id, identity: toystore::model::Identity(format!("disk {id}")) }
}

impl Server {
    pub fn new(id: ReplicaId, others: Vec<ReplicaId>) -> Server {
        Server::start(Replica::new(member(id), others, Log::default(), None, OrderNumber(0)))
    }

    fn start(replica: Replica) -> Server {
        let durable = replica.log().last().0;
        Server { replica, durable, office: None, is_confused: false }
    }

    /// It is killed, loses what was not synced, and starts again, with what `helper` answers.
    pub fn restart(&mut self, id: ReplicaId, others: Vec<ReplicaId>, helper: Option<&Server>) {
        let mut log = Log::default();
        for entry in self.replica.log().between(OrderNumber(0), OrderNumber(self.durable), 1_000) {
            log.push(entry.clone()).expect("a file holds what a log held");
        }
        let view = self.replica.view().cloned();
        // How far it was committed is only a hint, and may be older than that.
        let mut replica = Replica::new(member(id), others, log, view, OrderNumber(0));
        let (last, epoch) = (replica.log().last(), replica.log().last_epoch());
        let missed = helper.map(|helper| helper.replica.missed(last, epoch));
        let was_confused = self.is_confused;
        let fits = replica.catch_up(missed.unwrap_or(Missed { entries: vec![], committed: last }));
        replica.synced(replica.log().last());
        *self = Server::start(replica);
        self.is_confused = was_confused || fits.is_err();
    }

    /// Everything in its log is on its disk.
    pub fn sync(&mut self) {
        let last = self.replica.log().last();
        self.durable = last.0;
        self.replica.synced(last);
    }

    pub fn learn(&mut self, view: &View) {
        if let Ok(true) = self.replica.is_news(view) {
            self.replica.accept(view.clone(), EARLY);
        }
    }

    /// Takes an append, without the sync.
    pub fn take(&mut self, append: &Append) -> Result<Outcome, Error> {
        self.learn(&append.view);
        self.replica.is_news(&append.view)?;
        match self.replica.take(append.clone()) {
            Ok(Taken::Mismatch(epochs)) => Ok(Outcome::Mismatch(epochs)),
            Ok(Taken::Entries { cut_after, last, .. }) => {
                if let Some(number) = cut_after {
                    self.durable = self.durable.min(number.0);
                }
                Ok(Outcome::Synced(last))
            }
            Err(error) => {
                self.is_confused |= matches!(error, Error::Invalid { .. });
                Err(error)
            }
        }
    }

    /// Takes an append, syncs, and acknowledges.
    pub fn append(&mut self, append: &Append) -> Result<Appended, Error> {
        let outcome = self.take(append)?;
        if let Outcome::Synced(_) = outcome {
            self.sync();
        }
        self.replica.acknowledge(append.view.epoch, outcome)
    }

    /// The next append for a follower: the first that is due, or a heartbeat.
    pub fn next_append(&mut self, to: ReplicaId) -> Option<Append> {
        self.replica.next_append(to, EARLY).or_else(|| self.replica.next_append(to, LATE))
    }

    /// The catalog sold.
    pub fn sold(&mut self, epoch: Epoch, buy: &Buy) {
        match self.replica.sold(epoch, buy) {
            Ok((_, Fresh::Yes | Fresh::No)) | Err(Error::NotLeader { .. }) => {}
            Err(_) => self.is_confused = true,
        }
    }

    /// The answer to `take_office` has come.
    pub fn take_office(&mut self) {
        if let Some((epoch, open)) = mem::take(&mut self.office) {
            self.is_confused |= self.replica.took_office(epoch, open).is_err();
        }
    }

    /// The answer to `take_office` is lost.
    pub fn lose_office(&mut self) {
        if let Some((epoch, _)) = mem::take(&mut self.office) {
            self.replica.office_refused(epoch);
        }
    }

    /// The number of a committed purchase, as a customer would be told it.
    pub fn bought(&self, key: &Key) -> Option<OrderNumber> {
        let number = self.replica.log().find(key)?.number;
        self.replica.outcome(number, key).ok()?.map(|bought| bought.number)
    }
}
