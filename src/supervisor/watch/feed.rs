//! The list of events: those of all services, each once, and those of the supervisor. Pure.

use crate::monitoring::status::Event;
use crate::supervisor::service::ServiceId;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Older entries are dropped.
const ENTRIES_MAX: usize = 400;

/// The refusals of this period become one entry, because there may be hundreds per second.
const REFUSALS_EVERY_MS: u64 = 2_000;

/// The last events, in the order in which they were received.
#[derive(Default)]
pub struct Feed {
    entries: VecDeque<Entry>,
    /// The number of the last entry.
    last: u64,
    /// For each service, its process id and the number of its last event.
    seen: BTreeMap<ServiceId, (u32, u64)>,
    refusals: u64,
    refusals_told_ms: u64,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its number, from 1.
    pub number: u64,
    /// Its time, in milliseconds since 1970.
    unix_ms: u64,
    /// The service that reported it.
    who: String,
    /// `INFO`, `WARN` or `ERROR`.
    level: String,
    /// Its message.
    text: String,
}

impl Feed {
    /// Adds the new events of a process of a service.
    pub fn add_events(&mut self, service: ServiceId, pid: u32, events: &[Event]) {
        let last = match self.seen.get(&service) {
            Some((same, last)) if *same == pid => *last,
            _ => 0,
        };
        for event in events.iter().filter(|event| event.number > last) {
            self.add(event.unix_ms, &service.to_string(), &event.level, &event.text);
            self.seen.insert(service, (pid, event.number));
        }
    }

    /// Adds an event of the supervisor.
    pub fn add_own(&mut self, unix_ms: u64, text: &str) {
        self.add(unix_ms, "run-all", "INFO", text);
    }

    /// Counts purchases that the front-end refused since the last call.
    pub fn refused(&mut self, unix_ms: u64, purchases: u64) {
        self.refusals += purchases;
        if self.refusals == 0 || unix_ms < self.refusals_told_ms + REFUSALS_EVERY_MS {
            return;
        }
        let count = std::mem::take(&mut self.refusals);
        self.refusals_told_ms = unix_ms;
        let text = match count {
            1 => "refused a purchase: not enough stock, or a wrong request".to_owned(),
            _ => format!("refused {count} purchases: not enough stock, or wrong requests"),
        };
        self.add(unix_ms, &ServiceId::FIRST_FRONT_END.to_string(), "INFO", &text);
    }

    /// The entries after this number.
    pub fn after(&self, number: u64) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.number > number)
    }

    fn add(&mut self, unix_ms: u64, who: &str, level: &str, text: &str) {
        self.last += 1;
        let (who, level, text) = (who.to_owned(), level.to_owned(), text.to_owned());
        self.entries.push_back(Entry { number: self.last, unix_ms, who, level, text });
        if self.entries.len() > ENTRIES_MAX {
            self.entries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64) -> Event {
        let (level, text) = ("INFO".to_owned(), format!("event {number}"));
        Event { number, unix_ms: number, level, text }
    }

    fn texts(feed: &Feed) -> Vec<&str> {
        feed.after(0).map(|entry| entry.text.as_str()).collect()
    }

    #[test]
    fn an_event_is_told_once_whatever_is_repeated_and_a_new_process_begins_anew() {
        let mut feed = Feed::default();
        feed.add_events(ServiceId::FIRST_CATALOG, 7, &[event(1), event(2)]);
        feed.add_events(ServiceId::FIRST_CATALOG, 7, &[event(1), event(2), event(3)]);
        assert_eq!(texts(&feed), ["event 1", "event 2", "event 3"]);
        feed.add_events(ServiceId::FIRST_CATALOG, 8, &[event(1)]);
        assert_eq!(texts(&feed), ["event 1", "event 2", "event 3", "event 1"]);
        assert_eq!(feed.after(3).map(|entry| entry.number).collect::<Vec<_>>(), [4]);
    }

    #[test]
    fn refusals_are_told_together_and_the_feed_is_bounded() {
        let mut feed = Feed::default();
        for (unix_ms, purchases) in
            [(10_000, 1), (10_100, 5), (10_200, 0), (12_000, 3), (15_000, 0)]
        {
            feed.refused(unix_ms, purchases);
        }
        assert_eq!(
            texts(&feed),
            [
                "refused a purchase: not enough stock, or a wrong request",
                "refused 8 purchases: not enough stock, or wrong requests"
            ]
        );
        for number in 1..1_000 {
            feed.add_own(number, "again");
        }
        assert_eq!(feed.after(0).count(), ENTRIES_MAX);
    }
}
