//! The picture of experiment 4: a row per toy, a column per request, filled while the toy is cached.

use super::cached::{Step, Why};
use super::plot::{Anchor, Canvas, Ink};

const LEFT: f64 = 84.0;
const TOP: f64 = 84.0;
const ROW_HEIGHT: f64 = 27.0;
const RIGHT: f64 = 20.0;

/// Draws it, the most popular toy on top. The cache has room for `capacity` toys.
pub fn draw(canvas: &mut Canvas, toys: &[String], steps: &[Step], capacity: usize) {
    canvas.heading((20.0, 30.0), 17.0, "Cache contents over time");
    draw_key(canvas);
    let mosaic = Mosaic::new(canvas, toys, steps.len(), capacity);
    mosaic.draw_frame(canvas);
    for (column, step) in steps.iter().enumerate() {
        mosaic.draw_step(canvas, column, step);
    }
}

struct Mosaic<'a> {
    toys: &'a [String],
    steps: usize,
    capacity: usize,
    /// The width of a column.
    width: f64,
}

impl Mosaic<'_> {
    fn new<'a>(canvas: &Canvas, toys: &'a [String], steps: usize, capacity: usize) -> Mosaic<'a> {
        Mosaic {
            toys,
            steps,
            capacity,
            width: (canvas.width - LEFT - RIGHT) / number(steps.max(1)),
        }
    }

    /// The upper left corner of a cell.
    fn corner(&self, column: usize, row: usize) -> (f64, f64) {
        (LEFT + number(column) * self.width, TOP + number(row) * ROW_HEIGHT)
    }

    fn draw_frame(&self, canvas: &mut Canvas) {
        let (right, bottom) = self.corner(self.steps, self.toys.len());
        for (row, toy) in self.toys.iter().enumerate() {
            let (_, y) = self.corner(0, row);
            canvas.line(&[(LEFT, y), (right, y)], Ink::Grid, 1.0);
            canvas.note((LEFT - 8.0, y + 18.0), Ink::Text, Anchor::End, toy);
        }
        canvas.line(&[(LEFT, bottom), (right, bottom)], Ink::Faint, 1.0);
        for column in (0..=self.steps).step_by(10) {
            let (x, _) = self.corner(column, 0);
            canvas.line(&[(x, bottom), (x, bottom + 4.0)], Ink::Faint, 1.0);
            canvas.note((x, bottom + 17.0), Ink::Faint, Anchor::Middle, &column.to_string());
        }
        let middle = LEFT + (right - LEFT) / 2.0;
        canvas.note((middle, bottom + 34.0), Ink::Faint, Anchor::Middle, "requests");
    }

    fn draw_step(&self, canvas: &mut Canvas, column: usize, step: &Step) {
        for (rank, toy) in step.cached.iter().enumerate() {
            // Of a full cache the last one is the palest: it goes next.
            let opacity = 0.62 - 0.5 * number(rank) / number(self.capacity.max(2) - 1);
            let (x, y) = self.corner(column, self.row(toy));
            let cell = (self.width - 0.8, ROW_HEIGHT - 3.0);
            canvas.rectangle(
                (x + 0.4, y + 1.5),
                cell,
                Ink::Blue,
                (opacity * 100.0).round() / 100.0,
            );
        }
        for (toy, why) in &step.gone {
            let (x, y) = self.corner(column, self.row(toy));
            let at = (x + self.width / 2.0, y + ROW_HEIGHT / 2.0);
            match why {
                Why::Evicted => cross(canvas, at),
                Why::Bought => diamond(canvas, at, Ink::Vermilion),
                Why::Restocked => diamond(canvas, at, Ink::Purple),
            }
        }
        let (x, y) = self.corner(column, self.row(&step.toy));
        let at = (x + self.width / 2.0, y + ROW_HEIGHT / 2.0);
        let dropped = step.gone.iter().any(|(toy, _)| *toy == step.toy);
        match (step.is_purchase, step.is_hit) {
            (true, _) if !dropped => ring(canvas, at, Ink::Vermilion),
            (true, _) => {}
            (false, true) => canvas.dot(at, 2.2, Ink::Text, ""),
            (false, false) => ring(canvas, at, Ink::Text),
        }
    }

    fn row(&self, toy: &str) -> usize {
        self.toys.iter().position(|other| other == toy).unwrap_or(0)
    }
}

fn cross(canvas: &mut Canvas, (x, y): (f64, f64)) {
    canvas.line(&[(x - 3.5, y - 3.5), (x + 3.5, y + 3.5)], Ink::Faint, 1.8);
    canvas.line(&[(x - 3.5, y + 3.5), (x + 3.5, y - 3.5)], Ink::Faint, 1.8);
}

fn diamond(canvas: &mut Canvas, (x, y): (f64, f64), ink: Ink) {
    canvas.area(&[(x - 4.5, y), (x, y - 5.5), (x + 4.5, y), (x, y + 5.5)], ink, 1.0);
}

fn ring(canvas: &mut Canvas, at: (f64, f64), ink: Ink) {
    canvas.dot(at, 3.6, ink, "");
    canvas.dot(at, 2.2, Ink::Paper, "");
}

/// A mark, in which ink, and what it means.
type Mark = (fn(&mut Canvas, (f64, f64), Ink), Ink, &'static str);

fn draw_key(canvas: &mut Canvas) {
    let marks: [Mark; 6] = [
        (|canvas, at, ink| canvas.dot(at, 2.2, ink, ""), Ink::Text, "hit"),
        (ring, Ink::Text, "miss: fetched"),
        (|canvas, at, _| cross(canvas, at), Ink::Faint, "evicted: least recently used"),
        (diamond, Ink::Vermilion, "bought: dropped"),
        (ring, Ink::Vermilion, "bought, not cached"),
        (diamond, Ink::Purple, "restocked: dropped"),
    ];
    let mut x = LEFT;
    for (draw, ink, meaning) in marks {
        draw(canvas, (x, 56.0), ink);
        canvas.note((x + 10.0, 60.0), Ink::Text, Anchor::Start, meaning);
        x += 10.0 + super::plot::canvas::label_width(meaning) + 18.0;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a hundred requests")]
fn number(count: usize) -> f64 {
    count as f64
}
