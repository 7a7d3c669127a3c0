//! What the cache of the front-end holds: the toys that were used last, as many as it should, and no others.
//!
//! A round queries toys in a random order and then looks which ones are answered while the catalog is paused. A cache
//! that evicts other toys holds the right ones by chance in some rounds, but not in nearly all of them.

use super::cache::{PATIENCE_MIN, SLOWER_MAX, await_answer_without_catalog, catalog};
use super::check::Check;
use crate::grade::caller::{Exchange, Reply};
use crate::grade::finding::{Finding, NoPoints, lost, not_graded};
use crate::grade::trial::Trial;
use fastrand::Rng;
use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

/// How much longer to wait for an answer from the cache. Long, because only a wrong cache needs it.
const ANSWER: Duration = Duration::from_secs(1);

/// A toy is not in the cache if it was not answered after so many looks, while another one was after each.
const LOOKS: u32 = 5;

/// The most toys of a round that should not be in the cache: each keeps a thread of the store waiting.
const EVICTED_MAX: usize = 3;

/// Points are lost after so many rounds with another cache: one may be an accident on a busy machine.
const WRONG_MAX: usize = 2;

/// The check of this file.
pub const CHECKS: [Check; 1] = [Check {
    name: "eviction",
    asks: "The cache holds as many toys as it should, and evicts the least recently used.",
    is_fresh: true,
    run: eviction,
}];

/// The queries of a round, and what the cache must hold after them.
struct Round<'a> {
    queries: Vec<&'a str>,
    /// The one that was queried last comes first.
    kept: Vec<&'a str>,
    evicted: Vec<&'a str>,
}

