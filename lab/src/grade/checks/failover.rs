//! Processes are killed, and started again.

use super::check::Check;
use super::concurrency::expect_rest;
use crate::grade::books::{await_agreement, look_all_up};
use crate::grade::caller::Reply;
use crate::grade::customers::{shop, usual_step};
use crate::grade::finding::{Finding, NoPoints, lost, not_graded};
use crate::grade::orders::{Orders, judge};
use crate::grade::submission::Role;
use crate::grade::trial::{LeaderKilled, Trial};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use toystore::history::Request;
use toystore::history::checker::Promise;
use toystore::history::service::service;

/// The customers of a load.
const CUSTOMERS: u64 = 5;

/// Purchases before a fault, and after it.
const BUSINESS: usize = 20;

/// Purchases while a process is down.
const MEANWHILE: usize = 20;

/// The checks of this group.
pub const CHECKS: [Check; 8] = [
    Check {
        name: "failover-transparent",
        asks: "When the leader is killed, clients see no error.",
        is_fresh: true,
        run: failover_transparent,
    },
    Check {
        name: "failover-no-loss",
        asks: "When the leader is killed, no acknowledged order is lost, none is doubled, and numbers go on.",
        is_fresh: false,
        run: failover_no_loss,
    },
    Check {
        name: "follower-returns",
        asks: "A follower that was down gets the orders that it missed.",
        is_fresh: true,
        run: |trial| replica_returns(trial, false),
    },
    Check {
        name: "leader-returns",
        asks: "A leader that was down gets the orders that it missed.",
        is_fresh: true,
        run: |trial| replica_returns(trial, true),
    },
    Check {
        name: "catalog-returns",
        asks: "When the catalog was killed and started, stock and order numbers go on.",
        is_fresh: true,
        run: |trial| service_returns(trial, Role::Catalog),
    },
    Check {
        name: "frontend-returns",
        asks: "When the front-end was killed and started, stock and order numbers go on.",
        is_fresh: true,
        run: |trial| service_returns(trial, Role::Frontend),
    },
    Check {
        name: "two-of-three",
        asks: "With two of three replicas down each purchase gets an answer, and nothing is lost.",
        is_fresh: true,
        run: two_of_three,
    },
    Check {
        name: "all-restart",
        asks: "When all processes were killed and started, stock, orders and order numbers go on.",
        is_fresh: true,
        run: all_restart,
    },
];

/// The leader, if there is another replica.
pub fn leader(trial: &mut Trial<'_>) -> Result<String, NoPoints> {
    if trial.submission.replicas().count() < 2 {
        return not_graded("there are no replicas");
    }
    Ok(trial.store.leader()?)
}

/// Waits until customers got this many answers to purchases that began now.
pub fn await_answers(trial: &mut Trial<'_>, count: usize) -> Result<(), NoPoints> {
    let since = trial.history.now_us();
    let history = trial.history.clone();
    let within = trial.submission.deadlines.failover();
    // Each answer has the whole time: a slow store is slow, not wrong.
    for answered in 0..count {
        if !trial.wait_for(within, |_| Ok(history.answered_since(since) > answered))? {
            return lost(format!(
                "{answered} of {count} purchases were answered, then none within {} s",
                within.as_secs_f64()
            ));
        }
    }
    Ok(())
}

/// The names of all toys.
pub fn all_toys(trial: &Trial<'_>) -> Vec<String> {
    trial.submission.toys().keys().cloned().collect()
}

fn leader_killed(trial: &mut Trial<'_>) -> Result<Rc<LeaderKilled>, NoPoints> {
    if let Some(run) = &trial.leader_killed {
        return Ok(run.clone());
    }
    leader(trial)?;
    let toys = all_toys(trial);
    let stopped = shop(trial, CUSTOMERS, usual_step(&toys), |trial| {
        await_answers(trial, BUSINESS)?;
        let leader = leader(trial)?;
        // Killed the moment after a purchase was answered: it must be on another replica by then.
        trial.buy(&toys[0], 1)?;
        trial.store.kill(&leader)?;
        trial.note(format!("{leader} leads and is killed (SIGKILL)"));
        match await_answers(trial, BUSINESS) {
            Err(NoPoints::Lost(why)) => Ok(Some(why)),
            other => other.map(|()| None),
        }
    })?;
    let requests = trial.history.requests();
    let orders = look_all_up(trial, &requests)?;
    let run = Rc::new(LeaderKilled { requests, orders, stopped });
    trial.leader_killed = Some(run.clone());
    Ok(run)
}

fn failover_transparent(trial: &mut Trial<'_>) -> Finding {
    let run = leader_killed(trial)?;
    let seen = service(&run.requests, &[]);
    seen.noticed.iter().take(10).for_each(|request| trial.note(request));
    if let Some(why) = &run.stopped {
        return lost(why.clone());
    }
    let gap = Duration::from_micros(seen.longest_gap_us).as_secs_f64();
    if let Some(first) = seen.noticed.first() {
        return lost(format!(
            "{} of {} requests failed, first {first}",
            seen.noticed.len(),
            seen.requests
        ));
    }
    Ok(format!(
        "{} requests, no error; the longest time without a purchase was {gap:.2} s",
        seen.requests
    ))
}

