//! The random choices of a customer (K1). Pure: all random numbers come from the given generator, so
//! the same seed repeats a run.
//!
//! - A step draws the same random numbers whatever the store answers, so a sold-out toy does not
//!   change the following steps.

use crate::config;
use crate::model::Quantity;
use fastrand::Rng;

/// The largest quantity of one purchase.
const QUANTITY_MAX: u64 = 5;

/// The choices of one session.
#[derive(Debug)]
pub struct Choices {
    random: Rng,
    left: usize,
    rule: Rule,
}

/// Which queries are followed by a purchase.
#[derive(Debug)]
enum Rule {
    /// Each query, with this probability.
    Bernoulli(f64),
    /// Exactly this many of the remaining queries.
    Exactly(usize),
}

/// One step of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The index of the toy to query.
    pub toy: usize,
    /// The quantity to buy; `None` for no purchase.
    pub buy: Option<Quantity>,
}

impl Choices {
    /// The choices of a session with this configuration.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a probability of at most 1 times at most 10^9 iterations"
    )]
    pub fn new(config: &config::Client, random: Rng) -> Choices {
        let rule = if config.exactly {
            Rule::Exactly((config.iterations as f64 * config.probability).round() as usize)
        } else {
            Rule::Bernoulli(config.probability)
        };
        Choices { random, left: config.iterations, rule }
    }

    /// The choices of an endless session that buys with this probability.
    pub fn endless(probability: f64, random: Rng) -> Choices {
        Choices { random, left: usize::MAX, rule: Rule::Bernoulli(probability) }
    }

    /// The next step, in a store with this many toys, at least one; `None` after the last step.
    pub fn next(&mut self, toys: usize) -> Option<Step> {
        let left = self.left;
        self.left = left.checked_sub(1)?;
        let toy = self.random.usize(..toys);
        let quantity = self.random.u64(1..=QUANTITY_MAX);
        let buys = match &mut self.rule {
            Rule::Bernoulli(probability) => self.random.f64() < *probability,
            // Selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S): all
            // sets of positions are equally likely, and no set has to be stored.
            Rule::Exactly(wanted) => {
                let chosen = self.random.usize(..left) < *wanted;
                *wanted -= usize::from(chosen);
                chosen
            }
        };
        let quantity = Quantity::try_from(quantity).expect("1 to 5 is a quantity");
        Some(Step { toy, buy: buys.then_some(quantity) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Choices, Rng, Step, config};
    use proptest::prelude::*;

    fn steps(config: &config::Client, seed: u64) -> Vec<Step> {
        let mut choices = Choices::new(config, Rng::with_seed(seed));
        std::iter::from_fn(|| choices.next(10)).collect()
    }

    fn config(iterations: usize, probability: f64, exactly: bool) -> config::Client {
        config::Client { iterations, probability, exactly, ..config::Client::default() }
    }

    fn purchases(steps: &[Step]) -> usize {
        steps.iter().filter(|step| step.buy.is_some()).count()
    }

    proptest! {
        #[test]
        fn exactly_means_exactly(n in 1usize..300, p in 0.0..=1.0, seed: u64) {
            let steps = steps(&config(n, p, true), seed);
            prop_assert_eq!(steps.len(), n);
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let wanted = (n as f64 * p).round() as usize;
            prop_assert_eq!(purchases(&steps), wanted);
        }

        #[test]
        fn every_toy_and_quantity_is_in_range(p in 0.0..=1.0, exactly: bool, seed: u64) {
            for step in steps(&config(100, p, exactly), seed) {
                prop_assert!(step.toy < 10);
                prop_assert!(step.buy.is_none_or(|quantity| (1..=5).contains(&quantity.get())));
            }
        }

        #[test]
        fn a_seed_repeats_its_choices(exactly: bool, seed: u64) {
            let config = config(50, 0.5, exactly);
            prop_assert_eq!(steps(&config, seed), steps(&config, seed));
            prop_assert_ne!(steps(&config, seed), steps(&config, seed.wrapping_add(1)));
        }
    }

    #[test]
    fn chance_buys_about_as_often_as_it_should() {
        for (probability, range) in [(0.0, 0..=0), (0.2, 1_800..=2_200), (1.0, 10_000..=10_000)] {
            let count = purchases(&steps(&config(10_000, probability, false), 7));
            assert!(range.contains(&count), "{count} of 10000 at {probability}");
        }
    }

    #[test]
    fn exact_positions_are_spread_over_the_session() {
        let mut chosen = [0; 10];
        for seed in 0..1_000 {
            for (place, step) in steps(&config(10, 0.3, true), seed).iter().enumerate() {
                chosen[place] += usize::from(step.buy.is_some());
            }
        }
        assert!(chosen.iter().all(|count| (200..=400).contains(count)), "{chosen:?}");
    }
}
