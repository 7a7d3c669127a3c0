//! Reads the books of a store: the orders by look-up, and the logs of its replicas.

use super::caller::{Reply, order_at};
use super::finding::{NoPoints, lost, not_graded};
use super::orders::{Orders, difference, told};
use super::process::LOOK;
use super::store::split_url;
use super::trial::Trial;
use super::written;
use serde_json::Value;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use toystore::history::Request;
use toystore::http::Client;

/// How many unknown orders in a row are the end of the books.
const END: u64 = 5;

/// Looks all orders up.
pub fn look_all_up(trial: &mut Trial<'_>, requests: &[Request]) -> Result<Orders, NoPoints> {
    let highest = told(requests).orders.keys().max().copied().unwrap_or(0);
    let within = trial.submission.deadlines.failover();
    let mut deadline = Instant::now() + within;
    let mut caller = trial.caller()?;
    let (mut orders, mut number, mut unknown) = (Orders::new(), 1, 0);
    while number <= highest || unknown < END {
        trial.go_on()?;
        match caller.look_up(number) {
            (_, Reply::Is(order)) => {
                orders.insert(number, order);
                unknown = 0;
            }
            (_, Reply::Failed(code)) if !(500..600).contains(&code) => unknown += 1,
            // The store may be busy with a fault.
            (exchange, _) if Instant::now() > deadline => {
                trial.note(exchange.to_string());
                unknown += 1;
            }
            _ => {
                thread::sleep(LOOK * 10);
                continue;
            }
        }
        number += 1;
        deadline = Instant::now() + within;
    }
    Ok(orders)
}

/// The log of a replica.
pub fn log_of(trial: &mut Trial<'_>, replica: &str, highest: u64) -> Result<Orders, NoPoints> {
    let Some(log) = trial.store.log_of(replica) else {
        return not_graded(format!("the submission does not say where {replica} keeps its log"));
    };
    let log = log?;
    let (first, columns) = (trial.submission.first_order, trial.submission.log.columns);
    if log.starts_with("http://") {
        return asked_log(trial, &log, highest + END);
    }
    let limit = trial.submission.limits.file_mb;
    // A log that is not there yet has no orders.
    let text = written::read(trial.store.copy(), Path::new(&log), limit)?.unwrap_or_default();
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&text[..]);
    let mut orders = Orders::new();
    for row in reader.records().flatten() {
        let at = |column: usize| row.get(column.saturating_sub(1)).map(str::trim);
        let number = at(columns.number).and_then(|text| text.parse::<u64>().ok());
        let quantity = at(columns.quantity).and_then(|text| text.parse().ok());
        if let (Some(number), Some(name), Some(quantity)) = (number, at(columns.name), quantity) {
            let counted = number.checked_sub(first).map_or(0, |since| since.saturating_add(1));
            orders.insert(counted, (name.to_owned(), quantity));
        }
    }
    Ok(orders)
}

/// The log of a replica that is asked for each order.
fn asked_log(trial: &Trial<'_>, url: &str, highest: u64) -> Result<Orders, NoPoints> {
    let look_up = trial.submission.api().look_up();
    let mut orders = Orders::new();
    let mut http: Option<Client> = None;
    for number in 1..=highest {
        trial.go_on()?;
        let theirs = (number + trial.submission.first_order).saturating_sub(1);
        let (address, path) = split_url(&url.replace("{number}", &theirs.to_string()))?;
        let http =
            http.get_or_insert_with(|| Client::new(address, trial.submission.deadlines.answer()));
        let answer = http.send("GET", &path, &[], b"")?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status < 400
            && let Some(order) = order_at(&body, look_up)
        {
            orders.insert(number, order);
        }
    }
    Ok(orders)
}

/// Waits until the logs of all replicas have every order that customers were told, and are the same. The error
/// says what differs at the deadline.
pub fn await_agreement(trial: &mut Trial<'_>) -> Result<(), NoPoints> {
    let replicas: Vec<String> =
        trial.submission.replicas().map(|replica| replica.name.clone()).collect();
    if replicas.len() < 2 {
        return not_graded("there are no replicas");
    }
    let told = told(&trial.history.requests());
    if let Some(number) = told.twice {
        return lost(format!("two purchases were told number {number}"));
    }
    let highest = told.orders.keys().max().copied().unwrap_or(0);
    let within = trial.submission.deadlines.sync();
    let mut differs = None;
    let agree = trial.wait_for(within, |trial| {
        differs = None;
        let mut first: Option<Orders> = None;
        for replica in &replicas {
            let log = log_of(trial, replica, highest)?;
            differs = differs.take().or_else(|| difference(replica, &log, &told));
            let first = first.get_or_insert_with(|| log.clone());
            if differs.is_none() && *first != log {
                differs = Some(format!("the logs of {} and {replica} differ", replicas[0]));
            }
        }
        if differs.is_some() {
            thread::sleep(Duration::from_millis(50));
        }
        Ok(differs.is_none())
    })?;
    match differs.filter(|_| !agree) {
        None => Ok(()),
        Some(what) => lost(format!("after {} s {what}", within.as_secs_f64())),
    }
}
