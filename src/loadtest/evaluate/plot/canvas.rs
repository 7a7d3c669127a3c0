//! A sheet with shapes on it, from the first to the last drawn. It says nothing about files: `svg` and
//! `png` write it.
//!
//! Lengths are in points of the sheet, from the upper left corner. Inks are named by what they are
//! for, so that a page can choose other colours in the dark.

use super::font::{self, Weight};

/// Shapes on a sheet of paper.
#[derive(Debug, Clone)]
pub struct Canvas {
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// What is on it; later ones cover earlier ones.
    pub(super) shapes: Vec<Shape>,
}

/// A point: to the right, and down.
pub type Point = (f64, f64);

#[derive(Debug, Clone)]
pub(super) enum Shape {
    Line { points: Vec<Point>, ink: Ink, width: f64, dashes: Option<f64> },
    Area { points: Vec<Point>, ink: Ink, opacity: f64 },
    Dot { at: Point, radius: f64, ink: Ink, tip: String },
    Text { at: Point, text: String, ink: Ink, style: Style },
}

/// How a text is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) size: f64,
    pub(super) weight: Weight,
    pub(super) anchor: Anchor,
}

/// Which part of a text is at its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its beginning.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// A colour by its purpose. The series are after Okabe and Ito, told apart by every kind of colour
/// vision and, by their lightness, in print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// The sheet.
    Paper,
    /// Titles and labels.
    Text,
    /// What is beside the point: ticks, notes.
    Faint,
    /// Lines to measure by.
    Grid,
    /// The first series.
    Blue,
    /// The second.
    Vermilion,
    /// The third.
    Green,
    /// The fourth.
    Purple,
}

impl Ink {
    /// All of them.
    pub(super) const ALL: [Ink; 8] = [
        Ink::Paper,
        Ink::Text,
        Ink::Faint,
        Ink::Grid,
        Ink::Blue,
        Ink::Vermilion,
        Ink::Green,
        Ink::Purple,
    ];

    /// Red, green and blue on a light page and on a dark one.
    pub(super) fn colours(self) -> [u32; 2] {
        match self {
            Ink::Paper => [0x00ff_ffff, 0x0016_1b22],
            Ink::Text => [0x001f_2328, 0x00e6_edf3],
            Ink::Faint => [0x0066_6f7a, 0x0093_9da8],
            Ink::Grid => [0x00e4_e7eb, 0x002f_3640],
            Ink::Blue => [0x0000_72b2, 0x0056_b4e9],
            Ink::Vermilion => [0x00d5_5e00, 0x00ff_8547],
            Ink::Green => [0x0000_9e73, 0x002f_c99a],
            Ink::Purple => [0x00b0_559a, 0x00e0_94c4],
        }
    }
}

impl Canvas {
    /// An empty sheet.
    pub fn new(width: f64, height: f64) -> Canvas {
        let mut canvas = Canvas { width, height, shapes: Vec::new() };
        canvas.area(&[(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)], Ink::Paper, 1.0);
        canvas
    }

    /// Straight lines from point to point.
    pub fn line(&mut self, points: &[Point], ink: Ink, width: f64) {
        self.shapes.push(Shape::Line { points: points.to_vec(), ink, width, dashes: None });
    }

    /// The same, in dashes of this length.
    pub fn dashed_line(&mut self, points: &[Point], ink: Ink, width: f64, dash: f64) {
        let dashes = Some(dash);
        self.shapes.push(Shape::Line { points: points.to_vec(), ink, width, dashes });
    }

    /// What is between the points; 0 is clear, 1 opaque.
    pub fn area(&mut self, points: &[Point], ink: Ink, opacity: f64) {
        self.shapes.push(Shape::Area { points: points.to_vec(), ink, opacity });
    }

    /// A rectangle, from its upper left corner.
    pub fn rectangle(&mut self, (x, y): Point, (width, height): Point, ink: Ink, opacity: f64) {
        let (right, bottom) = (x + width, y + height);
        self.area(&[(x, y), (right, y), (right, bottom), (x, bottom)], ink, opacity);
    }

    /// A dot; a browser shows the tip to who points at it, unless it is empty.
    pub fn dot(&mut self, at: Point, radius: f64, ink: Ink, tip: &str) {
        self.shapes.push(Shape::Dot { at, radius, ink, tip: tip.to_owned() });
    }

    /// A heading.
    pub fn heading(&mut self, at: Point, size: f64, text: &str) {
        self.text_with(at, text, Ink::Text, Style::new(size, Weight::SemiBold, Anchor::Start));
    }

    /// A label that belongs to a series.
    pub fn label(&mut self, at: Point, ink: Ink, anchor: Anchor, text: &str) {
        self.text_with(at, text, ink, Style::new(12.0, Weight::SemiBold, anchor));
    }

    /// A small text.
    pub fn note(&mut self, at: Point, ink: Ink, anchor: Anchor, text: &str) {
        self.text_with(at, text, ink, Style::new(11.0, Weight::Regular, anchor));
    }

    fn text_with(&mut self, at: Point, text: &str, ink: Ink, style: Style) {
        self.shapes.push(Shape::Text { at, text: text.to_owned(), ink, style });
    }
}

impl Style {
    fn new(size: f64, weight: Weight, anchor: Anchor) -> Style {
        Style { size, weight, anchor }
    }
}

/// How wide a [`Canvas::label`] is.
pub fn label_width(text: &str) -> f64 {
    font::width(text, 12.0, Weight::SemiBold)
}
