//! Collects a trace from all services of a store, at their peer addresses. Called by the program `trace` and by the
//! cluster page.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::http::Client;
use crate::model::Principal;
use crate::net::Transport;
use crate::net::target::Target;
use crate::protocol::web::Data;
use crate::trace::Span;
use crate::trace::context::{Context, SpanId, TraceId};
use crate::trace::path::{Piece, critical_path};
use crate::trace::span::ORDER_NUMBER;
use crate::trace::tree::Trace;
use serde::Serialize;
use std::collections::{BTreeSet, HashSet};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

/// For the answer of one service. A service that is paused does not answer; its spans are missing then.
const DEADLINE: Duration = Duration::from_secs(1);
/// What the slowest purchase is chosen from, in nanoseconds.
const LAST_MINUTE: u64 = 60_000_000_000;
/// The most traces that are asked for because they happened at the same time.
const MEANWHILE_MAX: usize = 8;
/// The requests that `last` and `slowest` are chosen from.
const PURCHASE: &str = "POST /orders";
/// What no request asks for.
const ELECTION: &str = "election";
const CATCH_UP: &str = "catch up";

/// Which trace is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// That of the last purchase.
    Last,
    /// That of the slowest purchase of the last minute.
    Slowest,
    /// That of this order.
    Order(u64),
    /// That of the last election.
    Election,
    /// That of the last time that a replica caught up.
    CatchUp,
    /// This one.
    Trace(TraceId),
}

/// A trace, and who told nothing about it.
#[derive(Debug, Serialize)]
pub struct Collected {
    /// The trace.
    #[serde(flatten)]
    pub trace: Trace,
    /// Its critical path.
    pub path: Vec<Piece>,
    /// The services that did not answer: their spans are missing.
    pub silent: Vec<String>,
}

/// The services of a store.
#[derive(Clone)]
pub struct Collector {
    front_ends: Vec<Named>,
    others: Vec<Named>,
}

/// A service, and what it is called.
type Named = (String, Target);

impl Collector {
    /// The services of this configuration.
    pub fn of(config: &Config) -> Result<Collector> {
        let transport = Transport::of(config, Principal::Tool)?;
        let mut others = Vec::new();
        for (id, catalog) in config.catalog.instances() {
            let name = if id.0 == 1 { "catalog".into() } else { format!("catalog {id}") };
            others.push((name, transport.target(&catalog.peer)?));
        }
        for (id, replica) in &config.order.replicas {
            others.push((format!("order {id}"), transport.target(&replica.peer)?));
        }
        let front_ends = config.frontend.instances().map(|(id, front)| {
            let name = if id.0 == 1 { "front-end".into() } else { format!("front-end {id}") };
            Ok((name, transport.target(&front.peer)?))
        });
        Ok(Collector { front_ends: front_ends.collect::<Result<_>>()?, others })
    }

    /// Puts a trace together.
    pub fn collect(&self, which: Which) -> Result<Collected> {
        let all = [&self.front_ends[..], &self.others].concat();
        let begun_by = if which == Which::CatchUp { &self.others } else { &self.front_ends };
        let answers = ask_all(begun_by, "/traces");
        if let [Err(error), ..] = &answers[..]
            && answers.iter().all(Result::is_err)
        {
            return Err(error.clone());
        }
        let mut requests: Vec<Span> = answers.into_iter().flatten().flatten().collect();
        requests.sort_by_key(|request| request.end);
        let Span { trace, id, start, end, .. } = choose(&requests, which)?;
        let path = format!("/traces/{trace}?from={start}&to={end}");
        let (mut services, mut silent, mut meanwhile) = (Vec::new(), Vec::new(), BTreeSet::new());
        for ((name, _), answer) in all.iter().zip(ask_all(&all, &path)) {
            let Ok(spans) = answer else {
                silent.push(name.clone());
                continue;
            };
            meanwhile.extend(spans.iter().map(|span| span.trace).filter(|other| other != trace));
            services.push((name.clone(), spans));
        }
        // A standby has no part in any trace.
        let is_catalog = |name: &String| name.starts_with("catalog");
        if services.iter().any(|(name, _)| is_catalog(name)) {
            silent.retain(|name| !is_catalog(name));
        }
        // What happened meanwhile in one service was done with the help of others.
        let known: HashSet<SpanId> =
            services.iter().flat_map(|(_, spans)| spans.iter().map(|span| span.id)).collect();
        for other in meanwhile.iter().take(MEANWHILE_MAX) {
            let answers = ask_all(&all, &format!("/traces/{other}"));
            for ((name, _), spans) in all.iter().zip(answers) {
                let new = spans.into_iter().flatten().filter(|span| !known.contains(&span.id));
                services.push((name.clone(), new.collect()));
            }
        }
        let trace = Trace::of(Context { trace: *trace, span: *id }, services)
            .ok_or_else(|| missing(which))?;
        Ok(Collected { path: critical_path(&trace), trace, silent })
    }
}

