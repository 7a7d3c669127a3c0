//! Where the time of a sampled request went, in short: answered to the caller with each frame, and to the customer as the
//! header `Server-Timing`, which every browser's network panel shows. Pure.

use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::ops::AddAssign;
use std::time::Duration;

/// Times in nanoseconds. They overlap: the order service's time contains most of the catalog's, and disks work at the
/// same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Took {
    /// In the leader.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub order: u64,
    /// In the catalog.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub catalog: u64,
    /// Waiting for files to be synced, in both.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub disk: u64,
}

impl Took {
    /// The time of a whole request in a service of this name.
    pub fn in_service(service: &str, nanos: u64) -> Took {
        match service.split(' ').next() {
            Some("order") => Took { order: nanos, ..Took::default() },
            Some("catalog") => Took { catalog: nanos, ..Took::default() },
            _ => Took::default(),
        }
    }

    /// The header's value, in milliseconds.
    pub fn header(&self, total: Duration) -> String {
        let nanos = u64::try_from(total.as_nanos()).unwrap_or(u64::MAX);
        let mut text = format!("total;dur={}", milliseconds(nanos));
        for (name, nanos) in [("order", self.order), ("catalog", self.catalog), ("disk", self.disk)]
        {
            if nanos > 0 {
                write!(text, ", {name};dur={}", milliseconds(nanos)).expect("a String takes it");
            }
        }
        text
    }
}

impl AddAssign for Took {
    fn add_assign(&mut self, more: Took) {
        self.order += more.order;
        self.catalog += more.catalog;
        self.disk += more.disk;
    }
}

/// Nanoseconds as milliseconds, with three decimals.
pub fn milliseconds(nanos: u64) -> String {
    let micros = nanos.saturating_add(500) / 1_000;
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(nanos: &u64) -> bool {
    *nanos == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_what_took_time_in_milliseconds() {
        let mut took = Took { order: 4_000_000, ..Took::in_service("catalog", 1_234_567) };
        took += Took { disk: 2_000, ..Took::in_service("order 3", 500_000) };
        let header = took.header(Duration::from_micros(5_100));
        assert_eq!(header, "total;dur=5.100, order;dur=4.500, catalog;dur=1.235, disk;dur=0.002");
        assert_eq!(Took::default().header(Duration::from_nanos(900)), "total;dur=0.001");
    }
}
