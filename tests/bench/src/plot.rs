//! The rows as one picture: a bar from 1 to the median ratio, a whisker from the smallest to the largest round, and a mark
//! where the target is. The axis is logarithmic, since twice and half are the same distance from equal.
//!
//! Owns the drawing and nothing else. Colours are in the middle, and text follows the reader's scheme, so that it can be read
//! on light and on dark.

use crate::answer::{Answer, Row};
use std::fmt::Write;

const WIDTH: f64 = 960.0;
/// Where the axis begins and ends; names stand left of it, figures right.
const LEFT: f64 = 300.0;
const RIGHT: f64 = 690.0;
const TOP: f64 = 46.0;
const ROW_HEIGHT: f64 = 30.0;
const BAR_HEIGHT: f64 = 13.0;
const BOTTOM: f64 = 44.0;

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#1f2328}.small{font-size:11px;fill:#59636e}\
    .grid{stroke:#8b949e;stroke-opacity:.35}.one{stroke:#8b949e;stroke-width:1.5}.whisker{stroke:#6e7781;stroke-width:1.5}\
    .met{fill:#2f81f7}.missed{fill:#d9822b}.free{fill:#8b949e}.target{fill:#c93c8b}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.whisker{stroke:#c0c7cf}}";

/// Where ratios lie on the axis.
struct Axis {
    /// Powers of two at both ends.
    low: i32,
    high: i32,
}

impl Axis {
    /// Holds every number of every row, and a factor of two on both sides of 1.
    fn around(rows: &[Row]) -> Self {
        let numbers =
            || rows.iter().flat_map(|row| [row.ratio_min, row.ratio_max, row.target.unwrap_or(1.0)]).filter(is_ratio);
        let low = numbers().fold(0.5, f64::min).log2().floor();
        let high = numbers().fold(2.0, f64::max).log2().ceil();
        Self { low: low as i32, high: high as i32 }
    }

    fn place(&self, ratio: f64) -> f64 {
        let share = (ratio.log2() - f64::from(self.low)) / f64::from(self.high - self.low);
        LEFT + share.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }
}

/// A ratio that has a logarithm.
fn is_ratio(number: &f64) -> bool {
    number.is_finite() && *number > 0.0
}

/// The picture.
pub(crate) fn svg(answer: &Answer) -> String {
    let axis = Axis::around(&answer.rows);
    let bottom = TOP + ROW_HEIGHT * answer.rows.len() as f64;
    let height = bottom + BOTTOM;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"Ratios of the store's figures to their peers\">\n<style>{STYLE}</style>\n"
    );
    grid(&mut out, &axis, bottom);
    for (place, row) in answer.rows.iter().enumerate() {
        draw_row(&mut out, &axis, row, TOP + ROW_HEIGHT * (place as f64 + 0.5));
    }
    let machine = escape(&answer.machine.cpu);
    text(&mut out, "small", "start", 12.0, bottom + 34.0, &format!("{machine}, {} cores", answer.machine.cores));
    out.push_str("</svg>\n");
    out
}

fn grid(out: &mut String, axis: &Axis, bottom: f64) {
    text(
        out,
        "small",
        "start",
        12.0,
        20.0,
        "ratio to the peer, to the right of 1 is better; bar: median, line: all rounds",
    );
    let target = axis.place(1.0).max(LEFT) + 130.0;
    mark(out, target, 16.0);
    text(out, "small", "start", target + 9.0, 20.0, "what was asked for");
    // Eight labels fit side by side.
    let step = ((axis.high - axis.low) / 8 + 1).max(1);
    for power in (axis.low..=axis.high).filter(|power| power % step == 0) {
        let x = axis.place(f64::from(power).exp2());
        let class = if power == 0 { "one" } else { "grid" };
        let _ = writeln!(
            out,
            "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"/>",
            TOP - 6.0
        );
        let label = if power < 0 { format!("1/{}", 1_u64 << -power) } else { (1_u64 << power).to_string() };
        text(out, "small", "middle", x, bottom + 15.0, &label);
    }
}

fn draw_row(out: &mut String, axis: &Axis, row: &Row, y: f64) {
    text(out, "name", "end", LEFT - 12.0, y + 4.5, &escape(&row.name));
    let class = match row.meets_target() {
        Some(true) => "met",
        Some(false) => "missed",
        None => "free",
    };
    let (one, median) = (axis.place(1.0), axis.place(row.ratio_median));
    let (x, width) = (one.min(median), (one - median).abs().max(1.5));
    let top = y - BAR_HEIGHT / 2.0;
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" rx=\"2\"/>"
    );
    let (first, last) = (axis.place(row.ratio_min), axis.place(row.ratio_max));
    let _ = writeln!(out, "<line class=\"whisker\" x1=\"{first:.1}\" x2=\"{last:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
    for x in [first, last] {
        let (top, bottom) = (y - 4.0, y + 4.0);
        let _ =
            writeln!(out, "<line class=\"whisker\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>");
    }
    if let Some(target) = row.target {
        mark(out, axis.place(target), y);
    }
    let figures = format!("{:.2}x  ({} : {} {})", row.ratio_median, short(row.ours), short(row.peer), row.unit);
    text(out, "figure", "start", RIGHT + 14.0, y + 4.5, &escape(&figures));
}

/// A diamond.
fn mark(out: &mut String, x: f64, y: f64) {
    let _ = writeln!(out, "<path class=\"target\" d=\"M{x:.1} {:.1}l5 6l-5 6l-5-6z\"/>", y - 6.0);
}

fn text(out: &mut String, class: &str, anchor: &str, x: f64, y: f64, words: &str) {
    let _ = writeln!(out, "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}

/// Three digits that count.
fn short(figure: f64) -> String {
    if figure.abs() < 10.0 { format!("{figure:.2}") } else { format!("{figure:.0}") }
}

fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, ratio: f64, target: Option<f64>) -> Row {
        Row {
            name: name.to_owned(),
            unit: "MB/s",
            ours: 1.0,
            peer: 1.0,
            floor: None,
            ratio_median: ratio,
            ratio_min: ratio / 2.0,
            ratio_max: ratio * 2.0,
            target,
            rounds: 7,
        }
    }

    #[test]
    fn every_row_is_drawn_within_the_axis_and_says_whether_it_meets_its_target() {
        let rows = vec![row("a < b", 0.01, Some(1.0)), row("c", 30.0, Some(2.0)), row("d", f64::INFINITY, None)];
        let axis = Axis::around(&rows);
        for row in &rows {
            assert!((LEFT..=RIGHT).contains(&axis.place(row.ratio_median)), "{}", row.name);
        }
        assert_eq!(axis.place(1.0) - axis.place(0.5), axis.place(2.0) - axis.place(1.0));
        let svg = svg(&Answer::new(rows, Vec::new()));
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
        for (class, count) in [("\"met\"", 1), ("\"missed\"", 1), ("\"free\"", 1), ("\"target\"", 3)] {
            assert_eq!(svg.matches(class).count(), count, "{class}");
        }
    }
}
