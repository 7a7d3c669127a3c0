//! What must hold between the entries of a submission file. Pure.

use super::api::is_sendable;
use super::file::{Faults, Leader, Port, Process, Ready, Role, Submission};
use super::template::{PortOf, expand};
use core::net::IpAddr;
use std::collections::BTreeSet;
use std::path::Path;

/// A rule that is broken: the byte of the file, and why.
type Broken = (usize, String);

/// The fewest toys: checks do not disturb each other if they buy different toys.
const TOYS_MIN: usize = 4;

/// The smallest first stock: no check fails because it buys more of a toy.
pub const STOCK_MIN: u64 = 10;

pub(super) fn check(submission: &Submission) -> Result<(), Broken> {
    let at_toys = submission.toys.span().start;
    let toys = submission.toys();
    if toys.len() < TOYS_MIN {
        return Err((at_toys, format!("[toys] has {}, expected {TOYS_MIN} or more", toys.len())));
    }
    if let Some((name, stock)) = toys.iter().find(|(_, stock)| **stock < STOCK_MIN) {
        return Err((
            at_toys,
            format!("{name} has a stock of {stock}, expected {STOCK_MIN} or more"),
        ));
    }
    if let Some(capacity) = submission.cache.capacity
        && (capacity == 0 || capacity >= toys.len())
    {
        let why = format!(
            "[cache] capacity is {capacity}, expected at least 1 and less than the {} toys",
            toys.len()
        );
        return Err((at_toys, why));
    }
    let mut names = BTreeSet::new();
    for process in &submission.processes {
        let at = process.span().start;
        let process = process.get_ref();
        if !names.insert(&process.name) {
            return Err((at, format!("two processes have the name {:?}", process.name)));
        }
        of_process(submission, process)
            .map_err(|why| (at, format!("process {:?}: {why}", process.name)))?;
    }
    let at = submission.api.span().start;
    let url = |url: &str| {
        is_near(submission, url).and_then(|()| placeholders(submission, None, url, &[]))
    };
    url(&submission.api().url).map_err(|why| (at, format!("api.url: {why}")))?;
    of_requests(submission).map_err(|why| (at, why))?;
    if let Leader::Ask { url: asked, .. } = &submission.leader {
        url(asked).map_err(|why| (at, format!("leader.url: {why}")))?;
    }
    Ok(())
}

/// Whether a URL can be sent, and leads to this machine or may lead elsewhere.
fn is_near(submission: &Submission, url: &str) -> Result<(), String> {
    is_sendable(url)?;
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(ipv6) => ipv6.split(']').next(),
        None => authority.split(':').next(),
    };
    let host = host.unwrap_or_default();
    let is_loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if is_loopback || submission.remote {
        return Ok(());
    }
    Err(format!("{url:?} is not on this machine; say remote = true if that is meant"))
}

fn of_process(submission: &Submission, process: &Process) -> Result<(), String> {
    let Process { name, role, id, command, directory, environment, ready, log, faults, .. } =
        process;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) {
        return Err("a name has letters, digits, - and _".into());
    }
    if *role == Role::Order && id.is_none() {
        return Err("a replica needs an id: id = 1".into());
    }
    let twins = submission.replicas().filter(|other| other.id == *id && *role == Role::Order);
    if twins.count() > 1 {
        return Err("two replicas have this id".into());
    }
    let Faults { kill, start, pause, resume } = faults;
    let has_faults = [kill, start, pause, resume].iter().any(|command| !command.is_empty());
    if command.is_empty() && !has_faults && ready.is_none() && log.is_none() {
        return Err(
            "it has no command; a process that somebody else starts needs faults or ready".into()
        );
    }
    if !command.is_empty() && ready.is_none() {
        return Err(
            "say when it is ready: ready = { port = 8081 }, { url = \"…\" } or { line = \"…\" }"
                .into(),
        );
    }
    if !is_inside(directory) {
        return Err("directory is relative and in the submission".into());
    }
    let mine = |text: &String| {
        placeholders(submission, Some(process), text, &["copy", "submission", "id", "name"])
    };
    command.iter().chain(environment.values()).try_for_each(mine)?;
    match ready {
        Some(Ready::Url(url)) => is_near(submission, url).and_then(|()| mine(url))?,
        Some(Ready::Port(Port::Template(text))) => mine(text)?,
        Some(Ready::Line(_) | Ready::Port(Port::Number(_))) | None => {}
    }
    let Some(log) = log else { return Ok(()) };
    if log.starts_with("http") {
        is_near(submission, log)?;
        if !log.contains("{number}") {
            return Err("log is a URL without {number}".into());
        }
    } else if !is_inside(Path::new(log.strip_prefix("{copy}/").unwrap_or(log))) {
        return Err("log is relative and in the copy".into());
    }
    placeholders(submission, Some(process), log, &["copy", "id", "name", "number"])
}

fn is_inside(path: &Path) -> bool {
    path.is_relative() && path.components().all(|part| part.as_os_str() != "..")
}

fn of_requests(submission: &Submission) -> Result<(), String> {
    let api = submission.api();
    let requests = [
        ("query.request", &api.query().request, "name"),
        ("look_up.request", &api.look_up().request, "number"),
    ];
    for (key, request, needed) in requests {
        expand(request, |word| (word == needed).then(String::new))
            .map_err(|word| format!("api.{key} has {{{word}}}, expected {{{needed}}}"))?;
        if !request.contains(&format!("{{{needed}}}")) {
            return Err(format!("api.{key} needs {{{needed}}}"));
        }
    }
    let buy = api.buy();
    let all = format!("{} {}", buy.request, buy.body);
    expand(&all, |word| ["name", "quantity"].contains(&word).then(String::new))
        .map_err(|word| format!("api.buy has {{{word}}}, expected {{name}} and {{quantity}}"))?;
    match ["{name}", "{quantity}"].iter().find(|word| !all.contains(**word)) {
        Some(word) => Err(format!("api.buy needs {word}")),
        None => Ok(()),
    }
}

/// Checks that each placeholder names one of these words or a port that exists.
fn placeholders(
    submission: &Submission,
    own: Option<&Process>,
    text: &str,
    words: &[&str],
) -> Result<(), String> {
    let known = |word: &str| {
        let is_word = words.contains(&word);
        let port = || {
            let PortOf { process, port, is_link } = PortOf::parse(word)?;
            let process = match process {
                Some(name) => submission.process(name)?,
                None => own?,
            };
            let is_allowed = own.is_some() || !is_link;
            (is_allowed && process.ports.contains_key(port)).then(String::new)
        };
        if is_word { Some(String::new()) } else { port() }
    };
    expand(text, known).map(drop).map_err(|word| {
        let advice = match PortOf::parse(&word) {
            Some(_) => "expected a port that is in the ports of a process",
            None => "expected port, link, copy, submission, id or name",
        };
        format!("{text:?} has {{{word}}}: {advice}")
    })
}
