//! The progress bar at a terminal, with the current rate.

use super::answer::Answer;
use super::load::{Load, Span};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// How often the bar is drawn. Between two drawings an answer costs it one comparison.
const INTERVAL: Duration = Duration::from_millis(100);

/// Counts answers; invisible without a terminal.
pub struct Progress {
    bar: ProgressBar,
    span: Span,
    begun: Instant,
    answers: u64,
    /// When the bar was drawn last, and the number of answers then.
    shown: (Instant, u64),
}

impl Progress {
    /// The bar of a load that begins now.
    pub fn new(load: &Load) -> Progress {
        let (length, end) = match load.span {
            Span::Requests(count) => (count, "{pos}/{len} requests"),
            Span::For(duration) => (millis(duration), "{eta} left"),
        };
        let template = format!("{{wide_bar}} {{msg}}, {end}");
        let style = ProgressStyle::with_template(&template).expect("the template is well-formed");
        let begun = Instant::now();
        let bar = ProgressBar::new(length).with_style(style);
        Progress { bar, span: load.span, begun, answers: 0, shown: (begun, 0) }
    }

    /// Counts an answer.
    pub fn count(&mut self, answer: &Answer<'_>) {
        self.answers += 1;
        let (last, before) = self.shown;
        let passed = answer.received.saturating_duration_since(last);
        if passed < INTERVAL {
            return;
        }
        self.shown = (answer.received, self.answers);
        let rate = toystore::client::report::exact(self.answers - before) / passed.as_secs_f64();
        self.bar.set_message(format!("{rate:.0} answers/s"));
        self.bar.set_position(match self.span {
            Span::Requests(_) => self.answers,
            Span::For(_) => millis(answer.received.saturating_duration_since(self.begun)),
        });
    }

    /// Removes the bar.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
