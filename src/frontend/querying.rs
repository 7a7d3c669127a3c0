//! One query: answered from the cache, by a question that another query asked the catalog, or by a question of its
//! own. Pure: asked, it says what to do next; told what the catalog answered, it stores it. Driven by
//! [`products`](super::products) and the simulation.
//!
//! Queries that miss the same toy at the same time share one question. A query that joins uses the answer only if it
//! is as new as an answer to a question asked now. Otherwise it asks by itself.

use super::cache::{Cache, Fetched, Ticket};
use crate::error::{Error, Result};
use crate::model::Moment;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// The cache, and the questions to the catalog that fill it.
pub struct Lookup<V> {
    /// What was answered.
    pub cache: Cache<V>,
    /// The newest question under way for each toy.
    fetches: HashMap<String, Arc<Fetch<V>>>,
}

/// A question to the catalog, for all queries that wait for the same toy.
struct Fetch<V> {
    ticket: Ticket,
    answer: OnceLock<Result<Fetched<V>>>,
}

/// A query on its way. Every call is told the same name.
pub struct Querying<V>(Stage<V>);

enum Stage<V> {
    New,
    Joined(Arc<Fetch<V>>),
    Asked(Arc<Fetch<V>>),
}

/// What a query needs next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<V> {
    /// The answer that another query waits for.
    Wait,
    /// The catalog's answer, to be given to [`Querying::told`].
    Ask,
    /// Nothing: this is the answer.
    Over(Result<V>),
}

impl<V> Lookup<V> {
    /// No question is under way.
    pub fn new(cache: Cache<V>) -> Lookup<V> {
        Lookup { cache, fetches: HashMap::new() }
    }
}

impl<V> Default for Querying<V> {
    fn default() -> Querying<V> {
        Querying(Stage::New)
    }
}

impl<V: Clone> Querying<V> {
    /// What to do now. After [`Next::Ask`] the catalog's answer has to be told first.
    pub fn next(&mut self, lookup: &mut Lookup<V>, name: &str, now: Moment) -> Next<V> {
        match &self.0 {
            Stage::New => {
                if let Some(value) = lookup.cache.get(name, now) {
                    return Next::Over(Ok(value));
                }
                if let Some(fetch) = lookup.fetches.get(name) {
                    self.0 = Stage::Joined(fetch.clone());
                    return Next::Wait;
                }
            }
            Stage::Joined(fetch) => match fetch.answer.get() {
                None => return Next::Wait,
                Some(Ok(fetched)) => {
                    if let Some(value) = lookup.cache.join(fetched, name, now) {
                        return Next::Over(Ok(value));
                    }
                }
                // The toy may have been added since that question was asked.
                Some(Err(Error::UnknownToy)) => {}
                Some(Err(error)) => return Next::Over(Err(error.clone())),
            },
            Stage::Asked(fetch) => {
                return match fetch.answer.get() {
                    None => Next::Ask,
                    Some(answer) => Next::Over(answer.clone().map(|fetched| fetched.value)),
                };
            }
        }
        self.ask(lookup, name);
        Next::Ask
    }

    /// It does not wait for the other query any more, but asks by itself.
    pub fn ask(&mut self, lookup: &mut Lookup<V>, name: &str) {
        let ticket = lookup.cache.begin_fetch();
        let fetch = Arc::new(Fetch { ticket, answer: OnceLock::new() });
        lookup.fetches.insert(name.to_owned(), fetch.clone());
        self.0 = Stage::Asked(fetch);
    }

    /// The catalog answered its question with this, and the version of it.
    pub fn told(&mut self, lookup: &mut Lookup<V>, name: &str, answer: Result<(u64, V)>) {
        let Stage::Asked(fetch) = &self.0 else { return };
        let store = |(version, value)| lookup.cache.store(fetch.ticket, name, version, value);
        fetch.answer.get_or_init(|| answer.map(store));
        if lookup.fetches.get(name).is_some_and(|newest| Arc::ptr_eq(newest, fetch)) {
            lookup.fetches.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A lookup that is subscribed to changes, a query that asks the catalog, and another that has joined it.
    fn joined() -> (Lookup<&'static str>, [Querying<&'static str>; 2]) {
        let mut lookup = Lookup::new(Cache::new(1));
        assert!(lookup.cache.renew(1, Moment::START, Moment::START));
        let mut queries = [Querying::default(), Querying::default()];
        let next = queries.each_mut().map(|query| query.next(&mut lookup, "Tux", Moment::START));
        assert_eq!(next, [Next::Ask, Next::Wait]);
        (lookup, queries)
    }

    #[test]
    fn who_joined_takes_what_is_as_good_as_an_answer_of_now_and_otherwise_asks() {
        let down = || Error::unavailable("down");
        for (answer, floor, expected) in [
            (Ok((2, "two")), 2, Next::Over(Ok("two"))),
            (Ok((1, "one")), 2, Next::Ask),
            (Err(Error::UnknownToy), 0, Next::Ask),
            (Err(down()), 0, Next::Over(Err(down()))),
        ] {
            let (mut lookup, [mut first, mut second]) = joined();
            lookup.cache.invalidate("Tux", floor);
            first.told(&mut lookup, "Tux", answer.clone());
            let own = answer.map(|(_, value)| value);
            assert_eq!(first.next(&mut lookup, "Tux", Moment::START), Next::Over(own));
            let over = Moment::after(Duration::from_millis(1));
            assert_eq!(second.next(&mut lookup, "Tux", over), expected);
        }
    }

    #[test]
    fn who_has_waited_too_long_asks_and_others_join_it() {
        let (mut lookup, [mut first, mut second]) = joined();
        second.ask(&mut lookup, "Tux");
        assert_eq!(second.next(&mut lookup, "Tux", Moment::START), Next::Ask);
        let mut third = Querying::default();
        assert_eq!(third.next(&mut lookup, "Tux", Moment::START), Next::Wait);
        second.told(&mut lookup, "Tux", Ok((1, "one")));
        first.told(&mut lookup, "Tux", Err(Error::UnknownToy));
        assert_eq!(third.next(&mut lookup, "Tux", Moment::START), Next::Over(Ok("one")));
    }
}