impl<'a> Round<'a> {
    fn random(rng: &mut Rng, all: &[&'a str], capacity: usize) -> Round<'a> {
        let evicted = (all.len() - capacity).min(EVICTED_MAX);
        let mut toys = all.to_vec();
        rng.shuffle(&mut toys);
        toys.truncate(capacity + evicted);
        // The one that would be evicted next is used once more, so that its neighbour is: by age alone it would not be.
        let queries = [&toys[..], &[toys[evicted], toys[0]]].concat();
        let mut kept = Vec::new();
        for toy in queries.iter().rev() {
            if kept.len() < capacity && !kept.contains(toy) {
                kept.push(*toy);
            }
        }
        toys.retain(|toy| !kept.contains(toy));
        Round { queries, kept, evicted: toys }
    }

    /// So many rounds find a cache that evicts at random, or the oldest: it passes with a probability below one in a
    /// million. A small cache is more often right by chance.
    fn count(capacity: usize) -> usize {
        8 + 66 / capacity
    }
}

fn eviction(trial: &mut Trial<'_>) -> Finding {
    let Some(capacity) = trial.submission.cache.capacity else {
        return not_graded("the submission gives no capacity of a cache");
    };
    let toys: Vec<&str> = trial.submission.toys().keys().map(String::as_str).collect();
    let within = trial.submission.deadlines.failover();
    let (mut rng, count, mut wrong) = (Rng::with_seed(1), Round::count(capacity), 0);
    for _ in 0..count {
        let round = Round::random(&mut rng, &toys, capacity);
        let mut seen = None;
        trial.wait_for(within, |trial| {
            if fill(trial, &round)? {
                seen = look(trial, &round)?;
            }
            Ok(seen.is_some())
        })?;
        match seen {
            None => return not_graded("the cache did not answer while the catalog was paused"),
            Some(Ok(())) => {}
            Some(Err(what)) => {
                trial.note(&what);
                wrong += 1;
                if wrong == WRONG_MAX {
                    return lost(what);
                }
            }
        }
    }
    Ok(format!(
        "in {count} rounds the cache held the {capacity} toys that were used last, and no others"
    ))
}

/// Makes the queries of a round. False if the cache does not work, or one of them fails.
fn fill(trial: &mut Trial<'_>, round: &Round<'_>) -> Result<bool, NoPoints> {
    if !await_answer_without_catalog(trial, round.kept[0])? {
        return Ok(false);
    }
    for toy in &round.queries {
        if !matches!(trial.query(toy)?, Reply::Is(_)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Pauses the catalog, and queries the toys of a round: whether the cache holds those that it should, or how not.
/// Nothing if it is not sure: a cache may hold for a short time only without the catalog, and on a busy machine that
/// may be over.
fn look<'a>(
    trial: &mut Trial<'a>,
    round: &Round<'a>,
) -> Result<Option<Result<(), String>>, NoPoints> {
    let catalog = catalog(trial)?;
    let begun = Instant::now();
    trial.query(round.kept[0])?;
    let usual = SLOWER_MAX * begun.elapsed();
    trial.store.pause(&catalog)?;
    trial.note(format!("{catalog} is paused (SIGSTOP)"));
    thread::scope(|scope| {
        let seen = compare(trial, scope, round, usual);
        // Before the scope waits for queries that need the catalog: their answers must not change the cache later.
        trial.store.resume(&catalog)?;
        trial.note(format!("{catalog} goes on (SIGCONT)"));
        seen
    })
}

fn compare<'scope, 'a: 'scope>(
    trial: &mut Trial<'a>,
    scope: &'scope Scope<'scope, '_>,
    round: &Round<'a>,
    usual: Duration,
) -> Result<Option<Result<(), String>>, NoPoints> {
    let [last, others @ ..] = &round.kept[..] else { return Ok(None) };
    let is_kept = |trial: &mut Trial<'a>| -> Result<bool, NoPoints> {
        let mut asked = Asked::new(trial, scope, &[*last])?;
        Ok(!asked.answered_within(trial, usual + ANSWER)?.is_empty())
    };
    let is_wrong = |toy: &str, was: &str| {
        let (count, queries) = (round.kept.len(), round.queries.join(", "));
        format!(
            "{toy} was {was} while the catalog was paused; the last {count} toys of {queries} should be"
        )
    };
    if !is_kept(trial)? {
        return Ok(None);
    }
    let mut asked = Asked::new(trial, scope, others)?;
    for look in 1.. {
        let there = asked.answered_within(trial, usual + ANSWER)?;
        let Some(missing) = others.iter().find(|toy| !there.contains(*toy)) else { break };
        if look == LOOKS {
            return Ok(Some(Err(is_wrong(missing, "not answered"))));
        }
        if !is_kept(trial)? {
            return Ok(None);
        }
    }
    let mut asked = Asked::new(trial, scope, &round.evicted)?;
    let there = asked.answered_within(trial, usual + PATIENCE_MIN)?;
    Ok(Some(there.first().map_or(Ok(()), |toy| Err(is_wrong(toy, "answered")))))
}

/// Queries of toys at the same time, on a connection each. The scope waits for all of them.
struct Asked<'a> {
    answers: mpsc::Receiver<(&'a str, (Exchange, Reply<u64>))>,
    answered: BTreeSet<&'a str>,
}

impl<'a> Asked<'a> {
    fn new<'scope>(
        trial: &mut Trial<'a>,
        scope: &'scope Scope<'scope, '_>,
        toys: &[&'a str],
    ) -> Result<Asked<'a>, NoPoints>
    where
        'a: 'scope,
    {
        let (sender, answers) = mpsc::channel();
        for toy in toys {
            let (mut session, sender, toy) = (trial.session()?, sender.clone(), *toy);
            // An error if nobody waits any more.
            scope.spawn(move || sender.send((toy, session.query(toy))).ok());
        }
        Ok(Asked { answers, answered: BTreeSet::new() })
    }

    /// Those that were answered until now, or are within this time.
    fn answered_within(
        &mut self,
        trial: &mut Trial<'a>,
        within: Duration,
    ) -> Result<&BTreeSet<&'a str>, NoPoints> {
        let deadline = Instant::now() + within;
        let left = || deadline.saturating_duration_since(Instant::now());
        while let Ok((toy, exchange)) = self.answers.recv_timeout(left()) {
            if matches!(trial.noted(exchange)?, Reply::Is(_)) {
                self.answered.insert(toy);
            }
        }
        Ok(&self.answered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cache that evicts one of its toys: which one is its rule. Toys are in the order of their use or of their age.
    struct Cache<'a> {
        toys: Vec<&'a str>,
        capacity: usize,
        is_used_counted: bool,
        evict: fn(&mut Rng, usize) -> usize,
    }

    impl<'a> Cache<'a> {
        fn query(&mut self, rng: &mut Rng, toy: &'a str) {
            match self.toys.iter().position(|held| *held == toy) {
                Some(at) if self.is_used_counted => drop(self.toys.remove(at)),
                Some(_) => return,
                None if self.toys.len() == self.capacity => {
                    let at = (self.evict)(rng, self.capacity);
                    self.toys.remove(at);
                }
                None => {}
            }
            self.toys.push(toy);
        }

        /// How often it held the right toys after a round.
        fn share_right(&mut self, all: &[&'a str], capacity: usize) -> f64 {
            const ROUNDS: u32 = 4_000;
            let (mut rng, mut right) = (Rng::with_seed(1), 0);
            for _ in 0..ROUNDS {
                let round = Round::random(&mut rng, all, capacity);
                round.queries.iter().for_each(|toy| self.query(&mut rng, toy));
                let holds = |toy: &&str| self.toys.contains(toy);
                let is_right = round.kept.iter().all(holds) && !round.evicted.iter().any(holds);
                right += u32::from(is_right);
                // They were queried when the store was looked at.
                round.evicted.iter().for_each(|toy| self.query(&mut rng, toy));
            }
            f64::from(right) / f64::from(ROUNDS)
        }
    }

    #[test]
    fn only_the_least_recently_used_toys_are_evicted_for_long() {
        const TOYS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        for (capacity, toys) in [(7, 10), (7, 8), (9, 10), (5, 8), (4, 7), (3, 4), (2, 4)] {
            let share = |held, is_used_counted, evict: fn(&mut Rng, usize) -> usize| {
                let mut cache = Cache { toys: vec![], capacity: held, is_used_counted, evict };
                cache.share_right(&TOYS[..toys], capacity)
            };
            let what = format!("capacity {capacity}, {toys} toys");
            assert_eq!(share(capacity, true, |_, _| 0).to_string(), "1", "{what}");
            assert_eq!(share(capacity + 1, true, |_, _| 0).to_string(), "0", "{what}");
            assert_eq!(share(capacity - 1, true, |_, _| 0).to_string(), "0", "{what}");
            let at_random = share(capacity, true, |rng, count| rng.usize(..count));
            let oldest = share(capacity, false, |_, _| 0);
            for right in [at_random, oldest] {
                // It passes if all rounds are right, or all but one.
                let rounds = i32::try_from(Round::count(capacity)).expect("a few");
                let all_but_one = f64::from(rounds) * (1.0 - right) * right.powi(rounds - 1);
                let passes = right.powi(rounds) + all_but_one;
                assert!(passes < 1e-6, "{what}: {right} are right, {rounds} rounds: {passes}");
            }
        }
    }
}
