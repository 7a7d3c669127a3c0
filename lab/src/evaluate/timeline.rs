//! The figure of experiment 5: the latency of every request over time, and which replica leads.

use super::plot::panel::Frame;
use super::plot::scale::{micros, plain};
use super::plot::{
    BLUE, Drawing, Drawn, GREEN, PURPLE, Panel, Scale, Sheet, TEXT, VERMILION, label,
};
use plotters::coord::ranged1d::Ranged;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;
use serde::Serialize;
use toystore::model::{ReplicaId, View};

/// The room to the right of both charts.
const RIGHT: u32 = 108;

/// A view, and since when it is the current one.
#[derive(Debug)]
pub struct Moment {
    /// In milliseconds since the beginning.
    pub at_ms: f64,
    /// The leader and the in-sync set.
    pub view: View,
}

impl Moment {
    /// Whether this replica is in sync.
    pub fn is_member(&self, replica: ReplicaId) -> bool {
        self.view.ids().any(|id| id == replica)
    }
}

/// A request, for the CSV and the picture.
#[derive(Debug, Clone, Serialize)]
pub struct Request {
    /// When it was due, in milliseconds since the beginning.
    pub due_ms: f64,
    /// A query or a purchase.
    pub kind: &'static str,
    /// From its due time to its answer.
    pub latency_ms: f64,
    /// The status of the answer, or why there is no answer.
    pub outcome: String,
    /// Whether it counts as an error of the store.
    pub is_error: bool,
}

/// An outage of a replica. Times are in milliseconds since the beginning.
#[derive(Debug, Clone)]
pub struct Outage {
    /// The replica.
    pub replica: ReplicaId,
    /// Its role: leader or follower.
    pub role: &'static str,
    /// When it was killed.
    pub killed_ms: f64,
    /// When it was started again.
    pub restarted_ms: f64,
    /// When it was a member of the in-sync set again, if it was.
    pub member_ms: Option<f64>,
}

/// What is drawn. `seconds` is when the last request was due.
pub struct Timeline<'a> {
    /// All requests.
    pub requests: &'a [Request],
    /// When replicas were down.
    pub outages: &'a [Outage],
    /// The views.
    pub moments: &'a [Moment],
    /// The length of the x axis.
    pub seconds: f64,
}

impl Drawing for Timeline<'_> {
    fn heading(&self) -> (&str, u32) {
        ("Fail-over under load", 1_640)
    }

    fn draw<DB: DrawingBackend>(&self, sheet: &Sheet<DB>) -> Drawn<DB> {
        let (above, below) = sheet.split_vertically(1_010);
        self.draw_requests(&above)?;
        self.draw_views(&below)
    }
}

impl Timeline<'_> {
    fn draw_requests<DB: DrawingBackend>(&self, sheet: &Sheet<DB>) -> Drawn<DB> {
        let latencies = self.requests.iter().map(|request| request.latency_ms * 1e3);
        let (x, y) = (Scale::linear(0.0, self.seconds, plain), Scale::log(latencies, micros));
        let (low, high) = (y.range().start, y.range().end);
        let latency = "latency since the due time";
        let frame = Frame { title: "Latency", x: "seconds", y: latency, right: RIGHT };
        let mut panel = Panel::new(sheet, frame, x, y)?;
        for outage in self.outages {
            let (from, to) =
                (outage.killed_ms / 1e3, (outage.restarted_ms / 1e3).min(self.seconds));
            panel.rectangle([(from, low), (to, high)], PURPLE.mix(0.10))?;
            for end in [from, to] {
                panel.chart.draw_series([PathElement::new(
                    [(end, low), (end, high)],
                    PURPLE.stroke_width(4),
                )])?;
            }
            let top = (f64::midpoint(from, to), high / (high / low).powf(0.04));
            panel.text(top, &format!("{} down", outage.role), label(PURPLE, HPos::Center))?;
        }
        let series = [
            ("queries", (false, "query"), 5, BLUE),
            ("purchases", (false, "buy"), 5, VERMILION),
            ("errors", (true, "query"), 13, TEXT),
            ("errors", (true, "buy"), 13, TEXT),
        ];
        let mut key = Vec::new();
        for (name, which, radius, ink) in series {
            let own = self.requests.iter().filter(|r| (r.is_error, r.kind) == which);
            let dots: Vec<_> = own.map(|r| (r.due_ms / 1e3, r.latency_ms * 1e3)).collect();
            panel.dots(&dots, radius, ink)?;
            if !dots.is_empty() && !key.contains(&(name, ink)) {
                key.push((name, ink));
            }
        }
        panel.key(&key)
    }

    /// A row for each replica.
    fn draw_views<DB: DrawingBackend>(&self, sheet: &Sheet<DB>) -> Drawn<DB> {
        let mut replicas: Vec<_> =
            self.moments.iter().flat_map(|moment| moment.view.ids()).collect();
        replicas.sort_unstable();
        replicas.dedup();
        let seconds = |moment: &Moment| moment.at_ms / 1e3;
        let seen = self.moments.iter().filter(|moment| seconds(moment) < self.seconds);
        let epochs = seen.map(|moment| (seconds(moment), format!("epoch {}", moment.view.epoch)));
        let x = Scale::labelled(self.seconds, epochs);
        let y = Scale::rows(replicas.iter().map(|replica| format!("replica {replica}")));
        let frame = Frame { title: "Replicas", x: "", y: "", right: RIGHT };
        let mut panel = Panel::new(sheet, frame, x, y)?;
        let ends = self.moments.iter().skip(1).map(seconds).chain([self.seconds]);
        let shown = self.moments.iter().zip(ends).filter(|(m, _)| seconds(m) < self.seconds);
        for (moment, end) in shown {
            for (row, replica) in (0u32..).map(f64::from).zip(&replicas) {
                let opacity = match moment.is_member(*replica) {
                    _ if moment.view.leader == *replica => 0.9,
                    true => 0.25,
                    false => continue,
                };
                let corners = [(seconds(moment), row + 0.1), (end, row + 0.9)];
                panel.rectangle(corners, GREEN.mix(opacity))?;
            }
        }
        Ok(())
    }
}
