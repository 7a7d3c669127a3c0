//! The customer's side: sessions that query and buy, and at the end check every order they were given.
//!
//! ```text
//! run ─▶ a thread per session: shopper ─▶ choices   what to query, whether and how much to buy
//!                                      └▶ api       one kept-alive connection; retries
//!     ◀─ receipts, findings                └▶ report   latencies as the customer felt them
//! ```
//!
//! * [`choices`] (pure): the random customer, repeatable by its seed.
//! * [`api`]: the REST calls.
//! * [`shopper`]: one session.
//! * [`report`]: what a run measured, counted and found.
//!
//! A session that fails or panics ends alone; the others go on, and the report says what happened.

pub mod choices;
pub mod api;
pub mod shopper;
pub mod report;

use crate::config;
use crate::error::{Error, Result};
use crate::net::transport;
use api::{Keys, Shop};
use choices::Choices;
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use report::{Report, Tally};
use shopper::{Shopper, Visit};
use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Instant;

/// Sends all sessions into the store and waits for them. An error means that the run could not begin,
/// or its orders not be saved; what went wrong in the store is in the report.
pub fn run(config: &config::Client) -> Result<Report> {
    // Made now, so that a long run does not end with a file that cannot be.
    let file = config.orders.as_deref().map(create).transpose()?;
    let seed = match config.seed {
        0 => fastrand::u64(1..),
        seed => seed,
    };
    let front_end = transport::public_target(config)?;
    let tally = Mutex::new(Tally::default());
    let progress = progress(config);
    let begun = Instant::now();
    let shop = |keys| Shop::new(front_end.clone(), config, keys, &tally);
    let visits = visit(config, seed, &shop, &progress);
    let elapsed = begun.elapsed();
    progress.finish_and_clear();
    let report = Report::new(seed, visits, tally.into_inner(), elapsed);
    if let Some((path, file)) = file {
        report.save_orders(file).map_err(|e| Error::storage(path, "cannot write it", e))?;
    }
    Ok(report)
}

fn create(path: &Path) -> Result<(&Path, File)> {
    let file = File::create(path).map_err(|e| Error::storage(path, "cannot create it", e))?;
    Ok((path, file))
}

/// Runs each session on a thread of its own; all are joined here.
fn visit<'a>(
    config: &config::Client,
    seed: u64,
    shop: &dyn Fn(Keys) -> Shop<'a>,
    progress: &ProgressBar,
) -> Vec<Visit> {
    let mut random = fastrand::Rng::with_seed(seed);
    let keys = Keys::new();
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for session in 1..=config.sessions {
            let shopper =
                Shopper::new(Choices::new(config, random.fork()), shop(keys.of_session(session)));
            let thread = thread::Builder::new().name(format!("session-{session}"));
            threads.push(thread.spawn_scoped(scope, || shopper.visit(progress)));
        }
        let joined = threads.into_iter().map(|thread| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|_| Visit::failed("it panicked")),
            Err(error) => Visit::failed(format!("it could not start: {error}")),
        });
        joined.collect()
    })
}

/// A bar for a person who waits at a terminal; invisible elsewhere.
fn progress(config: &config::Client) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} queries, {eta} left")
        .expect("the template is well-formed");
    ProgressBar::new(config.sessions as u64 * config.iterations as u64).with_style(style)
}
