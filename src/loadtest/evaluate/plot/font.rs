//! The typeface: Inter, in two weights, as small subsets (see `font/LICENSE.txt`). Its outlines are
//! for the PNG; whoever shows an SVG has it, or one of about its widths.

use std::sync::LazyLock;
use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// How bold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    SemiBold,
}

static REGULAR: LazyLock<Face<'_>> =
    LazyLock::new(|| face(include_bytes!("font/inter-regular.otf")));
static SEMIBOLD: LazyLock<Face<'_>> =
    LazyLock::new(|| face(include_bytes!("font/inter-semibold.otf")));

fn face(bytes: &'static [u8]) -> Face<'static> {
    Face::parse(bytes, 0).expect("the embedded font is whole")
}

impl Weight {
    fn face(self) -> &'static Face<'static> {
        match self {
            Weight::Regular => &REGULAR,
            Weight::SemiBold => &SEMIBOLD,
        }
    }
}

/// How wide a text is at a size.
pub(super) fn width(text: &str, size: f64, weight: Weight) -> f64 {
    advances(text, size, weight).map(|(_, advance)| advance).sum()
}

/// The letters of a text, each with where it begins.
pub(super) fn letters(
    text: &str,
    size: f64,
    weight: Weight,
) -> impl Iterator<Item = (GlyphId, f64)> {
    advances(text, size, weight).scan(0.0, |x, (letter, advance)| {
        let begin = *x;
        *x += advance;
        Some((letter, begin))
    })
}

/// Draws the outline of a letter, in the units of the font; a blank has none.
pub(super) fn outline(letter: GlyphId, weight: Weight, pen: &mut dyn OutlineBuilder) {
    weight.face().outline_glyph(letter, pen);
}

/// What a unit of the font is at a size.
pub(super) fn unit(size: f64, weight: Weight) -> f64 {
    size / f64::from(weight.face().units_per_em())
}

fn advances(text: &str, size: f64, weight: Weight) -> impl Iterator<Item = (GlyphId, f64)> {
    let (face, unit) = (weight.face(), unit(size, weight));
    text.chars().map(move |letter| {
        // Glyph 0 is the box that stands for what the font does not have.
        let glyph = face.glyph_index(letter).unwrap_or_default();
        (glyph, f64::from(face.glyph_hor_advance(glyph).unwrap_or_default()) * unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_every_sign_that_figures_use() {
        for letter in "Latency, µs – 99 % × 200 ms → “10” · ≥ − … ä".chars() {
            for weight in [Weight::Regular, Weight::SemiBold] {
                assert!(weight.face().glyph_index(letter).is_some(), "{letter:?} in {weight:?}");
            }
        }
        assert!(width("mm", 12.0, Weight::Regular) > width("ii", 12.0, Weight::Regular));
    }
}
