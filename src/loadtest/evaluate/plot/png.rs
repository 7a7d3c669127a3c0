//! A canvas as PNG, for light pages, at twice its size so that it is sharp on fine screens.

use super::canvas::{Anchor, Canvas, Ink, Point, Shape, Style};
use super::font;
use crate::error::{Error, Result};
use tiny_skia::{
    FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, Stroke, StrokeDash, Transform,
};
use ttf_parser::OutlineBuilder;

/// Pixels per point.
const SCALE: f32 = 2.0;

/// The bytes of the file.
pub fn file(canvas: &Canvas) -> Result<Vec<u8>> {
    let error = |why: &str| Error::invalid(format!("cannot draw a figure: {why}"));
    let [width, height] = [canvas.width, canvas.height].map(|length| pixels(length).ceil());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
    let pixmap = Pixmap::new(width as u32, height as u32);
    let mut sheet = Sheet { pixmap: pixmap.ok_or_else(|| error("it has no size"))? };
    for shape in &canvas.shapes {
        sheet.draw(shape);
    }
    sheet.pixmap.encode_png().map_err(|e| error(&e.to_string()))
}

struct Sheet {
    pixmap: Pixmap,
}

impl Sheet {
    fn draw(&mut self, shape: &Shape) {
        match shape {
            Shape::Line { points, ink, width, dashes } => {
                let dashes = dashes.and_then(|dash| StrokeDash::new(vec![pixels(dash); 2], 0.0));
                let stroke = Stroke {
                    width: pixels(*width),
                    line_join: LineJoin::Round,
                    dash: dashes,
                    ..Stroke::default()
                };
                if let Some(path) = path(points, false) {
                    let paint = paint(*ink, 1.0);
                    self.pixmap.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
                }
            }
            Shape::Area { points, ink, opacity } => self.fill(path(points, true), *ink, *opacity),
            Shape::Dot { at: (x, y), radius, ink, .. } => {
                let circle = PathBuilder::from_circle(pixels(*x), pixels(*y), pixels(*radius));
                self.fill(circle, *ink, 1.0);
            }
            Shape::Text { at, text, ink, style } => {
                self.fill(letters(*at, text, *style), *ink, 1.0);
            }
        }
    }

    /// Fills a path, if it has any extent.
    fn fill(&mut self, path: Option<Path>, ink: Ink, opacity: f64) {
        if let Some(path) = path {
            let (paint, rule) = (paint(ink, opacity), FillRule::Winding);
            self.pixmap.fill_path(&path, &paint, rule, Transform::identity(), None);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a pixel is coarser than an f32")]
fn pixels(points: f64) -> f32 {
    points as f32 * SCALE
}

fn paint(ink: Ink, opacity: f64) -> Paint<'static> {
    let [_, red, green, blue] = ink.colours()[0].to_be_bytes();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 255")]
    let alpha = (opacity.clamp(0.0, 1.0) * 255.0).round() as u8;
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(red, green, blue, alpha);
    paint
}

fn path(points: &[Point], closed: bool) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for (i, (x, y)) in points.iter().enumerate() {
        match i {
            0 => builder.move_to(pixels(*x), pixels(*y)),
            _ => builder.line_to(pixels(*x), pixels(*y)),
        }
    }
    if closed {
        builder.close();
    }
    builder.finish()
}

/// The outlines of a text.
fn letters((x, y): Point, text: &str, style: Style) -> Option<Path> {
    let width = font::width(text, style.size, style.weight);
    let before = match style.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => width / 2.0,
        Anchor::End => width,
    };
    let unit = pixels(font::unit(style.size, style.weight));
    let mut pen = Pen { path: PathBuilder::new(), begin: 0.0, unit };
    for (letter, begin) in font::letters(text, style.size, style.weight) {
        pen.begin = pixels(begin - before);
        font::outline(letter, style.weight, &mut pen);
    }
    pen.path.finish()?.transform(Transform::from_translate(pixels(x), pixels(y)))
}

/// Draws letters on a line.
struct Pen {
    path: PathBuilder,
    /// Where the letter begins.
    begin: f32,
    /// Of the font.
    unit: f32,
}

impl Pen {
    /// Fonts measure upwards.
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.begin + x * self.unit, -y * self.unit)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
