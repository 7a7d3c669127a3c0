//! The picture of experiment 5: the latency of every request over time, and who led.

use super::failover::{Outage, Request};
use super::plot::scale::{micros, plain};
use super::plot::{Anchor, Axis, Canvas, Ink, Panel, Place, Scale};
use crate::model::{ReplicaId, View};

/// From this moment on this view was in force.
#[derive(Debug)]
pub struct Moment {
    /// In milliseconds since the beginning.
    pub at_ms: f64,
    /// Who leads, and who is in sync.
    pub view: View,
}

impl Moment {
    /// Whether this replica is in sync.
    pub fn is_member(&self, replica: ReplicaId) -> bool {
        self.view.ids().any(|id| id == replica)
    }
}

const ROW_HEIGHT: f64 = 24.0;

/// Draws it. `end_ms` is when the last request was due.
pub fn draw(requests: &[Request], outages: &[Outage], moments: &[Moment], end_ms: f64) -> Canvas {
    let mut canvas = Canvas::new(1_000.0, 520.0);
    canvas.heading((20.0, 30.0), 17.0, "Fail-over under load");
    let place = Place { left: 84.0, top: 84.0, width: 880.0, height: 270.0 };
    draw_requests(&mut canvas, place, requests, outages, end_ms);
    draw_views(&mut canvas, place, moments, end_ms);
    canvas
}

fn draw_requests(
    canvas: &mut Canvas,
    place: Place,
    requests: &[Request],
    outages: &[Outage],
    end_ms: f64,
) {
    let x = Axis::new("seconds", Scale::linear(0.0, end_ms / 1e3, plain));
    let latencies = requests.iter().map(|request| request.latency_ms * 1e3);
    let y = Axis::new("latency from when it was due", Scale::log(latencies, micros));
    let mut panel = Panel::new(canvas, place, "Latency", x, y);
    for outage in outages {
        let label = format!("{} down", outage.role);
        let (from, to) = (outage.killed_ms / 1e3, outage.restarted_ms / 1e3);
        panel.stretch(from, to, Ink::Purple, &label);
    }
    for request in requests {
        let at = (request.due_ms / 1e3, request.latency_ms * 1e3);
        let (radius, ink, tip) = match (request.is_error, request.kind) {
            (true, _) => (4.5, Ink::Text, request.outcome.as_str()),
            (false, "buy") => (1.9, Ink::Vermilion, ""),
            (false, _) => (1.9, Ink::Blue, ""),
        };
        panel.dot(at, radius, ink, tip);
    }
    let key = [("queries", Ink::Blue), ("purchases", Ink::Vermilion), ("errors", Ink::Text)];
    let shown = if requests.iter().any(|request| request.is_error) { &key[..] } else { &key[..2] };
    panel.key(shown);
}

/// A strip for each replica.
fn draw_views(canvas: &mut Canvas, place: Place, moments: &[Moment], end_ms: f64) {
    let top = place.top + place.height + 62.0;
    let x_of = |ms: f64| place.left + place.width * (ms / end_ms).clamp(0.0, 1.0);
    let mut replicas: Vec<_> = moments.iter().flat_map(|moment| moment.view.ids()).collect();
    replicas.sort_unstable();
    replicas.dedup();
    for (row, replica) in (0u8..).zip(&replicas) {
        let y = top + f64::from(row) * ROW_HEIGHT;
        let name = format!("replica {replica}");
        canvas.note((place.left - 8.0, y + 15.0), Ink::Text, Anchor::End, &name);
        let ends = moments.iter().skip(1).map(|moment| moment.at_ms).chain([end_ms]);
        for (moment, end) in moments.iter().zip(ends) {
            let (x, right) = (x_of(moment.at_ms), x_of(end));
            let opacity = match moment.is_member(*replica) {
                _ if moment.view.leader == *replica => 0.9,
                true => 0.25,
                false => continue,
            };
            canvas.rectangle((x, y), (right - x, ROW_HEIGHT - 5.0), Ink::Green, opacity);
        }
    }
    let y = top + f64::from(u8::try_from(replicas.len()).unwrap_or(0)) * ROW_HEIGHT + 12.0;
    for moment in moments.iter().filter(|moment| moment.at_ms < end_ms) {
        let x = x_of(moment.at_ms);
        canvas.line(&[(x, top), (x, y - 8.0)], Ink::Faint, 1.0);
        let epoch = format!("epoch {}", moment.view.epoch);
        canvas.note((x, y + 2.0), Ink::Faint, Anchor::Start, &epoch);
    }
}
