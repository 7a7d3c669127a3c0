//! What customers noticed of faults: errors, gaps, requests without an answer. Pure.

use super::{Operation, Outcome, Request};
use std::collections::BTreeMap;

/// What customers noticed.
#[derive(Debug, Default)]
pub struct Service {
    /// The number of requests.
    pub requests: usize,
    /// The number of purchases, or attempts.
    pub purchases: usize,
    /// The number of requests that were answered with "try again".
    pub unavailable: usize,
    /// The number of requests that ended without an answer.
    pub unknown: usize,
    /// The number of purchases whose outcome the customers do not know at the end.
    pub sale_is_indefinite: usize,
    /// The longest time without an answered purchase, outside the outages.
    pub longest_gap_us: u64,
    /// The longest time that a request took, outside the outages.
    pub slowest_us: u64,
    /// Failed requests outside the outages: there should be none.
    pub noticed: Vec<String>,
}

/// What customers noticed. During `outages` (from, to) they may see errors.
pub fn service(requests: &[Request], outages: &[(u64, u64)]) -> Service {
    let is_excused = |from: u64, to: u64| outages.iter().any(|(a, b)| from <= *b && *a <= to);
    let mut service = Service { requests: requests.len(), ..Service::default() };
    let mut answered = Vec::new();
    let mut purchases: BTreeMap<&str, bool> = BTreeMap::new();
    for request in requests {
        let (start_us, end_us) = (request.start_us, request.end_us);
        let excused = is_excused(start_us, end_us);
        let failed = matches!(request.outcome, Outcome::Unavailable(_) | Outcome::Unknown(_));
        let is_known = !failed && request.outcome != Outcome::Abandoned;
        if let Operation::Buy { key, .. } = &request.operation {
            *purchases.entry(key).or_default() |= is_known;
        }
        if matches!(request.outcome, Outcome::Number(_)) {
            answered.push(end_us);
        }
        service.unavailable += usize::from(matches!(request.outcome, Outcome::Unavailable(_)));
        service.unknown += usize::from(matches!(request.outcome, Outcome::Unknown(_)));
        if !excused {
            service.slowest_us = service.slowest_us.max(end_us - start_us);
            if failed {
                service.noticed.push(format!("{request:?}"));
            }
        }
    }
    answered.sort_unstable();
    let gaps = answered.windows(2).filter(|pair| !is_excused(pair[0], pair[1]));
    service.longest_gap_us = gaps.map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    service.purchases = purchases.len();
    service.sale_is_indefinite = purchases.values().filter(|is_known| !**is_known).count();
    service
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::requests::{buy, query, unknown};

    #[test]
    fn what_customers_notice_is_counted_outside_the_outages() {
        let number = |n: u64, during| buy(&format!("k{n}"), 1, during, Outcome::Number(n));
        let requests = [
            number(1, (0, 10)),
            number(2, (10, 40)),
            buy("k3", 1, (100, 110), unknown()),
            number(3, (200, 210)),
            query((400, 500), unknown()),
            buy("k4", 1, (550, 600), unknown()),
            number(5, (600, 601)),
        ];
        let service = service(&requests, &[(50, 190), (590, 595)]);
        assert_eq!((service.requests, service.purchases), (7, 5));
        assert_eq!((service.unknown, service.sale_is_indefinite), (3, 1));
        assert_eq!((service.longest_gap_us, service.slowest_us), (30, 100));
        assert_eq!(service.noticed.len(), 1, "{:?}", service.noticed);
    }
}
