//! Diagnostics: sets up `tracing` for a process, once.
//!
//! A line is formatted by the thread that logs it, and written to standard error by a separate thread
//! ([`Lines`](crate::output::Lines)), so that writing never blocks a request. Lines that cannot be
//! written are dropped and counted; the log reports their number.
//!
//! - Events with the target `access` are the access log (F9). If it is off, an event costs only the
//!   read of a flag.
//! - A panic is also logged as one line.
//! - The last [`events`] stay in memory, for the status.

mod events;

pub use events::{ACCESS, EVENTS_MAX, Event, events};

use crate::config::{self, Config, LogFormat};
use crate::error::{Error, Result};
use crate::output::Writer as Output;
use events::Recorder;
use std::io::{self, IsTerminal};
use std::panic;
use time::OffsetDateTime;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::writer::MakeWriterExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the diagnostics of this process. To be called once, by a service's `main`, which holds the result to
/// its end: dropping it writes the remaining lines.
pub fn start(config: &Config) -> Result<Output> {
    let output = Output::start("diagnostics", io::stderr(), |lines| {
        tracing::warn!(lines, "log lines were dropped because they could not be written");
    })
    .map_err(|error| Error::unavailable(format!("cannot start the log's thread: {error}")))?;
    let lines = output.lines().clone();
    let written = (move || lines.clone()).with_max_level(level(config));
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
    Ok(output)
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

/// Which events are handled: those to be written and those to be kept for the status.
fn filter(config: &Config) -> Targets {
    let level = level(config);
    let access = if config.frontend.access_log { level.into() } else { LevelFilter::OFF };
    Targets::new().with_default(level.max(Level::INFO)).with_target(ACCESS, access)
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