fn failover_no_loss(trial: &mut Trial<'_>) -> Finding {
    let run = leader_killed(trial)?;
    if let Some(why) = &run.stopped {
        return not_graded(format!("purchases did not go on: {why}"));
    }
    broken_promises(trial, &run.requests, &run.orders)?;
    Ok(format!("all {} orders are there, none twice, numbers increase", run.orders.len()))
}

/// Loses points for orders that are lost, changed or doubled, and for numbers that do not go on.
pub fn broken_promises(
    trial: &mut Trial<'_>,
    requests: &[Request],
    orders: &Orders,
) -> Result<(), NoPoints> {
    let mut problems = judge(requests, orders, &BTreeMap::new());
    problems.retain(|problem| {
        matches!(problem.promise, Promise::OneAnswer | Promise::Recorded | Promise::InOrder)
    });
    problems.iter().take(20).for_each(|problem| trial.note(&problem.what));
    match problems.first() {
        Some(first) => lost(format!("{first} ({} problems)", problems.len())),
        None => Ok(()),
    }
}

/// Looks all orders up, and judges them after all that happened since the store was opened.
pub fn judge_all(trial: &mut Trial<'_>) -> Result<usize, NoPoints> {
    let requests = trial.history.requests();
    let orders = look_all_up(trial, &requests)?;
    broken_promises(trial, &requests, &orders)?;
    Ok(orders.len())
}

fn replica_returns(trial: &mut Trial<'_>, is_leader: bool) -> Finding {
    let leader = leader(trial)?;
    let follower = trial.submission.replicas().find(|replica| replica.name != leader);
    let name = match follower {
        Some(follower) if !is_leader => follower.name.clone(),
        _ => leader,
    };
    let toys = trial.toys()?;
    buy_some(trial, toys[0], 3)?;
    trial.store.kill(&name)?;
    trial.note(format!("{name} is killed (SIGKILL)"));
    trial.await_business(toys[0])?;
    // Failed purchases are another check's: what matters here are the orders that it missed.
    for number in 0..MEANWHILE {
        trial.buy(toys[number % 4], 1)?;
    }
    trial.store.start(&name)?;
    trial.note(format!("{name} is started again"));
    await_agreement(trial)?;
    trial.await_business(toys[0])?;
    await_agreement(trial)?;
    Ok(format!("{name} was down for {} purchases, and has them", MEANWHILE + 1))
}

/// Buys this many of a toy, one at a time. Returns the highest number.
fn buy_some(trial: &mut Trial<'_>, toy: &str, count: usize) -> Result<u64, NoPoints> {
    let mut highest = 0;
    for _ in 0..count {
        highest = highest.max(trial.buy_one(toy)?);
    }
    Ok(highest)
}

/// The next purchase of a toy succeeds and has a higher number; then the rest is what must be left.
fn goes_on(trial: &mut Trial<'_>, toy: &str, highest: u64) -> Result<(), NoPoints> {
    let next = trial.await_business(toy)?;
    if next <= highest {
        return lost(format!("the next purchase got number {next}; {highest} was given before"));
    }
    expect_rest(trial, toy).map(drop)
}

fn service_returns(trial: &mut Trial<'_>, role: Role) -> Finding {
    let Some(name) = trial.store.named(role) else {
        return not_graded(format!("no process has the role {role:?}").to_lowercase());
    };
    let toy = trial.toy(0)?;
    let highest = buy_some(trial, toy, 5)?;
    trial.store.kill(&name)?;
    trial.note(format!("{name} is killed (SIGKILL)"));
    trial.store.start(&name)?;
    trial.note(format!("{name} is started again"));
    goes_on(trial, toy, highest)?;
    let orders = judge_all(trial)?;
    Ok(format!("{name} came back, and all {orders} orders are there"))
}

fn two_of_three(trial: &mut Trial<'_>) -> Finding {
    if trial.submission.replicas().count() < 3 {
        return not_graded("there are not three replicas");
    }
    let leader = leader(trial)?;
    let toy = trial.toy(0)?;
    let highest = buy_some(trial, toy, 5)?;
    trial.store.kill(&leader)?;
    trial.await_business(toy)?;
    let next = trial.store.leader()?;
    trial.store.kill(&next)?;
    trial.note(format!("{leader}, then {next} are killed (SIGKILL)"));
    let mut sold = 0;
    let within = trial.submission.deadlines.failover();
    for number in 0..MEANWHILE / 2 {
        let exchange = trial.session_within(within)?.buy(toy, 1);
        match trial.noted(exchange)? {
            Reply::Is(_) => sold += 1,
            Reply::Failed(_) => {}
            other => drop(other.value(&format!("purchase {number} with one replica"))?),
        }
    }
    for name in [&leader, &next] {
        trial.store.start(name)?;
    }
    trial.note("both are started again");
    let number = trial.await_business(toy)?;
    if number <= highest {
        return lost(format!("the next purchase got number {number}; {highest} was given before"));
    }
    judge_all(trial)?;
    Ok(format!("with one replica {sold} of {} purchases were sold; nothing is lost", MEANWHILE / 2))
}

fn all_restart(trial: &mut Trial<'_>) -> Finding {
    let toy = trial.toy(0)?;
    let highest = buy_some(trial, toy, 5)?;
    trial.store.kill_all()?;
    trial.note("all processes are killed (SIGKILL) and started again");
    trial.store.start_all()?;
    goes_on(trial, toy, highest)?;
    let orders = judge_all(trial)?;
    Ok(format!("the store came back with all {orders} orders"))
}
