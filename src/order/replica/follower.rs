//! A replica as follower: what it takes from a leader, or from another replica when it starts, what it cuts, what it
//! acknowledges. A part of [`Replica`]; only replicas with logs of their own do this.

use super::{Replica, Role};
use crate::error::{Error, Result};
use crate::model::{Entry, Epoch, OrderNumber};
use crate::protocol::order::{Append, AppendOutcome, Appended, ENTRIES_MAX, Missed};

/// What a follower does with an [`Append`].
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nothing; this is the answer.
    Mismatch(Vec<(Epoch, OrderNumber)>),
    /// Write to disk, sync, and then acknowledge up to `last`.
    Entries {
        /// First set aside all rows after this number.
        cut_after: Option<OrderNumber>,
        /// Then append the entries after this number.
        write_after: OrderNumber,
        /// The last number of the append.
        last: OrderNumber,
    },
}

impl Replica {
    /// Takes the leader's entries. The append's view has been accepted before.
    ///
    /// Entries that it has already are skipped. Where its log differs from the leader's, it gives up
    /// its own: that part was never committed. It also gives up what an older epoch left after the log with which this
    /// leader came, even if nothing is in its place yet: the sales of those orders may be lost, and the leader of a later
    /// epoch must not find them here. So an acknowledgement says that this log is the beginning of the leader's.
    pub fn take(&mut self, append: Append) -> Result<Taken> {
        let in_view = self.view.as_ref().is_some_and(|view| view.epoch == append.view.epoch);
        if !in_view || !matches!(self.role, Role::Following) {
            return Err(Error::Stale { epoch: self.epoch().0 });
        }
        if self.shares {
            return Err(Error::invalid(
                "this replica has no log of its own; set one storage.engine for all",
            ));
        }
        if self.log.epoch_of(append.prev_number) != Some(append.prev_epoch) {
            return Ok(Taken::Mismatch(self.log.epochs().to_vec()));
        }
        append.check()?;
        let (last, mut entries) = (append.last(), append.entries);
        let is_known = |entry: &&Entry| self.log.epoch_of(entry.number) == Some(entry.epoch);
        let known = entries.iter().take_while(is_known).count();
        let new = entries.split_off(known);
        let common = OrderNumber(append.prev_number.0 + known as u64);
        // Without new entries, what this leader has sent before may follow.
        let kept = common.max(append.base);
        let is_older =
            self.log.epoch_of(kept.next()).is_some_and(|epoch| epoch < append.view.epoch);
        let cut_after = if new.is_empty() { is_older.then_some(kept) } else { Some(common) };
        let cut_after = cut_after.filter(|number| *number < self.log.last());
        if let Some(number) = cut_after.filter(|number| *number < self.committed) {
            self.conflict = Some(number.next());
            return Err(Error::invalid(format!(
                "the leader of epoch {} has no order {}, but {} is committed here",
                append.view.epoch,
                number.next(),
                self.committed
            )));
        }
        let write_after = cut_after.unwrap_or(self.log.last());
        self.log.replace_after(write_after, new)?;
        if let Some(number) = cut_after {
            self.durable = self.durable.min(number);
        }
        self.committed = self.committed.max(append.committed.min(last));
        Ok(Taken::Entries { cut_after, write_after, last })
    }

    /// The acknowledgement of what was taken from the leader of `epoch` up to `last`, once it is
    /// synced. `Stale` if a newer view came meanwhile.
    pub fn acknowledge(&self, epoch: Epoch, outcome: AppendOutcome) -> Result<Appended> {
        if self.epoch() != epoch {
            return Err(Error::Stale { epoch: self.epoch().0 });
        }
        Ok(Appended { identity: self.me.identity.clone(), outcome })
    }

    /// Committed entries after `(number, epoch)`, if this log has that entry.
    pub fn missed(&self, number: OrderNumber, epoch: Epoch) -> Missed {
        let common = self.log.epoch_of(number) == Some(epoch);
        let entries = if common {
            self.log.between(number, self.committed, ENTRIES_MAX).to_vec()
        } else {
            vec![]
        };
        let committed = entries.last().map_or(OrderNumber(0), |entry| entry.number);
        Missed { entries, committed }
    }

    /// Takes committed entries that another replica sent while this one starts.
    pub fn catch_up(&mut self, missed: Missed) -> Result<()> {
        self.log.replace_after(self.log.last(), missed.entries)?;
        self.committed = self.committed.max(missed.committed.min(self.log.last()));
        Ok(())
    }
}
