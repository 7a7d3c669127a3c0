//! Sends the spans of a service to a collector, by OTLP over HTTP. Started by the service, which owns the thread.
//!
//! Nobody waits for the collector. If it is away or slow, spans are dropped and counted.

use super::otlp;
use super::recorder::Recorder;
use super::span::Span;
use crate::config;
use crate::error::{Error, Result};
use crate::http::Client;
use crate::stop::VitalThread;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The spans that wait to be sent.
const WAITING_MAX: usize = 8_192;
/// The most spans in one request.
const BATCH_MAX: usize = 512;
/// How long a span waits for others.
const EVERY: Duration = Duration::from_secs(1);
/// For one request.
const DEADLINE: Duration = Duration::from_secs(2);

/// The thread that sends. Dropping it sends what waits, once, and joins it.
pub struct Exporter {
    /// Dropping it ends the thread. It is declared before it, so it is dropped before the thread is joined.
    _stop: Sender<()>,
    _thread: VitalThread,
}

impl Exporter {
    /// Starts it, if the settings name a collector.
    pub fn start(recorder: &Arc<Recorder>, settings: &config::Trace) -> Result<Option<Exporter>> {
        let Some(url) = &settings.otlp else { return Ok(None) };
        let address = url.strip_prefix("http://").unwrap_or(url);
        let (sender, spans) = bounded(WAITING_MAX);
        let (stop, stopped) = bounded::<()>(0);
        let sending = Sending {
            recorder: recorder.clone(),
            client: Client::new(address, DEADLINE),
            spans,
            stopped,
            is_lost: false,
        };
        let thread = VitalThread::start("otlp", move || sending.run())?;
        recorder.export_to(sender);
        Ok(Some(Exporter { _stop: stop, _thread: thread }))
    }
}

struct Sending {
    recorder: Arc<Recorder>,
    client: Client,
    spans: Receiver<Span>,
    stopped: Receiver<()>,
    /// Whether the last request failed.
    is_lost: bool,
}

impl Sending {
    fn run(mut self) {
        let mut is_over = false;
        while !is_over {
            let mut batch = Vec::new();
            is_over = self.fill(&mut batch);
            if !batch.is_empty() {
                self.send(&batch);
            }
        }
    }

    /// Waits for a full batch, or for the time of one. Returns whether it is the last one.
    fn fill(&self, batch: &mut Vec<Span>) -> bool {
        let until = Instant::now() + EVERY;
        while batch.len() < BATCH_MAX {
            let left = until.saturating_duration_since(Instant::now());
            select! {
                recv(self.spans) -> span => batch.extend(span),
                recv(self.stopped) -> _ => {
                    batch.extend(self.spans.try_iter().take(BATCH_MAX - batch.len()));
                    return true;
                }
                default(left) => return false,
            }
        }
        false
    }

    /// Sends a batch, once. What fails is not sent again: the spans that come after it are worth more.
    fn send(&mut self, batch: &[Span]) {
        let body = otlp::request(self.recorder.service(), batch).to_string();
        let headers = [("Content-Type", "application/json")];
        let response = self.client.send("POST", otlp::PATH, &headers, body.as_bytes());
        let outcome = response.and_then(|response| match response.status {
            200..300 => Ok(()),
            status => Err(Error::unanswered(format!("it answered with status {status}"))),
        });
        if let Err(error) = &outcome {
            self.recorder.add_unsent(batch.len() as u64);
            if !self.is_lost {
                tracing::warn!("spans are not sent to the collector of trace.otlp: {error}");
            }
        } else if self.is_lost {
            tracing::info!("spans are sent to the collector of trace.otlp again");
        }
        self.is_lost = outcome.is_err();
    }
}
