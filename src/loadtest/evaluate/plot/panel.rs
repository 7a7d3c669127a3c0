//! A rectangle with a title and two axes, in which data is drawn in the units of the data.

use super::canvas::{Anchor, Canvas, Ink, Point, label_width};
use super::scale::Scale;

/// Where a panel's data is on the sheet; titles and ticks are outside.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// From the left edge of the sheet.
    pub left: f64,
    /// From its upper edge.
    pub top: f64,
    /// To the right.
    pub width: f64,
    /// Downwards.
    pub height: f64,
}

impl Place {
    /// A place in a grid of panels on a sheet, with room for titles, ticks and, at the right, `names`.
    pub fn in_grid(canvas: &Canvas, grid: (f64, f64), cell: (f64, f64), names: f64) -> Place {
        let (columns, rows) = grid;
        let (width, height) = (canvas.width / columns, (canvas.height - HEADER_HEIGHT) / rows);
        Place {
            left: cell.0 * width + TICKS_WIDTH,
            top: HEADER_HEIGHT + cell.1 * height + 44.0,
            width: width - TICKS_WIDTH - names,
            height: height - 44.0 - 48.0,
        }
    }
}

/// An axis: what is measured on it, with its unit, and how.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What is measured, such as `latency`.
    pub label: String,
    /// How.
    pub scale: Scale,
}

impl Axis {
    /// An axis.
    pub fn new(label: &str, scale: Scale) -> Axis {
        Axis { label: label.to_owned(), scale }
    }
}

/// A panel on a canvas.
pub struct Panel<'a> {
    canvas: &'a mut Canvas,
    place: Place,
    x: Axis,
    y: Axis,
}

/// What was measured at one place of the x axis: a middle, and how far it spreads upwards.
#[derive(Debug, Clone)]
pub struct Spread {
    /// Where.
    pub x: f64,
    /// The median, or the mean.
    pub middle: f64,
    /// What 99 of 100 do not exceed.
    pub p99: f64,
    /// What to show to who points at it.
    pub tip: String,
}

/// The room for the figure's title.
const HEADER_HEIGHT: f64 = 44.0;

/// The room for what is written at the ticks of a y axis.
const TICKS_WIDTH: f64 = 62.0;

/// The space between labels that would touch.
const LABEL_HEIGHT: f64 = 15.0;

