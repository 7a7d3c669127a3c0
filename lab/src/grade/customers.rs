//! A load: customers who shop, each on a thread of its own, while a check injects faults. The check
//! says what a customer does in each step.

use super::finding::NoPoints;
use super::session::Session;
use super::trial::Trial;
use fastrand::Rng;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// The failures of customers that are noted, one of each customer.
const NOTED_MAX: usize = 5;

/// Ends the customers, also when a check panics.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lets customers shop while `meanwhile` runs. A customer repeats `step` until it returns false or `meanwhile` has
/// ended. The last failures that customers saw are noted: whatever is judged then has its evidence.
pub fn shop<'a, T>(
    trial: &mut Trial<'a>,
    customers: u64,
    step: impl Fn(&mut Session<'a>) -> bool + Sync,
    meanwhile: impl FnOnce(&mut Trial<'a>) -> Result<T, NoPoints>,
) -> Result<T, NoPoints> {
    let mut sessions = Vec::new();
    for seed in 0..customers {
        let mut session = trial.session()?;
        session.rng = Rng::with_seed(seed + 1);
        sessions.push(session);
    }
    let is_over = AtomicBool::new(false);
    let watch = trial.watch;
    let failed = Mutex::new(Vec::new());
    let outcome = thread::scope(|scope| {
        for mut session in sessions {
            let (is_over, step, failed) = (&is_over, &step, &failed);
            // Joined by the scope; an attempt has a deadline.
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed)
                    && watch.reason().is_none()
                    && step(&mut session)
                {}
                failed.lock().extend(session.failed);
            });
        }
        let _ending = Ending(&is_over);
        meanwhile(trial)
    });
    for line in failed.into_inner().iter().rev().take(NOTED_MAX).rev() {
        trial.note(format!("the last failure of a customer: {line}"));
    }
    outcome
}

/// Lets customers shop until each of them has ended by itself.
pub fn shop_to_the_end<'a>(
    trial: &mut Trial<'a>,
    customers: u64,
    step: impl Fn(&mut Session<'a>) -> bool + Sync,
) -> Result<(), NoPoints> {
    let left = AtomicU64::new(customers);
    let counted = |session: &mut Session<'a>| {
        let goes_on = step(session);
        if !goes_on {
            left.fetch_sub(1, Ordering::Relaxed);
        }
        goes_on
    };
    shop(trial, customers, counted, |trial| {
        while left.load(Ordering::Relaxed) > 0 {
            trial.go_on()?;
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    })
}

/// A step of a usual customer: queries one of these toys or buys one of it, and thinks.
pub fn usual_step(toys: &[String]) -> impl Fn(&mut Session<'_>) -> bool + Sync {
    move |session| {
        let Some(toy) = session.rng.choice(toys) else { return false };
        if session.rng.bool() {
            session.query(toy);
        } else {
            session.buy(toy, 1);
        }
        thread::sleep(Duration::from_millis(session.rng.u64(5..20)));
        true
    }
}
