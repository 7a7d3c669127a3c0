//! Colours and fonts of all figures. Used by the charts and by the experiments.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A sheet, or a part of it. Lengths are in pixels; three of them are shown as one.
pub type Sheet<DB> = DrawingArea<DB, Shift>;

/// The result of drawing.
pub type Drawn<DB, T = ()> =
    std::result::Result<T, DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// Titles and labels.
pub const TEXT: RGBColor = RGBColor(0x1f, 0x23, 0x28);
/// Secondary text: axes, ticks, notes.
pub const FAINT: RGBColor = RGBColor(0x66, 0x6f, 0x7a);
/// Grid lines.
pub const GRID: RGBColor = RGBColor(0xe4, 0xe7, 0xeb);
/// The first series. The colours of the series are after Okabe and Ito: they can be distinguished with every kind
/// of colour vision and, by their lightness, in print.
pub const BLUE: RGBColor = RGBColor(0x00, 0x72, 0xb2);
/// The second series.
pub const VERMILION: RGBColor = RGBColor(0xd5, 0x5e, 0x00);
/// The third series.
pub const GREEN: RGBColor = RGBColor(0x00, 0x9e, 0x73);
/// The fourth series.
pub const PURPLE: RGBColor = RGBColor(0xb0, 0x55, 0x9a);

/// Small subsets of Inter are embedded for the PNG (see `font/LICENSE.txt`). An SVG uses Inter where it is installed,
/// or a font of similar width.
pub(super) const FAMILY: &str = "Inter, system-ui, Segoe UI, Roboto, sans-serif";
/// The weight of text.
pub(super) const REGULAR: &[u8] = include_bytes!("font/inter-regular.otf");
/// The weight of titles and labels.
pub(super) const SEMIBOLD: &[u8] = include_bytes!("font/inter-semibold.otf");

/// The style of a small text; its position is the middle of its height.
pub fn note(ink: RGBColor, anchor: HPos) -> TextStyle<'static> {
    (FAMILY, 41).into_font().color(&ink).pos(Pos::new(anchor, VPos::Center))
}

/// The style of a series' label.
pub fn label(ink: RGBColor, anchor: HPos) -> TextStyle<'static> {
    bold(45, ink, anchor)
}

/// The style of a title of this size.
pub fn bold(size: u32, ink: RGBColor, anchor: HPos) -> TextStyle<'static> {
    let font = FontDesc::new(FontFamily::Name(FAMILY), f64::from(size), FontStyle::Bold);
    font.color(&ink).pos(Pos::new(anchor, VPos::Center))
}
