//! The requests of one connection, in order: the client's random [`Choices`], for each workload.
//! Pure: no answer changes them, so the same seed makes the same requests.

use super::load::Workload;
use fastrand::Rng;
use toystore::client::choices::Choices;
use toystore::client::measurements::Kind;

/// The customer of one connection. The requests never end.
#[derive(Debug)]
pub struct Customer {
    choices: Choices,
    workload: Workload,
    toys: usize,
    /// The toy that was queried and is bought next.
    wanted: Option<usize>,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// A query or a purchase.
    pub kind: Kind,
    /// The index of the toy in the list of toys.
    pub toy: usize,
}

impl Customer {
    /// The customers of this number of connections, in a store with this number of toys, at least one.
    pub fn of_each(
        connections: usize,
        seed: u64,
        workload: Workload,
        toys: usize,
    ) -> impl Iterator<Item = Customer> {
        let mut random = Rng::with_seed(seed);
        let probability = match workload {
            Workload::Mixed { probability } => probability,
            Workload::Query | Workload::Buy => 0.0,
        };
        (0..connections).map(move |_| Customer {
            choices: Choices::endless(probability, random.fork()),
            workload,
            toys,
            wanted: None,
        })
    }

    /// The next request.
    pub fn choose(&mut self) -> Choice {
        if let Some(toy) = self.wanted.take() {
            return Choice { kind: Kind::Buy, toy };
        }
        let step = self.choices.next(self.toys).expect("endless choices have a next one");
        let kind = if self.workload == Workload::Buy { Kind::Buy } else { Kind::Query };
        self.wanted = step.buy.map(|_| step.toy);
        Choice { kind, toy: step.toy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(seed: u64, workload: Workload) -> Vec<Vec<Choice>> {
        let each = Customer::of_each(3, seed, workload, 10);
        each.map(|mut customer| (0..1_000).map(|_| customer.choose()).collect()).collect()
    }

    #[test]
    fn a_seed_repeats_the_choices_of_each_connection() {
        for workload in [Workload::Query, Workload::Buy, Workload::Mixed { probability: 0.5 }] {
            assert_eq!(choices(7, workload), choices(7, workload));
            assert_ne!(choices(7, workload), choices(8, workload));
            let each = choices(7, workload);
            assert!(each[0] != each[1] && each[1] != each[2], "no connection repeats another");
        }
    }

    #[test]
    fn more_connections_leave_the_choices_of_the_others_as_they_were() {
        let mut few = Customer::of_each(1, 7, Workload::Query, 10);
        let mut many = Customer::of_each(9, 7, Workload::Query, 10);
        let (mut few, mut many) = (few.next().expect("one"), many.next().expect("nine"));
        assert!((0..100).all(|_| few.choose() == many.choose()));
    }

    #[test]
    fn what_is_bought_was_queried_just_before_and_about_as_often_as_it_should() {
        for (probability, range) in [(0.0, 0..=0), (0.25, 150..=250), (1.0, 500..=500)] {
            let choices = choices(7, Workload::Mixed { probability }).swap_remove(0);
            let pairs = choices.windows(2).filter(|pair| pair[1].kind == Kind::Buy);
            let bought: Vec<_> = pairs.collect();
            assert!(range.contains(&bought.len()), "{} at {probability}", bought.len());
            for pair in bought {
                assert_eq!(pair[0], Choice { kind: Kind::Query, toy: pair[1].toy });
            }
        }
    }
}
