//! Connections that stay open between requests.

use super::check::Check;
use crate::grade::caller::Caller;
use crate::grade::finding::{Finding, lost};
use crate::grade::trial::Trial;

/// The requests of a session.
const REQUESTS: usize = 10;

/// Sessions that wait.
const IDLE: usize = 20;

/// The checks of this group.
pub const CHECKS: [Check; 2] = [
    Check {
        name: "keep-alive",
        asks: "Many requests of a session are answered on one connection.",
        is_fresh: false,
        run: keep_alive,
    },
    Check {
        name: "idle-sessions",
        asks: "20 sessions that wait do not keep another from being answered.",
        is_fresh: false,
        run: idle_sessions,
    },
];

fn keep_alive(trial: &mut Trial<'_>) -> Finding {
    let toy = trial.toy(0)?;
    let (address, prefix) = trial.store.front_end()?;
    let port = trial.store.link_to(&address)?;
    let before = trial.store.network().connections(port);
    let through = (format!("127.0.0.1:{port}"), prefix);
    let mut caller = Caller::new(trial.submission, &through, trial.submission.deadlines.answer());
    for _ in 0..REQUESTS {
        let exchange = caller.query(toy);
        trial.noted(exchange)?.value(&format!("a query of {toy}"))?;
    }
    let connections = trial.store.network().connections(port) - before;
    if connections > 1 {
        return lost(format!("{REQUESTS} requests needed {connections} connections"));
    }
    Ok(format!("{REQUESTS} requests on one connection"))
}

fn idle_sessions(trial: &mut Trial<'_>) -> Finding {
    let toy = trial.toy(0)?;
    let mut idle = Vec::new();
    for number in 1..=IDLE {
        let mut caller = trial.caller()?;
        let (exchange, reply) = caller.query(toy);
        trial.go_on()?;
        if let Err(why) = reply.value(&format!("the first query of session {number}")) {
            trial.note(exchange.to_string());
            return Err(why);
        }
        idle.push(caller);
    }
    let mut busy = trial.caller()?;
    for _ in 0..REQUESTS {
        let exchange = busy.query(toy);
        trial.noted(exchange)?.value(&format!("a query beside {IDLE} idle sessions"))?;
    }
    Ok(format!("{REQUESTS} requests were answered beside {} idle sessions", idle.len()))
}
