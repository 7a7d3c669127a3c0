//! The threads that find out who leads: a health checker per replica, and one thread more that takes their reports. A health
//! checker asks its replica for its health each 100 ms, or sends it the view that it does not have yet. In one front-end
//! the reports go to the [controller's](super::controlling) thread, which makes the views, in the others to the
//! [observer's](super::observing), which finds them in the reports. Started by the front-end.
//!
//! ```text
//!  replica 1 ◀── health checker ──┐ reports
//!  replica 2 ◀── health checker ──┼─────────▶ controller or observer ──▶ the view ──▶ sessions, health checkers
//!  replica 3 ◀── health checker ──┘
//! ```

use super::controller::{HealthReport, SILENT};
use super::controlling;
use super::election::Election;
use super::observing;
use super::views::Place;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Epoch, FrontendId, ReplicaId};
use crate::net::{Rpc, Transport};
use crate::protocol::ask;
use crate::protocol::order::{Health, Peer};
use crate::stop::VitalThread;
use crate::trace::{Recorder, Scope};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The time between two health checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// The pause after a connection broke: the next attempt shows whether the process is gone.
const RECHECK_PAUSE: Duration = Duration::from_millis(5);

/// The threads. Dropping it stops and joins them.
pub struct Elector {
    election: Arc<Election>,
    threads: Vec<VitalThread>,
}

impl Elector {
    /// Begins to watch the replicas of `config` in the front-end `me`, which writes the views that it makes to `place`.
    pub fn start(
        config: &Config,
        me: FrontendId,
        transport: &Transport,
        place: Place,
        recorder: Arc<Recorder>,
    ) -> Result<Elector> {
        let election = Arc::new(Election::new());
        let mut elector = Elector { election: election.clone(), threads: Vec::new() };
        for (&id, replica) in &config.order.replicas {
            let peer = transport.rpc(&replica.peer)?;
            let checker = HealthChecker { id, peer, election: election.clone() };
            let thread = VitalThread::start(format!("health-{id}"), move || checker.run())?;
            elector.threads.push(thread);
        }
        let joins_at = |id| match place {
            Place::Table(_) => id != me,
            Place::File(..) | Place::Elsewhere => id == config.frontend.controller,
        };
        let others = config.frontend.instances().filter(|(id, _)| joins_at(*id));
        let others = others.map(|(id, other)| Ok((id, transport.rpc(&other.peer)?)));
        let others = others.collect::<Result<Vec<_>>>()?;
        let threads = match place {
            Place::File(views, remembered) => {
                vec![controlling::start(config, views, remembered, election, recorder)?]
            }
            Place::Elsewhere => vec![observing::start(others, election)?],
            Place::Table(table) => vec![
                observing::start(others, election.clone())?,
                controlling::start_in_turns(config, table, election, recorder)?,
            ],
        };
        elector.threads.extend(threads);
        Ok(elector)
    }

    /// Who leads, for those who ask.
    pub fn election(&self) -> Arc<Election> {
        self.election.clone()
    }
}

impl Drop for Elector {
    fn drop(&mut self) {
        self.election.stop();
        self.threads.clear();
    }
}

/// Asks one replica for its health, again and again.
struct HealthChecker {
    id: ReplicaId,
    peer: Rpc,
    election: Arc<Election>,
}

impl HealthChecker {
    fn run(&self) {
        let mut has = Epoch(0);
        while !self.election.is_stopping() {
            let begun = Instant::now();
            let (report, pause) = self.check(&mut has, begun + SILENT);
            let answered = matches!(report, HealthReport::Healthy { .. });
            self.election.report(self.id, report);
            let news = self.election.epoch() > has;
            if !(answered && news) {
                self.election.await_check(self.id, begun + pause);
            }
        }
    }

    /// Sends the replica the view if it does not have it, else asks for its health. Returns how
    /// long to wait before the next check.
    fn check(&self, has: &mut Epoch, deadline: Instant) -> (HealthReport, Duration) {
        let (question, scope) = match self.election.view() {
            Some(view) if view.epoch > *has => {
                *has = view.epoch;
                (Peer::UpdateLeader { view }, self.election.take_scope(self.id))
            }
            _ => (Peer::HealthCheck, None),
        };
        let _entered = scope.map(Scope::enter);
        let expected = self.election.committed();
        let asked = self.election.now();
        let stopping = || self.election.is_stopping();
        match ask::<_, Health>(&self.peer, &question, deadline, &stopping) {
            Ok(health) => {
                *has = health.view.as_ref().map_or(Epoch(0), |view| view.epoch);
                (HealthReport::Healthy { health, asked, expected }, CHECK_INTERVAL)
            }
            Err(Error::Unreachable { .. }) => {
                *has = Epoch(0);
                (HealthReport::Refused, CHECK_INTERVAL)
            }
            // It has this view or a newer one. The next health check shows which.
            Err(error) if error.is_definite() => (HealthReport::Silent, RECHECK_PAUSE),
            Err(_) => {
                *has = Epoch(0);
                (HealthReport::Silent, RECHECK_PAUSE)
            }
        }
    }
}
