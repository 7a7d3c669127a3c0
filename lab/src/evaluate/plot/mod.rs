//! Figures: drawn by the `plotters` crate, once as SVG for the report and once as PNG for slides and
//! README files. Called by the experiments, which define what is drawn.
//!
//! * [`Drawing`]: what an experiment draws; [`Picture`]: the two files that it becomes.
//! * [`scale`]: the axes, with their ticks.
//! * [`panel`]: a chart in the style of the report.
//! * `style`: colours and fonts of all figures.

pub mod panel;
pub mod scale;
mod style;

pub use panel::Panel;
pub use scale::Scale;
pub use style::{BLUE, Drawn, FAINT, GREEN, PURPLE, Sheet, TEXT, VERMILION, label, note};

use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::HPos;
use style::{FAMILY, REGULAR, SEMIBOLD, bold};
use toystore::error::{Error, Result};

/// The width of all sheets.
const WIDTH: u32 = 3_000;
const HEADING_HEIGHT: u32 = 132;

/// A figure that can be drawn on every kind of sheet.
pub trait Drawing {
    /// Its heading, and the height of its sheet.
    fn heading(&self) -> (&str, u32);

    /// Draws it below its heading.
    fn draw<DB: DrawingBackend>(&self, sheet: &Sheet<DB>) -> Drawn<DB>;
}

/// A drawing as files.
#[derive(Debug)]
pub struct Picture {
    /// As SVG.
    pub svg: String,
    /// As PNG.
    pub png: Vec<u8>,
}

impl Picture {
    /// Draws it.
    pub fn of(drawing: &impl Drawing) -> Result<Picture> {
        for (style, bytes) in [(FontStyle::Normal, REGULAR), (FontStyle::Bold, SEMIBOLD)] {
            assert!(register_font(FAMILY, style, bytes).is_ok(), "the embedded font is whole");
        }
        let size = (WIDTH, drawing.heading().1);
        let mut svg = String::new();
        draw(drawing, SVGBackend::with_string(&mut svg, size))?;
        let mut pixels = vec![0; size.0 as usize * size.1 as usize * 3];
        draw(drawing, BitMapBackend::with_buffer(&mut pixels, size))?;
        Ok(Picture { svg, png: encoded(&pixels, size).map_err(|e| failed(&e))? })
    }
}

fn draw<DB: DrawingBackend>(drawing: &impl Drawing, backend: DB) -> Result<()> {
    let sheet = backend.into_drawing_area();
    let on_sheet = || -> Drawn<DB> {
        sheet.fill(&WHITE)?;
        sheet.draw_text(drawing.heading().0, &bold(63, TEXT, HPos::Left), (60, 78))?;
        drawing.draw(&sheet.margin(HEADING_HEIGHT, 0, 0, 0))?;
        sheet.present()
    };
    on_sheet().map_err(|e| failed(&e))
}

fn failed(why: &dyn std::fmt::Display) -> Error {
    Error::invalid(format!("cannot draw a figure: {why}"))
}

fn encoded(
    pixels: &[u8],
    (width, height): (u32, u32),
) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(file)
}
