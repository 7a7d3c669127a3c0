//! A canvas as SVG. Colours are attributes, for every viewer there is; a style sheet gives them the
//! values for dark pages.

use super::canvas::{Anchor, Canvas, Ink, Point, Shape, Style};
use super::font::Weight;
use std::fmt::Write;

/// A file of its own.
pub fn file(canvas: &Canvas, title: &str) -> String {
    element(canvas, title, &format!("<style>{}</style>", dark_colours()))
}

/// An element for a page that has the [`dark_colours`] in its own style sheet.
pub fn inline(canvas: &Canvas, title: &str) -> String {
    element(canvas, title, "")
}

/// What the inks are on a dark screen.
pub fn dark_colours() -> String {
    let mut rules = String::new();
    for ink in Ink::ALL {
        let (class, [_, dark]) = (class(ink), ink.colours());
        let _ = write!(rules, ".f-{class}{{fill:#{dark:06x}}}.s-{class}{{stroke:#{dark:06x}}}");
    }
    format!("@media screen and (prefers-color-scheme:dark){{{rules}}}")
}

fn element(canvas: &Canvas, title: &str, style: &str) -> String {
    let (width, height) = (canvas.width, canvas.height);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" font-family=\"Inter,system-ui,'Segoe UI',Roboto,sans-serif\">\
         <title>{}</title>{style}\n",
        escaped(title)
    );
    for shape in &canvas.shapes {
        write_shape(&mut out, shape);
        out.push('\n');
    }
    out.push_str("</svg>\n");
    out
}

/// Writing into a `String` cannot fail.
fn write_shape(out: &mut String, shape: &Shape) {
    let _ = match shape {
        Shape::Line { points, ink, width, dashes } => {
            let dashes = dashes
                .map_or_else(String::new, |dash| format!(" stroke-dasharray=\"{dash} {dash}\""));
            write!(
                out,
                "<polyline points=\"{}\" fill=\"none\" {} stroke-width=\"{width}\" \
                 stroke-linejoin=\"round\"{dashes}/>",
                listed(points),
                stroke(*ink)
            )
        }
        Shape::Area { points, ink, opacity } => {
            let opacity =
                if *opacity < 1.0 { format!(" fill-opacity=\"{opacity}\"") } else { String::new() };
            write!(out, "<polygon points=\"{}\" {}{opacity}/>", listed(points), fill(*ink))
        }
        Shape::Dot { at: (x, y), radius, ink, tip } => {
            let tip = match tip.as_str() {
                "" => String::new(),
                tip => format!("<title>{}</title>", escaped(tip)),
            };
            let fill = fill(*ink);
            write!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" {fill}>{tip}</circle>")
        }
        Shape::Text { at, text, ink, style } => write_text(out, *at, text, *ink, *style),
    };
}

fn write_text(
    out: &mut String,
    (x, y): Point,
    text: &str,
    ink: Ink,
    style: Style,
) -> std::fmt::Result {
    let anchor = match style.anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let weight = match style.weight {
        Weight::Regular => "",
        Weight::SemiBold => " font-weight=\"600\"",
    };
    let (size, fill, text) = (style.size, fill(ink), escaped(text));
    write!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" {fill}{anchor}{weight}>{text}</text>"
    )
}

fn listed(points: &[Point]) -> String {
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    points.join(" ")
}

fn fill(ink: Ink) -> String {
    format!("class=\"f-{}\" fill=\"#{:06x}\"", class(ink), ink.colours()[0])
}

fn stroke(ink: Ink) -> String {
    format!("class=\"s-{}\" stroke=\"#{:06x}\"", class(ink), ink.colours()[0])
}

/// The name of an ink in the style sheet.
fn class(ink: Ink) -> String {
    format!("{ink:?}").to_lowercase()
}

/// A text in which nothing is read as markup.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
