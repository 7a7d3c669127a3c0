//! Faults for extra credit.

use super::check::Check;
use super::failover::{all_toys, await_answers, judge_all, leader};
use crate::grade::books::await_agreement;
use crate::grade::caller::Reply;
use crate::grade::customers::{shop, usual_step};
use crate::grade::finding::{Finding, NoPoints, lost, not_graded};
use crate::grade::trial::Trial;
use std::thread;
use std::time::Duration;

/// The customers of a load, and the purchases before and after a fault.
const CUSTOMERS: u64 = 5;
const BUSINESS: usize = 20;

/// How long a leader is away at least, so that another one takes its place.
const AWAY: Duration = Duration::from_secs(2);

/// The checks of this group.
pub const CHECKS: [Check; 4] = [
    Check {
        name: "paused-leader",
        asks: "A leader that was paused does not lead beside its successor.",
        is_fresh: true,
        run: paused_leader,
    },
    Check {
        name: "partition",
        asks: "A leader that is cut off by the network does not lead beside its successor.",
        is_fresh: true,
        run: partition,
    },
    Check {
        name: "all-killed",
        asks: "When all processes are killed under load, no acknowledged order is lost or doubled.",
        is_fresh: true,
        run: all_killed,
    },
    Check {
        name: "duplicate-key",
        asks: "The same purchase sent twice with the same key is one order.",
        is_fresh: true,
        run: duplicate_key,
    },
];

/// Under a load the leader goes away and comes back. Nothing may be lost or doubled, and the logs agree.
fn leader_away(
    trial: &mut Trial<'_>,
    go: fn(&mut Trial<'_>, &str) -> Result<(), NoPoints>,
    come_back: fn(&mut Trial<'_>, &str) -> Result<(), NoPoints>,
) -> Finding {
    leader(trial)?;
    let toys = all_toys(trial);
    shop(trial, CUSTOMERS, usual_step(&toys), |trial| {
        await_answers(trial, BUSINESS)?;
        let leader = leader(trial)?;
        go(trial, &leader)?;
        thread::sleep(AWAY);
        let meanwhile = await_answers(trial, BUSINESS);
        come_back(trial, &leader)?;
        // A store may also wait for its leader.
        if let Err(NoPoints::Lost(why)) = meanwhile {
            trial.note(format!("while {leader} was away: {why}"));
        }
        await_answers(trial, BUSINESS)
    })?;
    let orders = judge_all(trial)?;
    match await_agreement(trial) {
        Err(NoPoints::NotGraded(why)) => trial.note(format!("logs were not compared: {why}")),
        other => other?,
    }
    Ok(format!("all {orders} orders are there, none twice"))
}

fn paused_leader(trial: &mut Trial<'_>) -> Finding {
    leader_away(
        trial,
        |trial, leader| {
            trial.note(format!("{leader} leads and is paused (SIGSTOP)"));
            Ok(trial.store.pause(leader)?)
        },
        |trial, leader| {
            trial.note(format!("{leader} goes on (SIGCONT)"));
            Ok(trial.store.resume(leader)?)
        },
    )
}

fn partition(trial: &mut Trial<'_>) -> Finding {
    let leader = leader(trial)?;
    if !trial.store.network().reaches(&leader) {
        return not_graded("the submission uses no {link:…}, so no process can be cut off");
    }
    leader_away(
        trial,
        |trial, leader| {
            trial.note(format!("{leader} leads and is cut off: nothing arrives from it or at it"));
            trial.store.network().isolate(leader);
            Ok(())
        },
        |trial, leader| {
            trial.note(format!("{leader} is connected again; what was sent arrives"));
            trial.store.network().release();
            Ok(())
        },
    )
}

fn all_killed(trial: &mut Trial<'_>) -> Finding {
    let toys = all_toys(trial);
    shop(trial, CUSTOMERS, usual_step(&toys), |trial| {
        await_answers(trial, BUSINESS)?;
        trial.store.kill_all()?;
        trial.note("all processes are killed (SIGKILL) under load, and started again");
        trial.store.start_all()?;
        await_answers(trial, BUSINESS)
    })?;
    let orders = judge_all(trial)?;
    Ok(format!("all {orders} orders are there, none twice"))
}

fn duplicate_key(trial: &mut Trial<'_>) -> Finding {
    if trial.submission.api().key.is_none() {
        return not_graded("the API has no key of a purchase (api.key)");
    }
    let toy = trial.toy(0)?;
    let [twice, at_once] = [(); 2].map(|()| trial.history.key());
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let exchange = trial.session()?.buy_with(&twice, toy, 1);
        numbers.push(trial.noted(exchange)?.value("a purchase with the key twice")?);
    }
    if numbers[0] != numbers[1] {
        return lost(format!("one key was given the orders {} and {}", numbers[0], numbers[1]));
    }
    let (mut first, mut second) = (trial.session()?, trial.session()?);
    let replies = thread::scope(|scope| {
        let other = scope.spawn(|| first.buy_with(&at_once, toy, 1));
        [Some(second.buy_with(&at_once, toy, 1)), other.join().ok()]
    });
    let mut numbers = Vec::new();
    for exchange in replies.into_iter().flatten() {
        if let Reply::Is(number) = trial.noted(exchange)? {
            numbers.push(number);
        }
    }
    if numbers.windows(2).any(|pair| pair[0] != pair[1]) {
        return lost(format!("one key was given the orders {numbers:?} at the same time"));
    }
    let orders = judge_all(trial)?;
    Ok(format!("two keys, each sent twice, made {orders} orders"))
}
