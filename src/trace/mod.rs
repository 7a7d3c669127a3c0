//! Diagnostics: sets up `tracing` for a process, once.
//!
//! A line is formatted by the thread that has something to say, put into a bounded queue, and
//! written to standard error by a thread of its own, so that writing never blocks a request. When
//! the queue is full, lines are dropped and counted. The writer flushes when it has drained the
//! queue, so that a thousand lines in a moment cost a few system calls and one line is seen at once.
//!
//! - Events with the target `access` are the access log (F9). Switched off, one costs the load of a
//!   flag.
//! - A panic is one line as well.
//! - The last [`events`] stay in memory, for the status.

mod events;

pub use events::{EVENTS_MAX, Event, events};

use crate::config::{self, Config, LogFormat};
use events::Recorder;
use std::io::{self, BufWriter, IsTerminal};
use std::panic;
use time::OffsetDateTime;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::writer::MakeWriterExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The target of the events that make the access log.
pub const ACCESS: &str = "access";

/// Lines that may wait to be written: a tenth of a second of the fastest access log, a few MB.
const LINES_WAITING_MAX: usize = 16_384;

/// What one write call takes at most.
const WRITE_BYTES: usize = 64 * 1024;

/// Keeps the writing thread. `main` holds it to its end; dropping it writes what still waits.
#[must_use = "dropping it ends the log"]
pub struct Trace {
    /// Comes first, so that it counts what was lost before the writer ends.
    _lost: Lost,
    /// Ends and joins the writer when it is dropped.
    _writer: WorkerGuard,
}

/// Starts the diagnostics of this process. To be called once, by `main`.
pub fn start(config: &Config) -> Trace {
    let (lines, writer) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_WAITING_MAX)
        .lossy(true)
        .thread_name("trace")
        .finish(BufWriter::with_capacity(WRITE_BYTES, io::stderr()));
    let lost = Lost(lines.error_counter());
    let written = lines.with_max_level(level(config));
    let layer = tracing_subscriber::fmt::layer().with_writer(written).with_timer(UtcMilliseconds);
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let layer = match config.log.format {
        LogFormat::Text => layer.with_target(false).with_ansi(colour).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter(config)).with(layer).with(Recorder).init();
    panic::set_hook(Box::new(|panic| {
        let text = panic.to_string().replace('\n', " ");
        let thread = std::thread::current();
        tracing::error!(thread = thread.name().unwrap_or("unnamed"), "{text}");
    }));
    Trace { _lost: lost, _writer: writer }
}

/// The least important level that is written.
fn level(config: &Config) -> Level {
    match config.log.level {
        config::Level::Trace => Level::TRACE,
        config::Level::Debug => Level::DEBUG,
        config::Level::Info => Level::INFO,
        config::Level::Warn => Level::WARN,
        config::Level::Error => Level::ERROR,
    }
}

/// Which events are looked at: those to be written and those to be kept.
fn filter(config: &Config) -> Targets {
    let level = level(config);
    let access = if config.frontend.access_log { level.into() } else { LevelFilter::OFF };
    Targets::new().with_default(level.max(Level::INFO)).with_target(ACCESS, access)
}

/// Says at the end how many lines were dropped, if any.
struct Lost(ErrorCounter);

impl Drop for Lost {
    fn drop(&mut self) {
        let lines = self.0.dropped_lines();
        if lines > 0 {
            tracing::warn!(lines, "log lines were dropped because they came faster than written");
        }
    }
}

/// `2025-11-21T07:26:05.123Z`: RFC 3339, in UTC.
struct UtcMilliseconds;

impl FormatTime for UtcMilliseconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        format_moment(OffsetDateTime::now_utc(), writer)
    }
}

fn format_moment(at: OffsetDateTime, writer: &mut impl std::fmt::Write) -> std::fmt::Result {
    let (date, (hour, minute, second, ms)) = (at.date(), at.time().as_hms_milli());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    write!(writer, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_full_width() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (1_709_164_807_008, "2024-02-29T00:00:07.008Z"),
        ] {
            let at = OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(unix_ms);
            let mut written = String::new();
            format_moment(at, &mut written).expect("a string takes everything");
            assert_eq!(written, text);
        }
    }

    #[test]
    fn the_access_log_is_switched_alone_and_goes_with_the_level() {
        for (access_log, level, access_info, other_info) in [
            (true, config::Level::Info, true, true),
            (false, config::Level::Info, false, true),
            // Not written, but kept for the status.
            (true, config::Level::Warn, false, true),
        ] {
            let mut config = Config::default();
            config.frontend.access_log = access_log;
            config.log.level = level;
            let filter = filter(&config);
            assert_eq!(filter.would_enable(ACCESS, &Level::INFO), access_info);
            assert_eq!(filter.would_enable("toystore::order", &Level::INFO), other_info);
        }
    }
}
