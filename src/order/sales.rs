//! The queue to the catalog: purchases that wait at the same time are sold with one call. Called by
//! [`purchase`](super::purchase).
//!
//! Like the threads that share a sync of a log, or the writers of `LevelDB`: a thread that finds nobody
//! asking takes all sales that wait, its own among them, to the catalog. Those that come meanwhile wait,
//! and when the call is over, the first of them takes the next turn, with all of them. A sale that has
//! waited for [`PATIENCE`] goes by itself: a slow catalog is asked by as many threads as there are, and
//! the queue is at its door (L4).
//!
//! A turn that is dropped, by a panic too, tells every sale of it that has no outcome yet that nobody
//! knows how it ended.

use super::buying::Logged;
use crate::blocking::Blocking;
use crate::error::{Error, Result};
use crate::protocol::purchase::Purchase;
use parking_lot::Mutex;
use std::mem;
use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Longer than a call takes, unless the catalog or its disk is slow.
pub const PATIENCE: Duration = Duration::from_millis(5);

/// Where sales wait.
pub struct Sales {
    patience: Duration,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Arc<Sale>>,
    /// How many threads are asking the catalog.
    asking: usize,
}

/// A purchase that is to be sold.
pub struct Sale {
    /// What is bought.
    pub purchase: Purchase,
    added: Instant,
    /// Who waits for the outcome.
    thread: Thread,
    outcome: Mutex<Option<Result<Logged>>>,
}

/// What a thread that waits for its sale finds.
pub enum Next<'a> {
    /// How the sale ended; `Unanswered` if that is not known, or the deadline passed.
    Over(Result<Logged>),
    /// It is on this thread to ask for these.
    Ask(Turn<'a>),
}

impl Sales {
    /// No sale waits longer than `patience` for the calls of others.
    pub fn new(patience: Duration) -> Sales {
        Sales { patience, queue: Mutex::default() }
    }

    /// Puts a purchase of this thread into the queue.
    pub fn add(&self, purchase: Purchase) -> Arc<Sale> {
        let (added, thread) = (Instant::now(), thread::current());
        let sale = Arc::new(Sale { purchase, added, thread, outcome: Mutex::new(None) });
        self.queue.lock().waiting.push(sale.clone());
        sale
    }

    /// Waits for the outcome of this thread's sale, or for its turn to ask.
    pub fn next(&self, sale: &Arc<Sale>, deadline: Instant) -> Next<'_> {
        loop {
            if let Some(outcome) = sale.outcome.lock().take() {
                return Next::Over(outcome);
            }
            let now = Instant::now();
            let mut queue = self.queue.lock();
            let place = queue.waiting.iter().position(|other| Arc::ptr_eq(other, sale));
            if now >= deadline {
                if let Some(place) = place {
                    queue.waiting.remove(place);
                }
                // It may have been this thread that was called.
                queue.call_first();
                return Next::Over(Err(unanswered()));
            }
            let alone_at = sale.added + self.patience;
            let sales = match place {
                Some(_) if queue.asking == 0 => mem::take(&mut queue.waiting),
                Some(place) if now >= alone_at => vec![queue.waiting.remove(place)],
                _ => vec![],
            };
            if !sales.is_empty() {
                queue.asking += 1;
                return Next::Ask(Turn { queue: &self.queue, sales, asking: true });
            }
            drop(queue);
            let until = if place.is_some() { alone_at.min(deadline) } else { deadline };
            let _waiting = Blocking::new();
            thread::park_timeout(until.saturating_duration_since(now));
        }
    }
}

impl Queue {
    /// Wakes the first that waits: it may be its turn.
    fn call_first(&self) {
        if let Some(first) = self.waiting.first() {
            first.thread.unpark();
        }
    }
}

/// The right to ask the catalog for these sales, and the duty to tell their outcomes.
pub struct Turn<'a> {
    queue: &'a Mutex<Queue>,
    sales: Vec<Arc<Sale>>,
    asking: bool,
}

impl Turn<'_> {
    /// The sales to ask for.
    pub fn sales(&self) -> &[Arc<Sale>] {
        &self.sales
    }

    /// The catalog was asked: the next may go.
    pub fn leave(&mut self) {
        if mem::take(&mut self.asking) {
            let mut queue = self.queue.lock();
            queue.asking -= 1;
            queue.call_first();
        }
    }

    /// Tells each sale how it ended.
    pub fn tell(mut self, outcomes: Vec<Result<Logged>>) {
        for (sale, outcome) in self.sales.drain(..outcomes.len()).zip(outcomes) {
            sale.tell(outcome);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.leave();
        for sale in &self.sales {
            sale.tell(Err(unanswered()));
        }
    }
}

impl Sale {
    fn tell(&self, outcome: Result<Logged>) {
        *self.outcome.lock() = Some(outcome);
        self.thread.unpark();
    }
}

