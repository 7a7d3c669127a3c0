//! The state of the store at one moment, computed from the state of each process and the last status
//! of each service. The cluster page draws it and `status` prints it. Pure.

use super::database::{KnownNode, NodePicture};
use super::report::{Own, ServiceStatus};
use crate::model::{Epoch, OrderNumber, ReplicaId, View};
use crate::monitoring::status::{CacheStatus, FollowerStatus, Sessions};
use crate::protocol::catalog::Book;
use crate::supervisor::process;
use crate::supervisor::service::ServiceId;
use serde::Serialize;
use std::fmt::{self, Display};

/// What is known of one service.
#[derive(Debug, Clone)]
pub struct Known {
    pub id: ServiceId,
    pub listen: String,
    pub pid: u32,
    pub process: process::State,
    /// Its last status.
    pub report: Option<ServiceStatus>,
    /// Whether it answered the last request.
    pub answers: bool,
}

/// The state of the store.
#[derive(Debug, Serialize)]
pub struct Picture {
    services: Vec<ServicePicture>,
    /// The nodes of the database; none with files.
    nodes: Vec<NodePicture>,
    /// The current view: the newest that a front-end reports.
    view: Option<View>,
    /// The cache of the first front-end.
    cache: Option<CacheStatus>,
    /// The number of toys.
    toy_count: usize,
    /// The number of toys that are sold out.
    sold_out: usize,
    /// The books of each toy; empty if there are too many toys.
    toys: Vec<Book>,
    /// Sales that are not orders yet.
    open_sales: usize,
    /// The artificial delay per request at the catalog.
    delay_ms: u64,
}

/// The state of a service.
#[derive(Debug, Serialize)]
struct ServicePicture {
    name: String,
    /// Its id, if it is a replica.
    replica: Option<ReplicaId>,
    pid: u32,
    listen: String,
    state: State,
    /// What the operator must do, if anything.
    remedy: Option<String>,
    /// If it does not answer, the fields below are from its last answer.
    answers: bool,
    sessions: Option<Sessions>,
    log: Option<LogPicture>,
}

/// The state of a replica's log.
#[derive(Debug, Serialize)]
struct LogPicture {
    last: OrderNumber,
    last_epoch: Epoch,
    committed: OrderNumber,
    /// The number of orders that it lacks; `None` for the leader.
    lag: Option<u64>,
}

/// The state of a service in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its process has ended.
    Down,
    /// Its process is paused.
    Paused,
    /// Its process runs, but does not answer: it is starting, or it hangs.
    Silent,
    /// A catalog that does not answer because another one is active.
    Standby,
    /// It answers; it is not a replica, or there is no view yet.
    Up,
    /// The front-end that makes the views.
    Controller,
    /// The leader, which accepts purchases.
    Leader,
    /// The leader, before it accepts purchases.
    TakingOffice,
    /// A follower in the in-sync set.
    InSync,
    /// A follower outside the in-sync set, which fetches its missing orders.
    CatchingUp,
    /// Its committed orders differ from the leader's; it accepts no new orders.
    InConflict,
}

impl Picture {
    /// The state of a store with these services, on these nodes of a database.
    pub fn of(services: &[Known], nodes: &[KnownNode]) -> Picture {
        let own = |known: &Known| known.report.as_ref().map(|report| report.own.clone());
        let mut picture = Picture {
            services: Vec::new(),
            nodes: nodes.iter().map(NodePicture::of).collect(),
            view: None,
            cache: None,
            toy_count: 0,
            sold_out: 0,
            toys: Vec::new(),
            open_sales: 0,
            delay_ms: 0,
        };
        let has_active_catalog = services.iter().any(is_active_catalog);
        for known in services {
            match own(known) {
                Some(Own::Frontend(front)) => {
                    let view = front.view.filter(|_| known.answers);
                    picture.view = picture.view.into_iter().chain(view).max_by_key(|v| v.epoch);
                    picture.cache.get_or_insert(front.cache);
                }
                // After one that answers, what another told before is old.
                Some(Own::Catalog(catalog)) if known.answers || !has_active_catalog => {
                    picture.toy_count = catalog.toy_count;
                    picture.sold_out = catalog.sold_out;
                    picture.toys = catalog.toys;
                    picture.open_sales = catalog.open_sales;
                    picture.delay_ms = catalog.delay_ms;
                }
                _ => {}
            }
        }
        if picture.view.is_none() {
            picture.view = newest_view(services);
        }
        let followers = followers(services, picture.view.as_ref());
        let view = picture.view.as_ref();
        picture.services = services
            .iter()
            .map(|known| show(known, view, &followers, has_active_catalog))
            .collect();
        picture
    }

