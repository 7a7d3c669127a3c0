//! The last lines of the log of this process, for its status: level INFO and above, independent of the
//! level that is written, without the access log. Filled by a layer that [`start`](super::start) adds.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use time::OffsetDateTime;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::layer::Context;

/// The target of the events that make the access log.
pub const ACCESS: &str = "access";

/// How many are kept.
pub const EVENTS_MAX: usize = 100;

/// A line of a service's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts from 1 in each process.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// `INFO`, `WARN` or `ERROR`.
    pub level: String,
    /// What happened, as it is printed.
    pub text: String,
}

/// One for the whole process, like the log.
static EVENTS: Mutex<Ring> = Mutex::new(Ring { events: VecDeque::new(), last: 0 });

/// The last events, the oldest first.
pub fn events() -> Vec<Event> {
    EVENTS.lock().events.iter().cloned().collect()
}

/// The newest events; a new one replaces the oldest.
struct Ring {
    events: VecDeque<Event>,
    last: u64,
}

impl Ring {
    fn push(&mut self, level: Level, text: String) {
        let unix_ms = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        self.last += 1;
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(Event {
            number: self.last,
            unix_ms: u64::try_from(unix_ms).unwrap_or(0),
            level: level.to_string(),
            text,
        });
    }
}

/// Keeps the events.
pub(super) struct Recorder;

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        // Checked here, not by a filter of this layer: such a filter would run for every line of the
        // access log.
        let level = *event.metadata().level();
        if level > Level::INFO || event.metadata().target() == ACCESS {
            return;
        }
        let mut text = String::new();
        if DefaultFields::new().format_fields(Writer::new(&mut text), event).is_ok() {
            EVENTS.lock().push(level, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn the_last_events_are_kept_as_printed_and_no_more() {
        let recorder = tracing_subscriber::registry().with(Recorder);
        tracing::subscriber::with_default(recorder, || {
            tracing::info!("the first");
            tracing::debug!("not important");
            tracing::info!(target: ACCESS, "a request");
            for _ in 0..EVENTS_MAX - 1 {
                tracing::info!("one more");
            }
            tracing::warn!(replica = 3, "cannot be {}", "reached");
        });
        let events = events();
        assert_eq!(events.len(), EVENTS_MAX);
        let last = events.last().expect("not empty");
        assert_eq!(
            (last.level.as_str(), last.text.as_str()),
            ("WARN", "cannot be reached replica=3")
        );
        assert_eq!(last.number, EVENTS_MAX as u64 + 1, "neither debug nor access lines count");
        assert_eq!(events[0].number, 2, "the first was removed");
    }
}
