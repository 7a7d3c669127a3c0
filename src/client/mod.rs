//! Simulated customers: sessions that query and buy, and at the end check all their orders.
//!
//! ```text
//! run ─▶ a thread per session: customer ─▶ choices   what to query, whether and how much to buy
//!                                      └▶ api       a kept-alive connection; retries, at the next front-end
//!     ◀─ receipts, findings                └▶ report   latencies, retries included
//! ```
//!
//! * [`choices`] (pure): the random choices of a customer, repeatable with the seed.
//! * [`api`]: the REST calls.
//! * [`customer`]: one session.
//! * [`measurements`]: latencies and counters of all sessions.
//! * [`report`]: the table and the findings of a run.
//!
//! If a session fails or panics, the others continue, and the report names the failure.

pub mod choices;
pub mod api;
pub mod customer;
pub mod report;
pub mod measurements;

use crate::config;
use crate::error::{Error, Result};
use crate::net::{Target, transport};
use api::{Api, Keys};
use choices::Choices;
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use customer::{Customer, SessionResult};
use indicatif::{ProgressBar, ProgressStyle};
use measurements::Measurements;
use parking_lot::Mutex;
use report::Report;
use std::fs::File;
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

/// The interval between two checks for an interruption.
const INTERRUPT_POLL: Duration = Duration::from_millis(20);

/// The longest wait for the current requests after an interruption.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// What the sessions of a run share.
struct Run {
    config: config::Client,
    front_ends: Vec<Target>,
    measurements: Mutex<Measurements>,
    /// One for each session.
    results: Vec<Mutex<SessionResult>>,
    progress: ProgressBar,
    /// Set by an interruption: the sessions end early.
    is_over: AtomicBool,
}

/// Runs all sessions and waits until they end, or until `interrupted` returns true. An error means that the run could
/// not begin or its orders could not be saved. Errors of the store are in the report.
pub fn run(config: &config::Client, interrupted: &dyn Fn() -> bool) -> Result<Report> {
    // Created before the run, so that a wrong path is noticed before a long run, not after it.
    let file = config.orders.as_deref().map(create).transpose()?;
    let seed = match config.seed {
        0 => fastrand::u64(1..),
        seed => seed,
    };
    let run = Arc::new(Run {
        config: config.clone(),
        front_ends: transport::public_targets(config)?,
        measurements: Mutex::default(),
        results: (0..config.sessions).map(|_| Mutex::default()).collect(),
        progress: progress(config),
        is_over: AtomicBool::new(false),
    });
    let begun = Instant::now();
    run.run_sessions(seed, interrupted);
    let elapsed = begun.elapsed();
    run.progress.finish_and_clear();
    let results = run.results.iter().map(|result| mem::take(&mut *result.lock())).collect();
    let measurements = mem::take(&mut *run.measurements.lock());
    let mut report = Report::new(seed, results, measurements, elapsed);
    report.is_interrupted = run.is_over.load(Relaxed);
    if let Some((path, file)) = file {
        report.save_orders(file).map_err(|e| Error::storage(path, "cannot write it", e))?;
    }
    Ok(report)
}

fn create(path: &Path) -> Result<(&Path, File)> {
    let file = File::create(path).map_err(|e| Error::storage(path, "cannot create it", e))?;
    Ok((path, file))
}

impl Run {
    /// Runs each session on its own thread and joins the threads. After an interruption, a thread that still waits
    /// for an answer is not joined; it ends with the process.
    fn run_sessions(self: &Arc<Run>, seed: u64, interrupted: &dyn Fn() -> bool) {
        let mut random = fastrand::Rng::with_seed(seed);
        let keys = Keys::new();
        // Nothing is sent. Each session drops its sender when it ends.
        let (at_work, all_at_work) = bounded::<()>(0);
        let mut threads = Vec::new();
        for session in 0..self.results.len() {
            let choices = Choices::new(&self.config, random.fork());
            let keys = keys.of_session(session + 1);
            let (run, at_work) = (self.clone(), at_work.clone());
            let thread = thread::Builder::new().name(format!("session-{}", session + 1));
            let started = thread.spawn(move || {
                let _at_work = at_work;
                let mut front_ends = run.front_ends.clone();
                front_ends.rotate_left(session % run.front_ends.len());
                let api = Api::new(front_ends, &run.config, keys, &run.measurements);
                let result = &run.results[session];
                Customer::new(choices, api, result).run(&run.progress, &run.is_over);
            });
            threads.push(started);
        }
        drop(at_work);
        let all_ended = self.await_end(&all_at_work, interrupted);
        for (thread, result) in threads.into_iter().zip(&self.results) {
            let failure = match thread {
                Ok(thread) if all_ended || thread.is_finished() => {
                    thread.join().is_err().then(|| "it panicked".to_owned())
                }
                Ok(_) => None,
                Err(error) => Some(format!("it could not start: {error}")),
            };
            result.lock().findings.extend(failure);
        }
    }

    /// Waits until all sessions have ended. After an interruption it waits for at most `END_PATIENCE`; `false` if a
    /// session still runs then.
    fn await_end(&self, at_work: &Receiver<()>, interrupted: &dyn Fn() -> bool) -> bool {
        let mut give_up_at = None;
        while at_work.recv_timeout(INTERRUPT_POLL) != Err(RecvTimeoutError::Disconnected) {
            if give_up_at.is_none() && interrupted() {
                self.is_over.store(true, Relaxed);
                give_up_at = Some(Instant::now() + END_PATIENCE);
            }
            if give_up_at.is_some_and(|at| Instant::now() >= at) {
                return false;
            }
        }
        true
    }
}

/// The progress bar; shown only at a terminal.
fn progress(config: &config::Client) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} queries, {eta} left")
        .expect("the template is well-formed");
    ProgressBar::new(config.sessions as u64 * config.iterations as u64).with_style(style)
}