    /// The leader, if there is one and it answers.
    pub fn leader(&self) -> Option<ReplicaId> {
        let leads = |service: &&ServicePicture| service.state == State::Leader;
        self.services.iter().find(leads).and_then(|service| service.replica)
    }
}

/// Used if no front-end answers: the newest view that a replica has received.
fn newest_view(services: &[Known]) -> Option<View> {
    let views = services.iter().filter(|known| known.answers).filter_map(|known| {
        match &known.report.as_ref()?.own {
            Own::Order(order) => order.health.view.clone(),
            _ => None,
        }
    });
    views.max_by_key(|view| view.epoch)
}

/// What the leader of the view reports about its followers.
fn followers(services: &[Known], view: Option<&View>) -> Vec<FollowerStatus> {
    let Some(view) = view else { return Vec::new() };
    let leader = services.iter().find(|known| known.id == ServiceId::Order(view.leader));
    match leader.and_then(|known| known.report.as_ref()).map(|report| &report.own) {
        Some(Own::Order(order)) => order.followers.clone(),
        _ => Vec::new(),
    }
}

fn show(
    known: &Known,
    view: Option<&View>,
    followers: &[FollowerStatus],
    has_active_catalog: bool,
) -> ServicePicture {
    let replica = match known.id {
        ServiceId::Order(id) => Some(id),
        _ => None,
    };
    let log = known.report.as_ref().and_then(|report| match &report.own {
        Own::Order(order) => Some(LogPicture {
            last: order.health.last,
            last_epoch: order.health.last_epoch,
            committed: order.health.committed,
            lag: followers
                .iter()
                .find(|other| Some(other.id) == replica)
                .map(|other| lag(other, order.health.last)),
        }),
        _ => None,
    });
    let state = state(known, view, has_active_catalog);
    ServicePicture {
        name: known.id.to_string(),
        remedy: (state == State::InConflict).then(|| remedy(known)),
        replica,
        pid: known.pid,
        listen: known.listen.clone(),
        state,
        answers: known.answers,
        sessions: known.report.as_ref().map(|report| report.sessions),
        log,
    }
}

/// What to do about a replica whose committed orders differ from the leader's.
fn remedy(known: &Known) -> String {
    format!(
        "{} has committed orders that differ from the leader's. It accepts no new orders. To keep the leader's log: stop this \
         replica, move its data directory away, start it again",
        known.id
    )
}

/// The number of orders that a follower lacks: the smaller of the leader's value and a value from the follower's own
/// log. A new leader does not know its followers' logs yet, and the last status of a leader that is down is old.
fn lag(follower: &FollowerStatus, last: OrderNumber) -> u64 {
    let leader_last = follower.matched.0 + follower.lag;
    follower.lag.min(leader_last.saturating_sub(last.0))
}

fn is_active_catalog(known: &Known) -> bool {
    matches!(known.id, ServiceId::Catalog(_)) && known.answers
}

fn state(known: &Known, view: Option<&View>, has_active_catalog: bool) -> State {
    match known.process {
        process::State::Ended(_) => return State::Down,
        process::State::Paused => return State::Paused,
        process::State::Running => {}
    }
    if !known.answers {
        let is_catalog = matches!(known.id, ServiceId::Catalog(_));
        return if is_catalog && has_active_catalog { State::Standby } else { State::Silent };
    }
    let order = match known.report.as_ref().map(|report| &report.own) {
        Some(Own::Order(order)) => order,
        Some(Own::Frontend(front)) if front.controls => return State::Controller,
        _ => return State::Up,
    };
    let Some(view) = view else { return State::Up };
    if order.conflict.is_some() {
        return State::InConflict;
    }
    let is_member = view.has(order.health.id, &order.health.identity);
    match (view.leader == order.health.id, is_member) {
        (true, true) if order.serves_in == Some(view.epoch) => State::Leader,
        (true, true) => State::TakingOffice,
        (false, true) => State::InSync,
        (_, false) => State::CatchingUp,
    }
}