fn unanswered() -> Error {
    Error::unanswered("the catalog did not answer in time")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CallId, Epoch, Item, Key, OrderNumber, Quantity};

    const SOON: Duration = Duration::from_secs(20);

    fn purchase(sequence: u64) -> Purchase {
        let call = CallId { caller: 0, incarnation: Epoch(1), sequence };
        let quantity = Quantity::try_from(1).expect("1 is a quantity");
        let item = Item { name: "Tux".parse().expect("a name"), quantity };
        Purchase { epoch: Epoch(1), call, ack_below: 1, key: Key::made(call), item }
    }

    fn number(sale: &Arc<Sale>) -> u64 {
        sale.purchase.call.sequence
    }

    fn turn<'a>(sales: &'a Sales, sale: &Arc<Sale>) -> Turn<'a> {
        match sales.next(sale, Instant::now() + SOON) {
            Next::Ask(turn) => turn,
            Next::Over(outcome) => panic!("not its turn: {outcome:?}"),
        }
    }

    fn outcome(sales: &Sales, sale: &Arc<Sale>, patience: Duration) -> Result<Logged> {
        match sales.next(sale, Instant::now() + patience) {
            Next::Over(outcome) => outcome,
            Next::Ask(_) => panic!("nobody else asked for it"),
        }
    }

    fn logged(number: u64) -> Logged {
        Logged { number: OrderNumber(number), version: number }
    }

    #[test]
    fn who_finds_nobody_asking_takes_all_that_wait_and_the_others_wait_for_the_next_turn() {
        let sales = Sales::new(SOON);
        let [first, second] = [1, 2].map(|n| sales.add(purchase(n)));
        let mut ours = turn(&sales, &second);
        assert_eq!(ours.sales().iter().map(number).collect::<Vec<_>>(), [1, 2]);
        let third = sales.add(purchase(3));
        assert!(outcome(&sales, &first, Duration::ZERO).is_err(), "it was told nothing yet");
        ours.leave();
        let theirs = turn(&sales, &third);
        ours.tell(vec![Ok(logged(7)), Err(Error::NotEnoughStock)]);
        assert_eq!(outcome(&sales, &first, SOON), Ok(logged(7)));
        assert_eq!(outcome(&sales, &second, SOON), Err(Error::NotEnoughStock));
        theirs.tell(vec![Ok(logged(8))]);
        assert_eq!(outcome(&sales, &third, SOON), Ok(logged(8)));
    }

    #[test]
    fn the_next_is_woken_and_so_is_everyone_who_was_asked_for() {
        let sales = Sales::new(SOON);
        let sale = sales.add(purchase(1));
        let ours = turn(&sales, &sale);
        thread::scope(|scope| {
            for n in 2..=5 {
                let sales = &sales;
                scope.spawn(move || {
                    let sale = sales.add(purchase(n));
                    loop {
                        match sales.next(&sale, Instant::now() + SOON) {
                            Next::Over(outcome) => return assert_eq!(outcome, Ok(logged(n))),
                            Next::Ask(turn) => {
                                let outcomes = turn.sales().iter().map(|s| Ok(logged(number(s))));
                                let outcomes = outcomes.collect();
                                turn.tell(outcomes);
                            }
                        }
                    }
                });
            }
            ours.tell(vec![Ok(logged(1))]);
        });
        assert_eq!(outcome(&sales, &sale, SOON), Ok(logged(1)));
    }

    #[test]
    fn a_slow_call_holds_nobody_up() {
        let sales = Sales::new(Duration::from_millis(1));
        let first = sales.add(purchase(1));
        let slow = turn(&sales, &first);
        let [second, third] = [2, 3].map(|n| sales.add(purchase(n)));
        for sale in [second, third] {
            let ours = turn(&sales, &sale);
            assert_eq!(ours.sales().iter().map(number).collect::<Vec<_>>(), [number(&sale)]);
        }
        slow.tell(vec![Ok(logged(1))]);
        assert_eq!(outcome(&sales, &first, SOON), Ok(logged(1)));
    }

    #[test]
    fn a_turn_that_ends_without_an_answer_leaves_nobody_waiting() {
        let sales = Sales::new(SOON);
        let [first, second] = [1, 2].map(|n| sales.add(purchase(n)));
        drop(turn(&sales, &first));
        for sale in [&first, &second] {
            assert!(matches!(outcome(&sales, sale, SOON), Err(Error::Unanswered { .. })));
        }
        let third = sales.add(purchase(3));
        assert_eq!(turn(&sales, &third).sales().len(), 1, "the next may ask");
    }

    #[test]
    fn a_thread_that_is_called_too_late_calls_the_next() {
        let sales = Sales::new(SOON);
        let first = sales.add(purchase(1));
        let mut ours = turn(&sales, &first);
        let late = sales.add(purchase(2));
        thread::scope(|scope| {
            let next = scope.spawn(|| {
                let sale = sales.add(purchase(3));
                matches!(sales.next(&sale, Instant::now() + SOON), Next::Ask(_))
            });
            while sales.queue.lock().waiting.len() < 2 {
                thread::yield_now();
            }
            ours.leave();
            assert!(outcome(&sales, &late, Duration::ZERO).is_err());
            assert!(next.join().expect("no panic"), "nobody called it");
        });
    }

    #[test]
    fn a_sale_that_nobody_asked_for_in_time_leaves_the_queue() {
        let sales = Sales::new(SOON);
        let late = sales.add(purchase(1));
        assert!(matches!(outcome(&sales, &late, Duration::ZERO), Err(Error::Unanswered { .. })));
        let next = sales.add(purchase(2));
        assert_eq!(turn(&sales, &next).sales().iter().map(number).collect::<Vec<_>>(), [2]);
    }
}
