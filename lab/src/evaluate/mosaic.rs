//! The figure of experiment 4: a row per toy, a column per request, filled while the toy is cached.

use super::measured::number;
use super::plot::panel::{Frame, LEFT};
use super::plot::scale::plain;
use super::plot::{
    BLUE, Drawing, Drawn, FAINT, PURPLE, Panel, Scale, Sheet, TEXT, VERMILION, note,
};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

/// What is drawn: the most popular toy on top. `capacity` is that of the cache.
pub struct Mosaic<'a> {
    /// The rows.
    pub toys: &'a [String],
    /// The columns.
    pub steps: &'a [Step],
    /// The capacity of the cache.
    pub capacity: usize,
}

/// A request, and its effect on the cache.
#[derive(Debug)]
pub struct Step {
    /// A purchase, not a query.
    pub is_purchase: bool,
    /// The requested toy.
    pub toy: String,
    /// Whether it was a query that the cache answered.
    pub is_hit: bool,
    /// What is cached afterwards, most recently used first.
    pub cached: Vec<String>,
    /// The toys that left the cache, and why.
    pub gone: Vec<(String, Why)>,
}

/// Why a toy left the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The cache was full.
    Evicted,
    /// It was bought.
    Bought,
    /// It was restocked.
    Restocked,
}

/// What happened to a toy in a request.
#[derive(Debug, Clone, Copy)]
enum Mark {
    Hit,
    Miss,
    Evicted,
    Bought,
    BoughtElsewhere,
    Restocked,
}

const KEY: [(Mark, &str); 6] = [
    (Mark::Hit, "hit"),
    (Mark::Miss, "miss: fetched"),
    (Mark::Evicted, "evicted: least recently used"),
    (Mark::Bought, "bought: dropped"),
    (Mark::BoughtElsewhere, "bought, not cached"),
    (Mark::Restocked, "restocked: dropped"),
];

impl Drawing for Mosaic<'_> {
    fn heading(&self) -> (&str, u32) {
        ("Cache contents over time", 1_218)
    }

    fn draw<DB: DrawingBackend>(&self, sheet: &Sheet<DB>) -> Drawn<DB> {
        let y = Scale::rows(self.toys.iter().cloned());
        let x = Scale::linear(0.0, number(self.steps.len()), plain);
        let frame = Frame { title: "", x: "requests", y: "", right: 60 };
        let mut panel = Panel::new(sheet, frame, x, y)?;
        for (column, step) in self.steps.iter().enumerate() {
            self.draw_cached(&mut panel, number(column), step)?;
        }
        for (column, step) in self.steps.iter().enumerate() {
            let middle = number(column) + 0.5;
            for (toy, mark) in marks(step) {
                panel.chart.plotting_area().draw(&mark.at((middle, self.row(toy) + 0.5)))?;
            }
        }
        draw_key(sheet)
    }
}

impl Mosaic<'_> {
    fn draw_cached<DB: DrawingBackend>(
        &self,
        panel: &mut Panel<'_, DB>,
        column: f64,
        step: &Step,
    ) -> Drawn<DB> {
        for (rank, toy) in step.cached.iter().enumerate() {
            // In a full cache the last toy is the palest: it is evicted next.
            let opacity = 0.62 - 0.5 * number(rank) / number(self.capacity.max(2) - 1);
            let row = self.row(toy);
            let corners = [(column + 0.04, row + 0.07), (column + 0.96, row + 0.93)];
            panel.rectangle(corners, BLUE.mix((opacity * 100.0).round() / 100.0))?;
        }
        Ok(())
    }

    fn row(&self, toy: &str) -> f64 {
        number(self.toys.iter().position(|other| other == toy).unwrap_or(0))
    }
}

/// The marks in the column of a request, with their toys.
fn marks(step: &Step) -> impl Iterator<Item = (&String, Mark)> {
    let gone = step.gone.iter().map(|(toy, why)| match why {
        Why::Evicted => (toy, Mark::Evicted),
        Why::Bought => (toy, Mark::Bought),
        Why::Restocked => (toy, Mark::Restocked),
    });
    let dropped = step.gone.iter().any(|(toy, _)| *toy == step.toy);
    let asked = match (step.is_purchase, step.is_hit) {
        (true, _) if dropped => None,
        (true, _) => Some(Mark::BoughtElsewhere),
        (false, true) => Some(Mark::Hit),
        (false, false) => Some(Mark::Miss),
    };
    gone.chain(asked.map(|mark| (&step.toy, mark)))
}

impl Mark {
    /// The mark, with its middle at a point.
    fn at<'a, Coord: Clone + 'static, DB: DrawingBackend + 'a>(
        self,
        at: Coord,
    ) -> DynElement<'a, DB, Coord> {
        let ring = |ink: RGBColor| {
            EmptyElement::at(at.clone())
                + Circle::new((0, 0), 10, ink.filled())
                + Circle::new((0, 0), 6, WHITE.filled())
        };
        let diamond = |ink: RGBColor| {
            let corners = vec![(-13, 0), (0, -16), (13, 0), (0, 16)];
            EmptyElement::at(at.clone()) + Polygon::new(corners, ink)
        };
        match self {
            Mark::Hit => Circle::new(at, 6, TEXT.filled()).into_dyn(),
            Mark::Miss => ring(TEXT).into_dyn(),
            Mark::Evicted => {
                (EmptyElement::at(at) + Cross::new((0, 0), 10, FAINT.stroke_width(5))).into_dyn()
            }
            Mark::Bought => diamond(VERMILION).into_dyn(),
            Mark::BoughtElsewhere => ring(VERMILION).into_dyn(),
            Mark::Restocked => diamond(PURPLE).into_dyn(),
        }
    }
}

fn draw_key<DB: DrawingBackend>(sheet: &Sheet<DB>) -> Drawn<DB> {
    let (style, y) = (note(TEXT, HPos::Left), 60);
    let mut x = LEFT;
    for (mark, meaning) in KEY {
        sheet.draw(&mark.at((x, y)))?;
        sheet.draw_text(meaning, &style, (x + 30, y + 4))?;
        x += 30 + sheet.estimate_text_size(meaning, &style)?.0.cast_signed() + 60;
    }
    Ok(())
}