impl Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Down => "down",
            State::Paused => "paused",
            State::Silent => "does not answer",
            State::Standby => "standby",
            State::Up => "up",
            State::Controller => "makes the views",
            State::Leader => "leader ★",
            State::TakingOffice => "taking office",
            State::InSync => "in sync",
            State::CatchingUp => "catching up",
            State::InConflict => "in conflict",
        })
    }
}

impl Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.view {
            Some(view) => writeln!(f, "{view}")?,
            None => writeln!(f, "no leader was elected yet")?,
        }
        write!(f, "{:9} {:15} {:>7} {:>9} {:>5}", "", "", "last", "committed", "lag")?;
        write!(f, " {:>7} {:>11} {:>6} {:>6}", "threads", "connections", "parked", "queued")?;
        for service in &self.services {
            write!(f, "\n{:9} {:15}", service.name, service.state)?;
            let log = service.log.as_ref();
            write!(f, " {:>7}", shown(log.map(|log| log.last)))?;
            write!(f, " {:>9}", shown(log.map(|log| log.committed)))?;
            write!(f, " {:>5}", shown(log.and_then(|log| log.lag)))?;
            if let Some(Sessions { threads, busy, open, parked, queued }) = service.sessions {
                write!(
                    f,
                    " {:>7} {open:>11} {parked:>6} {queued:>6}",
                    format!("{busy}/{threads}")
                )?;
            }
        }
        for node in &self.nodes {
            write!(f, "\n{node}")?;
        }
        for remedy in self.services.iter().filter_map(|service| service.remedy.as_ref()) {
            write!(f, "\n{remedy}")?;
        }
        Ok(())
    }
}

