//! `grade --check`: says what it understood of a submission file, and tries a query, a purchase and a look-up. For
//! whoever writes such a file.

use super::caller::Reply;
use super::finding::{NoPoints, readable};
use super::process::Means;
use super::store::Store;
use super::submission::{Ready, Restocked, Submission};
use super::trial::Trial;
use super::watch::Watch;
use std::fmt::Write;
use std::sync::Arc;
use toystore::error::{Error, Result};
use toystore::stop::Stop;

/// What the file says, in sentences. Writing into a `String` cannot fail.
pub fn understood(submission: &Submission) -> String {
    let api = submission.api();
    let mut out =
        format!("{}: runs in a copy of {}\n", submission.name, submission.directory.display());
    for process in submission.processes() {
        let ready = match &process.ready {
            None => "at once".to_owned(),
            Some(Ready::Port(_)) => "when its port accepts".to_owned(),
            Some(Ready::Url(url)) => format!("when {url} answers"),
            Some(Ready::Line(text)) => format!("when it prints {text:?}"),
        };
        let command = if process.command.is_empty() {
            "started by somebody else".to_owned()
        } else {
            process.command.join(" ")
        };
        let _ = writeln!(out, "  {:?} {}: {command}; ready {ready}", process.role, process.name);
    }
    let _ =
        writeln!(out, "  query: {} (quantity at {:?})", api.query().request, api.query().quantity);
    let _ = writeln!(
        out,
        "  buy: {} {} (number at {:?})",
        api.buy().request,
        api.buy().body,
        api.buy().number
    );
    let _ = writeln!(out, "  look-up: {}", api.look_up().request);
    let _ = writeln!(out, "  the first order is {}", submission.first_order);
    let _ = writeln!(out, "  toys: {:?}", submission.toys());
    if let Some(restock) = submission.restock {
        let which =
            if restock.toys == Restocked::All { "all toys" } else { "toys that are sold out" };
        let _ = writeln!(out, "  restock: {which} to {} every {} ms", restock.to, restock.every_ms);
    }
    for replica in submission.replicas() {
        let log = replica.log.as_deref().unwrap_or("nowhere that the file says");
        let _ = writeln!(out, "  the log of {} is {log}", replica.name);
    }
    out
}

/// Opens the store and tries three requests. The text has each request and its answer; the error says what is
/// wrong.
pub fn attempt(submission: &Submission, means: &Means, stop: &Arc<Stop>) -> Result<String> {
    let watch = Watch::start(submission.limits, stop.clone())?;
    let mut trial = Trial::new(submission, Store::new(submission, means, &watch)?, &watch);
    let started = trial.store.start_all().map_err(NoPoints::from);
    let outcome = started.and_then(|()| three_requests(&mut trial));
    let (evidence, log) = trial.evidence();
    let said = evidence.join("\n");
    match outcome {
        Ok(()) => Ok(format!("{said}\nIt can be graded.\n")),
        Err(NoPoints::Lost(why) | NoPoints::NotGraded(why)) => {
            let why = readable(&why);
            Err(Error::invalid(format!("{why}\n{said}\n{}", log.join("\n"))))
        }
    }
}

fn three_requests(trial: &mut Trial<'_>) -> Result<(), NoPoints> {
    let toy = trial.toy(0)?;
    trial.query(toy)?.value(&format!("a query of {toy}"))?;
    let number = trial.buy_one(toy)?;
    let Reply::Is((name, quantity)) = trial.look_up(number)? else {
        return Err(NoPoints::Lost(format!("order {number} cannot be looked up")));
    };
    if (name.as_str(), quantity) != (toy, 1) {
        return Err(NoPoints::Lost(format!("the order of 1 {toy} is shown as {quantity} {name}")));
    }
    Ok(())
}
