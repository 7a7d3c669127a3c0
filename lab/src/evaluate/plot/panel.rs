//! A chart with a title and two axes, in the style of the report.

use super::scale::Scale;
use super::style::{Drawn, FAINT, GRID, Sheet, TEXT, bold, label, note};
use plotters::coord::cartesian::Cartesian2d;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

/// A chart on a part of a sheet.
pub struct Panel<'a, DB: DrawingBackend> {
    /// Where data is drawn, in its own units.
    pub chart: ChartContext<'a, DB, Cartesian2d<Scale, Scale>>,
    sheet: Sheet<DB>,
}

/// The texts around the data of a panel.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The title of the panel.
    pub title: &'a str,
    /// The name of the x axis.
    pub x: &'a str,
    /// The name of the y axis, with its unit.
    pub y: &'a str,
    /// The room to the right of the data, for the names of series.
    pub right: u32,
}

/// The measurements at one place of the x axis.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// The place.
    pub x: f64,
    /// The median, or the mean.
    pub middle: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// The room for the ticks of a y axis.
pub const LEFT: i32 = 200;

/// The room for the title and the name of the y axis.
const TOP: i32 = 132;

/// The distance between the middles of two labels, at least.
const LABEL_HEIGHT: i32 = 45;

impl<DB: DrawingBackend> Panel<'_, DB> {
    /// Draws the frame.
    pub fn new(sheet: &Sheet<DB>, frame: Frame<'_>, x: Scale, y: Scale) -> Drawn<DB, Self> {
        let grid = if y.is_rows { TRANSPARENT } else { GRID.to_rgba() };
        let mut chart = ChartBuilder::on(sheet)
            .margin_top(TOP)
            .margin_right(frame.right)
            .margin_bottom(18)
            .set_label_area_size(LabelAreaPosition::Left, LEFT)
            .set_label_area_size(LabelAreaPosition::Bottom, 108)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(grid.stroke_width(3))
            .light_line_style(TRANSPARENT)
            .axis_style(FAINT.stroke_width(3))
            .set_all_tick_mark_size(10)
            // In the PNG text is somewhat higher than in the SVG.
            .y_label_offset(5)
            .label_style(note(FAINT, HPos::Center))
            .axis_desc_style(note(FAINT, HPos::Center))
            .x_desc(frame.x)
            .draw()?;
        sheet.draw_text(frame.title, &bold(48, TEXT, HPos::Left), (LEFT, 36))?;
        sheet.draw_text(frame.y, &note(FAINT, HPos::Left), (LEFT, 90))?;
        Ok(Panel { chart, sheet: sheet.clone() })
    }

    /// Straight lines from point to point.
    pub fn line(&mut self, points: &[(f64, f64)], ink: RGBColor) -> Drawn<DB> {
        let points = points.iter().copied();
        self.chart.draw_series(LineSeries::new(points, ink.stroke_width(7)))?;
        Ok(())
    }

    /// The same in dashes.
    pub fn dashed_line(&mut self, points: &[(f64, f64)], ink: RGBColor) -> Drawn<DB> {
        let (points, style) = (points.iter().copied(), ink.stroke_width(5));
        self.chart.draw_series(DashedLineSeries::new(points, 15, 15, style))?;
        Ok(())
    }

    /// A dot at each point.
    pub fn dots(&mut self, points: &[(f64, f64)], radius: i32, ink: RGBColor) -> Drawn<DB> {
        let dots = points.iter().map(|point| Circle::new(*point, radius, ink.filled()));
        self.chart.draw_series(dots)?;
        Ok(())
    }

    /// A polygon with these corners.
    pub fn area(&mut self, points: Vec<(f64, f64)>, ink: RGBAColor) -> Drawn<DB> {
        self.chart.draw_series([Polygon::new(points, ink)])?;
        Ok(())
    }

    /// A rectangle between two corners.
    pub fn rectangle(&mut self, corners: [(f64, f64); 2], ink: RGBAColor) -> Drawn<DB> {
        self.chart.draw_series([Rectangle::new(corners, ink.filled())])?;
        Ok(())
    }

    /// A text at a point.
    pub fn text(&mut self, at: (f64, f64), text: &str, style: TextStyle<'static>) -> Drawn<DB> {
        self.chart.draw_series([Text::new(text.to_owned(), at, style)])?;
        Ok(())
    }

    /// The middles as a line with dots, and a band from there up to the 99th percentile.
    pub fn spread(&mut self, points: &[Spread], ink: RGBColor) -> Drawn<DB> {
        let middles: Vec<_> = points.iter().map(|p| (p.x, p.middle)).collect();
        let tops: Vec<_> = points.iter().map(|p| (p.x, p.p99)).collect();
        let around = middles.iter().chain(tops.iter().rev()).copied().collect();
        self.area(around, ink.mix(0.14))?;
        self.chart.draw_series(LineSeries::new(tops, ink.stroke_width(2)))?;
        self.line(&middles, ink)?;
        self.dots(&middles, 10, ink)
    }

    /// The key: the text of each colour, to the right of the title.
    pub fn key(&mut self, inks: &[(&str, RGBColor)]) -> Drawn<DB> {
        let mut right = self.chart.plotting_area().get_pixel_range().0.end;
        right -= self.sheet.get_base_pixel().0;
        for (text, ink) in inks.iter().rev() {
            let style = label(*ink, HPos::Right);
            self.sheet.draw_text(text, &style, (right, 36))?;
            right -= self.sheet.estimate_text_size(text, &style)?.0.cast_signed() + 42;
        }
        Ok(())
    }

    /// Names the series at the right, each beside its last value, moved apart where they would
    /// overlap.
    pub fn name(&mut self, series: &[(f64, RGBColor, &str)]) -> Drawn<DB> {
        let area = self.chart.plotting_area();
        let (base, (width, height)) = (self.sheet.get_base_pixel(), area.get_pixel_range());
        let y_of = |value| area.map_coordinate(&(area.get_x_range().start, value)).1;
        let mut labels: Vec<_> =
            series.iter().map(|(value, ink, text)| (y_of(*value), *ink, *text)).collect();
        labels.sort_by_key(|label| label.0);
        let mut lowest = height.start;
        for label in &mut labels {
            label.0 = label.0.max(lowest);
            lowest = label.0 + LABEL_HEIGHT;
        }
        // Labels that were moved below the axis move the others up again.
        let mut highest = height.end;
        for label in labels.iter_mut().rev() {
            label.0 = label.0.min(highest);
            highest = label.0 - LABEL_HEIGHT;
        }
        for (y, ink, text) in labels {
            let at = (width.end - base.0 + 24, y - base.1 + 4);
            self.sheet.draw_text(text, &label(ink, HPos::Left), at)?;
        }
        Ok(())
    }
}