fn shown(number: Option<impl Display>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::report::example;
    use super::*;
    use crate::model::{CatalogId, Identity, Member};
    use crate::monitoring::status::{CatalogStatus, FrontendStatus, OrderStatus};
    use crate::protocol::order::Health;
    use std::process::ExitStatus;

    const RUNNING: process::State = process::State::Running;

    fn member(id: u32) -> Member {
        Member { id: ReplicaId(id), identity: identity(id) }
    }

    fn identity(id: u32) -> Identity {
        serde_json::from_value(format!("disk-{id}").into()).expect("an identity is a text")
    }

    fn view(epoch: u64, leader: u32, in_sync: &[u32]) -> View {
        let in_sync = in_sync.iter().map(|id| member(*id)).collect();
        View { epoch: Epoch(epoch), leader: ReplicaId(leader), in_sync }
    }

    fn known(id: ServiceId, process: process::State, own: Option<Own>) -> Known {
        let answers = own.is_some();
        let sessions = Sessions { threads: 10, busy: 3, open: 5, parked: 2, queued: 1 };
        let report = own.map(|own| ServiceStatus { sessions, ..example(own) });
        Known { id, listen: "127.0.0.1:1".to_owned(), pid: 7, process, report, answers }
    }

    fn replica(id: u32, view: &View, serves: bool, followers: &[(u32, u64)]) -> Known {
        let health = Health {
            id: ReplicaId(id),
            identity: identity(id),
            view: Some(view.clone()),
            starting: false,
            last: OrderNumber(if id == 3 { 5 } else { 40 + u64::from(id) }),
            last_epoch: Epoch(1),
            committed: OrderNumber(40),
            catalog_reachable: true,
            lagging: vec![],
            caught_up: vec![],
        };
        let follower =
            |&(id, lag)| FollowerStatus { id: ReplicaId(id), matched: OrderNumber(42 - lag), lag };
        let own = OrderStatus {
            health,
            conflict: None,
            imbalance: None,
            serves_in: serves.then_some(view.epoch),
            followers: followers.iter().map(follower).collect(),
        };
        known(ServiceId::Order(ReplicaId(id)), RUNNING, Some(Own::Order(own)))
    }

    fn front_end(view: &View) -> Known {
        let cache = CacheStatus::default();
        let own = FrontendStatus { view: Some(view.clone()), led: true, controls: true, cache };
        known(ServiceId::FIRST_FRONT_END, RUNNING, Some(Own::Frontend(own)))
    }

    fn states(services: &[Known]) -> Vec<State> {
        Picture::of(services, &[]).services.iter().map(|service| service.state).collect()
    }

    #[test]
    fn each_replica_is_what_view_and_process_make_of_it() {
        let now = view(2, 2, &[1, 2]);
        let mut services = vec![
            known(ServiceId::FIRST_CATALOG, process::State::Paused, None),
            replica(1, &now, false, &[]),
            // It has received no answer from replica 3 yet.
            replica(2, &now, true, &[(1, 1), (3, 42)]),
            replica(3, &view(1, 3, &[1, 2, 3]), false, &[]),
            front_end(&now),
        ];
        assert_eq!(
            states(&services),
            [State::Paused, State::InSync, State::Leader, State::CatchingUp, State::Controller]
        );
        let picture = Picture::of(&services, &[]);
        assert_eq!(picture.leader(), Some(ReplicaId(2)));
        let lags: Vec<_> = picture.services[1..4]
            .iter()
            .map(|service| service.log.as_ref().and_then(|log| log.lag))
            .collect();
        assert_eq!(lags, [Some(1), None, Some(37)]);

        services[2] = replica(2, &now, false, &[]);
        assert_eq!(states(&services)[2], State::TakingOffice);
        services[2].answers = false;
        assert_eq!(states(&services)[2], State::Silent);
        assert_eq!(Picture::of(&services, &[]).leader(), None);
        services[2].process = process::State::Ended(ExitStatus::default());
        assert_eq!(states(&services)[2], State::Down);
    }

    /// The toys are those that the active catalog tells of.
    #[test]
    fn a_catalog_that_does_not_answer_is_a_standby_while_another_is_active() {
        let catalog = |id, toy_count| {
            let own = CatalogStatus { toy_count, ..CatalogStatus::default() };
            known(ServiceId::Catalog(CatalogId(id)), RUNNING, Some(Own::Catalog(own)))
        };
        let mut services = vec![catalog(1, 7), catalog(2, 6)];
        services[1].answers = false;
        assert_eq!(states(&services), [State::Up, State::Standby]);
        assert_eq!(Picture::of(&services, &[]).toy_count, 7);
        services[0].answers = false;
        assert_eq!(states(&services), [State::Silent, State::Silent]);
    }

    #[test]
    fn a_replica_in_conflict_is_shown_with_what_to_do() {
        let now = view(2, 2, &[2]);
        let mut services = vec![replica(1, &now, false, &[]), replica(2, &now, true, &[])];
        let report = services[0].report.as_mut().expect("it answers");
        let Own::Order(order) = &mut report.own else { unreachable!("a replica") };
        order.conflict = Some(OrderNumber(8));
        assert_eq!(states(&services), [State::InConflict, State::Leader]);
        let shown = Picture::of(&services, &[]).to_string();
        let remedy = "order 1 has committed orders that differ from the leader's. It accepts no new orders. \
                      To keep the leader's log: stop this replica, move its data directory away, start it again";
        assert_eq!(shown.lines().last(), Some(remedy));
    }

    #[test]
    fn without_a_front_end_the_newest_view_that_a_replica_has_is_shown() {
        let (old, new) = (view(1, 3, &[1, 2, 3]), view(2, 2, &[1, 2]));
        let mut services =
            vec![replica(1, &new, false, &[]), replica(2, &new, true, &[]), front_end(&old)];
        services[2].answers = false;
        assert_eq!(Picture::of(&services, &[]).view, Some(new));
    }

    #[test]
    fn a_terminal_gets_a_table() {
        let now = view(2, 2, &[1, 2]);
        let ended = process::State::Ended(ExitStatus::default());
        let services = [
            known(ServiceId::FIRST_CATALOG, ended, None),
            replica(1, &now, false, &[]),
            replica(2, &now, true, &[(1, 1)]),
            front_end(&now),
        ];
        let expected = "\
epoch 2: replica 2 leads, in sync: 1 2
                             last committed   lag threads connections parked queued
catalog   down                                   
order 1   in sync              41        40     1    3/10           5      2      1
order 2   leader ★             42        40          3/10           5      2      1
frontend  makes the views                            3/10           5      2      1";
        assert_eq!(Picture::of(&services, &[]).to_string(), expected);
    }
}
