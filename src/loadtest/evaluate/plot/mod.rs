//! Figures: drawn once, written as SVG and as PNG. Called by the experiments, which know what is to be
//! seen, and by [`report`](super::report), which shows it.
//!
//! ```text
//! experiment ─▶ panel ─▶ canvas ─┬▶ svg   for the report and for the browser
//!               (scale)          └▶ png   for slides and README files
//! ```
//!
//! * [`canvas`]: shapes on a sheet, in inks.
//! * [`scale`]: from a value to its place, and the ticks that an axis shows.
//! * [`panel`]: a rectangle with axes, in which data is drawn.
//! * [`svg`], [`png`]: a canvas as a file.
//! * `font`: the embedded typeface, its widths and outlines.
//!
//! Why not a plotting crate: here a figure follows the light or dark of the page around it, its bitmap is
//! smooth, and every label is set where it can be read.

pub mod canvas;
pub mod scale;
pub mod panel;
pub mod svg;
pub mod png;
mod font;

pub use canvas::{Anchor, Canvas, Ink};
pub use panel::{Axis, Panel, Place};
pub use scale::Scale;