/// Asks these services, all at the same time.
fn ask_all(services: &[Named], path: &str) -> Vec<Result<Vec<Span>>> {
    thread::scope(|scope| {
        let asked = services.iter().map(|(_, target)| {
            scope.spawn(|| ask(&mut Client::new(target.clone(), DEADLINE), path))
        });
        let asked: Vec<_> = asked.collect();
        let no_answer = || Err(Error::unanswered("the thread that asked panicked"));
        asked.into_iter().map(|thread| thread.join().unwrap_or_else(|_| no_answer())).collect()
    })
}

fn ask(client: &mut Client, path: &str) -> Result<Vec<Span>> {
    let response = client.send("GET", path, &[], b"")?;
    let malformed = |why: String| Error::unanswered(format!("malformed answer to {path}: {why}"));
    if response.status != 200 {
        return Err(malformed(format!("status {}", response.status)));
    }
    let answer: Data<Vec<Span>> =
        serde_json::from_slice(&response.body).map_err(|error| malformed(error.to_string()))?;
    Ok(answer.data)
}

/// Chooses from what the services have traced, in the order of its end.
fn choose(requests: &[Span], which: Which) -> Result<&Span> {
    let newest = requests.last().map_or(0, |span| span.end);
    let mut purchases = requests.iter().filter(|span| span.name == PURCHASE);
    let last = |name: &str| requests.iter().rfind(|span| span.name == name);
    let chosen = match which {
        Which::Last => purchases.next_back(),
        Which::Slowest => {
            let recent = purchases.filter(|span| span.end + LAST_MINUTE > newest);
            recent.max_by_key(|span| span.took())
        }
        Which::Order(number) => {
            let number = number.to_string();
            purchases.rfind(|span| span.note(ORDER_NUMBER) == Some(&number))
        }
        Which::Election => last(ELECTION),
        Which::CatchUp => last(CATCH_UP),
        Which::Trace(id) => requests.iter().find(|span| span.trace == id),
    };
    chosen.ok_or_else(|| missing(which))
}

fn missing(which: Which) -> Error {
    let again = "While somebody looks, all purchases are traced: buy again";
    Error::invalid(match which {
        Which::Last | Which::Slowest => format!("no purchase was traced yet. {again}"),
        Which::Order(number) => {
            format!("order {number} was not traced, or its trace is gone. {again}")
        }
        Which::Election => "there was no election, or its trace is gone".to_owned(),
        Which::CatchUp => "no replica has caught up, or its trace is gone".to_owned(),
        Which::Trace(id) => format!("there is no trace {id}, or it is gone"),
    })
}

impl FromStr for Which {
    type Err = Error;

    fn from_str(text: &str) -> Result<Which> {
        match text {
            "last" => Ok(Which::Last),
            "slowest" => Ok(Which::Slowest),
            "election" => Ok(Which::Election),
            "catch-up" => Ok(Which::CatchUp),
            text if text.len() == 32 => text.parse().map(Which::Trace),
            text => text.parse().map(Which::Order).map_err(|_| {
                let expected = "expected last, slowest, election, catch-up, the number of an order or a trace id";
                Error::invalid(format!("{text:?}, {expected}"))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Kind;

    #[test]
    fn the_wanted_purchase_is_chosen() {
        const SECOND: u64 = 1_000_000_000;
        let request = |number: u64, name: &'static str, took: u64, end: u64| Span {
            trace: TraceId::of(number.into()),
            id: SpanId::of(1),
            parent: None,
            name: name.into(),
            kind: Kind::Request,
            start: end * SECOND - took,
            end: end * SECOND,
            error: None,
            notes: vec![(ORDER_NUMBER.into(), number.to_string())],
        };
        let requests = [
            request(1, PURCHASE, 900, 100),
            request(2, PURCHASE, 300, 110),
            request(3, PURCHASE, 200, 120),
            request(4, "GET /products", 999, 165),
            request(5, CATCH_UP, 1, 166),
            request(6, ELECTION, 1, 167),
            request(7, ELECTION, 1, 168),
        ];
        for (wanted, expected) in [
            ("last", Some(3)),
            ("slowest", Some(2)),
            ("1", Some(1)),
            ("4", None),
            ("election", Some(7)),
            ("catch-up", Some(5)),
            ("00000000000000000000000000000004", Some(4)),
        ] {
            let which = wanted.parse().expect("it can be asked for");
            let chosen = choose(&requests, which).ok().map(|span| span.trace);
            assert_eq!(chosen, expected.map(TraceId::of), "{wanted}");
        }
        assert!(choose(&[], Which::Last).is_err());
        for malformed in ["", "first", "-1", "0000000000000000000000000000000g"] {
            assert!(malformed.parse::<Which>().is_err(), "{malformed:?}");
        }
    }
}