impl<'a> Panel<'a> {
    /// Draws the frame.
    pub fn new(canvas: &'a mut Canvas, place: Place, title: &str, x: Axis, y: Axis) -> Panel<'a> {
        let mut panel = Panel { canvas, place, x, y };
        panel.draw_y_axis();
        panel.draw_x_axis();
        let Place { left, top, .. } = place;
        panel.canvas.heading((left, top - 26.0), 13.0, title);
        panel
    }

    fn draw_y_axis(&mut self) {
        let Place { left, top, width, .. } = self.place;
        for (value, text) in self.y.scale.ticks.clone() {
            let y = self.y_of(value);
            self.canvas.line(&[(left, y), (left + width, y)], Ink::Grid, 1.0);
            self.canvas.note((left - 8.0, y + 4.0), Ink::Faint, Anchor::End, &text);
        }
        self.canvas.note((left, top - 9.0), Ink::Faint, Anchor::Start, &self.y.label);
    }

    fn draw_x_axis(&mut self) {
        let Place { left, top, width, height } = self.place;
        let bottom = top + height;
        self.canvas.line(&[(left, bottom), (left + width, bottom)], Ink::Faint, 1.0);
        for (value, text) in self.x.scale.ticks.clone() {
            let x = self.x_of(value);
            self.canvas.line(&[(x, bottom), (x, bottom + 4.0)], Ink::Faint, 1.0);
            self.canvas.note((x, bottom + 17.0), Ink::Faint, Anchor::Middle, &text);
        }
        let middle = left + width / 2.0;
        self.canvas.note((middle, bottom + 34.0), Ink::Faint, Anchor::Middle, &self.x.label);
    }

    fn x_of(&self, value: f64) -> f64 {
        self.place.left + self.place.width * self.x.scale.place(value)
    }

    fn y_of(&self, value: f64) -> f64 {
        self.place.top + self.place.height * (1.0 - self.y.scale.place(value))
    }

    fn at(&self, (x, y): Point) -> Point {
        (self.x_of(x), self.y_of(y))
    }

    /// A line through these values.
    pub fn line(&mut self, points: &[Point], ink: Ink, width: f64) {
        let points: Vec<_> = points.iter().map(|point| self.at(*point)).collect();
        self.canvas.line(&points, ink, width);
    }

    /// A dashed line through these values.
    pub fn dashed_line(&mut self, points: &[Point], ink: Ink) {
        let points: Vec<_> = points.iter().map(|point| self.at(*point)).collect();
        self.canvas.dashed_line(&points, ink, 1.5, 5.0);
    }

    /// A dot with a tip.
    pub fn dot(&mut self, point: Point, radius: f64, ink: Ink, tip: &str) {
        let at = self.at(point);
        self.canvas.dot(at, radius, ink, tip);
    }

    /// The middles as a line with dots; above it, up to the 99th percentile, a band.
    pub fn spread(&mut self, points: &[Spread], ink: Ink) {
        let middles: Vec<_> = points.iter().map(|p| self.at((p.x, p.middle))).collect();
        let tops: Vec<_> = points.iter().map(|p| self.at((p.x, p.p99))).collect();
        let around: Vec<_> = middles.iter().chain(tops.iter().rev()).copied().collect();
        self.canvas.area(&around, ink, 0.14);
        self.canvas.line(&tops, ink, 0.8);
        self.canvas.line(&middles, ink, 2.2);
        for (at, point) in middles.iter().zip(points) {
            self.canvas.dot(*at, 3.5, ink, &point.tip);
        }
    }

    /// A bar from zero, moved to the side by so many points.
    pub fn bar(&mut self, (x, y): Point, aside: f64, width: f64, ink: Ink) {
        let (x, top, bottom) = (self.x_of(x) + aside, self.y_of(y), self.y_of(0.0));
        let (top, height) = (top.min(bottom), (bottom - top).abs());
        self.canvas.rectangle((x - width / 2.0, top), (width, height), ink, 0.85);
    }

    /// What is between these values.
    pub fn area(&mut self, points: &[Point], ink: Ink, opacity: f64) {
        let points: Vec<_> = points.iter().map(|point| self.at(*point)).collect();
        self.canvas.area(&points, ink, opacity);
    }

    /// Says above the panel, at its right, which ink is what.
    pub fn key(&mut self, inks: &[(&str, Ink)]) {
        let Place { left, top, width, .. } = self.place;
        let mut right = left + width;
        for (text, ink) in inks.iter().rev() {
            self.canvas.label((right, top - 26.0), *ink, Anchor::End, text);
            right -= label_width(text) + 14.0;
        }
    }

    /// A text at a value.
    pub fn note(&mut self, point: Point, ink: Ink, anchor: Anchor, text: &str) {
        let (x, y) = self.at(point);
        self.canvas.note((x, y), ink, anchor, text);
    }

    /// A stretch of the x axis that is shaded from top to bottom, with a text on top.
    pub fn stretch(&mut self, from: f64, to: f64, ink: Ink, text: &str) {
        let (x, right) = (self.x_of(from), self.x_of(to));
        let Place { top, height, .. } = self.place;
        self.canvas.rectangle((x, top), (right - x, height), ink, 0.10);
        self.canvas.line(&[(x, top), (x, top + height)], ink, 1.2);
        self.canvas.line(&[(right, top), (right, top + height)], ink, 1.2);
        self.canvas.label((f64::midpoint(x, right), top + 15.0), ink, Anchor::Middle, text);
    }

    /// Names series at the right, each beside the value at which it ends, moved apart where they would
    /// touch.
    pub fn name(&mut self, series: &[(f64, Ink, &str)]) {
        let mut labels: Vec<_> =
            series.iter().map(|(value, ink, text)| (self.y_of(*value), *ink, *text)).collect();
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let Place { left, top, width, height } = self.place;
        let mut lowest = top;
        for label in &mut labels {
            label.0 = label.0.max(lowest);
            lowest = label.0 + LABEL_HEIGHT;
        }
        // Those that were moved below the axis push the others up again.
        let mut highest = top + height;
        for label in labels.iter_mut().rev() {
            label.0 = label.0.min(highest);
            highest = label.0 - LABEL_HEIGHT;
        }
        for (y, ink, text) in labels {
            self.canvas.label((left + width + 8.0, y + 4.0), ink, Anchor::Start, text);
        }
    }
}

/// How much room the names of series need at the right, in a font that is somewhat wider than ours too.
pub fn names_width(series: &[&str]) -> f64 {
    series.iter().map(|text| label_width(text)).fold(0.0, f64::max) * 1.15 + 12.0
}
