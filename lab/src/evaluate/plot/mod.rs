//! Figures: drawn by the `plotters` crate, once as SVG for the report and once as PNG for slides and
//! README files. Called by the experiments, which know what is to be seen.
//!
//! * [`Drawing`]: what an experiment has to show; [`Picture`]: the two files that come of it.
//! * [`scale`]: what is measured on an axis, and which values are written there.
//! * [`panel`]: a chart in the style of the report.

pub mod scale;
pub mod panel;

pub use panel::Panel;
pub use scale::Scale;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use toystore::error::{Error, Result};

/// A sheet, or a part of it. Lengths are in pixels, of which three are shown as one.
pub type Sheet<DB> = DrawingArea<DB, Shift>;

/// What came of drawing.
pub type Drawn<DB, T = ()> =
    std::result::Result<T, DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// Titles and labels.
pub const TEXT: RGBColor = RGBColor(0x1f, 0x23, 0x28);
/// What is beside the point: axes, ticks, notes.
pub const FAINT: RGBColor = RGBColor(0x66, 0x6f, 0x7a);
/// Lines to measure by.
pub const GRID: RGBColor = RGBColor(0xe4, 0xe7, 0xeb);
/// The first series. The series are after Okabe and Ito, told apart by every kind of colour vision
/// and, by their lightness, in print.
pub const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);
/// The second.
pub const VERMILION: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
/// The third.
pub const GREEN: RGBColor = RGBColor(0x00, 0x9e, 0x73);
/// The fourth.
pub const PURPLE: RGBColor = RGBColor(0xb0, 0x55, 0x9a);

/// Inter is embedded, as small subsets (see `font/LICENSE.txt`), for the PNG; whoever shows an SVG has it,
/// or one of about its widths.
const FAMILY: &str = "Inter, system-ui, Segoe UI, Roboto, sans-serif";
const REGULAR: &[u8] = include_bytes!("font/inter-regular.otf");
const SEMIBOLD: &[u8] = include_bytes!("font/inter-semibold.otf");

/// All sheets are as wide.
const WIDTH: u32 = 3_000;
const HEADING_HEIGHT: u32 = 132;

/// Something to see, drawn alike on every kind of sheet.
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

/// How a small text is set; its place is the middle of its height.
pub fn note(ink: RGBColor, anchor: HPos) -> TextStyle<'static> {
    (FAMILY, 41).into_font().color(&ink).pos(Pos::new(anchor, VPos::Center))
}

/// How a label is set that belongs to a series.
pub fn label(ink: RGBColor, anchor: HPos) -> TextStyle<'static> {
    bold(45, ink, anchor)
}

fn bold(size: u32, ink: RGBColor, anchor: HPos) -> TextStyle<'static> {
    let font = FontDesc::new(FontFamily::Name(FAMILY), f64::from(size), FontStyle::Bold);
    font.color(&ink).pos(Pos::new(anchor, VPos::Center))
}
